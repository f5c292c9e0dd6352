import numpy as np
import pytest
from scipy import stats

from mresklearn.confounds._intervals import (
    bootstrap_interval,
    cramers_v_interval,
    explained_variance_interval,
    jackknife_interval,
    spearman_interval,
)


def test_limits_put_the_statistic_at_the_tails():
    low, high = explained_variance_interval(4.0, 3, 60, 64, 0.95)
    for share, tail in ((low, 0.975), (high, 0.025)):
        noncentrality = 64 * share / (1 - share)
        assert stats.ncf.cdf(4.0, 3, 60, noncentrality) == pytest.approx(tail, abs=1e-6)
    low, high = cramers_v_interval(20.0, 100, 3, 4, 0.9)
    for v, tail in ((low, 0.95), (high, 0.05)):
        assert stats.ncx2.cdf(20.0, 6, 100 * 2 * v**2) == pytest.approx(tail, abs=1e-6)


def test_no_effect_has_a_lower_limit_of_zero_and_a_huge_one_does_not_break():
    assert explained_variance_interval(0.5, 3, 60, 64, 0.95)[0] == 0
    assert explained_variance_interval(0.0, 3, 60, 64, 0.95) == (0, 0)
    low, high = explained_variance_interval(1e6, 3, 60, 64, 0.95)
    assert 0.99 < low <= high <= 1
    assert explained_variance_interval(np.inf, 3, 60, 64, 0.95) == (1, 1)
    assert cramers_v_interval(0.0, 100, 3, 4, 0.95) == (0, 0)
    assert cramers_v_interval(200.0, 100, 3, 3, 0.95)[1] == 1


def test_explained_variance_covers():
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(4), 15)
    shift = np.array([0, 0.3, 0.6, 0.9])[code]
    truth = shift.var() / (1 + shift.var())
    hits = 0
    for _ in range(300):
        y = rng.normal(size=60) + shift
        f = stats.f_oneway(*(y[code == k] for k in range(4))).statistic
        low, high = explained_variance_interval(f, 3, 56, 60, 0.9)
        hits += low <= truth <= high
    assert hits / 300 == pytest.approx(0.9, abs=0.05)


def test_spearman_covers_a_normal_correlation():
    rng = np.random.default_rng(0)
    rho = 0.6
    truth = 6 / np.pi * np.arcsin(rho / 2)
    hits = 0
    for _ in range(300):
        a, b = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], 50).T
        low, high = spearman_interval(stats.spearmanr(a, b).statistic, 50, 0.9)
        hits += low <= truth <= high
    assert hits / 300 == pytest.approx(0.9, abs=0.05)
    assert spearman_interval(1.0, 20, 0.95)[1] <= 1


def test_jackknife_of_a_mean_is_that_of_student():
    rng = np.random.default_rng(0)
    x = rng.normal(size=25)
    low, high = jackknife_interval(
        lambda rows: x[rows].mean(), x.mean(), np.zeros(25, int), 0.95, rng
    )
    half = stats.t.ppf(0.975, 24) * x.std(ddof=1) / 5
    assert (low, high) == pytest.approx((x.mean() - half, x.mean() + half))


def test_jackknife_keeps_every_stratum_and_takes_arrays():
    strata = np.repeat([0, 1, 2], [4, 40, 16])
    seen = []

    def statistic(rows):
        seen.append(np.bincount(strata[rows], minlength=3))
        return [len(rows), rows.mean()]

    low, _ = jackknife_interval(
        statistic, np.array([60, 29.5]), strata, 0.95, np.random.default_rng(0), n_groups=20
    )
    assert low.shape == (2,)
    assert np.min(seen, axis=0).tolist() == [3, 38, 15]


def test_bootstrap_interval_of_symmetric_draws_is_the_percentile_interval():
    draws = np.random.default_rng(0).normal(size=20001)
    low, high = bootstrap_interval(draws, np.median(draws), 0.95)
    assert (low, high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1e-3)
    shifted = bootstrap_interval(draws, 0.5, 0.95)
    assert shifted[0] > low, "draws that lie below the estimate are biased downwards"
    assert np.isfinite(bootstrap_interval(draws, 99, 0.95)).all()


@pytest.mark.parametrize("f_statistic", [1e7, 1e9, 3e16, np.inf])
def test_groups_that_hardly_vary_inside_have_limits_near_one(f_statistic):
    low, high = explained_variance_interval(f_statistic, 2, 20, 23, 0.95)
    assert 0.999 < low <= high <= 1
