"""Slopes of people and groups against statsmodels and closed forms."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from statsmodels.regression.mixed_linear_model import MixedLM

from mresklearn.exceptions import UnanswerableWarning
from mresklearn.progression import gap_slopes, longitudinal_gap


def visits(seed=0, n=40, slope_sd=1.0, noise=1.0, difference=1.0, level_sd=3.0):
    """Two to five visits a person; the gap of patients grows faster."""
    rng = np.random.default_rng(seed)
    number = rng.integers(2, 6, n)
    person = np.repeat(np.arange(n), number)
    patient = np.arange(n) % 2 == 1
    time = np.concatenate([np.sort(rng.uniform(0, 6, k)) for k in number])
    slope = difference * patient + slope_sd * rng.normal(size=n)
    gap = (level_sd * rng.normal(size=n))[person] + slope[person] * time
    return pd.DataFrame(
        {
            "person": [f"p{code:02d}" for code in person],
            "time": time,
            "group": np.where(patient, "MCI", "CN")[person],
            "age": rng.normal(75, 6, n)[person],
            "gap": gap + noise * rng.normal(size=len(time)),
        }
    )


def test_slopes_are_those_of_least_squares_person_by_person():
    table = visits()
    found = gap_slopes(table).table
    for name, own in table.groupby("person"):
        assert found.slope[name] == pytest.approx(np.polyfit(own.time, own.gap, 1)[0])
        assert found.n_visits[name] == len(own)
        assert found.span[name] == pytest.approx(np.ptp(own.time))


def test_shrinkage_is_that_of_a_mixed_model_with_a_level_for_each_person():
    table = visits(n=14)
    found = gap_slopes(table)
    levels = pd.get_dummies(table.person).to_numpy(dtype=float)
    time = table.time.to_numpy()
    model = MixedLM(
        table.gap, np.column_stack([levels, time]), groups=table.person, exog_re=time[:, None]
    ).fit(reml=True)
    assert found.visit_sd == pytest.approx(np.sqrt(model.scale), rel=1e-3)
    assert found.slope_sd == pytest.approx(np.sqrt(model.cov_re.iloc[0, 0]), rel=1e-3)
    assert found.mean_slope == pytest.approx(model.fe_params.iloc[-1], rel=1e-3)
    own = [
        model.random_effects[name].iloc[0] + model.fe_params.iloc[-1] for name in found.table.index
    ]
    np.testing.assert_allclose(found.table.slope_shrunken, own, rtol=2e-3, atol=2e-3)


def test_reliability_is_the_squared_correlation_with_true_slopes():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1, 3000)
    time = np.array([0.0, 1.0, 2.0])
    gap = true[:, None] * time + rng.normal(0, 1.5, (3000, 3))
    table = pd.DataFrame(
        {"person": np.repeat(np.arange(3000), 3), "time": np.tile(time, 3000), "gap": gap.ravel()}
    )
    found = gap_slopes(table)
    order = found.table.index.astype(int)
    correlation = np.corrcoef(found.table.slope, true[order])[0, 1]
    assert found.reliability == pytest.approx(correlation**2, abs=0.04)
    assert found.slope_sd == pytest.approx(1, abs=0.06)


def test_two_visits_need_the_noise_from_elsewhere():
    table = visits(noise=0.5).groupby("person").head(2)
    with pytest.raises(ValueError, match=r"Nobody has 3 visits.*visit_sd="):
        gap_slopes(table)
    assert gap_slopes(table, visit_sd=0.5).visit_sd == 0.5


def test_slopes_that_are_noise_are_said_to_be():
    table = visits(1, slope_sd=0.0, difference=0.0, noise=2.0)
    with pytest.warns(UnanswerableWarning, match="no more than the noise"):
        found = gap_slopes(table)
    assert found.reliability == 0
    np.testing.assert_allclose(found.table.slope_shrunken, found.mean_slope)


def test_what_comes_after_the_start_is_not_used():
    table = visits(n=30)
    third = table.groupby("person").time.apply(lambda times: times.iloc[min(2, len(times) - 1)])
    before = gap_slopes(table, until=third)
    changed = table.assign(gap=np.where(table.time > third[table.person].to_numpy(), 99, table.gap))
    pd.testing.assert_frame_equal(before.table, gap_slopes(changed, until=third).table)


def test_people_seen_once_are_listed():
    table = visits()
    once = pd.DataFrame({"person": ["new"], "time": [0.0], "gap": [1.0]})
    assert gap_slopes(pd.concat([table, once], ignore_index=True)).single == ("new",)


def test_group_slopes_are_those_of_statsmodels():
    table = visits(n=60)
    found = longitudinal_gap(table, group="group", covariates=["age"])
    reference = MixedLM.from_formula(
        "gap ~ time * group + age", table, groups="person", re_formula="~time"
    ).fit(reml=True)
    pairs = {"level": "Intercept", "slope": "time", "level: MCI - CN": "group[T.MCI]",
             "slope: MCI - CN": "time:group[T.MCI]", "age": "age"}  # fmt: skip
    assert found.note == ""
    for own, theirs in pairs.items():
        assert found.table.estimate[own] == pytest.approx(reference.params[theirs], rel=5e-3)
        assert found.table.standard_error[own] == pytest.approx(reference.bse[theirs], rel=2e-2)
    assert found.slopes.slope["MCI"] == pytest.approx(
        reference.params["time"] + reference.params["time:group[T.MCI]"], rel=5e-3
    )
    assert found.slopes.n_people.tolist() == [30, 30]


def test_reference_turns_the_sign_and_nothing_else():
    table = visits()
    one = longitudinal_gap(table, group="group")
    other = longitudinal_gap(table, group="group", reference="MCI")
    assert one.table.estimate["slope: MCI - CN"] == pytest.approx(
        -other.table.estimate["slope: CN - MCI"], rel=1e-3
    )
    np.testing.assert_allclose(one.slopes.slope, other.slopes.slope[["CN", "MCI"]], rtol=1e-3)


def test_origin_of_time_does_not_matter_to_slopes():
    table = visits()
    later = table.assign(time=table.time + 70)
    one, other = (longitudinal_gap(rows, group="group") for rows in (table, later))
    np.testing.assert_allclose(one.slopes, other.slopes, rtol=1e-3, atol=1e-4)
    assert one.icc == pytest.approx(other.icc, rel=1e-3)


def test_without_slopes_of_people_levels_remain_and_it_is_said():
    table = visits(1, slope_sd=0.0, noise=2.0)
    found = longitudinal_gap(table, group="group")
    assert found.random in ("levels", "levels and slopes in step")
    assert found.note
    assert found.icc == pytest.approx(9 / 13, abs=0.2)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"gap": np.nan}, {}, "Column 'gap' is missing or infinite in 1 of"),
        ({"group": "MCI"}, {}, "puts a person into two groups"),
        ({}, {"reference": "AD"}, "reference='AD' is no group: CN, MCI"),
        ({}, {"covariates": ["gap"]}, "'gap' is given for two things"),
        ({}, {"group": "person"}, "'person' is given for two things"),
        ({}, {"covariates": ["constant"]}, "'constant' does not vary"),
    ],
)
def test_bad_visits_are_named(change, settings, message):
    table = visits(n=10).assign(constant=1.0)
    for column, value in change.items():
        table.loc[0, column] = value
    with pytest.raises(ValueError, match=message):
        longitudinal_gap(table, **({"group": "group"} | settings))


def test_lines_are_drawn():
    figure = longitudinal_gap(visits(n=12), group="group", covariates=["age"]).plot()
    assert isinstance(figure, Figure)
    assert len(figure.axes[0].get_legend().get_texts()) == 2
