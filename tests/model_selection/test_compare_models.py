"""Two models are compared by the test that the protocol allows, with seeds averaged first."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from mresklearn.exceptions import UnanswerableWarning
from mresklearn.metrics import corrected_resampled_ttest, sign_flip_test
from mresklearn.model_selection import compare_models, cross_validate_sites

SITE = np.repeat(["Mayo", "Delaware", "Utah", "Essen", "Lyon", "Cork"], [14, 20, 16, 12, 18, 15])
N = len(SITE)
PROTOCOLS = ["within_site", "leave_one_site_out", "transductive"]


@pytest.fixture
def table():
    """Features that follow age."""
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, N)
    return age[:, np.newaxis] + rng.normal(0, 15, (N, 3)), age


class Noisy(RegressorMixin, BaseEstimator):
    """Predicts a number that depends on the seed alone."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y):
        self.level_ = 40.0 + 10 * self.random_state
        return self

    def predict(self, X):
        return np.full(len(X), self.level_)


class Centre(TransformerMixin, BaseEstimator):
    """Subtracts the mean, of a new site once it has seen some of it."""

    def fit(self, X, y=None):
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X):
        return X - self.mean_

    def adapt(self, X_new):
        return Centre().fit(X_new)


def test_comparison_is_that_of_the_metrics(table):
    X, y = table
    a, b = (
        cross_validate_sites(model, X, y, site=SITE, n_repeats=3)
        for model in (Ridge(), DummyRegressor())
    )
    comparison = compare_models(a, b)
    errors = [
        results.predictions.assign(
            error=(results.predictions.prediction - y[results.predictions["row"]]).abs()
        )
        for results in (a, b)
    ]
    by_fold, by_site = (
        [e[e.protocol == protocol].groupby(keys).error.mean() for e in errors]
        for protocol, keys in (("within_site", ["repeat", "fold"]), ("leave_one_site_out", "site"))
    )
    folds = corrected_resampled_ttest(
        (by_fold[0] - by_fold[1]).unstack().to_numpy(), 76, 19, repeats="partitions"
    )
    row = comparison.loc["within_site"]
    assert (row.difference, row.low, row.high) == pytest.approx((folds.mean, folds.low, folds.high))
    assert row.p_value == pytest.approx(folds.p_value)
    assert row.n_units == 15
    sites = sign_flip_test((by_site[0] - by_site[1]).to_numpy())
    row = comparison.loc["leave_one_site_out"]
    assert row.p_value == sites.p_value
    assert row.smallest_p == 2 / 2**6
    assert row.difference == pytest.approx(sites.mean) == row.mae_a - row.mae_b
    assert row.low < row.difference < row.high


def test_swapping_the_models_swaps_the_sign(table):
    a, b = (cross_validate_sites(model, *table, site=SITE) for model in (Ridge(), DummyRegressor()))
    ours, theirs = compare_models(a, b), compare_models(b, a)
    np.testing.assert_allclose(ours.difference, -theirs.difference)
    np.testing.assert_allclose(ours.p_value, theirs.p_value)
    np.testing.assert_allclose(ours.low, -theirs.high, atol=0.5)


def test_seeds_are_averaged_before_the_test(table):
    one = cross_validate_sites(Noisy(), *table, site=SITE, seeds=[0])
    many = cross_validate_sites(Noisy(), *table, site=SITE, seeds=[0, 1, 2])
    comparison = compare_models(one, many)
    assert (comparison.n_units == [5, 6]).all(), "seeds bring no new people"
    assert comparison.mae_b.to_numpy() == pytest.approx(
        [many.folds.mae["within_site"].mean(), many.summary.mae_mean_of_sites["leave_one_site_out"]]
    )


def test_equal_models_do_not_differ(table):
    results = cross_validate_sites(make_pipeline(Centre(), Ridge()), *table, site=SITE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnanswerableWarning)
        comparison = compare_models(results, results)
    assert list(comparison.index) == PROTOCOLS
    assert (comparison.difference == 0).all()
    assert (comparison.p_value == 1).all()


def test_fewer_than_six_sites_cannot_be_significant_and_it_says_so(table):
    X, y = table
    few = SITE != "Cork"
    a, b = (
        cross_validate_sites(model, X[few], y[few], site=SITE[few])
        for model in (Ridge(), DummyRegressor())
    )
    with pytest.warns(UnanswerableWarning, match=r"leave_one_site_out \(5\), and six") as caught:
        comparison = compare_models(a, b)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert comparison.smallest_p["leave_one_site_out"] == 0.0625


@pytest.mark.parametrize("change", [{"random_state": 1}, {"n_splits": 4}, {"site": SITE[::-1]}])
def test_other_folds_cannot_be_paired(table, change):
    a = cross_validate_sites(Ridge(), *table, site=SITE)
    b = cross_validate_sites(Ridge(), *table, **{"site": SITE, **change})
    with pytest.raises(ValueError, match="The results differ in rows, ages, sites or folds"):
        compare_models(a, b)


def test_results_of_two_kinds_of_models_share_the_protocols_that_both_have(table):
    adapts = cross_validate_sites(make_pipeline(Centre(), Ridge()), *table, site=SITE)
    plain = cross_validate_sites(DummyRegressor(), *table, site=SITE)
    assert list(compare_models(adapts, plain).index) == PROTOCOLS[:2]


def test_the_same_people_as_a_frame_and_as_an_array_are_compared(table):
    X, age = table
    frame = pd.DataFrame(X, index=[f"sub-{row}" for row in range(N)])
    ridge = cross_validate_sites(Ridge(), frame, age, site=SITE, random_state=0)
    mean = cross_validate_sites(DummyRegressor(), X, age, site=SITE, random_state=0)
    again = cross_validate_sites(Ridge(), X, age, site=SITE, random_state=0)
    pd.testing.assert_frame_equal(compare_models(ridge, mean), compare_models(again, mean))
