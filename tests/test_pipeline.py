"""End to end on files: scikit-learn's tools over the whole road, without leaks."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
    train_test_split,
)
from sklearn.pipeline import make_pipeline

from mresklearn import (
    ContrastiveEncoder,
    LeaveOneSiteOut,
    MapLoader,
    MapMasker,
    MapScaler,
    StratifiedSiteKFold,
)


@pytest.fixture
def X(people):
    return people[["stiffness", "damping_ratio", "site"]]


def encoder(**parameters):
    parameters = {"width": 2, "max_epochs": 3, "embedding_dim": 8, "random_state": 0, **parameters}
    return ContrastiveEncoder(**parameters)


def road(*steps):
    return make_pipeline(MapLoader(metadata=["site"], voxel_size=4), MapScaler(), *steps)


def test_brain_age_on_sites_never_seen(people, X):
    scores = cross_validate(
        road(encoder(max_epochs=15), Ridge()),
        X,
        people.age,
        groups=people.site,
        cv=LeaveOneSiteOut(),
        scoring="neg_mean_absolute_error",
    )
    guess = np.abs(people.age - people.age.mean()).mean()
    assert len(scores["test_score"]) == 3
    assert -scores["test_score"].mean() < guess


def test_voxels_and_ridge_read_the_same_maps(people, X):
    predicted = cross_val_predict(
        road(MapMasker(), Ridge(alpha=100)), X, people.age, cv=StratifiedSiteKFold(4)
    )
    assert np.abs(predicted - people.age).mean() < 5


def test_the_site_reaches_every_fold_with_its_rows(people, X):
    model = road(encoder(), Ridge())
    folds = cross_validate(
        model, X, people.age, cv=LeaveOneSiteOut(), groups=people.site, return_estimator=True
    )
    sites = [list(fold["contrastiveencoder"].sites_) for fold in folds["estimator"]]
    assert sites == [["B", "C"], ["A", "C"], ["A", "B"]]


def test_grid_search_over_the_road_with_site_routed(people, X):
    """(mapscaler, sigma, alpha) with routing on, two processes, folds by site and age."""
    loader = MapLoader(maps=["stiffness", "damping_ratio"])  # so site comes by the keyword alone
    model = make_pipeline(loader, MapScaler(), encoder(), Ridge())
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            model,
            {
                "mapscaler": [MapScaler(), "passthrough"],
                "contrastiveencoder__sigma": [2.0, 8.0],
                "ridge__alpha": [0.1, 10.0],
            },
            scoring="neg_mean_absolute_error",
            cv=StratifiedSiteKFold(2, random_state=0),
            n_jobs=2,
        )
        search.fit(X, people.age, site=people.site, groups=people.index)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(search.cv_results_["params"]) == 8
    best = search.best_estimator_["contrastiveencoder"]
    assert list(best.sites_) == ["A", "B", "C"], "the keyword reached the encoder"
    assert search.predict(X).shape == (24,)


def fitted_numbers(estimator):
    """Every number that an estimator learned, as one dictionary of bytes."""
    learned = {key: value for key, value in vars(estimator).items() if key.endswith("_")}
    if isinstance(estimator, ContrastiveEncoder):
        del learned["history_"], learned["net_"]  # times differ; the weights are compared instead
        learned.update(estimator.net_.module_.state_dict())
    return {
        key: value.to_csv()
        if isinstance(value, pd.DataFrame)
        else np.asarray(value).tobytes()
        if hasattr(value, "__array__")
        else repr(value)
        for key, value in learned.items()
    }


@pytest.mark.parametrize("middle", [encoder(), MapMasker()], ids=["encoder", "masker"])
def test_changing_the_test_rows_changes_nothing_that_was_fitted(people, X, write_map, middle):
    model = road(middle, Ridge())
    train, test = train_test_split(np.arange(len(X)), random_state=0, stratify=people.site)

    def fitted_in_the_fold():
        folds = cross_validate(
            clone(model), X, people.age, cv=[(train, test)], return_estimator=True
        )
        return [fitted_numbers(step) for _, step in folds["estimator"][0].steps]

    before = fitted_in_the_fold()
    rng = np.random.default_rng(1)
    for number in test:  # other files, other sites, other ages: the fitted model must not notice
        for kind, level in (("mu", 3.0), ("xi", 0.4)):
            noise = rng.uniform(0.5, 1.5, (16, 18, 14)) * level
            write_map(f"sub-{number:02d}_{kind}.nii.gz", noise)
    people.loc[people.index[test], "age"] = 99.0
    X = X.copy()
    X.loc[X.index[test], "site"] = "elsewhere"
    assert fitted_in_the_fold() == before


def test_predictions_for_one_person_do_not_depend_on_company(people, X):
    model = road(encoder(), Ridge()).fit(X, people.age)
    together = model.predict(X)
    alone = [model.predict(X.iloc[[row]])[0] for row in (0, 11, 23)]
    np.testing.assert_allclose(alone, together[[0, 11, 23]], rtol=1e-4)


def test_an_unknown_site_at_prediction_is_the_normal_case(people, X):
    model = road(encoder(), Ridge()).fit(X.iloc[:16], people.age.iloc[:16])
    newcomer = X.iloc[[20]].assign(site="never seen")
    assert np.isfinite(model.predict(newcomer)).all()


def test_learning_curve_over_files(people, X):
    _, train_scores, _ = learning_curve(
        road(MapMasker(), Ridge()),
        X,
        people.age,
        cv=3,
        train_sizes=[0.5, 1.0],
        shuffle=True,
        random_state=0,
    )
    assert np.isfinite(train_scores).all()


def test_a_single_site_cannot_be_left_out(people, X):
    with pytest.raises(ValueError, match=r"at least 2 sites, but all 8 rows come from site 'A'"):
        cross_validate(
            road(encoder(), Ridge()), X.iloc[:8], people.age.iloc[:8], cv=LeaveOneSiteOut()
        )


def test_a_constant_age_is_named_through_the_pipeline(people, X):
    with pytest.raises(ValueError, match="y is constant"):
        road(encoder(), Ridge()).fit(X, pd.Series(25.0, index=people.index))
