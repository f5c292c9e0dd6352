"""AnchorRegressor against the explicit objective, its limits, and bad input."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mresklearn import LeaveOneSiteOut, load, save
from mresklearn.exceptions import SingleSiteWarning
from mresklearn.harmonization import AnchorRegressor, SiteProjector


def cohort(n=60, p=5, n_sites=4, seed=0):
    """Features that follow age and shift by site, and sites that differ in age and in size."""
    rng = np.random.default_rng(seed)
    code = np.sort(rng.integers(0, n_sites, n) % n_sites)
    age = rng.normal(45 + 5 * code, 10)
    X = np.outer(age / 10, rng.normal(size=p)) + rng.normal(size=(n, p))
    X += rng.normal(size=(n_sites, p))[code]
    return X, age, np.array(list("abcdefghij"))[code]


def by_hand(X, y, site, gamma, alpha):
    """Closed form with the projection as an explicit matrix, in float64."""
    centred, target = X - X.mean(axis=0), y - y.mean()
    sites = (site[:, None] == np.unique(site)).astype(float)
    projection = sites @ np.linalg.pinv(sites)
    weight = np.eye(len(y)) + (np.sqrt(gamma) - 1) * projection
    rows, values = weight @ centred, weight @ target
    coef = np.linalg.solve(rows.T @ rows + alpha * np.eye(X.shape[1]), rows.T @ values)
    return coef, y.mean() - X.mean(axis=0) @ coef


@pytest.mark.parametrize("gamma", [0, 0.3, 1, 10, 1e4])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("shape", [(60, 5), (30, 80)])
def test_coefficients_are_those_of_the_explicit_projection(gamma, alpha, shape):
    X, age, site = cohort(*shape)
    fitted = AnchorRegressor(gamma=gamma, alpha=alpha).fit(X, age, site=site)
    coef, intercept = by_hand(X, age, site, gamma, alpha)
    np.testing.assert_allclose(fitted.coef_, coef, rtol=1e-6, atol=1e-6)
    assert fitted.intercept_ == pytest.approx(intercept, rel=1e-6)
    np.testing.assert_allclose(fitted.predict(X), X @ coef + intercept, rtol=1e-6)


def test_it_minimises_the_objective_of_the_paper():
    X, age, site = cohort()
    centred, target = X - X.mean(axis=0), age - age.mean()

    def objective(coef):
        left = pd.Series(target - centred @ coef)
        means = left.groupby(site).transform("mean")
        return np.sum((left - means) ** 2) + 7 * np.sum(means**2) + 2 * np.sum(coef**2)

    best = minimize(objective, np.zeros(5), tol=1e-12).x
    fitted = AnchorRegressor(gamma=7, alpha=2).fit(X, age, site=site)
    np.testing.assert_allclose(fitted.coef_, best, atol=1e-5)


def test_gamma_one_is_ridge():
    X, age, site = cohort()
    ridge = Ridge(alpha=3.0).fit(X, age)
    fitted = AnchorRegressor(gamma=1, alpha=3.0).fit(X, age, site=site)
    np.testing.assert_allclose(fitted.predict(X), ridge.predict(X), rtol=1e-9)


def test_gamma_zero_compares_people_within_sites():
    X, age, site = cohort()
    fitted = AnchorRegressor(gamma=0, alpha=0).fit(X, age, site=site)
    dummies = (site[:, None] == np.unique(site)[1:]).astype(float)
    partialled = LinearRegression().fit(np.hstack([X, dummies]), age)
    np.testing.assert_allclose(fitted.coef_, partialled.coef_[:5], rtol=1e-8)
    moved = X + 100 * np.random.default_rng(1).normal(size=(4, 5))[_codes(site)]
    again = AnchorRegressor(gamma=0, alpha=0).fit(moved, age, site=site)
    np.testing.assert_allclose(again.coef_, fitted.coef_, rtol=1e-6)


def test_large_gamma_makes_the_mean_residual_of_all_sites_equal():
    X, age, site = cohort(n=80, p=12)
    fitted = AnchorRegressor(gamma=1e8, alpha=1e-3).fit(X, age, site=site)
    residuals = pd.Series(age - fitted.predict(X)).groupby(site).mean()
    np.testing.assert_allclose(residuals, 0, atol=1e-3)
    spread = [
        pd.Series(age - AnchorRegressor(gamma=g).fit(X, age, site=site).predict(X))
        .groupby(site)
        .mean()
        .std()
        for g in (0.1, 1, 10, 100)
    ]
    assert (np.diff(spread) < 0).all()


def test_more_features_than_people_is_the_dual_of_the_same():
    X, age, site = cohort(30, 500)
    fitted = AnchorRegressor(gamma=5).fit(X, age, site=site)
    # coefficients lie in the span of the rows, and a rotation of features rotates them
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(500, 500)))[0]
    turned = AnchorRegressor(gamma=5).fit(X @ turn, age, site=site)
    np.testing.assert_allclose(turned.coef_, fitted.coef_ @ turn, atol=1e-9)
    np.testing.assert_allclose(turned.predict(X @ turn), fitted.predict(X), rtol=1e-9)


@settings(deadline=None, max_examples=25)
@given(
    gamma=st.floats(0, 1e3),
    offset=st.floats(-1e3, 1e3),
    factor=st.floats(0.01, 100),
    seed=st.integers(0, 20),
)
def test_order_names_and_origins_do_not_matter(gamma, offset, factor, seed):
    X, age, site = cohort(seed=seed)
    order = np.random.default_rng(seed).permutation(len(X))
    model = AnchorRegressor(gamma=gamma)
    expected = clone(model).fit(X, age, site=site).predict(X)
    shuffled = clone(model).fit(X[order], age[order], site=site[order])
    np.testing.assert_allclose(shuffled.predict(X), expected, rtol=1e-8)
    renamed = clone(model).fit(X, age, site=np.array([f"s{25 - k}" for k in _codes(site)]))
    np.testing.assert_allclose(renamed.predict(X), expected, rtol=1e-8)
    moved = clone(model).fit(X + offset, factor * age + offset, site=site)
    np.testing.assert_allclose(moved.predict(X + offset), factor * expected + offset, rtol=1e-5,
                               atol=1e-5)  # fmt: skip


def test_a_row_does_not_depend_on_its_company_nor_on_a_site():
    X, age, site = cohort()
    frame = pd.DataFrame(X).add_prefix("roi")
    fitted = AnchorRegressor().fit(frame.assign(site=site), age)
    together = fitted.predict(frame)
    alone = [fitted.predict(frame.iloc[[row]])[0] for row in range(len(frame))]
    np.testing.assert_allclose(alone, together, rtol=1e-12)
    np.testing.assert_array_equal(fitted.predict(frame.assign(site="never seen")), together)
    assert list(fitted.feature_names_in_) == [f"roi{k}" for k in range(5)]
    np.testing.assert_allclose(
        fitted.coef_, AnchorRegressor().fit(X, age, site=site).coef_, rtol=1e-12
    )


def test_one_site_is_ridge_with_one_warning():
    X, age, _ = cohort()
    ridge = Ridge().fit(X, age)
    for site in (None, np.zeros(len(X), int)):
        with pytest.warns(SingleSiteWarning, match="ridge regression") as caught:
            fitted = AnchorRegressor().fit(X, age, site=site)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        np.testing.assert_allclose(fitted.predict(X), ridge.predict(X), rtol=1e-9)


def test_many_sites_of_few_people_and_a_constant_column():
    rng = np.random.default_rng(0)
    X, age = rng.normal(size=(120, 8)), rng.normal(50, 10, 120)
    X[:, 3] = 2.0
    site = np.arange(120) // 2
    fitted = AnchorRegressor(gamma=5).fit(X, age, site=site)
    np.testing.assert_allclose(fitted.coef_, by_hand(X, age, site, 5, 1.0)[0], rtol=1e-7, atol=1e-9)
    assert fitted.coef_[3] == pytest.approx(0, abs=1e-12)
    everybody_alone = AnchorRegressor(gamma=5).fit(X, age, site=np.arange(120))
    np.testing.assert_allclose(
        everybody_alone.coef_, Ridge(alpha=1 / 5).fit(X, age).coef_, rtol=1e-7, atol=1e-12
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"X": np.full((60, 2), np.nan)}, "NaN or infinite features in 60 of 60 rows"),
        ({"y": np.full(60, np.nan)}, "Input y contains NaN"),
        ({"y": np.zeros(4)}, "inconsistent numbers of samples"),
        ({"site": ["a", "b"]}, "one entry for each of the 60 rows"),
        ({"site": [None] * 60}, "site is missing in 60 of 60"),
        ({"gamma": -1}, "gamma"),
        ({"alpha": -1}, "alpha"),
    ],
)
def test_bad_input_says_what_is_wrong(changed, message):
    X, age, site = cohort()
    rows = {"X": X, "y": age, "site": site, **changed}
    settings = {k: rows.pop(k) for k in ("gamma", "alpha") if k in rows}
    with pytest.raises(ValueError, match=message):
        AnchorRegressor(**settings).fit(rows["X"], rows["y"], site=rows["site"])


@pytest.mark.parametrize("routing", [False, True])
def test_in_scikit_learn_site_rides_with_the_rows_or_is_routed(routing):
    X, age, site = cohort(n=120)
    frame = pd.DataFrame(X).add_prefix("roi").assign(site=site)
    with sklearn.config_context(enable_metadata_routing=routing):
        groups = {"params": {"groups": site}} if routing else {"groups": site}
        scores = cross_validate(
            AnchorRegressor(), frame, age, cv=LeaveOneSiteOut(), error_score="raise", **groups
        )
        assert np.isfinite(scores["test_score"]).all()
    with sklearn.config_context(enable_metadata_routing=True):
        routed = make_pipeline(StandardScaler(), AnchorRegressor()).fit(X, age, site=site)
        np.testing.assert_array_equal(routed[-1].sites_, np.unique(site))
    search = GridSearchCV(
        AnchorRegressor(), {"gamma": [1, 10, 100]}, cv=LeaveOneSiteOut(), error_score="raise"
    ).fit(frame, age, groups=site)
    assert search.best_params_["gamma"] in (1, 10, 100)
    handed_on = make_pipeline(SiteProjector(keep=["site"]), AnchorRegressor()).fit(frame, age)
    assert len(handed_on[-1].sites_) == 4
    assert handed_on.predict(frame.drop(columns="site").assign(site="new")).shape == (120,)


def test_saved_and_pickled_it_is_the_same(tmp_path):
    X, age, site = cohort()
    fitted = AnchorRegressor(gamma=3).fit(X, age, site=site)
    for copy in (load(save(fitted, tmp_path / "m")), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(copy.predict(X), fitted.predict(X))
        assert copy.get_params() == fitted.get_params()


@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.SingleSiteWarning")
@parametrize_with_checks([AnchorRegressor()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def _codes(site):
    return np.unique(site, return_inverse=True)[1]
