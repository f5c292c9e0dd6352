"""The search looks at training sites alone, and the rule picks what its formula says."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from mresklearn import LeaveOneSiteOut
from mresklearn.exceptions import SingleSiteWarning, UnanswerableWarning
from mresklearn.model_selection import SiteSearchCV, one_standard_error_rule

SITE = np.repeat(["Mayo", "Delaware", "Utah", "Essen"], [14, 10, 12, 8])
GRID = {"alpha": [0.1, 1.0, 10.0, 100.0]}


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = (
        rng.normal(size=(44, 15))
        + rng.normal(size=(4, 15))[np.unique(SITE, return_inverse=True)[1]]
    )
    return X, 50 + 5 * X[:, 0] + rng.normal(size=44)


class Shrunk(RegressorMixin, BaseEstimator):
    """Predicts a share of the target's first feature, and remembers the sites it was given."""

    __metadata_request__fit = {"site": True}

    def __init__(self, share=1.0):
        self.share = share

    def fit(self, X, y, site=None):
        self.sites_ = None if site is None else sorted(set(site))
        return self

    def predict(self, X):
        return self.share * X[:, 0]


def results(scores, values):
    """Search results with the scores (settings, folds) of one parameter."""
    scores = np.asarray(scores, dtype=float)
    table = {f"split{fold}_test_score": scores[:, fold] for fold in range(scores.shape[1])}
    return {
        **table,
        "mean_test_score": scores.mean(axis=1),
        "params": [{"penalty": value} for value in values],
    }


# the rule


def test_the_rule_of_breiman_by_hand():
    # best mean 8, standard error sd(7, 8, 9) / sqrt(3) = 0.577
    scores = [[7, 8, 9], [6.5, 7.5, 8.5], [6.4, 7.4, 8.4], [0, 0, 0]]
    found = results(scores, [1, 2, 3, 4])
    assert one_standard_error_rule("penalty", paired=False)(found) == 1
    scores[2] = [6.5, 7.4, 8.4]  # 0.567 behind
    assert one_standard_error_rule("penalty", paired=False)(results(scores, [1, 2, 3, 4])) == 2


def test_paired_does_not_follow_what_is_worse_at_every_site():
    # sites differ by 5 years, and the second setting is 1 year worse at each: not by chance
    scores = [[-4, -9, -14], [-5, -10.1, -15]]
    assert one_standard_error_rule("penalty", paired=False)(results(scores, [1, 2])) == 1
    assert one_standard_error_rule("penalty")(results(scores, [1, 2])) == 0


def test_paired_does_not_follow_what_is_much_worse_at_one_site():
    # 10 behind on average, but by a lucky spread within one error of the difference
    scores = [[-5, -5, -5.5], [-5, -5, -35]]
    assert one_standard_error_rule("penalty")(results(scores, [1, 2])) == 0


@given(
    scores=st.lists(st.lists(st.integers(-20, 20), min_size=4, max_size=4), min_size=1, max_size=6),
    data=st.data(),
)
def test_the_pick_is_the_farthest_that_is_close_enough(scores, data):
    values = data.draw(st.permutations(range(len(scores))))
    prefer = data.draw(st.sampled_from(["larger", "smaller"]))
    paired = data.draw(st.booleans())
    scores = np.array(scores, dtype=float)
    pick = one_standard_error_rule("penalty", prefer=prefer, paired=paired)(results(scores, values))
    best = int(np.argmax(scores.mean(axis=1)))
    close = {best}
    for row in range(len(scores)):
        behind = scores[best] - scores[row]
        errors = [np.std(scores[best], ddof=1) / 2]
        if paired:
            errors.append(np.std(behind, ddof=1) / 2)
        if behind.mean() <= min(errors):
            close.add(row)
    sign = 1 if prefer == "larger" else -1
    assert pick == max(close, key=lambda row: sign * values[row])


def test_ties_of_the_parameter_go_to_the_better_mean():
    assert one_standard_error_rule("penalty")(results([[5, 6], [5.1, 6.1], [5, 6]], [2, 2, 2])) == 1


def test_settings_that_failed_are_left_out():
    scores = [[np.nan, np.nan], [1, 2], [1, 2]]
    assert one_standard_error_rule("penalty")(results(scores, [9, 1, 2])) == 2
    with pytest.raises(ValueError, match="All settings failed"):
        one_standard_error_rule("penalty")(results([[np.nan, np.nan]], [1]))


def test_one_fold_leaves_the_best():
    assert one_standard_error_rule("penalty")(results([[2], [1]], [1, 2])) == 0


def test_one_of_several_metrics():
    found = results([[1, 2], [1, 2]], [1, 2])
    found |= {"split0_test_r2": [0, 1], "split1_test_r2": [0.1, 1.1], "mean_test_r2": [0.05, 1.05]}
    assert one_standard_error_rule("penalty", prefer="smaller", metric="r2")(found) == 1
    with pytest.raises(ValueError, match=r"No scores of metric 'mae' in the results, but of"):
        one_standard_error_rule("penalty", metric="mae")(found)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [("lambda", "not among those searched"), ("kernel", "values that are not numbers")],
)
def test_the_deciding_parameter_must_be_a_number_of_the_grid(parameter, message):
    found = results([[1, 2]], [1])
    found["params"] = [{"penalty": 1, "kernel": "rbf"}]
    with pytest.raises(ValueError, match=message):
        one_standard_error_rule(parameter)(found)


def test_the_rule_serves_grid_search_and_survives_a_pickle(table):
    rule = pickle.loads(pickle.dumps(one_standard_error_rule("alpha")))
    search = GridSearchCV(Ridge(), GRID, refit=rule, cv=4).fit(*table)
    assert search.best_index_ == one_standard_error_rule("alpha")(search.cv_results_)


# the search


def test_inner_folds_are_the_training_sites(table):
    search = SiteSearchCV(Ridge(), GRID).fit(*table, site=SITE)
    plain = GridSearchCV(
        Ridge(), GRID, cv=LeaveOneSiteOut(), scoring="neg_mean_absolute_error"
    ).fit(*table, groups=SITE)
    assert search.inner_sites_ == ["Delaware", "Essen", "Mayo", "Utah"]
    for name in plain.cv_results_:
        if "test_score" in name:
            np.testing.assert_array_equal(search.cv_results_[name], plain.cv_results_[name])
    assert search.best_params_ == plain.best_params_
    assert search.best_score_ == plain.best_score_
    np.testing.assert_array_equal(search.predict(table[0]), plain.predict(table[0]))


def test_the_parameter_that_decides_goes_by_the_rule(table):
    search = SiteSearchCV(Ridge(), GRID, parameter="alpha", prefer="smaller").fit(*table, site=SITE)
    rule = one_standard_error_rule("alpha", prefer="smaller")
    assert search.best_index_ == rule(search.cv_results_)
    assert search.best_score_ == search.cv_results_["mean_test_score"][search.best_index_]


def test_sites_count_the_same_whatever_their_size(table):
    X, y = table
    search = SiteSearchCV(Shrunk(), {"share": [0.0, 1.0]}).fit(X, y, site=SITE)
    by_site = [np.abs(y[name == SITE]).mean() for name in sorted(set(SITE))]
    assert search.cv_results_["mean_test_score"][0] == pytest.approx(-np.mean(by_site))


def test_the_test_site_is_never_looked_at(table):
    """Change everything about the outer test site: the choice stays."""
    X, y = table
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(15)])
    search = make_pipeline(
        Drop(), SiteSearchCV(Ridge(), GRID, parameter="alpha", site_column="site")
    )

    def chosen(X, y):
        folds = cross_validate(search, X, y, cv=LeaveOneSiteOut(), return_estimator=True)
        fitted = folds["estimator"][0][-1]  # without Delaware
        return fitted.best_params_, fitted.cv_results_["mean_test_score"]

    before, scores = chosen(frame.assign(site=SITE), y)
    spoiled, noise = frame.copy(), y.copy()
    spoiled[SITE == "Delaware"] = 1e3
    noise[SITE == "Delaware"] = -5.0
    after, again = chosen(spoiled.assign(site=SITE), noise)
    assert before == after
    np.testing.assert_array_equal(scores, again)


class Drop(BaseEstimator):
    """Hands the features on as a table in which the site still rides."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return Riding(X.drop(columns="site").to_numpy(), X[["site"]])


class Riding(np.ndarray):
    """Features with a table beside them, which slicing keeps."""

    def __new__(cls, values, metadata):
        rows = np.asarray(values).view(cls)
        rows.metadata = metadata
        return rows

    def __array_finalize__(self, other):
        self.metadata = getattr(other, "metadata", None)


@pytest.mark.parametrize("routing", [False, True])
def test_site_reaches_an_estimator_that_asks_for_it(table, routing):
    with sklearn.config_context(enable_metadata_routing=routing):
        search = SiteSearchCV(Shrunk(), {"share": [0.5, 1.0]}).fit(*table, site=SITE)
    assert search.best_estimator_.sites_ == ["Delaware", "Essen", "Mayo", "Utah"]


def test_site_is_routed_through_pipelines_around_and_inside(table):
    with sklearn.config_context(enable_metadata_routing=True):
        inner = make_pipeline(StandardScaler(), Shrunk())
        search = SiteSearchCV(inner, {"shrunk__share": [0.5, 1.0]})
        model = make_pipeline(StandardScaler(), search).fit(*table, site=SITE)
    assert len(model[-1].inner_sites_) == 4
    assert model[-1].best_estimator_[-1].sites_ == ["Delaware", "Essen", "Mayo", "Utah"]


def test_without_routing_a_plain_pipeline_inside_still_gets_its_folds(table):
    inner = make_pipeline(StandardScaler(), Ridge())
    search = SiteSearchCV(inner, {"ridge__alpha": [1.0, 10.0]}).fit(*table, site=SITE)
    assert len(search.inner_sites_) == 4


@pytest.mark.parametrize("site", [None, ["Mayo"] * 44])
def test_one_site_is_searched_by_people_and_says_so(table, site):
    with pytest.warns(SingleSiteWarning, match="says nothing of another site"):
        search = SiteSearchCV(Ridge(), GRID).fit(*table, site=site)
    assert search.inner_sites_ == []
    assert search.n_splits_ == 5


def test_persons_stay_whole_where_there_is_one_site(table):
    person = np.arange(44) // 4
    search = SiteSearchCV(Ridge(), GRID)
    for train, test in _folds_of_one_site(search, table, person):
        assert not set(person[train]) & set(person[test])


def test_a_person_at_two_sites_is_not_on_both_sides_of_an_inner_fold(table):
    person = np.arange(44)
    person[-5:] = person[:5]  # five people of Mayo were scanned in Essen, too
    folds = SiteSearchCV(Ridge(), GRID)._inner_folds(*table, SITE, person)
    assert sum(len(train) + len(test) for train, test in folds) == 4 * 44 - 10
    for train, test in folds:
        assert not set(person[train]) & set(person[test])


def _folds_of_one_site(search, table, person):
    with pytest.warns(SingleSiteWarning):
        return search._inner_folds(*table, None, person)


def test_a_classifier_is_tuned_by_its_own_score(table):
    X, y = table
    search = SiteSearchCV(
        LogisticRegression(), {"C": [0.1, 1.0]}, scoring="roc_auc", parameter="C", prefer="smaller"
    )
    assert search.fit(X, y > 50, site=SITE).predict_proba(X).shape == (44, 2)


def test_a_missing_site_is_named(table):
    gap = SITE.astype(object)
    gap[3] = None
    with pytest.raises(ValueError, match="site is missing in 1 of 44 rows: 3"):
        SiteSearchCV(Ridge(), GRID).fit(*table, site=gap)


def test_clone_and_pickle(table):
    search = SiteSearchCV(Ridge(), GRID, parameter="alpha").fit(*table, site=SITE)
    copy = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(copy.predict(table[0]), search.predict(table[0]))
    assert clone(search).get_params()["parameter"] == "alpha"
    assert not hasattr(clone(search), "best_params_")


def failures(search):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingleSiteWarning)
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.simplefilter("ignore", UserWarning)
        outcomes = check_estimator(search, on_skip=None, on_fail=None)
    assert len(outcomes) > 40
    return {outcome["check_name"] for outcome in outcomes if outcome["status"] == "failed"}


@pytest.mark.parametrize(
    ("search", "fails_as_grid_search_does"),
    [
        (
            SiteSearchCV(Ridge(), {"alpha": [1.0]}, parameter="alpha", scoring="r2"),
            {"check_supervised_y_2d"},
        ),
        (
            SiteSearchCV(LogisticRegression(tol=0.1), {"C": [1.0]}, scoring="accuracy"),
            {"check_supervised_y_no_nan"},
        ),
    ],
    ids=["regressor", "classifier"],
)
def test_scikit_learn_checks_fail_only_where_grid_search_fails(search, fails_as_grid_search_does):
    assert failures(search) <= fails_as_grid_search_does


def diagnoses():
    """Features, diagnoses and sites, one of which has controls alone."""
    rng = np.random.default_rng(0)
    site = np.repeat(["Mayo", "Utah", "Essen"], 30)
    sick = (rng.random(90) < 0.5) & (site != "Essen")
    return rng.normal(size=(90, 5)) + 0.7 * sick[:, None], np.where(sick, "AD", "CN"), site


@pytest.mark.parametrize("parameter", [None, "C"])
def test_a_site_of_controls_alone_is_trained_on_and_does_not_choose(parameter):
    X, y, site = diagnoses()
    grid = {"C": [1e-6, 1e-2, 1.0]}
    search = SiteSearchCV(
        LogisticRegression(class_weight="balanced"), grid, parameter=parameter, scoring="roc_auc"
    )
    with pytest.warns(UnanswerableWarning, match="Essen do not have people of every class"):
        search.fit(X, y, site=site)
    assert search.inner_sites_ == ["Mayo", "Utah"]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ == search.cv_results_["mean_test_score"][search.best_index_]


def test_no_setting_is_chosen_by_scores_that_are_missing():
    X, y, site = diagnoses()

    def area(estimator, X, y):
        return np.nan if len(np.unique(y)) == 1 else estimator.score(X, y)

    search = SiteSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, scoring=area)
    with pytest.warns(UserWarning, match="non-finite"), pytest.raises(ValueError, match="Essen"):
        search.fit(X, y, site=site)


def test_an_area_that_is_defined_nowhere_is_refused():
    X, y, site = diagnoses()
    site = np.where(y == "AD", "Mayo", "Utah")
    search = SiteSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, scoring="roc_auc")
    with pytest.raises(ValueError, match="no site has them"):
        search.fit(X, y, site=site)
