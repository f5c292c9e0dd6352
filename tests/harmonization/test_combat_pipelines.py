"""ComBat in everyday calls of scikit-learn, with site among the columns and as routed metadata."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn import RegionAverager
from mresklearn.harmonization import ComBat
from mresklearn.model_selection import StratifiedSiteKFold

NAMES = [f"region{k}" for k in range(6)]
CV = KFold(3, shuffle=True, random_state=0)
GRID = {"ridge__alpha": [0.1, 10.0]}


def cohort(n_people=90, seed=0):
    random = np.random.default_rng(seed)
    codes = random.permutation(np.arange(n_people) % 3)
    age = random.uniform(20, 80, n_people)
    X = random.normal(size=(n_people, 6)) * random.uniform(0.6, 1.5, (3, 1))[codes]
    X += random.normal(0, 3, size=(3, 6))[codes] + np.outer(age, random.normal(size=6)) / 20
    table = pd.DataFrame(X, columns=NAMES)
    return table.assign(site=codes, sex=random.integers(0, 2, n_people)), age


PEOPLE, AGE = cohort()
NAMED = make_pipeline(ComBat(covariate_columns=["sex"]), Ridge())
PLACED = make_pipeline(ComBat(site_column=6, covariate_columns=[7]), Ridge())
WORDS = PEOPLE.assign(
    site=PEOPLE["site"].map({0: "Cork", 1: "Mayo", 2: "Utah"}),
    sex=PEOPLE["sex"].map({0: "F", 1: "M"}),
)
FORMS = {
    "names in a DataFrame": (NAMED, WORDS),
    "positions in a DataFrame": (PLACED, WORDS),
    "numbers in an array": (PLACED, PEOPLE.to_numpy(float)),
    "labels in an array": (PLACED, WORDS.to_numpy(object)),
}
CALLS = {
    "fit and predict": lambda model, X: model.fit(X, AGE).predict(X),
    "score": lambda model, X: model.fit(X, AGE).score(X, AGE),
    "one person": lambda model, X: model.fit(X, AGE).predict(X[:1]),
    "cross_val_score": lambda model, X: cross_val_score(model, X, AGE, cv=CV),
    "cross_validate": lambda model, X: cross_validate(model, X, AGE, cv=CV)["test_score"],
    "cross_validate by name": lambda model, X: cross_validate(
        model, X, AGE, cv=CV, scoring="neg_mean_absolute_error"
    )["test_score"],
    "cross_val_predict": lambda model, X: cross_val_predict(model, X, AGE, cv=CV),
    "grid search": lambda model, X: GridSearchCV(model, GRID, cv=CV).fit(X, AGE).best_score_,
    "grid search by name": lambda model, X: (
        GridSearchCV(model, GRID, cv=CV, scoring="r2").fit(X, AGE).best_score_
    ),
    "prediction of a search": lambda model, X: (
        GridSearchCV(model, GRID, cv=CV).fit(X, AGE).predict(X)
    ),
    "random search": lambda model, X: (
        RandomizedSearchCV(model, GRID, n_iter=2, cv=CV, random_state=0).fit(X, AGE).best_score_
    ),
    "nested": lambda model, X: cross_val_score(GridSearchCV(model, GRID, cv=CV), X, AGE, cv=CV),
    "learning_curve": lambda model, X: learning_curve(
        model, X, AGE, cv=CV, train_sizes=[0.5, 1.0], shuffle=True, random_state=0
    )[2],
    "validation_curve": lambda model, X: validation_curve(
        model, X, AGE, param_name="ridge__alpha", param_range=[0.1, 10.0], cv=CV
    )[1],
    "permutation_importance": lambda model, X: permutation_importance(
        model.fit(X, AGE), X, AGE, n_repeats=2, random_state=0
    ).importances_mean,
    "permutation_test_score": lambda model, X: permutation_test_score(
        model, X, AGE, cv=CV, n_permutations=3, random_state=0
    )[1],
    "stacking": lambda model, X: (
        StackingRegressor([("combat", model)], cv=CV).fit(X, AGE).predict(X)
    ),
    "bagging": lambda model, X: (
        BaggingRegressor(model, n_estimators=3, random_state=0).fit(X, AGE).predict(X)
    ),
    "voting": lambda model, X: VotingRegressor([("combat", model)]).fit(X, AGE).predict(X),
    "transformed target": lambda model, X: (
        TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp).fit(X, AGE).predict(X)
    ),
}  # fmt: skip
# names are lost where scikit-learn turns a DataFrame into an array: positions are not
IMPOSSIBLE = {("names in a DataFrame", "bagging")}


@pytest.fixture(scope="module")
def by_numbers():
    """What each call gives for an array of numbers, to which the other forms are compared."""
    rows = PEOPLE.to_numpy(float)
    return {name: call(clone(PLACED), rows) for name, call in CALLS.items()}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("form", FORMS)
def test_everyday_calls_work_and_agree(form, call, by_numbers):
    model, X = FORMS[form]
    if (form, call) in IMPOSSIBLE:
        with pytest.raises(ValueError, match="X is an array"):
            CALLS[call](clone(model), X)
        return
    np.testing.assert_allclose(CALLS[call](clone(model), X), by_numbers[call], rtol=1e-9)


def test_a_fold_learns_from_its_training_people_alone():
    predictions = cross_val_predict(NAMED, WORDS, AGE, cv=CV)
    for train, test in CV.split(WORDS):
        site, sex = WORDS["site"].to_numpy(), WORDS[["sex"]]
        combat = ComBat(site_column=None).fit(
            WORDS[NAMES].iloc[train], AGE[train], site=site[train], covariates=sex.iloc[train]
        )
        features = [
            combat.transform(WORDS[NAMES].iloc[rows], site=site[rows], covariates=sex.iloc[rows])
            for rows in (train, test)
        ]
        expected = Ridge().fit(features[0], AGE[train]).predict(features[1])
        np.testing.assert_allclose(predictions[test], expected, rtol=1e-12)


def test_a_scaler_in_front_leaves_sites_apart():
    rows = PEOPLE.to_numpy(float)
    plain = make_pipeline(ComBat(site_column=6), StandardScaler(), Ridge()).fit(rows[:, :7], AGE)
    scaled = make_pipeline(StandardScaler(), ComBat(site_column=6), StandardScaler(), Ridge())
    np.testing.assert_allclose(
        scaled.fit(rows[:, :7], AGE).predict(rows[:, :7]), plain.predict(rows[:, :7]), rtol=1e-9
    )


def test_with_folds_that_keep_sites_together():
    scores = cross_val_score(NAMED, WORDS, AGE, cv=StratifiedSiteKFold(3, random_state=0))
    assert np.isfinite(scores).all()


def test_in_front_of_a_classifier():
    patient = np.where(AGE + PEOPLE["sex"] * 10 > 55, "AD", "HC")
    model = make_pipeline(ComBat(covariate_columns=["sex"]), LogisticRegression())
    assert cross_val_score(model, WORDS, patient, cv=CV).mean() > 0.5
    assert model.fit(WORDS, patient)[0].target_ == "shrunk"


def test_names_reach_the_next_step():
    model = clone(NAMED).set_output(transform="pandas").fit(WORDS, AGE)
    assert list(model[-1].feature_names_in_) == NAMES
    assert list(model[:-1].get_feature_names_out()) == NAMES


def test_rows_from_maps_bring_their_site(people, tmp_path):
    """Region averages hand on the columns of the table of paths."""
    import nibabel as nib

    image = nib.load(people["stiffness"].iloc[0])
    labels = np.zeros(image.shape, np.int16)
    labels[: image.shape[0] // 2], labels[image.shape[0] // 2 :] = 1, 2
    nib.Nifti1Image(labels, image.affine).to_filename(tmp_path / "labels.nii.gz")
    loader = RegionAverager(labels=str(tmp_path / "labels.nii.gz"), keep=["site"])
    model = make_pipeline(loader, ComBat(), Ridge())
    columns = people[["stiffness", "site"]]
    model.fit(columns, people["age"])
    assert list(model[1].sites_) == ["A", "B", "C"]
    np.testing.assert_allclose(model.predict(columns[3:4]), model.predict(columns)[3:4], rtol=1e-5)


# metadata routing

BARE = make_pipeline(ComBat(site_column=None), Ridge())
ROUTED = {
    "fit and predict": lambda model, X, site: model.fit(X, AGE, site=site).predict(X, site=site),
    "score": lambda model, X, site: model.fit(X, AGE, site=site).score(X, AGE, site=site),
    "cross_validate": lambda model, X, site: cross_validate(
        model, X, AGE, cv=CV, params={"site": site}
    )["test_score"],
    "cross_val_score": lambda model, X, site: cross_val_score(
        model, X, AGE, cv=CV, params={"site": site}
    ),
    "grid search": lambda model, X, site: (
        GridSearchCV(model, GRID, cv=CV).fit(X, AGE, site=site).best_score_
    ),
    "nested": lambda model, X, site: cross_val_score(
        GridSearchCV(model, GRID, cv=CV), X, AGE, cv=CV, params={"site": site}
    ),
    "learning_curve": lambda model, X, site: learning_curve(
        model, X, AGE, cv=CV, train_sizes=[0.5, 1.0], shuffle=True, random_state=0,
        params={"site": site},
    )[2],
    "validation_curve": lambda model, X, site: validation_curve(
        model, X, AGE, param_name="ridge__alpha", param_range=[0.1, 10.0], cv=CV,
        params={"site": site},
    )[1],
    "bagging": lambda model, X, site: (
        BaggingRegressor(model, n_estimators=3, random_state=0)
        .fit(X, AGE, site=site)
        .predict(X, site=site)
    ),
    "prediction of a search": lambda model, X, site: (
        GridSearchCV(model, GRID, cv=CV)
        .fit(X, AGE, site=site)
        .best_estimator_.predict(X, site=site)
    ),
}  # fmt: skip


@pytest.mark.parametrize("call", ROUTED)
def test_routed_calls_agree_with_columns(call):
    X, site = PEOPLE[NAMES].to_numpy(), WORDS["site"].to_numpy()
    column = make_pipeline(ComBat(site_column=6), Ridge())
    expected = CALLS[call](column, PEOPLE[[*NAMES, "site"]].to_numpy(float))
    with config_context(enable_metadata_routing=True):
        np.testing.assert_allclose(ROUTED[call](clone(BARE), X, site), expected, rtol=1e-9)


def test_covariates_are_routed_too():
    X, keywords = PEOPLE[NAMES], {"site": WORDS["site"], "covariates": WORDS[["sex"]]}
    with config_context(enable_metadata_routing=True):
        routed = clone(BARE).fit(X, AGE, **keywords).predict(X, **keywords)
        scores = cross_val_score(BARE, X, AGE, cv=CV, params=keywords)
    np.testing.assert_allclose(routed, clone(NAMED).fit(WORDS, AGE).predict(WORDS), rtol=1e-9)
    np.testing.assert_allclose(scores, cross_val_score(NAMED, WORDS, AGE, cv=CV), rtol=1e-9)


def test_a_call_that_does_not_route_site_says_what_is_missing():
    X = PEOPLE[NAMES].to_numpy()
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(BARE, GRID, cv=CV).fit(X, AGE, site=WORDS["site"].to_numpy())
        with pytest.raises(ValueError, match="these rows have none"):
            search.predict(X)
