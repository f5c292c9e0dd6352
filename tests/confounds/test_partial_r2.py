import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway

from mresklearn.confounds import _permuted_scores
from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._partial_r2 import partial_r2_permutations
from mresklearn.confounds._permuted_scores import draw_permutations
from mresklearn.confounds._site_directions import SiteDirections

SCHEMES = pytest.mark.parametrize("scheme", ["freedman_lane", "without_refit"])


def cohort(n_rows=60, n_sites=4, n_columns=3, seed=0):
    random = np.random.default_rng(seed)
    codes = random.permutation(np.arange(n_rows) % n_sites)
    age = random.normal(50 + 5 * codes, 10)
    Y = random.normal(size=(n_rows, n_columns)) * (1 + codes[:, None]) + 0.1 * age[:, None]
    Y[:, 0] += codes
    return Y, age_spline(age), codes


def indicators(codes):
    return (codes[:, None] == np.unique(codes)).astype(float)


def fitted(design, y):
    return design @ np.linalg.lstsq(design, y, rcond=None)[0]


def white_statistic(y, reduced, codes):
    """Score test by its auxiliary regression: n - RSS of ones on e times the site columns."""
    e = y - fitted(reduced, y)
    site = indicators(codes)[:, 1:]
    products = (site - fitted(reduced, site)) * e[:, None]
    ones = np.ones(len(y))
    return np.sum(fitted(products, ones) ** 2) / site.shape[1]


def test_partial_r2_is_that_of_two_regressions():
    Y, reduced, codes = cohort()
    result = partial_r2_permutations(Y, reduced, codes, 9, random_state=0)
    full = np.hstack([reduced, indicators(codes)[:, 1:]])
    before = np.sum((Y - fitted(reduced, Y)) ** 2, axis=0)
    after = np.sum((Y - fitted(full, Y)) ** 2, axis=0)
    df_before, df_after = 60 - reduced.shape[1], 60 - full.shape[1]
    np.testing.assert_allclose(result.partial_r2, 1 - after / before)
    np.testing.assert_allclose(result.adjusted_r2, 1 - (after / df_after) / (before / df_before))
    assert (result.n_directions, result.df_residual) == (3, df_after)


def test_without_age_partial_r2_is_that_of_one_way_anova():
    Y, _, codes = cohort()
    result = partial_r2_permutations(Y, np.ones((60, 1)), codes, 9, random_state=0)
    F = f_oneway(*(Y[codes == k] for k in range(4))).statistic
    np.testing.assert_allclose(
        (result.partial_r2 / 3) / ((1 - result.partial_r2) / result.df_residual), F
    )


def test_statistic_is_the_score_test_of_white():
    Y, reduced, codes = cohort()
    result = partial_r2_permutations(Y, reduced, codes, 9, random_state=0)
    np.testing.assert_allclose(result.statistic, [white_statistic(y, reduced, codes) for y in Y.T])


def test_for_two_sites_the_statistic_is_the_generalised_covariance_measure():
    # Shah & Peters (2020), equation 3, of the residuals of values and of site
    Y, reduced, codes = cohort(n_sites=2)
    site = (codes == 1).astype(float)
    R = (Y - fitted(reduced, Y)) * (site - fitted(reduced, site))[:, None]
    gcm = np.sqrt(60) * R.mean(axis=0) / np.sqrt(np.mean(R**2, axis=0) - R.mean(axis=0) ** 2)
    T = partial_r2_permutations(Y, reduced, codes, 1, random_state=0).statistic
    np.testing.assert_allclose(60 * T / (60 - T), gcm**2)


@SCHEMES
@pytest.mark.parametrize("n_columns", [1, 3])
def test_permutations_that_equal_the_data_count_whatever_the_rounding(scheme, n_columns):
    # of values 0 and 1 at two sites many permutations are equal, and float32 must not part them
    codes, random = np.arange(40) % 2, np.random.default_rng(0)
    for _ in range(5):
        Y = random.integers(0, 2, size=(40, n_columns)).astype(float)
        single, double = (
            partial_r2_permutations(
                Y, np.ones((40, 1)), codes, 499, scheme=scheme, random_state=0, dtype=dtype
            )
            for dtype in (np.float32, np.float64)
        )
        np.testing.assert_array_equal(single.p_value, double.p_value)
        np.testing.assert_array_equal(single.p_max, double.p_max)
        for kind in ("mean", "max"):
            null, observed = single[f"{kind}_null"], single[f"{kind}_statistic"]
            assert np.sum(null >= observed) == np.sum(double[f"{kind}_null"] >= observed)
            if n_columns == 1:
                assert (1 + np.sum(null >= observed)) / 500 == single.p_value[0]


def test_values_with_equal_means_at_all_sites_have_p_of_one():
    # the statistic is 0 but for rounding, and every permutation is at least as large
    Y = np.tile([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]], (10, 1))
    result = partial_r2_permutations(Y, np.ones((40, 1)), np.arange(40) % 2, 99, random_state=0)
    np.testing.assert_array_equal(result.p_value, 1.0)
    np.testing.assert_array_equal(result.p_max, 1.0)


def test_freedman_lane_permutes_residuals_and_fits_again():
    Y, reduced, codes = cohort()
    result = partial_r2_permutations(Y, reduced, codes, 99, random_state=3, dtype=np.float64)
    orders = draw_permutations(60, 99, np.random.RandomState(3))
    null = np.empty((99, 3))
    for row, order in enumerate(orders):
        for column, y in enumerate(Y.T):
            fit = fitted(reduced, y)
            null[row, column] = white_statistic(fit + (y - fit)[order], reduced, codes)
    np.testing.assert_allclose(result.null_mean, null.mean(axis=0))
    np.testing.assert_allclose(result.mean_null, null.mean(axis=1))
    np.testing.assert_allclose(result.max_null, null.max(axis=1))
    np.testing.assert_allclose(result.p_value, (1 + np.sum(null >= result.statistic, axis=0)) / 100)
    beaten = null.max(axis=1)[:, None] >= result.statistic
    np.testing.assert_allclose(result.p_max, (1 + beaten.sum(axis=0)) / 100)


def test_without_refit_the_noise_that_age_takes_up_is_corrected_in_all():
    Y, reduced, codes = cohort()
    result = partial_r2_permutations(
        Y, reduced, codes, 99, scheme="without_refit", random_state=3, dtype=np.float64
    )
    orders = draw_permutations(60, 99, np.random.RandomState(3))
    site = indicators(codes)[:, 1:]
    site = site - fitted(reduced, site)
    residuals = Y - fitted(reduced, Y)
    null = np.empty((99, 3))
    for row, order in enumerate(orders):
        for column, e in enumerate(residuals[order].T):
            score, covariance = site.T @ e, (site * e[:, None] ** 2).T @ site
            left = 1 - np.sum(fitted(reduced, e) ** 2) / np.sum(e**2)
            null[row, column] = score @ np.linalg.solve(covariance, score) / 3 / left
    np.testing.assert_allclose(result.null_mean, null.mean(axis=0))
    np.testing.assert_allclose(result.max_null, null.max(axis=1))


def test_without_refit_p_is_near_that_with_refit():
    Y, reduced, codes = cohort(n_rows=300, n_columns=200)
    exact, fast = (
        partial_r2_permutations(Y, reduced, codes, 499, scheme=scheme, random_state=0)
        for scheme in ("freedman_lane", "without_refit")
    )
    assert np.abs(exact.p_value - fast.p_value).max() < 0.05
    assert np.abs(exact.p_value - fast.p_value).mean() < 0.01


@SCHEMES
def test_single_precision_gives_the_p_of_double(scheme):
    Y, reduced, codes = cohort(n_columns=50)
    single, double = (
        partial_r2_permutations(
            1000 + Y, reduced, codes, 499, scheme=scheme, random_state=0, dtype=dtype
        )
        for dtype in (np.float32, np.float64)
    )
    np.testing.assert_array_equal(single.statistic, double.statistic)
    np.testing.assert_allclose(single.max_null, double.max_null, rtol=1e-4)
    assert np.abs(single.p_value - double.p_value).max() <= 1 / 500
    assert np.abs(single.p_max - double.p_max).max() <= 1 / 500


@SCHEMES
def test_blocks_and_threads_do_not_change_the_result(scheme, monkeypatch):
    Y, reduced, codes = cohort(n_columns=20)
    Y[:, 4] = 1.0
    settings = {"scheme": scheme, "random_state": 0, "dtype": np.float64}
    whole = partial_r2_permutations(Y, reduced, codes, 59, **settings)
    for name in _permuted_scores.CELLS:
        monkeypatch.setitem(_permuted_scores.CELLS, name, 60 * 3)
    blocks = partial_r2_permutations(Y, reduced, codes, 59, n_jobs=2, **settings)
    for name, values in whole.items():
        np.testing.assert_allclose(blocks[name], values, err_msg=name)


@SCHEMES
def test_columns_that_cannot_be_tested_are_nan_and_leave_the_others_alone(scheme):
    Y, reduced, codes = cohort()
    bad = np.column_stack(
        [np.full(60, 7.3), reduced[:, 1] * 1e6, np.where(codes == 1, np.nan, Y[:, 0])]
    )
    alone = partial_r2_permutations(Y, reduced, codes, 49, scheme=scheme, random_state=0)
    both = partial_r2_permutations(
        np.hstack([bad, Y]), reduced, codes, 49, scheme=scheme, random_state=0
    )
    for name in ("partial_r2", "adjusted_r2", "statistic", "null_mean", "p_value", "p_max"):
        assert np.isnan(both[name][:3]).all(), name
        np.testing.assert_allclose(both[name][3:], alone[name], rtol=1e-5)
    np.testing.assert_allclose(both.max_null, alone.max_null, rtol=1e-5)
    np.testing.assert_allclose(both.mean_null, alone.mean_null, rtol=1e-5)


def test_nothing_to_test_gives_nan_without_a_warning():
    _, reduced, codes = cohort()
    result = partial_r2_permutations(np.ones((60, 2)), reduced, codes, 9, random_state=0)
    assert np.isnan(result.p_max).all()
    assert np.isnan([result.mean_statistic, result.max_statistic]).all()
    assert np.isnan(result.max_null).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_statistic_ignores_units_row_order_site_names_and_anything_held_fixed(seed, scale, shift):
    Y, reduced, codes = cohort(seed=seed)
    random = np.random.default_rng(seed)
    order, names = random.permutation(60), random.permutation(4)
    curve = reduced @ random.normal(size=(reduced.shape[1], 3))
    changed = scale * (Y + curve) + shift
    first = partial_r2_permutations(Y, reduced, codes, 1, random_state=0)
    second = partial_r2_permutations(
        changed[order], reduced[order], names[codes][order], 1, random_state=0
    )
    np.testing.assert_allclose(second.statistic, first.statistic, rtol=1e-6)
    np.testing.assert_allclose(second.adjusted_r2, first.adjusted_r2, rtol=1e-6, atol=1e-9)


def noisy_small_sites(sizes, noise, n_columns=2000):
    """Columns without an effect of site, whose noise differs by site."""
    random = np.random.default_rng(0)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    Y = random.normal(size=(len(codes), n_columns)) * np.array(noise)[codes][:, None]
    return Y, age_spline(random.uniform(20, 80, len(codes))), codes


def rejected_by_f(Y, reduced, codes, n_permutations=99):
    """Share of columns in which F, with permuted residuals, is among the largest 5 %."""
    directions = SiteDirections(reduced, codes)
    residuals = directions.residuals(Y)
    observed = directions.partial_r2(residuals)[0]
    orders = draw_permutations(len(Y), n_permutations, np.random.RandomState(0))
    beyond = [
        directions.partial_r2(directions.residuals(residuals[order]))[0] >= observed
        for order in orders
    ]
    return np.mean((1 + np.sum(beyond, axis=0)) / (1 + n_permutations) <= 0.05)


@SCHEMES
def test_level_holds_where_small_sites_have_more_noise(scheme):
    # 2000 columns share the permutations, so their share of small p has an SD of about 0.01
    data = noisy_small_sites([120, 50, 20, 10], [1.0, 1.5, 2.5, 4.0])
    result = partial_r2_permutations(*data, 199, scheme=scheme, random_state=0)
    assert 0.02 < np.mean(result.p_value <= 0.05) < 0.08


def test_f_with_the_same_permutations_rejects_several_times_too_often():
    data = noisy_small_sites([120, 50, 20, 10], [1.0, 1.5, 2.5, 4.0], n_columns=300)
    assert rejected_by_f(*data) > 0.25


def test_a_handful_of_people_with_much_more_noise_is_found_too_often():
    """The limit that the docstring names; F does far worse."""
    data = noisy_small_sites([200, 2, 2, 2, 2, 2], [1.0, 3.0, 3.0, 3.0, 3.0, 3.0], n_columns=300)
    result = partial_r2_permutations(*data, 199, random_state=0)
    assert 0.05 < np.mean(result.p_value <= 0.05) < 0.2
    assert rejected_by_f(*data) > 0.5


def test_adjusted_share_is_without_bias_if_noise_is_equal_and_above_zero_if_small_sites_have_more():
    sizes = [120, 50, 20, 10]
    equal = partial_r2_permutations(*noisy_small_sites(sizes, [1.0] * 4), 1, random_state=0)
    noisy = partial_r2_permutations(*noisy_small_sites(sizes, [1, 1.5, 2.5, 4]), 1, random_state=0)
    assert abs(equal.adjusted_r2.mean()) < 0.001  # SD over columns 0.012, over 2000 0.0003
    assert noisy.adjusted_r2.mean() > 0.02


def test_without_refit_is_cautious_for_tens_of_rows():
    random = np.random.default_rng(0)
    data = random.normal(size=(30, 2000)), age_spline(random.uniform(20, 80, 30)), np.arange(30) % 3
    exact, fast = (
        np.mean(partial_r2_permutations(*data, 199, scheme=scheme, random_state=0).p_value <= 0.05)
        for scheme in ("freedman_lane", "without_refit")
    )
    assert fast < min(exact, 0.045)


@SCHEMES
def test_largest_statistic_corrects_for_all_columns(scheme):
    # without an effect the smallest corrected p is uniform: 0.05 of 100 studies, SD 0.022
    found = []
    for seed in range(100):
        Y, reduced, codes = cohort(n_columns=30, seed=seed)
        result = partial_r2_permutations(
            Y[:, 1:], reduced, codes, 99, scheme=scheme, random_state=seed
        )
        assert (result.p_max >= result.p_value).all()
        found.append(result.p_max.min() <= 0.05)
    assert 0 < np.mean(found) < 0.12


def test_permutations_stay_within_strata():
    strata = np.array([0, 1, 0, 1, 2, 0, 1])
    orders = draw_permutations(7, 200, np.random.RandomState(0), strata)
    assert (strata[orders] == strata).all()
    assert (np.sort(orders, axis=1) == np.arange(7)).all()
    assert len(np.unique(orders, axis=0)) == 36  # 3! * 3! * 1!, all of them


def test_site_told_by_the_design_is_refused():
    Y, reduced, codes = cohort()
    with pytest.raises(ValueError, match="tells the site of every row"):
        partial_r2_permutations(Y, np.hstack([reduced, indicators(codes)]), codes)


def test_more_parameters_than_rows_are_refused():
    Y, _, _ = cohort(n_rows=12)
    with pytest.raises(ValueError, match="12 rows are too few"):
        partial_r2_permutations(Y, np.ones((12, 1)), np.arange(12))


def test_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="without_refit"):
        partial_r2_permutations(*cohort(), scheme="bootstrap")


def test_progress_is_shown_on_request_only(capsys):
    partial_r2_permutations(*cohort(), 9, random_state=0)
    assert capsys.readouterr() == ("", "")
    partial_r2_permutations(*cohort(), 9, random_state=0, verbose=1)
    assert "Columns" in capsys.readouterr().err
