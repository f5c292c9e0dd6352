"""Where a gap lies among controls: ranks, a line, and when nothing can be said."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mresklearn.reporting import place_gap


@pytest.fixture(scope="module")
def controls():
    random = np.random.default_rng(0)
    ages = random.uniform(20, 80, 400)
    return {"control_gaps": random.normal(0, 6, 400) + ages / 20, "control_ages": ages}


def test_in_the_window_the_percentile_is_the_rank_among_controls_of_like_age(controls):
    place = place_gap(6.0, 50.0, window=4.0, **controls)
    near = controls["control_gaps"][np.abs(controls["control_ages"] - 50) <= 4]
    assert place.method == "window"
    assert place.n_controls == len(near)
    assert place.percentile == 100 * np.mean(near < 6)
    exact = stats.binomtest(int((near < 6).sum()), len(near)).proportion_ci(0.95, method="exact")
    assert (place.low, place.high) == pytest.approx((100 * exact.low, 100 * exact.high))


def test_ties_count_half_and_widen_the_interval():
    place = place_gap(
        1.0, 50.0, control_gaps=np.repeat([0.0, 1.0, 2.0], 20), control_ages=np.full(60, 50.0)
    )
    assert place.percentile == 50
    below = stats.binomtest(20, 60).proportion_ci(0.95, method="exact")
    up_to = stats.binomtest(40, 60).proportion_ci(0.95, method="exact")
    assert (place.low, place.high) == pytest.approx((100 * below.low, 100 * up_to.high))


@pytest.mark.parametrize(("gap", "percentile"), [(-1e3, 0), (1e3, 100)])
def test_beyond_all_controls_the_interval_still_has_a_width(controls, gap, percentile):
    place = place_gap(gap, 50.0, **controls)
    assert place.percentile == percentile
    assert 1 < place.high - place.low < 15


def test_the_regression_is_the_prediction_of_least_squares(controls):
    place = place_gap(9.0, 35.0, method="regression", **controls)
    fitted = sm.OLS(controls["control_gaps"], sm.add_constant(controls["control_ages"])).fit()
    new = fitted.get_prediction([[1.0, 35.0]])
    t = (9.0 - new.predicted_mean[0]) / new.se_obs[0]
    assert place.percentile == pytest.approx(100 * stats.t.cdf(t, 398), rel=1e-9)
    assert place.n_controls == 400


def test_its_interval_is_that_of_the_noncentral_t_distribution(controls):
    few = {name: values[:25] for name, values in controls.items()}
    place = place_gap(7.0, 50.0, method="regression", confidence=0.9, **few)
    design = sm.add_constant(few["control_ages"])
    fitted = sm.OLS(few["control_gaps"], design).fit()
    root = np.sqrt([1, 50] @ np.linalg.inv(design.T @ design) @ [1, 50])
    seen = (7.0 - fitted.predict([[1, 50]])[0]) / np.sqrt(fitted.scale) / root
    for bound, level in ((place.low, 0.95), (place.high, 0.05)):
        centre = stats.norm.ppf(bound / 100) / root
        assert stats.nct.cdf(seen, 23, centre) == pytest.approx(level, abs=1e-4)


@settings(max_examples=10, deadline=None)
@given(
    scale=st.floats(0.1, 10),
    shift=st.floats(-20, 20),
    slope=st.floats(-1, 1),
    years=st.floats(0, 9),
)
def test_the_regression_does_not_depend_on_unit_or_on_a_line_in_age(scale, shift, slope, years):
    random = np.random.default_rng(1)
    ages, gaps = random.uniform(20, 80, 40), random.normal(0, 5, 40)
    plain = place_gap(6.0, 55.0, control_gaps=gaps, control_ages=ages, method="regression")
    moved = place_gap(
        6.0 * scale + shift + slope * 55, 55.0 + years,
        control_gaps=gaps * scale + shift + slope * ages, control_ages=ages + years,
        method="regression",
    )  # fmt: skip
    found, expected = ((p.percentile, p.low, p.high) for p in (moved, plain))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "method"), [(30, "window"), (29, "regression")])
def test_the_window_is_used_from_thirty_controls_on(n, method):
    random = np.random.default_rng(0)
    ages = np.concatenate([np.linspace(46, 54, n), [20, 80]])
    place = place_gap(0.0, 50.0, control_gaps=random.normal(size=n + 2), control_ages=ages)
    assert place.method == method


@pytest.mark.parametrize("gap", [-300.0, 300.0])
def test_far_out_the_bounds_are_still_numbers(controls, gap):
    place = place_gap(gap, 50.0, method="regression", **controls)
    assert 0 <= place.low <= place.high <= 100


@pytest.mark.parametrize(
    ("age", "said"), [(12.0, "no control is as young as 12.0"), (95.0, "no control is as old as")]
)
@pytest.mark.parametrize("method", ["auto", "window", "regression"])
def test_outside_the_ages_of_controls_nothing_is_said(controls, age, said, method):
    place = place_gap(5.0, age, method=method, **controls)
    assert not place.known
    assert place.method == "none"
    assert said in place.note


def test_too_few_controls_are_named():
    few = {"control_gaps": np.arange(19.0), "control_ages": np.linspace(20, 80, 19)}
    assert place_gap(0.0, 50.0, **few).note == "19 controls are too few: a percentile takes 20"
    apart = {"control_gaps": np.arange(40.0), "control_ages": np.repeat([20.0, 80.0], 20)}
    assert "within 5 years" in place_gap(0.0, 50.0, method="window", **apart).note


def test_controls_of_one_age_have_a_flat_line():
    gaps = np.random.default_rng(0).normal(1, 4, 25)
    place = place_gap(
        3.0, 50.0, control_gaps=gaps, control_ages=np.full(25, 50.0), method="regression"
    )
    t = (3.0 - gaps.mean()) / (
        np.sqrt(((gaps - gaps.mean()) ** 2).sum() / 23) * np.sqrt(1 + 1 / 25)
    )
    assert place.percentile == pytest.approx(100 * stats.t.cdf(t, 23))


def test_what_cannot_be_is_refused(controls):
    with pytest.raises(ValueError, match="gap must be a finite"):
        place_gap(np.nan, 50.0, **controls)
    with pytest.raises(ValueError, match="control_gaps has 3 entries where 2"):
        place_gap(1.0, 50.0, control_gaps=[1, 2, 3], control_ages=[40, 60])
    with pytest.raises(ValueError, match="control_ages is missing or infinite in 1 of 2"):
        place_gap(1.0, 50.0, control_gaps=[1, 2], control_ages=[40, np.nan])
    with pytest.raises(ValueError, match="do not vary"):
        place_gap(1.0, 50.0, control_gaps=np.ones(25), control_ages=np.linspace(20, 80, 25))
