"""Conformal intervals: the published formulas, coverage in simulations, and what they rest on."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mresklearn import MapArray, MapLoader, MapMasker
from mresklearn.exceptions import MissingMetadataError, SingleSiteWarning
from mresklearn.intervals import SiteConformalRegressor
from mresklearn.intervals._weighted_bounds import (
    conformal_bounds,
    minimum_size,
    weighted_quantile,
)

SITE = np.repeat(["Delaware", "Mayo", "Utah"], [40, 30, 6])


def people(site=SITE, seed=0, noise=2.0):
    """Features, age and noise that differs by site where `noise` is a dictionary."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(len(site), 2))
    scale = np.vectorize(noise.get)(site) if isinstance(noise, dict) else noise
    return X, 50 + 10 * X[:, 0] + rng.normal(size=len(site)) * scale


def ends(interval):
    return interval[["lower", "upper"]].to_numpy()


def inside(interval, y):
    return (interval.lower.to_numpy() <= y) & (y <= interval.upper.to_numpy())


class Recorder(RegressorMixin, BaseEstimator):
    """Predicts zero and remembers the rows it was fitted on, which are the first column."""

    def fit(self, X, y):
        self.rows_ = X[:, 0].astype(int)
        return self

    def predict(self, X):
        return np.zeros(len(X))


# the formulas


def brute_force(X, y, held_out, new, coverage, estimator):
    """CV+ by its definition: sort, and count to the ranks of the paper."""
    lower, upper = [], []
    for test in held_out:
        train = np.setdiff1d(np.arange(len(y)), test)
        model = clone(estimator).fit(X[train], y[train])
        for row in test:
            error = abs(y[row] - model.predict(X[[row]])[0])
            lower.append(model.predict(new) - error)
            upper.append(model.predict(new) + error)
    n = len(lower)
    down = int(np.floor((1 - coverage) * (n + 1) + 1e-9)) - 1
    up = int(np.ceil(coverage * (n + 1) - 1e-9)) - 1
    return np.column_stack([np.sort(lower, axis=0)[down], np.sort(upper, axis=0)[up]])


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_one_site_is_cv_plus(coverage):
    X, y = people()
    model = SiteConformalRegressor(coverage=coverage).fit(X, y, site=["A"] * 76)
    new = np.random.default_rng(1).normal(size=(20, 2))
    interval = model.predict(new, return_interval=True, site=["A"] * 20)[1]
    folds = [group.row.to_numpy() for _, group in model.calibration_.groupby("fold")]
    np.testing.assert_allclose(
        ends(interval), brute_force(X, y, folds, new, coverage, Ridge()), rtol=1e-10
    )


def test_an_interval_of_the_own_site_uses_its_errors_alone():
    X, y = people(noise={"Delaware": 1.0, "Mayo": 5.0, "Utah": 1.0})
    model = SiteConformalRegressor().fit(X, y, site=SITE)
    new = np.random.default_rng(1).normal(size=(20, 2))
    interval = model.predict(new, return_interval=True, site=["Mayo"] * 20)[1]
    errors = model.calibration_[model.calibration_.site == "Mayo"]
    trained = [
        np.setdiff1d(np.arange(76), model.calibration_.row[model.calibration_.fold == k])
        for k in range(5)
    ]
    predicted = np.array([Ridge().fit(X[rows], y[rows]).predict(new) for rows in trained])
    centre = predicted[errors.fold]  # one line a held-out person of Mayo
    size = errors.error.to_numpy()[:, np.newaxis]
    # of 30 persons: rank floor(0.1 * 31) = 3 from below, ceil(0.9 * 31) = 28 from below
    np.testing.assert_allclose(interval.lower, np.sort(centre - size, axis=0)[2])
    np.testing.assert_allclose(interval.upper, np.sort(centre + size, axis=0)[27])
    assert set(interval.basis) == {"own site"}


def test_split_is_the_prediction_plus_and_minus_one_quantile():
    X, y = people()
    model = SiteConformalRegressor(method="split", n_splits=2).fit(X, y, site=["A"] * 76)
    predicted, interval = model.predict(X, return_interval=True, site=["A"] * 76)
    held_out = model.calibration_.row
    fitted = Ridge().fit(np.delete(X, held_out, axis=0), np.delete(y, held_out))
    np.testing.assert_allclose(predicted, fitted.predict(X))
    error = np.sort(np.abs(y - predicted)[held_out])[int(np.ceil(0.9 * 39)) - 1]
    np.testing.assert_allclose(
        ends(interval), predicted[:, np.newaxis] + [[-error, error]], rtol=1e-10
    )


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_agrees_with_mapie_over_all_sites(coverage):
    regression = pytest.importorskip("mapie.regression")
    X, y = people()
    new = np.random.default_rng(1).normal(size=(20, 2))
    model = SiteConformalRegressor(coverage=coverage).fit(X, y, site=["A"] * 76)
    cv = PredefinedSplit(model.calibration_.sort_values("row").fold)
    theirs = regression.CrossConformalRegressor(Ridge(), confidence_level=coverage, cv=cv)
    expected = theirs.fit_conformalize(X, y).predict_interval(new)[1][:, :, 0]
    interval = model.predict(new, return_interval=True, site=["A"] * 20)[1]
    np.testing.assert_allclose(ends(interval), expected, rtol=1e-12)


@given(
    values=st.lists(st.integers(-5, 5), min_size=1, max_size=12),
    share=st.sampled_from([0.5, 0.75, 0.9]),
    spare=st.integers(0, 2),
)
def test_weighted_quantile_is_the_smallest_value_that_holds_the_share(values, share, spare):
    values = np.array(values, dtype=float)
    weights = np.full(len(values), 1 / (len(values) + spare))
    found = weighted_quantile(values, weights, share)
    fits = [v for v in values if weights[values <= v].sum() >= share - 1e-9]
    assert found == (min(fits) if fits else np.inf)


@given(numerator=st.integers(51, 99), n=st.integers(1, 120))
def test_ends_are_finite_from_the_number_of_persons_that_is_named(numerator, n):
    coverage = numerator / 100
    bounds = conformal_bounds(np.zeros((1, n)), np.ones(n), np.full(n, 1 / (n + 1)), coverage)
    assert np.isfinite(bounds).all() == (n >= minimum_size(coverage))


@pytest.mark.parametrize(("coverage", "persons"), [(0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_number_of_persons_needed(coverage, persons):
    assert minimum_size(coverage) == persons


# coverage


def simulated_coverage(simulate, repeats):
    return np.mean([simulate(repeat) for repeat in range(repeats)], axis=0)


@pytest.mark.parametrize(("method", "n_splits", "least"), [("cv+", 5, 0.88), ("split", 2, 0.88)])
def test_every_known_site_is_covered_though_noise_differs(method, n_splits, least):
    noise = {"quiet": 1.0, "loud": 6.0}
    site = np.repeat(["quiet", "loud"], 30)

    def simulate(repeat):
        X, y = people(site, seed=2 * repeat, noise=noise)
        model = SiteConformalRegressor(
            estimator=LinearRegression(), method=method, n_splits=n_splits, new_sites=False
        ).fit(X, y, site=site)
        again, age = people(np.repeat(["quiet", "loud"], 100), seed=2 * repeat + 1, noise=noise)
        where = np.repeat(["quiet", "loud"], 100)
        held = inside(model.predict(again, return_interval=True, site=where)[1], age)
        return held[:100].mean(), held[100:].mean()

    # 40 calibration sets of 30 or 15 persons: standard error under 0.01
    coverage = simulated_coverage(simulate, 40)
    assert (coverage > least).all(), coverage
    assert (coverage < 0.98).all(), coverage


def test_pooled_intervals_miss_the_loud_site_and_own_ones_do_not():
    """Why the sites are kept apart."""
    noise = {"quiet": 1.0, "loud": 6.0}
    site = np.repeat(["quiet", "loud"], [60, 20])
    where = np.repeat(["loud"], 200)

    def simulate(repeat):
        X, y = people(site, seed=2 * repeat, noise=noise)
        new, age = people(where, seed=2 * repeat + 1, noise=noise)
        model = SiteConformalRegressor(new_sites=False)
        own = model.fit(X, y, site=site).predict(new, return_interval=True, site=where)[1]
        one = ["one"] * 80
        pooled = model.fit(X, y, site=one).predict(new, return_interval=True, site=["one"] * 200)[1]
        return inside(own, age).mean(), inside(pooled, age).mean()

    own, pooled = simulated_coverage(simulate, 20)
    assert own > 0.87
    assert pooled < 0.8


def site_offsets(n_sites, seed):
    """People of sites with offsets of their own, which no model can foresee."""
    rng = np.random.default_rng(seed)
    site = np.repeat([f"site {number:02d}" for number in range(n_sites)], 12)
    X, y = people(site, seed=seed)
    return X, y + np.repeat(rng.normal(0, 6, n_sites), 12), site


def test_many_sites_cover_a_new_one_where_known_sites_do_not():
    def simulate(repeat):
        X, y, site = site_offsets(14, repeat)
        known = site < "site 13"
        model = SiteConformalRegressor().fit(X[known], y[known], site=site[known])
        new = model.predict(X[~known], return_interval=True, site=site[~known])[1]
        assert set(new.basis) == {"new site"}
        pretend = ["site 00"] * (~known).sum()
        wrong = model.predict(X[~known], return_interval=True, site=pretend)[1]
        return inside(new, y[~known]).mean(), inside(wrong, y[~known]).mean()

    new, wrong = simulated_coverage(simulate, 40)
    assert new > 0.85
    assert wrong < 0.75


def test_few_sites_give_a_finite_interval_without_guarantee():
    X, y, site = site_offsets(5, seed=0)
    model = SiteConformalRegressor().fit(X, y, site=site)
    interval = model.predict(X[:3], return_interval=True, site=["Edinburgh"] * 3)[1]
    assert np.isfinite(ends(interval)).all()
    assert set(interval.basis) == {"new site, no guarantee"}
    assert model.n_sites_needed_ == 9


def test_a_new_site_is_the_weighted_quantile_over_left_out_sites():
    X, y = people()
    model = SiteConformalRegressor().fit(X, y, site=SITE)
    new = np.random.default_rng(1).normal(size=(5, 2))
    interval = model.predict(new, return_interval=True, site=["Edinburgh"] * 5)[1]
    values, weights = [], []
    for name in ("Delaware", "Mayo", "Utah"):
        here = name == SITE
        left = Ridge().fit(X[~here], y[~here])
        errors = np.abs(y[here] - left.predict(X[here]))
        values += [left.predict(new) + error for error in errors]
        weights += [1 / 3 / here.sum()] * here.sum()
    order = np.argsort(values, axis=0)
    for column in range(5):
        reached = np.cumsum(np.array(weights)[order[:, column]]) >= 0.9 - 1e-9
        expected = np.sort(np.array(values)[:, column])[np.argmax(reached)]
        assert interval.upper.iloc[column] == pytest.approx(expected)


def test_new_site_table_is_made_from_the_other_sites_alone():
    X, y = people()
    y = y + 30 * (SITE == "Utah")
    model = SiteConformalRegressor().fit(X, y, site=SITE)
    table = model.new_site_
    assert list(table.index) == ["Delaware", "Mayo", "Utah"]
    assert list(table.n_persons) == [40, 30, 6]
    assert table.coverage["Utah"] == 0, "30 years off, and the other sites do not know"
    assert table.bias["Utah"] == pytest.approx(-30, abs=5)
    errors = []
    for name in ("Delaware", "Mayo"):
        left = Ridge().fit(X[name != SITE], y[name != SITE])
        here = name == SITE
        errors += [(error, 1 / 2 / here.sum()) for error in np.abs(y - left.predict(X))[here]]
    errors.sort()
    reached = np.cumsum([weight for _, weight in errors]) >= 0.9 - 1e-9
    assert table.half_width["Utah"] == pytest.approx(errors[np.argmax(reached)][0])


# what an interval rests on


def test_a_small_site_borrows_the_errors_of_all():
    X, y = people()
    model = SiteConformalRegressor().fit(X, y, site=SITE)
    interval = model.predict(X, return_interval=True, site=SITE)[1]
    basis = dict(zip(SITE, interval.basis, strict=True))
    assert basis == {"Delaware": "own site", "Mayo": "own site", "Utah": "all sites"}
    assert np.isfinite(ends(interval)).all()


def test_nine_persons_are_enough_for_a_site():
    site = np.repeat(["nine", "eight", "many"], [9, 8, 30])
    X, y = people(site)
    interval = (
        SiteConformalRegressor().fit(X, y, site=site).predict(X, return_interval=True, site=site)[1]
    )
    basis = dict(zip(site, interval.basis, strict=True))
    assert basis == {"nine": "own site", "eight": "all sites", "many": "own site"}


def test_summary_names_sites_numbers_and_the_swing():
    X, y = people()
    text = SiteConformalRegressor().fit(X, y, site=SITE).summary()
    for words in ("Delaware (40), Mayo (30)", "Utah (6)", "no guarantee from 3 sites", "take 9"):
        assert words in text


def test_without_left_out_sites_nothing_is_said_of_a_new_one():
    X, y = people()
    model = SiteConformalRegressor(new_sites=False).fit(X, y, site=SITE)
    interval = model.predict(X[:2], return_interval=True, site=["Edinburgh"] * 2)[1]
    assert np.isinf(ends(interval)).all()
    assert model.new_site_ is None
    assert "nothing can be said" in model.summary()


def test_held_out_persons_were_not_trained_on():
    site = np.repeat(["A", "B"], 20)
    person = np.arange(40) // 2
    X = np.column_stack([np.arange(40), np.zeros(40)])
    model = SiteConformalRegressor(estimator=Recorder()).fit(
        X, np.arange(40.0), site=site, groups=person
    )
    for fold, group in model.calibration_.groupby("fold"):
        trained = person[model._known.models[fold].rows_]
        assert not set(person[group.row]) & set(trained)
    for code, name in enumerate("AB"):
        assert name not in site[model._new.models[code].rows_]
    assert len(model.estimator_.rows_) == 40


def test_one_row_stands_for_a_person():
    person = np.arange(76) // 2
    X, y = people()
    site = np.where(np.arange(76) < 40, "A", "B")
    model = SiteConformalRegressor().fit(X, y, site=site, groups=person)
    assert sorted(person[model.calibration_.row]) == list(range(38))


def test_split_trains_on_the_other_folds_only():
    X = np.column_stack([np.arange(40), np.zeros(40)])
    model = SiteConformalRegressor(estimator=Recorder(), method="split", n_splits=4)
    model.fit(X, np.arange(40.0), site=["A"] * 40)
    assert len(model.estimator_.rows_) == 30
    assert not set(model.calibration_.row) & set(model.estimator_.rows_)


# how site comes


def test_rows_do_not_depend_on_company():
    X, y = people()
    model = SiteConformalRegressor().fit(X, y, site=SITE)
    site = np.where(np.arange(76) % 3, SITE, "Edinburgh")
    together = ends(model.predict(X, return_interval=True, site=site)[1])
    for row in (0, 1, 50, 75):
        alone = model.predict(X[[row]], return_interval=True, site=site[[row]])[1]
        np.testing.assert_allclose(ends(alone)[0], together[row])


@pytest.mark.parametrize("routing", [False, True])
def test_site_rides_with_maps_through_a_pipeline(routing):
    rng = np.random.default_rng(0)
    site = np.repeat(["A", "B"], 12)
    age = rng.uniform(20, 80, 24)
    maps = np.zeros((24, 1, 4, 4, 4))
    maps[:, :, 1:3, 1:3, 1:3] = 3 - age[:, None, None, None, None] / 50
    ids = [f"sub-{number:02d}" for number in range(24)]
    rows = MapArray.from_array(maps, participants=ids, metadata=pd.DataFrame({"site": site}))
    model = SiteConformalRegressor(estimator=make_pipeline(MapMasker(), Ridge(alpha=0.1)))
    with sklearn.config_context(enable_metadata_routing=routing):
        interval = model.fit(rows, age).predict(rows, return_interval=True)[1]
        keyword = clone(model).fit(maps, age, site=site)
        again = keyword.predict(maps, return_interval=True, site=site)[1]
    assert list(interval.index) == ids
    np.testing.assert_array_equal(ends(interval), ends(again))
    assert model.sites_ == ["A", "B"]


def test_paths_in_a_frame(people):
    X = people[["stiffness", "site"]]
    pipeline = make_pipeline(MapLoader(metadata=["site"], voxel_size=8), MapMasker(), Ridge())
    model = SiteConformalRegressor(estimator=pipeline, n_splits=2, coverage=0.8)
    interval = model.fit(X, people.age).predict(X, return_interval=True)[1]
    assert list(interval.index) == list(people.index)
    assert (interval.basis == "own site").all()


def test_without_any_site_all_rows_are_one_and_it_says_so():
    X, y = people()
    with pytest.warns(SingleSiteWarning, match="say nothing of a new site"):
        model = SiteConformalRegressor().fit(X, y)
    interval = model.predict(X, return_interval=True)[1]
    assert set(interval.basis) == {"own site"}


def test_intervals_need_the_site_that_predictions_do_not():
    X, y = people()
    model = SiteConformalRegressor().fit(X, y, site=SITE)
    assert model.predict(X).shape == (76,)
    with pytest.raises(MissingMetadataError, match="Pass site= to predict, or let it travel"):
        model.predict(X, return_interval=True)


def test_too_few_persons_for_the_folds():
    X, y = people()
    with pytest.raises(ValueError, match="5 folds need as many persons, but there are 4"):
        SiteConformalRegressor().fit(X, y, site=SITE, groups=np.arange(76) % 4)


@pytest.mark.parametrize("coverage", [0.5, 1.0, 90])
def test_coverage_is_a_share(coverage):
    X, y = people()
    with pytest.raises(ValueError, match="'coverage' parameter"):
        SiteConformalRegressor(coverage=coverage).fit(X, y, site=SITE)


def test_the_last_step_of_a_pipeline_is_allowed():
    X, y = people()
    model = make_pipeline(StandardScaler(), SiteConformalRegressor(n_splits=2))
    model.fit(X, y, siteconformalregressor__site=SITE)
    predicted, interval = model.predict(X, return_interval=True, site=SITE)
    assert len(predicted) == len(interval) == 76


@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.SingleSiteWarning")
@parametrize_with_checks(
    [SiteConformalRegressor(n_splits=2), SiteConformalRegressor(method="split", n_splits=2)]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


class BySite(RegressorMixin, BaseEstimator):
    """Predicts the mean of the site, which it asks for."""

    def fit(self, X, y, *, site=None):
        self.means_ = pd.Series(y).groupby(np.asarray(site)).mean()
        return self

    def predict(self, X, *, site=None):
        known = np.full(len(X), None) if site is None else np.asarray(site)
        return self.means_.reindex(known).fillna(self.means_.mean()).to_numpy()


def test_a_site_that_rides_with_the_rows_reaches_a_regressor_that_asks_for_it():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"thickness": rng.normal(size=80), "site": np.repeat(["Mayo", "Utah"], 40)})
    age = np.repeat([30.0, 70.0], 40) + rng.normal(size=80)
    model = SiteConformalRegressor(estimator=BySite(), random_state=0).fit(X, age)
    riding, interval = model.predict(X, return_interval=True)
    given, _ = model.predict(X, return_interval=True, site=X.site)
    np.testing.assert_array_equal(riding, given)
    assert inside(interval, age).mean() > 0.85
