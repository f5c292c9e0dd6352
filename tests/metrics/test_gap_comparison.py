"""Groups compared by their gap, against statsmodels, dense formulas and simulated truths."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import special, stats
from scipy.linalg import sqrtm
from statsmodels.stats.multitest import multipletests

from mresklearn.evaluation import regional_report
from mresklearn.exceptions import UnanswerableWarning
from mresklearn.metrics import BrainAgeBiasCorrector, compare_gaps, delong_ci
from mresklearn.metrics._cluster_robust import RobustLeastSquares

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "gap_comparison_level.json"


def people(sizes=None, effect=5.0, noise=4.0, seed=0):
    """Groups of different ages at two sites, patients `effect` years above controls."""
    sizes = sizes or {"CN": 60, "AD": 20}
    random = np.random.default_rng(seed)
    diagnosis = np.repeat(list(sizes), list(sizes.values()))
    n = len(diagnosis)
    patient = diagnosis != "CN"
    table = pd.DataFrame(
        {
            "diagnosis": diagnosis,
            "age": random.normal(np.where(patient, 74, 66), 7),
            "sex": random.choice(["F", "M"], n),
            "site": random.choice(["Mayo", "Utah"], n),
        }
    )
    shift = 3 * (table.site == "Utah") + 1.5 * (table.sex == "M") - 0.4 * (table.age - 66)
    return table.assign(gap=shift + effect * patient + random.normal(0, noise, n))


def compare(table, **options):
    given = {name: table[name] for name in ("age", "sex", "site")} | options
    return compare_gaps(table.gap, table.diagnosis, **given)


# against references


def test_difference_and_error_are_those_of_statsmodels():
    table = people()
    row = compare(table).table.loc["AD - CN"]
    formula = "gap ~ C(diagnosis, Treatment('CN')) + age + I(age**2) + sex + site"
    fitted = smf.ols(formula, table).fit(cov_type="HC2")
    name = "C(diagnosis, Treatment('CN'))[T.AD]"
    assert row.difference == pytest.approx(fitted.params[name])
    assert row.standard_error == pytest.approx(fitted.bse[name])
    assert row.p_value == pytest.approx(
        2 * stats.t.sf(abs(fitted.params[name] / fitted.bse[name]), row.df)
    )
    half = stats.t.ppf(0.975, row.df) * fitted.bse[name]
    assert (row.low, row.high) == pytest.approx((row.difference - half, row.difference + half))
    assert compare(table).residual_sd == pytest.approx(np.sqrt(fitted.ssr / fitted.df_resid))
    assert (row.n_group, row.n_reference, row.note) == (20, 60, "")


def test_without_covariates_it_is_the_test_of_welch():
    table = people({"CN": 30, "AD": 7}).assign(age=70.0)
    comparison = compare(table, sex=None, site=None)
    row = comparison.table.iloc[0]
    patients, controls = (table.gap[table.diagnosis == name] for name in ("AD", "CN"))
    welch = stats.ttest_ind(patients, controls, equal_var=False)
    assert row.difference / row.standard_error == pytest.approx(welch.statistic)
    # Bell and McCaffrey's degrees of freedom: those of Welch where variances are equal
    terms = np.array([1 / 7, 1 / 30])
    assert row.df == pytest.approx(terms.sum() ** 2 / (terms**2 / [6, 29]).sum())
    assert comparison.held_fixed == ()
    plain = delong_ci(table.diagnosis, table.gap, pos_label="AD")
    assert (row.auc, row.auc_low) == pytest.approx((plain.auc, plain.low))
    # Hedges' g with the usual approximation to J
    d = row.difference / comparison.residual_sd
    assert row.hedges_g == pytest.approx(d * (1 - 3 / (4 * 35 - 1)), rel=1e-3)
    assert row.g_low < row.hedges_g < row.g_high


def test_several_rows_a_person_follow_the_dense_formulas():
    random = np.random.default_rng(0)
    person = np.sort(random.integers(0, 12, 30))
    person = np.unique(person, return_inverse=True)[1]
    X = np.column_stack([np.ones(30), random.normal(size=30), person < 5])
    y = random.normal(size=30) + random.normal(size=12)[person]
    contrast = np.array([0.0, 0, 1])
    inverse = np.linalg.inv(X.T @ X)
    rest = np.eye(30) - X @ inverse @ X.T
    variance, columns = 0.0, []
    for code in np.unique(person):
        own = person == code
        root = np.linalg.inv(np.real(sqrtm(rest[np.ix_(own, own)])))
        weight = np.zeros(30)
        weight[own] = root @ (X[own] @ inverse @ contrast)
        columns.append(rest @ weight)
        variance += (weight @ (rest @ y)) ** 2
    omega = np.array(columns) @ np.array(columns).T
    found = RobustLeastSquares(X, y, person).estimate(contrast)
    assert found.value == pytest.approx((inverse @ X.T @ y)[2])
    assert found.standard_error == pytest.approx(np.sqrt(variance))
    assert found.df == pytest.approx(np.trace(omega) ** 2 / np.trace(omega @ omega))


def test_area_and_interval_are_those_of_fits_without_each_person():
    """The jackknife of the docstring by brute force: everybody is left out of the fit in turn."""
    table = people({"CN": 20, "AD": 9, "MCI": 8})
    covariates = pd.DataFrame(
        {"age": table.age, "sex[T.M]": table.sex == "M", "site[T.Utah]": table.site == "Utah"}
    ).astype(float)
    from_mean = (covariates - covariates.mean()).to_numpy()
    formula = "gap ~ diagnosis + age + sex + site"
    effects = smf.ols(formula, table).fit().params[covariates.columns].to_numpy()
    left_out = np.array(
        [
            smf.ols(formula, table.drop(index=k)).fit().params[covariates.columns]
            for k in range(len(table))
        ]
    )
    adjusted = table.gap.to_numpy() - (from_mean * left_out).sum(axis=1)
    patient, control = (np.flatnonzero(table.diagnosis == name) for name in ("AD", "CN"))

    def in_order(score):
        return score[patient][:, None] > score[control]

    area = in_order(adjusted).mean()
    moves = np.zeros(len(table))
    moves[patient] = -(in_order(adjusted).mean(axis=1) - area) / 8
    moves[control] = -(in_order(adjusted).mean(axis=0) - area) / 19
    step = np.sqrt(((left_out - effects) ** 2).sum(axis=0))
    for k in range(3):
        move = from_mean[:, k] * step[k]
        slope = (in_order(adjusted - move).mean() - in_order(adjusted + move).mean()) / 2 / step[k]
        moves += (left_out - effects)[:, k] * slope
    variance = sum(
        (len(part) - 1) * part.var()
        for part in (moves[table.diagnosis == name] for name in ("CN", "AD", "MCI"))
    )
    margin = stats.norm.ppf(0.975) * np.sqrt(variance) / (area * (1 - area))
    row = compare(table, age_terms="linear").table.loc["AD - CN"]
    assert (row.auc, row.auc_low, row.auc_high) == pytest.approx(
        (area, *special.expit(special.logit(area) + np.array([-margin, margin])))
    )
    known = delong_ci(
        table.diagnosis[table.diagnosis != "MCI"],
        adjusted[table.diagnosis != "MCI"],
        pos_label="AD",
    )
    assert row.auc == pytest.approx(known.auc)
    assert row.auc_low < known.low < known.high < row.auc_high


def test_several_responses_are_fitted_as_each_by_itself():
    random = np.random.default_rng(0)
    person = np.r_[np.arange(20), np.arange(10)]
    X = np.column_stack([np.ones(30), random.normal(size=(30, 2))])
    Y = random.normal(size=(30, 4))
    together = RobustLeastSquares(X, Y, person)
    contrast = np.array([0.0, 1, -1])
    found = together.estimate(contrast)
    for k in range(4):
        alone = RobustLeastSquares(X, Y[:, k], person)
        one = alone.estimate(contrast)
        assert (found.value[k], found.standard_error[k], found.df) == pytest.approx(one)
        assert found.p_value()[k] == pytest.approx(one.p_value())
        assert [bound[k] for bound in found.interval(0.9)] == pytest.approx(one.interval(0.9))
        assert together.residual_sd[k] == pytest.approx(alone.residual_sd)
        np.testing.assert_allclose(together.left_out_shifts(2)[..., k], alone.left_out_shifts(2))


def test_shifts_are_those_of_fits_without_the_rows_of_each_person():
    random = np.random.default_rng(0)
    person = np.r_[np.arange(20), np.arange(10)]
    X = np.column_stack([np.ones(30), random.normal(size=(30, 2))])
    y = random.normal(size=30)
    fit = RobustLeastSquares(X, y, person)
    for code, shift in enumerate(fit.left_out_shifts(3)):
        without = np.linalg.lstsq(X[person != code], y[person != code], rcond=None)[0]
        np.testing.assert_allclose(fit.coefficients + shift, without)


def test_holm_is_that_of_statsmodels():
    table = people({"CN": 30, "AD": 10, "MCI": 15, "FTD": 8}, effect=2)
    result = compare(table, pairwise=True).table
    assert len(result) == 6
    np.testing.assert_allclose(result.p_holm, multipletests(result.p_value, method="holm")[1])


# what it must not depend on


@pytest.mark.parametrize("age_terms", ["linear", "quadratic", "spline"])
def test_the_correction_of_the_gap_does_not_matter(age_terms):
    table = people()
    predicted = table.gap + table.age
    raw = compare(table, age_terms=age_terms).table.drop(columns="note")
    random = np.random.default_rng(1)
    age = random.uniform(40, 90, 80)
    controls = 20 + 0.6 * age + random.normal(0, 5, 80)
    for method in ("cole", "de_lange"):
        corrector = BrainAgeBiasCorrector(method=method).fit(controls, age, fold=np.arange(80) % 5)
        gap = corrector.gap(predicted, table.age)
        found = compare(table.assign(gap=gap), age_terms=age_terms).table.drop(columns="note")
        same = ["p_value", "df", "hedges_g", "g_low", "g_high", "auc", "auc_low", "auc_high"]
        np.testing.assert_allclose(found[same].astype(float), raw[same].astype(float))
        unit = corrector.slope_ if method == "cole" else 1
        for name in ("difference", "low", "high", "standard_error"):
            np.testing.assert_allclose(found[name] * unit, raw[name])


def test_order_of_rows_and_kind_of_labels_do_not_matter():
    table = people()
    result = compare(table).table
    shuffled = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(compare(shuffled).table, result)
    coded = table.assign(diagnosis=(table.diagnosis == "AD").astype(int))
    numbers = compare(coded, reference="0").table
    assert numbers.index.tolist() == ["1 - 0"]
    assert numbers.difference.iloc[0] == pytest.approx(result.difference.iloc[0])


def test_pairs_are_differences_of_differences():
    table = people({"CN": 40, "AD": 15, "MCI": 15})
    result = compare(table, pairwise=True).table
    assert result.index.tolist() == ["AD - CN", "MCI - CN", "MCI - AD"]
    difference = result.difference
    assert difference["MCI - AD"] == pytest.approx(difference["MCI - CN"] - difference["AD - CN"])
    assert compare(table).table.index.tolist() == ["AD - CN", "MCI - CN"]


def test_repeated_rows_are_no_new_people():
    table = people({"CN": 30, "AD": 12})
    once = compare(table).table.iloc[0]
    thrice = pd.concat([table] * 3, ignore_index=True)
    again = compare(thrice, groups=np.tile(np.arange(42), 3)).table.iloc[0]
    assert (again.n_group, again.n_reference) == (12, 30)
    assert again.difference == pytest.approx(once.difference)
    assert again.standard_error == pytest.approx(once.standard_error, rel=0.05)
    assert again.auc == pytest.approx(once.auc)
    assert (again.auc_low, again.auc_high) == pytest.approx((once.auc_low, once.auc_high))
    naive = compare(thrice).table.iloc[0]
    assert naive.standard_error < 0.65 * once.standard_error


def test_a_covariate_that_does_not_vary_is_not_held_fixed():
    table = people()
    constant = compare(table.assign(sex="F", site="Mayo"))
    assert constant.held_fixed == ("age",)
    assert constant.table.difference.iloc[0] == pytest.approx(
        compare(table, sex=None, site=None).table.difference.iloc[0]
    )


# what cannot be compared


def test_a_site_of_patients_alone_is_refused_where_no_site_links_the_groups():
    table = people().assign(site=lambda t: np.where(t.diagnosis == "AD", "Mayo", "Utah"))
    with pytest.raises(ValueError, match=r"No site links AD and CN.*site=None"):
        compare(table)
    assert np.isfinite(compare(table, site=None).table.p_value.iloc[0])


def test_patients_without_controls_at_their_site_say_nothing_and_that_is_said():
    table = people()
    alone = (table.diagnosis == "AD") & (np.arange(len(table)) % 2 == 0)
    table.loc[alone, "site"] = "Delaware"
    with pytest.warns(UnanswerableWarning, match="AD: 10 of 20 people are at sites") as warned:
        found = compare(table, age_terms="linear").table.iloc[0]
    assert warned[0].filename == __file__
    assert "10 of 20" in found.note
    # their gap can be anything
    moved = table.assign(gap=table.gap + 50 * alone)
    with pytest.warns(UnanswerableWarning):
        again = compare(moved, age_terms="linear").table.iloc[0]
    assert (again.difference, again.p_value) == pytest.approx((found.difference, found.p_value))
    assert again.auc == pytest.approx(found.auc)


def test_groups_linked_through_a_third_can_be_compared():
    table = people({"CN": 20, "MCI": 20, "AD": 20}, noise=0.01, effect=0)
    half = np.arange(60) % 2 == 0
    table["site"] = np.select(
        [table.diagnosis == "CN", table.diagnosis == "AD"], ["A", "B"], np.where(half, "A", "B")
    )
    table["gap"] = table.gap + 5 * (table.diagnosis == "AD") + 9 * (table.site == "B")
    table["gap"] -= 3 * (people({"CN": 20, "MCI": 20, "AD": 20}).site == "Utah")
    assert compare(table).table.difference["AD - CN"] == pytest.approx(5, abs=0.05)


def test_a_site_of_one_person_changes_nothing():
    table = people()
    table.loc[0, "site"] = "Delaware"
    assert table.diagnosis[0] == "CN"
    with_them = compare(table).table.iloc[0]
    without = compare(table.drop(index=0)).table.iloc[0]
    assert (with_them.difference, with_them.standard_error) == pytest.approx(
        (without.difference, without.standard_error)
    )
    assert with_them.auc == pytest.approx(without.auc)


def test_groups_of_other_ages_are_said_to_be():
    table = people()
    table["age"] = np.where(table.diagnosis == "AD", 80 + table.age / 100, table.age.clip(upper=79))
    with pytest.warns(UnanswerableWarning, match="nobody is of an age that CN have"):
        assert "of an age" in compare(table, age_terms="linear").table.note.iloc[0]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"reference": "control"}, "Nobody has the reference diagnosis 'control'.*AD, CN"),
        ({"diagnosis": "CN"}, {}, "Everybody is 'CN'"),
        ({"diagnosis": ["AD"] + ["CN"] * 79}, {}, "Group 'AD' has one person"),
        ({"sex": ["F"] * 60 + ["M"] * 20}, {}, "AD and CN cannot be told apart from sex"),
        ({"gap": 1.0}, {}, "follows from group and covariates exactly"),
        ({"gap": [np.nan] + [1.0] * 79}, {}, "gap is missing or infinite in 1 of 80 rows"),
        ({"age": [np.nan] + [50.0] * 79}, {}, "age is missing"),
        ({}, {"groups": np.arange(80) % 40}, "more than one diagnosis"),
        ({}, {"age_terms": "cubic"}, "age_terms"),
        ({}, {"age": pd.Series(range(80), index=range(1, 81))}, "gap and age are pandas Series"),
        ({"site": np.arange(80) // 2}, {}, "too few|cannot be told apart|No site links"),
    ],
)
def test_bad_input_is_refused(change, options, message):
    with pytest.raises(ValueError, match=message):
        compare(people().assign(**change), **options)


# simulated truths


def test_level_with_few_patients():
    random = np.random.default_rng(0)
    found = {(n_patients, spread): [] for n_patients in (3, 5) for spread in (1, 2)}
    for (n_patients, spread), rejected in found.items():
        patient = np.arange(n_patients + 40) < n_patients
        for _ in range(300):
            age = random.normal(patient, 1)
            X = np.column_stack(
                [np.ones(len(age)), age, age**2 - 1, random.integers(0, 2, len(age)), patient]
            )
            y = np.where(patient, spread, 1) * random.normal(size=len(age))
            ours = RobustLeastSquares(X, y, np.arange(len(y)))
            p_ours = ours.estimate(np.eye(5)[4]).p_value()
            leverage = np.einsum("ij,ji->i", X, np.linalg.pinv(X))
            hc3 = np.linalg.norm(np.linalg.pinv(X)[4] * ours.residuals / (1 - leverage))
            p_hc3 = 2 * stats.t.sf(abs(ours.coefficients[4] / hc3), len(y) - 5)
            rejected.append([p_ours < 0.05, p_hc3 < 0.05])
    level = {name: np.mean(rejected, axis=0) for name, rejected in found.items()}
    # 0.05 and 3 standard errors of 0.0126
    assert max(ours for ours, _ in level.values()) < 0.088
    assert level[3, 2][1] > 1.5 * level[3, 2][0], "HC3 is too sure of 3 patients"
    assert level[3, 2][1] > 0.088


def test_coverage_of_all_three_intervals():
    inside = []
    truth = {"": 5.0, "g_": 1.25, "auc_": stats.norm.cdf(5 / (4 * np.sqrt(2)))}
    for seed in range(150):
        row = compare(people({"CN": 40, "AD": 11}, seed=seed)).table.iloc[0]
        inside.append([row[f"{k}low"] <= value <= row[f"{k}high"] for k, value in truth.items()])
    # 0.95 less 3 standard errors of 0.018
    assert np.mean(inside, axis=0).min() > 0.896


def test_interval_of_the_area_allows_for_the_adjustment():
    """Patients older than most controls: with the adjustment as known, coverage is 0.87."""
    random = np.random.default_rng(0)
    diagnosis = np.repeat(["CN", "AD"], [60, 11])
    inside, known = [], []
    for _ in range(150):
        age = np.r_[random.uniform(20, 80, 60), random.normal(76, 5, 11)]
        gap = random.normal(size=71)
        row = compare_gaps(gap, diagnosis, age=age).table.iloc[0]
        inside.append(row.auc_low <= 0.5 <= row.auc_high)
        covariates = np.column_stack([age, age**2])
        design = np.column_stack([covariates, np.ones(71), diagnosis == "AD"])
        adjusted = gap - covariates @ np.linalg.lstsq(design, gap, rcond=None)[0][:2]
        naive = delong_ci(diagnosis, adjusted, pos_label="AD")
        known.append(naive.low <= 0.5 <= naive.high)
    # 0.95 less 3 standard errors of 0.018
    assert np.mean(inside) > 0.896
    assert np.mean(known) < 0.92


def test_groups_that_differ_in_age_alone_do_not_differ():
    p, naive = [], []
    for seed in range(100):
        table = people(effect=0, seed=seed)
        p.append(compare(table).table.p_value.iloc[0])
        patient = table.diagnosis == "AD"
        naive.append(stats.ttest_ind(table.gap[patient], table.gap[~patient]).pvalue)
    assert np.mean(np.array(p) < 0.05) < 0.115
    assert np.mean(np.array(naive) < 0.05) > 0.3


@pytest.mark.parametrize("function", [compare_gaps, regional_report])
def test_docstring_quotes_the_stored_simulation(function):
    quoted = json.loads(RESULTS.read_text())["results"]["quoted"][function.__name__]
    docstring = " ".join(function.__doc__.split())
    for sentence in quoted:
        assert sentence in docstring, f"benchmarks/gap_comparison_level.py says: {sentence}"
    assert "``benchmarks/gap_comparison_level.py``" in docstring


def linked_by(n_links, seed=0):
    """Controls at one site, patients at another, and controls who link them there."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "diagnosis": np.repeat(["CN", "AD", "CN"], [60, 20, n_links]),
            "site": np.repeat(["Mayo", "Utah", "Utah"], [60, 20, n_links]),
            "age": random.normal(70, 6, 80 + n_links),
            "sex": "F",
        }
    )
    return table.assign(gap=random.normal(0, 4, len(table)))


def test_a_difference_that_rests_on_one_person_is_refused_by_row():
    # the fit follows that person exactly, so that nothing says how far off another would be
    table = linked_by(1)
    with pytest.raises(ValueError, match=r"rests on a single person \(row 80\)"):
        compare(table, age_terms="linear")
    predicted = pd.DataFrame({"hippocampus": table.gap + table.age})
    with pytest.raises(ValueError, match="a single person, links them"):
        regional_report(predicted, table.age, diagnosis=table.diagnosis, site=table.site)
    assert np.isfinite(compare(table, age_terms="linear", site=None).table.p_value.iloc[0])


def test_two_scans_of_one_person_link_no_better_than_one():
    table = linked_by(2)
    groups = np.r_[np.arange(81), 80]
    with pytest.raises(ValueError, match="rests on a single person"):
        compare(table, age_terms="linear", groups=groups)


def test_two_people_who_link_sites_are_enough_for_an_honest_level():
    rejected = [
        compare(linked_by(2, seed), age_terms="linear").table.p_value.iloc[0] < 0.05
        for seed in range(60)
    ]
    assert np.mean(rejected) < 0.1
