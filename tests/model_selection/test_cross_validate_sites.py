"""The protocols by brute force, what must never leak, and what a design cannot answer."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import parallel_config
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import ExtraTreeRegressor

from mresklearn import LeaveOneSiteOut, MapLoader, MapMasker
from mresklearn.baselines import SiteMeanRegressor
from mresklearn.exceptions import MissingMetadataError, UnanswerableWarning
from mresklearn.metrics import brain_age_scores
from mresklearn.model_selection import (
    SiteSearchCV,
    adapt_to_site,
    cross_validate_sites,
)

SITE = np.repeat(["Mayo", "Delaware", "Utah", "Essen", "Lyon", "Cork"], [14, 20, 16, 12, 18, 15])
N = len(SITE)
PROTOCOLS = ["within_site", "leave_one_site_out", "transductive"]


@pytest.fixture
def table():
    """Features that follow age, with an offset by site."""
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, N)
    offset = rng.normal(0, 15, 6)[np.unique(SITE, return_inverse=True)[1]]
    return age[:, np.newaxis] + offset[:, np.newaxis] + rng.normal(0, 5, (N, 3)), age


class Recorder(RegressorMixin, BaseEstimator):
    """Predicts the number of training rows, and lists all rows it was fitted on."""

    fitted = None

    def fit(self, X, y, sample_weight=None):
        self.n_ = len(X)
        self.total_ = len(X) if sample_weight is None else sum(sample_weight)
        Recorder.fitted.append(X[:, 0].astype(int))
        return self

    def predict(self, X):
        return np.full(len(X), float(self.total_))


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
    """Subtracts the mean of each site; a site it does not know gets the overall mean."""

    def fit(self, X, y=None):
        self.mean_ = np.asarray(X).mean(axis=0)
        return self

    def transform(self, X):
        return np.asarray(X) - self.mean_

    def adapt(self, X_new):
        adapted = Centre()
        adapted.mean_ = np.asarray(X_new).mean(axis=0)
        return adapted


class CentreInPlace(Centre):
    """Breaks the contract: changes itself."""

    def adapt(self, X_new):
        return self.fit(X_new)


def of(results, protocol):
    return results.predictions[results.predictions.protocol == protocol]


# the protocols, by brute force


def test_leave_one_site_out_is_that_of_scikit_learn(table):
    X, y = table
    results = cross_validate_sites(Ridge(), X, y, site=SITE)
    expected = cross_val_predict(Ridge(), X, y, groups=SITE, cv=LeaveOneSiteOut())
    lines = of(results, "leave_one_site_out").sort_values("row")
    np.testing.assert_allclose(lines.prediction, expected)
    np.testing.assert_array_equal(lines.site, SITE)
    np.testing.assert_array_equal(lines.y, y)
    assert list(results.summary.index) == PROTOCOLS[:2]


def test_every_line_can_be_refitted_from_its_fold(table):
    X, y = table
    results = cross_validate_sites(Ridge(), X, y, site=SITE, n_splits=4, n_repeats=2)
    groups = results.predictions.groupby(["protocol", "repeat", "fold"])
    assert len(groups) == 2 * 4 + 6
    for _, lines in groups:
        train = np.setdiff1d(np.arange(N), lines["row"])
        fitted = Ridge().fit(X[train], y[train])
        np.testing.assert_allclose(lines.prediction, fitted.predict(X[lines["row"]]))
        np.testing.assert_allclose(lines.train_mean, y[train].mean())
        np.testing.assert_allclose(lines.train_median, np.median(y[train]))
        assert (lines.n_train == len(train)).all()
    for _, lines in of(results, "within_site").groupby("repeat"):
        assert sorted(lines["row"]) == list(range(N)), "everybody is tested once a repeat"
        shares = pd.crosstab(lines.fold, lines.site)
        assert (shares.max() - shares.min()).max() <= 1, "folds are alike in site"
    first, second = (of(results, "within_site").query(f"repeat == {k}") for k in (0, 1))
    assert not first.set_index("row").fold.equals(second.set_index("row").fold.loc[first["row"]])


def test_transductive_predicts_the_rest_of_the_site_after_seeing_some_of_it(table):
    X, y = table
    model = make_pipeline(Centre(), LinearRegression())
    results = cross_validate_sites(model, X, y, site=SITE, n_unlabelled=5)
    lines = of(results, "transductive")
    for name, rest in lines.groupby("site"):
        here = np.flatnonzero(name == SITE)
        given = np.setdiff1d(here, rest["row"])
        assert len(given) == 5
        outside = np.setdiff1d(np.arange(N), here)
        line = LinearRegression().fit(X[outside] - X[outside].mean(axis=0), y[outside])
        expected = line.predict(X[rest["row"]] - X[given].mean(axis=0))
        np.testing.assert_allclose(rest.prediction, expected)
    mae = results.summary.mae
    assert mae["transductive"] < mae["leave_one_site_out"], "the offset is seen in the scans"


def test_adapting_leaves_the_other_protocols_as_they_are(table):
    X, y = table
    model = make_pipeline(Centre(), Ridge())
    with_it = cross_validate_sites(model, X, y, site=SITE)
    without = cross_validate_sites(model, X, y, site=SITE, transductive=False)
    pd.testing.assert_frame_equal(
        with_it.predictions[with_it.predictions.protocol != "transductive"], without.predictions
    )


# what must never leak


def test_the_ages_of_a_left_out_site_change_no_prediction_there(table):
    X, y = table
    model = make_pipeline(Centre(), StandardScaler(), Ridge())
    before = cross_validate_sites(model, X, y, site=SITE)
    other = np.where(SITE == "Utah", np.random.default_rng(1).permutation(y), y)
    after = cross_validate_sites(model, X, other, site=SITE)
    for protocol in PROTOCOLS[1:]:
        there = [of(results, protocol).query("site == 'Utah'") for results in (before, after)]
        np.testing.assert_array_equal(there[0]["row"], there[1]["row"])
        np.testing.assert_array_equal(there[0].prediction, there[1].prediction)


def test_no_person_is_on_both_sides_even_if_scanned_at_two_sites(table):
    _, y = table
    X = np.column_stack([np.arange(N), np.zeros(N)])
    person = np.arange(N)
    person[-10:] = person[:10]  # ten people of Mayo were scanned in Cork, too
    Recorder.fitted = []
    results = cross_validate_sites(Recorder(), X, y, site=SITE, groups=person)
    folds = results.predictions.groupby(["protocol", "repeat", "fold"], sort=False)
    assert len(folds) == len(Recorder.fitted) == 11
    for (_, lines), rows in zip(folds, Recorder.fitted, strict=True):
        assert not set(person[rows]) & set(person[lines["row"]])
    assert (results.predictions.n_train == results.predictions.prediction).all()


def test_the_estimator_stays_unfitted(table):
    model = Ridge()
    cross_validate_sites(model, *table, site=SITE, n_splits=2)
    assert not hasattr(model, "coef_")


def test_the_inner_search_sees_training_sites_alone(table):
    X, y = table
    seen = []

    class Spy(SiteSearchCV):
        def fit(self, X, y, *, site=None, groups=None):
            seen.append(sorted(set(site)))
            return super().fit(X, y, site=site, groups=groups)

    cross_validate_sites(Spy(Ridge(), {"alpha": [1.0, 10.0]}), X, y, site=SITE, n_splits=2)
    everywhere = sorted(set(SITE))
    assert seen[:2] == [everywhere, everywhere]
    assert seen[2:] == [[name for name in everywhere if name != out] for out in everywhere]


# seeds


def test_scores_are_averaged_over_seeds_not_predictions(table):
    X, y = table
    results = cross_validate_sites(Noisy(), X, y, site=SITE, seeds=[0, 1, 3])
    assert sorted(results.predictions.seed.unique()) == [0, 1, 3]
    by_seed = [np.abs(y - level).mean() for level in (40, 50, 70)]
    ensemble = np.abs(y - np.mean([40, 50, 70])).mean()
    for protocol in PROTOCOLS[:2]:
        assert results.summary.mae[protocol] == pytest.approx(np.mean(by_seed))
        assert results.summary.mae[protocol] > ensemble
        assert results.summary.mae_sd_over_seeds[protocol] == pytest.approx(np.std(by_seed, ddof=1))


def test_a_number_of_seeds_and_an_estimator_without_any(table):
    nested = make_pipeline(StandardScaler(), Noisy())
    results = cross_validate_sites(nested, *table, site=SITE, seeds=2)
    assert set(results.predictions.prediction) == {40.0, 50.0}
    results = cross_validate_sites(LinearRegression(), *table, site=SITE, seeds=5)
    assert set(results.predictions.seed) == {0}


def test_folds_do_not_depend_on_seeds_and_a_call_repeats(table):
    tree = ExtraTreeRegressor(max_depth=2)
    fixed = ExtraTreeRegressor(max_depth=2, random_state=3)
    first = cross_validate_sites(fixed, *table, site=SITE)
    with parallel_config(backend="threading"):
        again = cross_validate_sites(tree, *table, site=SITE, seeds=[3], n_jobs=2)
    columns = ["protocol", "repeat", "fold", "row", "prediction"]
    pd.testing.assert_frame_equal(first.predictions[columns], again.predictions[columns])
    other = cross_validate_sites(fixed, *table, site=SITE, random_state=1)
    assert not first.predictions["row"].equals(other.predictions["row"])


# tables


def test_tables_are_those_of_the_metrics(table):
    X, y = table
    results = cross_validate_sites(Ridge(), X, y, site=SITE, scoring=lambda a, b: np.max(a - b))
    for name in sorted(set(SITE)):
        lines = of(results, "leave_one_site_out").query(f"site == '{name}'")
        expected = brain_age_scores(lines.y, lines.prediction, y_train=y[name != SITE])
        row = results.sites.loc["leave_one_site_out", name]
        for score in ("mae", "rmse", "r", "r2", "relative_mae", "bias", "gap_slope"):
            assert row[score] == pytest.approx(expected[score]), score
        assert row.n_people == len(lines)
        assert row.score == pytest.approx(np.max(lines.y - lines.prediction))
    lines = of(results, "within_site")
    errors = (lines.prediction - lines.y).abs()
    assert results.summary.mae["within_site"] == pytest.approx(errors.mean())
    by_fold = errors.groupby(lines.fold).mean()
    np.testing.assert_allclose(results.folds.mae["within_site"].droplevel("repeat"), by_fold)
    by_site = errors.groupby(lines.site).mean()
    assert results.summary.mae_mean_of_sites["within_site"] == pytest.approx(by_site.mean())
    assert results.summary.worst_site["within_site"] == by_site.idxmax()


def test_the_mean_of_training_ages_has_an_r2_of_zero(table):
    results = cross_validate_sites(DummyRegressor(), *table, site=SITE)
    np.testing.assert_allclose(results.summary.r2, 0, atol=1e-12)
    results = cross_validate_sites(DummyRegressor(strategy="median"), *table, site=SITE)
    np.testing.assert_allclose(results.summary.relative_mae, 1)


def test_persons_are_named_as_the_rows_are(table):
    X, y = table
    ids = [f"sub-{number:03d}" for number in range(N)]
    frame = pd.DataFrame(X, index=ids, columns=list("abc"))
    results = cross_validate_sites(Ridge(), frame, y, site=SITE, n_splits=2)
    line = results.predictions.iloc[7]
    assert line.person == ids[line["row"]]
    assert line.y == y[line["row"]]


# how site comes


def test_site_rides_with_paths(people):
    X = people[["stiffness", "site"]]
    model = make_pipeline(MapLoader(metadata=["site"], voxel_size=8), MapMasker(), Ridge(1.0))
    results = cross_validate_sites(model, X, people.age, n_splits=2)
    assert len(results.predictions) == 48
    assert set(results.predictions.person) == set(people.index)
    guess = np.abs(people.age - people.age.mean()).mean()
    assert (results.summary.mae < guess).all()


@pytest.mark.parametrize("routing", [False, True])
def test_site_as_a_keyword_reaches_fit_and_predict(table, routing):
    X, y = table
    age = y + 20 * (SITE == "Utah")
    with sklearn.config_context(enable_metadata_routing=routing):
        results = cross_validate_sites(SiteMeanRegressor(), X, age, site=SITE)
    for name, lines in of(results, "leave_one_site_out").groupby("site"):
        np.testing.assert_allclose(lines.prediction, age[name != SITE].mean(), rtol=1e-6)
    assert of(results, "within_site").groupby("fold").prediction.nunique().eq(6).all()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_site_is_routed_through_a_pipeline(table, n_jobs):
    with sklearn.config_context(enable_metadata_routing=True), parallel_config("threading"):
        model = make_pipeline(StandardScaler(), SiteMeanRegressor())
        results = cross_validate_sites(model, *table, site=SITE, n_splits=2, n_jobs=n_jobs)
    assert of(results, "within_site").groupby("fold").prediction.nunique().eq(6).all()


def test_params_are_sliced_and_passed(table):
    _, y = table
    X = np.column_stack([np.arange(N), np.zeros(N)])
    Recorder.fitted = []
    results = cross_validate_sites(
        Recorder(), X, y, site=SITE, params={"sample_weight": np.full(N, 2.0)}
    )
    assert (results.predictions.prediction == 2 * results.predictions.n_train).all()


# adapting


def test_adapting_a_search_and_a_nested_pipeline(table):
    X, y = table
    inner = make_pipeline(StandardScaler(), make_pipeline(Centre()), Ridge())
    search = GridSearchCV(inner, {"ridge__alpha": [1.0, 10.0]}).fit(X, y)
    before = search.predict(X)
    adapted = adapt_to_site(search, X + 40)
    np.testing.assert_allclose(adapted.predict(X + 40), before, rtol=1e-6)
    np.testing.assert_array_equal(search.predict(X), before)


def test_adapt_must_return_a_new_object(table):
    with pytest.raises(TypeError, match="changed the fitted object itself"):
        cross_validate_sites(make_pipeline(CentreInPlace(), Ridge()), *table, site=SITE)


def test_what_cannot_adapt_is_refused_on_request(table):
    with pytest.raises(ValueError, match="transductive=True needs an estimator that adapts"):
        cross_validate_sites(Ridge(), *table, site=SITE, transductive=True)
    with pytest.raises(TypeError, match="Ridge cannot adapt to a new site"):
        adapt_to_site(Ridge().fit(*table), table[0])


def test_sites_too_small_to_adapt_to_are_named(table):
    model = make_pipeline(Centre(), Ridge())
    with pytest.warns(UnanswerableWarning, match=r"leaves out Essen \(12\), Mayo \(14\)"):
        results = cross_validate_sites(model, *table, site=SITE, n_unlabelled=14)
    assert set(of(results, "transductive").site) == {"Cork", "Delaware", "Lyon", "Utah"}
    with pytest.raises(ValueError, match="n_unlabelled=30 people leave nobody to score"):
        cross_validate_sites(model, *table, site=SITE, n_unlabelled=30)


# what a design cannot answer


def test_ages_that_do_not_overlap_are_named(table):
    X, y = table
    y = np.where(SITE == "Utah", y / 20, y)
    with pytest.warns(
        UnanswerableWarning, match=r"in the range of Utah \(1\.\d+-[\d.]+\)"
    ) as caught:
        results = cross_validate_sites(Ridge(), X, y, site=SITE)
    assert caught[0].filename == __file__
    assert results.design.others_in_range["Utah"] == 0
    assert results.design.in_range_of_others["Utah"] == 0


def test_a_site_in_a_gap_of_the_others_is_named_too(table):
    X, y = table
    y = np.where(SITE == "Utah", 50 + y / 1000, np.where(y > 50, y + 5, y - 5))
    with pytest.warns(UnanswerableWarning, match="Utah"):
        cross_validate_sites(Ridge(), X, y, site=SITE)


def test_design_counts_people_and_ages(table):
    X, y = table
    design = cross_validate_sites(Ridge(), X, y, site=SITE, n_splits=2).design
    assert design.n_people.to_dict() == pd.Series(SITE).value_counts().to_dict()
    assert design.age_max["Mayo"] == y[SITE == "Mayo"].max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"site": None}, "needs the site of each row"),
        ({"site": ["Mayo"] * N}, "at least 2 sites, but all 95 rows come from 'Mayo'"),
        ({"site": SITE[:-1]}, "site must have one entry for each of the 95 rows"),
        ({"groups": SITE}, "groups are the same as the sites"),
        ({"groups": np.arange(N) % 3}, "need at least as many persons, but there are 3"),
        ({"n_splits": 1}, "'n_splits' parameter"),
        ({"seeds": 0}, "'seeds' parameter"),
    ],
)
def test_bad_input(table, change, message):
    with pytest.raises(ValueError, match=message):
        cross_validate_sites(Ridge(), *table, **{"site": SITE, **change})


def test_a_missing_age_is_named(table):
    X, y = table
    y = pd.Series(y, index=[f"sub-{number:03d}" for number in range(N)])
    y.iloc[4] = np.nan
    with pytest.raises(ValueError, match="missing or infinite in 1 of 95 rows: sub-004"):
        cross_validate_sites(Ridge(), X, y, site=SITE)
    with pytest.raises(MissingMetadataError):
        cross_validate_sites(Ridge(), *table)


def test_everybody_at_two_sites_leaves_nobody_to_train_on(table):
    X, y = table
    site = np.repeat(["A", "B"], 20)
    with pytest.raises(ValueError, match="Everybody was also scanned at 'A'"):
        cross_validate_sites(Ridge(), X[:40], y[:40], site=site, groups=np.arange(40) % 20)
