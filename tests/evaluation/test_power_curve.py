"""Power curves: drawn studies give what compare_gaps gives, and power what theory says."""

import warnings

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from mresklearn.evaluation import power_curve
from mresklearn.evaluation._power_curve_draws import People, areas, compare_studies, draw_studies
from mresklearn.evaluation._power_curve_table import _crossing, _wilson
from mresklearn.exceptions import UnanswerableWarning
from mresklearn.metrics import BrainAgeBiasCorrector, compare_gaps


def cohort(n_controls=150, n_patients=100, effect=4.0, sd=6.0, seed=0):
    random = np.random.default_rng(seed)
    diagnosis = np.repeat(["CN", "AD"], [n_controls, n_patients])
    n = len(diagnosis)
    age = random.normal(72, 6, n)
    gap = effect * (diagnosis == "AD") - 0.3 * (age - 72) + random.normal(0, sd, n)
    return pd.DataFrame(
        {"gap": gap, "diagnosis": diagnosis, "age": age, "sex": random.choice(["F", "M"], n)}
    )


def curve(table, **options):
    given = {"sizes": (10, 20), "n_studies": 200, "sex": table.sex} | options
    return power_curve(table.gap, table.diagnosis, age=table.age, **given)


def one_by_one(table, rows, columns, **options):
    """The drawn studies by compare_gaps itself; None where it refuses."""
    found = []
    for drawn in rows:
        study = table.iloc[drawn].reset_index(drop=True)
        held = {name: study[name] for name in columns}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnanswerableWarning)
                result = compare_gaps(study.gap, study.diagnosis, age=study.age, **held, **options)
            found.append(result.table.iloc[0])
        except ValueError:
            found.append(None)
    return found


# a drawn study is that of compare_gaps


@pytest.mark.parametrize("age_terms", ["linear", "quadratic", "spline"])
@pytest.mark.parametrize("columns", [[], ["sex"], ["sex", "site"]])
@pytest.mark.parametrize("size", [(4, 7), (12, 9)])
def test_many_studies_at_once_are_those_of_compare_gaps(age_terms, columns, size):
    table = cohort(30, 20).assign(site=np.resize(["a", "b", "b", "b", "c"], 50))
    table.loc[table.diagnosis == "CN", "site"] = np.resize(["a", "b", "b"], 30)  # c: patients only
    table["gap"] = table.gap.round()  # ties
    levels = [pd.get_dummies(table[name]).to_numpy(float)[:, 1:] for name in columns]
    site = pd.factorize(table.site)[0] if "site" in columns else np.zeros(50, dtype=int)
    held = np.column_stack([np.empty((50, 0)), *levels])
    people = People(table.gap.to_numpy(), table.age.to_numpy(), held, site, age_terms)
    pools = [(np.arange(30, 50), np.arange(30))]
    rows = draw_studies(pools, np.zeros(25, dtype=int), *size, True, seed=3)
    found = compare_studies(people, rows, size[0])
    area, low, high = areas(found, size[0], np.zeros(25), 0.95)
    expected = one_by_one(table, rows, columns, age_terms=age_terms)
    refused = np.array([one is None for one in expected])
    np.testing.assert_array_equal(np.isnan(found["difference"]), refused)
    kept = np.flatnonzero(~refused)
    assert len(kept) > 5
    for name in ("difference", "standard_error", "df"):
        np.testing.assert_allclose(found[name][kept], [expected[k][name] for k in kept], rtol=1e-4)
    for name, values in {"auc": area, "auc_low": low, "auc_high": high}.items():
        np.testing.assert_allclose(values[kept], [expected[k][name] for k in kept], rtol=1e-4)


def test_a_shift_of_patients_is_a_shift_of_the_difference():
    table = cohort(40, 30)
    people = People(
        table.gap.to_numpy(),
        table.age.to_numpy(),
        (table.sex == "M").to_numpy(float)[:, None],
        np.zeros(70, dtype=int),
        "quadratic",
    )
    rows = draw_studies([(np.arange(40, 70), np.arange(40))], np.zeros(10, int), 8, 9, True, 0)
    shifts = np.linspace(-8, 8, 10)
    found = compare_studies(people, rows, 8)
    area, low, high = areas(found, 8, shifts, 0.9)
    for k, shift in enumerate(shifts):
        moved = table.assign(gap=table.gap + shift * (table.diagnosis == "AD"))
        expected = one_by_one(moved, rows[[k]], ["sex"], confidence=0.9)[0]
        np.testing.assert_allclose(found["difference"][k] + shift, expected.difference)
        np.testing.assert_allclose(found["standard_error"][k], expected.standard_error)
        bounds = expected[["auc", "auc_low", "auc_high"]].astype(float)
        np.testing.assert_allclose([area[k], low[k], high[k]], bounds)


def test_people_come_once_without_replacement_and_from_the_pool():
    pools = [(np.arange(5), np.arange(5, 12)), (np.arange(20, 26), np.arange(26, 40))]
    units = np.array([0, 1, 0, 1, 1])
    rows = draw_studies(pools, units, 5, 6, False, seed=0)
    for drawn, unit in zip(rows, units, strict=True):
        assert len(set(drawn)) == 11
        assert set(drawn[:5]) <= set(pools[unit][0])
        assert set(drawn[5:]) <= set(pools[unit][1])


# power is what theory says


def test_power_and_needed_number_agree_with_the_t_test():
    table = cohort(3000, 3000, effect=3.0)
    sizes = np.array([10, 20, 40, 80])
    result = curve(table, sizes=sizes, n_studies=600, sex=None)
    g = result.at_hand.hedges_g.iloc[0]

    def theory(n):
        df = 2 * n - 4  # two lines of age
        edge, ncp = stats.t.ppf(0.975, df), g * np.sqrt(n / 2)
        return stats.nct.sf(edge, df, ncp) + stats.nct.cdf(-edge, df, ncp)

    np.testing.assert_allclose(result.table.power, theory(sizes), atol=0.06)
    needed = np.flatnonzero(theory(np.arange(5, 200)) > 0.8)[0] + 5
    found = result.needed.loc[("AD", "difference")]
    assert found.low - 2 <= needed <= found.high + 2
    np.testing.assert_allclose(result.table.difference, result.at_hand.difference.iloc[0], atol=0.3)
    np.testing.assert_allclose(result.table.auc, stats.norm.cdf(g / np.sqrt(2)), atol=0.02)


def test_level_is_held_where_there_is_an_effect_and_where_there_is_none():
    for effect in (0.0, 8.0):
        table = cohort(effect=effect)
        # heavy tails, and patients who vary twice as much
        table["gap"] += (1 + (table.diagnosis == "AD")) * stats.t(4).rvs(250, random_state=1)
        result = curve(table, sizes=[11, 20], n_controls=[12, 40], n_studies=1000).table
        assert result.level.between(0.03, 0.075).all()
        assert result.auc_level.between(0.025, 0.075).all()


def test_the_range_left_by_a_pilot_holds_the_power_and_narrows_with_people():
    tables = [curve(cohort(n, n), sizes=[20]) for n in (25, 400)]
    for result in tables:
        row = result.table.iloc[0]
        assert row.level <= row.power_weakest <= row.power <= row.power_strongest
    widths = [result.table.eval("power_strongest - power_weakest").iloc[0] for result in tables]
    assert widths[1] < widths[0] / 2


def test_the_weakest_difference_is_none_where_the_people_at_hand_leave_it_possible():
    row = curve(cohort(effect=0.1), sizes=[20]).table.iloc[0]
    assert row.power_weakest == row.level


def test_power_for_a_given_difference():
    table = cohort()
    none = curve(table, difference=0).table
    np.testing.assert_array_equal(none.power, none.level)
    np.testing.assert_array_equal(none.auc_power, none.auc_level)
    power = [curve(table, difference=years).table.power for years in (-8, -2, 2, 4, 8)]
    for less, more in zip([1, 2, 3], [0, 3, 4], strict=True):
        assert (power[less] < power[more]).all()


def test_without_replacement_a_study_of_everybody_is_one_study():
    table = cohort(20, 20, effect=2)
    result = curve(table, sizes=[20], replacement=False).table.iloc[0]
    assert result.power in (0, 1)
    own = compare_gaps(table.gap, table.diagnosis, age=table.age, sex=table.sex).table.iloc[0]
    np.testing.assert_allclose(result.difference, own.difference)
    np.testing.assert_allclose(result.width, own.high - own.low)
    assert 0.02 <= result.level <= 0.09  # which needs draws that differ


# sites


def test_a_study_of_one_site_does_not_see_shifts_between_sites():
    table = cohort().assign(site=np.resize(["a", "b"], 250))
    shifted = table.assign(gap=table.gap + 100.0 * (table.site == "b"))
    found = [curve(one, site=one.site, one_site=True) for one in (table, shifted)]
    columns = ["power", "level", "auc", "width"]
    np.testing.assert_allclose(found[0].table[columns], found[1].table[columns])
    assert found[0].by_unit.index.get_level_values("unit").unique().tolist() == ["a", "b"]
    means = found[0].by_unit.power.groupby("n_patients").mean()
    np.testing.assert_allclose(means, found[0].table.power.droplevel("group"))


def test_sites_without_patients_are_passed_over():
    table = cohort()
    site = np.where(np.arange(250) < 100, "controls only", "clinic")
    result = curve(table, site=site, one_site=True)
    assert result.at_hand.index.tolist() == [("AD", "clinic")]
    assert result.at_hand.n_controls.tolist() == [50]


def test_sites_that_are_held_fixed_cost_power_but_no_level():
    table = cohort().assign(site=np.resize(["a", "b", "c"], 250))
    table["gap"] += 15 * (table.site == "b")
    free, fixed = curve(table), curve(table, site=table.site)
    assert (fixed.table.power > free.table.power).all()
    assert fixed.table.level.between(0.01, 0.1).all()


def test_studies_that_cannot_be_compared_find_nothing():
    table = cohort(60, 60, effect=200)
    table["sex"] = np.where(np.arange(120) % 10 < 1, "F", "M")
    table.loc[table.diagnosis == "AD", "sex"] = np.where(np.arange(60) % 10 < 1, "M", "F")
    row = curve(table, sizes=[5], n_studies=300).table.iloc[0]
    # sex tells the groups of all ten people apart, or of all but one, who alone links them
    assert row.unanswered == pytest.approx(stats.binom.cdf(1, 10, 0.1), abs=0.08)
    assert row.power <= 1 - row.unanswered


# reading off


def test_needed_number_is_exact_where_power_is_that_of_a_z_test():
    sizes = np.array([4.0, 9, 25, 60])
    needed = ((stats.norm.ppf(0.8) + 1.96) / 0.5) ** 2
    power = stats.norm.cdf(0.5 * np.sqrt(sizes) - 1.96)
    assert _crossing(sizes, power, 0.8) == np.ceil(needed)
    assert _crossing(sizes, power, 0.999999) == np.inf
    assert _crossing(sizes, power, 0.01) == 4
    assert _crossing(sizes, np.array([0.7, 0.9, 0.7, 0.7]), 0.8) == np.inf  # one peak is luck


def test_interval_of_a_share_is_that_of_wilson():
    share, counts = pd.Series([0.0, 0.04, 0.5, 1.0]), np.array([50, 200, 1000, 30])
    low, high = _wilson(share, counts)
    expected = proportion_confint((share * counts).round(), counts, method="wilson")
    np.testing.assert_allclose(low, expected[0], atol=1e-12)
    np.testing.assert_allclose(high, expected[1], atol=1e-12)


# contract


def test_same_seed_same_curve_whatever_the_workers():
    np.random.seed(7)  # noqa: NPY002
    first = curve(cohort())
    with parallel_config(backend="threading"):
        second = curve(cohort(), n_jobs=2)
    pd.testing.assert_frame_equal(first.table, second.table)
    other = curve(cohort(), random_state=np.random.RandomState(0))
    pd.testing.assert_frame_equal(first.table, other.table)
    assert not first.table.equals(curve(cohort(), random_state=1).table)
    drawn = np.random.random()  # noqa: NPY002
    assert drawn == np.random.RandomState(7).random_sample()


def test_every_group_has_a_curve_and_sizes_are_sorted():
    table = cohort()
    table.loc[200:, "diagnosis"] = "MCI"
    result = curve(table, sizes=[20, 10], n_controls=[30, 12], n_studies=50)
    expected = [("AD", 10), ("AD", 20), ("MCI", 10), ("MCI", 20)]
    assert result.table.index.tolist() == expected
    assert result.table.n_controls.tolist() == [12, 30, 12, 30]
    assert set(result.needed.index) == {
        (g, t) for g in ("AD", "MCI") for t in ("difference", "auc")
    }
    fixed = curve(table, n_controls=25, n_studies=50)
    assert (fixed.table.n_controls == 25).all()


def test_more_people_than_at_hand_is_said_with_the_way_out():
    table = cohort(30, 15)
    given = {"age": table.age, "sizes": [10, 20], "n_controls": [10, 40], "n_studies": 20}
    said = r"20 AD of 15; 40 controls of 30.*difference="
    with pytest.warns(UnanswerableWarning, match=said) as record:
        power_curve(table.gap, table.diagnosis, **given)
    assert record[0].filename == __file__
    with pytest.raises(ValueError, match=r"20 AD of 15.*replacement=True"):
        curve(table, replacement=False)


def test_people_at_hand_of_other_ages_are_said():
    table = cohort()
    table["age"] += 60 * (table.diagnosis == "AD")
    with pytest.warns(UnanswerableWarning, match="nobody is of an age") as record:
        power_curve(table.gap, table.diagnosis, age=table.age, sizes=[10], n_studies=10)
    assert record[0].filename == __file__


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": [1, 10]}, "sizes must be a list of whole numbers"),
        ({"sizes": [10.5]}, "sizes must be a list of whole numbers"),
        ({"sizes": []}, "sizes must be a list of whole numbers"),
        ({"sizes": [10, 10]}, "distinct"),
        ({"n_controls": [10, 20, 30]}, "3 entries for 2 sizes"),
        ({"one_site": True}, "pass site="),
        ({"reference": "HC"}, "AD, CN.*reference="),
        ({"n_studies": 0}, "n_studies"),
        ({"target": 1.0}, "target"),
        ({"site": ["x"] * 249 + [None]}, "site is missing"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        curve(cohort(), **options)


def test_people_who_cannot_be_compared_or_drawn_are_refused():
    table = cohort()
    with pytest.raises(ValueError, match="gap is missing"):
        curve(table.assign(gap=table.gap.where(table.index > 2)))
    with pytest.raises(ValueError, match="No site links"):
        curve(table, site=table.diagnosis)
    with pytest.raises(ValueError, match="nowhere two people each"):
        curve(table, site=table.diagnosis, one_site=True)
    with pytest.raises(ValueError, match="different row labels"):
        power_curve(table.gap[::-1], table.diagnosis, age=table.age)
    fold = np.arange(150) % 5
    controls = table[table.diagnosis == "CN"]
    corrector = BrainAgeBiasCorrector().fit(controls.gap + controls.age, controls.age, fold=fold)
    corrected = corrector.transform(table.gap + table.age, table.age)
    with pytest.raises((TypeError, ValueError), match="corrected"):
        power_curve(corrected, table.diagnosis, age=table.age)


def test_picture_shows_power_target_and_range():
    from matplotlib.figure import Figure

    table = cohort()
    table.loc[200:, "diagnosis"] = "MCI"
    result = curve(table, n_studies=50)
    figure = result.plot()
    (ax,) = figure.axes
    drawn = [line.get_ydata() for line in ax.get_lines()]
    for group in ("AD", "MCI"):
        for name in ("power", "level"):
            expected = result.table.loc[group, name].to_numpy()
            assert any(np.array_equal(line, expected) for line in drawn)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == 6
    assert [label.split(":")[0] for label in labels] == ["AD"] * 3 + ["MCI"] * 3
    ax = Figure().subplots()
    assert result.plot(ax) is ax.figure
