"""NeurodegenerationClassifier: features made without the person, probabilities that hold."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mresklearn import (
    ContrastiveEncoder,
    DomainInvariantRegressor,
    MapArray,
    NeurodegenerationClassifier,
    RegionalBrainAge,
    SiteProjector,
    load,
    save,
)
from mresklearn.estimators import _base
from mresklearn.estimators._calibrated_scores import CalibratedScores
from mresklearn.estimators._diagnosis_features import Gaps, People, Training
from mresklearn.exceptions import MissingMetadataError, OutOfRangeWarning
from mresklearn.metrics import BrainAgeBiasCorrector

ENCODER = ContrastiveEncoder(loss="l1", max_epochs=8, width=4, random_state=0)


def people(n=90, n_patients=20, seed=0, effect=12.0):
    """Return features, diagnosis, age and person; patients look older than they are."""
    random = np.random.default_rng(seed)
    age = random.uniform(55, 90, n)
    diagnosis = np.where(np.arange(n) < n_patients, "AD", "CN")
    brain_age = age + effect * (diagnosis == "AD")
    loads = np.linspace(0.5, 1.5, 6)
    X = (brain_age[:, None] - 70) / 10 * loads + random.normal(size=(n, 6))
    order = random.permutation(n)
    return X[order], diagnosis[order], age[order]


class LinearAge(Ridge):
    """A brain-age model with an embedding."""

    def transform(self, X):
        return X @ np.eye(X.shape[1])[:, :2]


@pytest.fixture(scope="module")
def healthy_model():
    X, _, age = people(200, 0, seed=1)
    return FrozenEstimator(LinearAge(1.0).fit(X, age))


def test_frozen_features_are_the_embedding_and_the_corrected_gap(healthy_model):
    X, diagnosis, age = people()
    model = NeurodegenerationClassifier(brain_age=healthy_model, random_state=0)
    model.fit(X, diagnosis, age=age)
    features = model.transform(X, age=age)
    assert list(model.get_feature_names_out()) == ["embedding0", "embedding1", "gap"]
    np.testing.assert_allclose(features[:, :2], healthy_model.transform(X), rtol=1e-6)
    healthy = diagnosis == "CN"
    predicted = healthy_model.predict(X)
    slope, intercept = np.polyfit(age[healthy], predicted[healthy], 1)
    np.testing.assert_allclose(features[:, 2], predicted - intercept - slope * age, atol=1e-4)


def test_the_bias_of_the_gap_is_learnt_from_healthy_training_people_alone(healthy_model):
    X, diagnosis, age = people()
    settings = {"brain_age": healthy_model, "features": ["gap"], "random_state": 0}
    first = NeurodegenerationClassifier(**settings).fit(X, diagnosis, age=age)
    moved = X + 3.0 * (diagnosis == "AD")[:, None]
    second = NeurodegenerationClassifier(**settings).fit(moved, diagnosis, age=age)
    np.testing.assert_allclose(first.transform(X, age=age), second.transform(X, age=age))


def gaps_of(model, X, age, healthy, person):
    """Return the source of gaps, and the gaps of training people, in one fold of everybody."""
    gaps, everyone = Gaps(model, True, prefix="gap"), np.arange(len(X))
    training = Training(
        People(X, age, None, person),
        told=everyone,
        others=np.array([], int),
        codes=healthy.astype(int),
        healthy=healthy,
        folds=[(everyone[person % 4 != part], everyone[person % 4 == part]) for part in range(4)],
    )
    return gaps, gaps.learn(training)[:, 0]


def test_gaps_of_healthy_training_people_come_from_a_line_through_the_others(healthy_model):
    """With one row each, what is left without oneself is e / (1 - h), of all the hat matrix h."""
    X, diagnosis, age = people()
    healthy = diagnosis == "CN"
    source, gaps = gaps_of(healthy_model, X, age, healthy, np.arange(len(X)))
    predicted = healthy_model.predict(X)
    design = np.column_stack([np.ones(healthy.sum()), age[healthy]])
    hat = design @ np.linalg.pinv(design)
    left = predicted[healthy] - hat @ predicted[healthy]
    np.testing.assert_allclose(gaps[healthy], left / (1 - np.diag(hat)), rtol=1e-6)
    # patients are no part of the line, as new people will be
    new = source.features(People(X[~healthy], age[~healthy], None, np.arange(20)))[:, 0]
    np.testing.assert_allclose(gaps[~healthy], new, rtol=1e-10)


def test_the_line_of_a_gap_is_without_any_row_of_the_person(healthy_model):
    X, diagnosis, age = people()
    healthy, person = diagnosis == "CN", np.arange(90) // 2
    _, gaps = gaps_of(healthy_model, X, age, healthy, person)
    predicted = healthy_model.predict(X)
    for row in np.flatnonzero(healthy)[:6]:
        others = healthy & (person != person[row])
        line = np.polyfit(age[others], predicted[others], 1)
        assert gaps[row] == pytest.approx(predicted[row] - np.polyval(line, age[row]), rel=1e-6)


def test_gaps_of_healthy_training_people_are_no_smaller_than_those_of_new_people():
    model = LinearAge()
    model.coef_, model.intercept_, model.n_features_in_ = np.ones(1), 0.0, 1
    squares = []
    for seed in range(150):
        random = np.random.default_rng(seed)
        age, healthy = random.uniform(60, 90, 24), np.arange(24) < 12
        X = (age + random.normal(0, 5, 24))[:, None]
        source, gaps = gaps_of(model, X, age, healthy, np.arange(24))
        age = random.uniform(60, 90, 100)
        new = People((age + random.normal(0, 5, 100))[:, None], age, None, np.arange(100))
        squares.append([np.mean(gaps[healthy] ** 2), np.mean(source.features(new) ** 2)])
    of_training, of_new = np.sqrt(np.mean(squares, axis=0))
    # from a line through themselves it would be the root of 10/12 of 5 years
    assert of_new < of_training * 1.03
    assert of_training < of_new * 1.2


def test_an_age_model_that_is_not_fitted_never_predicts_its_training_people():
    X, diagnosis, age = people()
    seen = []

    class Recorder(Ridge):
        def fit(self, X, y):
            self.rows_ = {tuple(row) for row in X}
            return super().fit(X, y)

        def predict(self, X):
            seen.append(len(self.rows_ & {tuple(row) for row in X}))
            return super().predict(X)

    model = NeurodegenerationClassifier(brain_age=Recorder(), features=["gap"], random_state=0)
    model.fit(X, diagnosis, age=age)
    assert seen == [0] * 5
    # and what is kept has seen all healthy people, and no patient
    assert model.sources_[0].model_.rows_ == {tuple(row) for row in X[diagnosis == "CN"]}


def test_scores_of_a_network_are_those_of_networks_without_the_person():
    random = np.random.default_rng(0)
    X, diagnosis = random.normal(size=(60, 20)), np.repeat(["AD", "CN"], [20, 40])
    encoder = ContrastiveEncoder(max_epochs=60, noise=0.0, width=8, random_state=0)
    model = NeurodegenerationClassifier(encoder=encoder, cv=4, random_state=0).fit(X, diagnosis)
    in_sample = roc_auc_score(diagnosis == "AD", -model.transform(X)[:, 1])
    out_of_fold = roc_auc_score(diagnosis == "AD", model.out_of_fold_[:, 0])
    # nothing tells the diagnosis here: a network learns it by heart, and that must not count
    assert in_sample > 0.95
    assert 0.25 < out_of_fold < 0.75


def test_nobody_is_in_two_folds(healthy_model):
    X, diagnosis, age = people(60, 20)
    X, diagnosis, age = (np.repeat(part, 2, axis=0) for part in (X, diagnosis, age))
    person = np.repeat(np.arange(60), 2)
    groups = []

    class Watcher(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            groups.append(len(y))
            return super().fit(X, y)

    model = NeurodegenerationClassifier(
        brain_age=healthy_model, classifier=Watcher(), random_state=0
    ).fit(X, diagnosis, age=age, groups=person)
    folds = model._folds(np.unique(diagnosis, return_inverse=True)[1], person)
    for train, test in folds:
        assert not set(person[train]) & set(person[test])
    assert set(groups) == {120, *(len(train) for train, _ in folds)}


def test_probabilities_are_as_frequent_as_patients(healthy_model):
    X, diagnosis, age = people(400, 80)
    model = NeurodegenerationClassifier(brain_age=healthy_model, random_state=0)
    model.fit(X, diagnosis, age=age)
    new = people(3000, 600, seed=2)
    probability = model.predict_proba(new[0], age=new[2])
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert probability[:, 0].mean() == pytest.approx(0.2, abs=0.04)
    for low, high in ((0.0, 0.2), (0.5, 1.0)):
        some = (probability[:, 0] >= low) & (probability[:, 0] < high)
        assert probability[some, 0].mean() == pytest.approx((new[1][some] == "AD").mean(), abs=0.08)


def test_the_threshold_balances_sensitivity_and_specificity(healthy_model):
    X, diagnosis, age = people(200, 20)
    new, truth, new_age = people(2000, 200, seed=2)
    recalls = {}
    for threshold in ("balanced_accuracy", 0.5):
        model = NeurodegenerationClassifier(
            brain_age=healthy_model, threshold=threshold, random_state=0
        ).fit(X, diagnosis, age=age)
        predicted = model.predict(new, age=new_age)
        recalls[threshold] = np.mean(predicted[truth == "AD"] == "AD")
        np.testing.assert_array_equal(
            predicted == model.classes_[1], model.decision_function(new, age=new_age) > 0
        )
    assert recalls["balanced_accuracy"] > recalls[0.5] + 0.1


def test_more_than_two_diagnoses(healthy_model):
    X, diagnosis, age = people(150, 60)
    diagnosis = np.where((diagnosis == "AD") & (X[:, 0] > np.median(X[:, 0])), "MCI", diagnosis)
    model = NeurodegenerationClassifier(brain_age=healthy_model, random_state=0)
    probability = model.fit(X, diagnosis, age=age).predict_proba(X, age=age)
    assert probability.shape == (150, 3)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    picked = model.classes_[probability.argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(X, age=age), picked)


@pytest.mark.parametrize("tuning", ["frozen", "fine_tune", "scratch"])
def test_it_tells_patients_of_new_people_in_every_mode(tuning):
    X, _, age = people(150, 0, seed=1)
    brain_age = DomainInvariantRegressor(encoder=ENCODER, penalty=None, projection=None).fit(X, age)
    X, diagnosis, age = people(120, 30)
    model = NeurodegenerationClassifier(
        tuning=tuning, brain_age=FrozenEstimator(brain_age), features=["embedding", "gap"],
        encoder=clone(ENCODER).set_params(max_epochs=15), cv=3, random_state=0,
    ).fit(X, diagnosis, age=age)  # fmt: skip
    new, truth, new_age = people(200, 60, seed=2)
    probability = model.predict_proba(new, age=new_age)[:, 0]
    assert roc_auc_score(truth == "AD", probability) > 0.85


def test_regional_gaps_come_from_a_model_of_several_ages(healthy_model):
    X, diagnosis, age = people()

    class Regional(Ridge):
        region_names_ = ("thalamus", "caudate")

        def transform(self, X):
            return np.column_stack([self.predict(X), X[:, 0] * 10 + 70])

    regional = FrozenEstimator(Regional().fit(*people(200, 0, seed=1)[::2]))
    model = NeurodegenerationClassifier(
        brain_age=healthy_model, regional_brain_age=regional, random_state=0
    ).fit(X, diagnosis, age=age)
    names = ["regional_gap_thalamus", "regional_gap_caudate"]
    assert list(model.get_feature_names_out()[-2:]) == names
    features = model.transform(X, age=age)
    corrector = BrainAgeBiasCorrector(method="de_lange")
    healthy = diagnosis == "CN"
    ages = regional.transform(X)[:, 1]
    corrector.fit(ages[healthy], age[healthy], fold=np.arange(healthy.sum()) % 2)
    np.testing.assert_allclose(features[:, -1], corrector.gap(ages, age), atol=1e-4)


def w_score(measured, age, of_healthy, at_ages):
    """Jack et al. (1997): (x - mean at that age) / SD about the mean, by polynomials of age."""
    fits = [np.polyfit(at_ages, column, 2) for column in of_healthy.T]
    expected = np.column_stack([np.polyval(fit, age) for fit in fits])
    left = of_healthy - np.column_stack([np.polyval(fit, at_ages) for fit in fits])
    return (measured - expected) / np.sqrt((left**2).sum(axis=0) / (len(at_ages) - 3))


DEVIATIONS = {"measures": PCA(3), "features": ["deviations"], "random_state": 0}


def test_deviations_are_w_scores_against_healthy_people():
    X, diagnosis, age = people()
    model = NeurodegenerationClassifier(**DEVIATIONS).fit(X, diagnosis, age=age)
    measured, healthy = PCA(3).fit(X).transform(X), diagnosis == "CN"
    new = people(20, 10, seed=3)
    expected = w_score(PCA(3).fit(X).transform(new[0]), new[2], measured[healthy], age[healthy])
    np.testing.assert_allclose(model.transform(new[0], age=new[2]), expected, rtol=1e-4, atol=1e-4)
    assert list(model.get_feature_names_out()) == [f"deviation_pca{number}" for number in range(3)]


def test_nobody_is_part_of_the_norm_that_they_are_compared_with():
    X, diagnosis, age = people()
    seen = []

    class Watcher(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            seen.append(X)
            return super().fit(X, y)

    settings = {**DEVIATIONS, "classifier": Watcher(), "calibration": None}
    model = NeurodegenerationClassifier(**settings).fit(X, diagnosis, age=age)
    measured, healthy = PCA(3).fit(X).transform(X), diagnosis == "CN"
    expected = np.empty((len(X), 3))
    for train, test in model._folds(np.unique(diagnosis, return_inverse=True)[1], np.arange(90)):
        norm = train[healthy[train]]
        expected[test] = w_score(measured[test], age[test], measured[norm], age[norm])
    standardised = (expected - expected.mean(axis=0)) / expected.std(axis=0) / np.sqrt(3)
    np.testing.assert_allclose(seen[0], standardised, rtol=1e-6, atol=1e-6)


def test_a_kind_of_feature_counts_the_same_whatever_its_number_of_columns():
    X, diagnosis, _ = people()
    codes = (diagnosis == "AD").astype(int)
    folds = list(StratifiedKFold(5).split(X, codes))
    once = CalibratedScores(None, "sigmoid", 0.5, [4, 2]).fit(X, codes, folds)
    often = np.hstack([X[:, :4], np.tile(X[:, 4:], 7)])
    repeated = CalibratedScores(None, "sigmoid", 0.5, [4, 14]).fit(often, codes, folds)
    np.testing.assert_allclose(repeated.out_of_fold_, once.out_of_fold_, atol=1e-4)


def test_healthy_people_of_other_ages_train_what_is_learnt_of_healthy_people_alone():
    X, diagnosis, age = people(150, 30)
    ages = (70, 90)
    told, healthy = age >= 70, diagnosis == "CN"
    settings = {**DEVIATIONS, "brain_age": Ridge(), "features": ["gap", "deviations"]}
    model = NeurodegenerationClassifier(diagnosis_ages=ages, **settings)
    model.fit(X, diagnosis, age=age)
    gaps, deviations = model.sources_
    np.testing.assert_allclose(gaps.model_.coef_, Ridge().fit(X[healthy], age[healthy]).coef_)
    measured = PCA(3).fit(X).transform(X)
    np.testing.assert_allclose(
        deviations._deviation(measured, age),
        w_score(measured, age, measured[healthy], age[healthy]),
        rtol=1e-6, atol=1e-6,
    )  # fmt: skip
    # the bias of the gap, the classifier and its threshold are of the ages in question
    assert gaps.correctors_[0].n_people_ == np.count_nonzero(told & healthy)
    assert np.isnan(model.out_of_fold_[~told]).all()
    assert np.isfinite(model.out_of_fold_[told]).all()


def test_patients_of_other_ages_change_nothing():
    X, diagnosis, age = people(150, 30)
    # the measures are fitted to everybody, so that they must not depend on who is left out
    settings = {**DEVIATIONS, "measures": FunctionTransformer(), "diagnosis_ages": (70, 90)}
    kept = (age >= 70) | (diagnosis == "CN")
    first, second = (
        NeurodegenerationClassifier(**settings).fit(X[rows], diagnosis[rows], age=age[rows])
        for rows in (np.ones(150, bool), kept)
    )
    new, _, new_age = people(50, 0, seed=4)
    new, new_age = new[new_age > 70], new_age[new_age > 70]
    np.testing.assert_allclose(
        first.predict_proba(new, age=new_age), second.predict_proba(new, age=new_age), rtol=1e-10
    )
    with pytest.warns(OutOfRangeWarning, match="it saw 70 to 90 years"):
        first.predict(new, age=np.full(len(new), 55.0))


def test_a_second_scan_at_another_age_is_not_part_of_the_norm():
    X, diagnosis, age = people(80, 20)
    told = age >= 65
    person = np.arange(80)
    young, old = np.flatnonzero(~told & (diagnosis == "CN")), np.flatnonzero(told)
    person[young[:5]] = person[old[:5]]
    model = NeurodegenerationClassifier(diagnosis_ages=(65, 90), **DEVIATIONS)
    codes = np.unique(diagnosis, return_inverse=True)[1]
    model.classes_ = np.array(["AD", "CN"])
    training = model._training(People(X, age, None, person), codes, [])
    assert set(training.others) == set(young[5:])


def test_age_rides_with_maps_and_reaches_a_pipeline(healthy_model):
    X, diagnosis, age = people(40, 12)
    values = np.repeat(X, 2, axis=1)[:, None, :, None, None] * np.ones((1, 1, 12, 3, 3)) + 20
    maps = MapArray.from_array(values.astype(np.float32), metadata=pd.DataFrame({"age": age}))

    class OfMaps(LinearAge):
        def _flat(self, X):
            return np.asarray(X, np.float64)[:, 0, ::2, 0, 0] - 20

        def fit(self, X, y):
            return super().fit(self._flat(X), y)

        def predict(self, X):
            return super().predict(self._flat(X))

        def transform(self, X):
            return super().transform(self._flat(X))

    model = NeurodegenerationClassifier(brain_age=OfMaps(), features=["gap"], cv=3, random_state=0)
    riding = model.fit(maps, diagnosis).predict_proba(maps)
    arrays = np.asarray(maps)
    passed = model.fit(arrays, diagnosis, age=age).predict_proba(arrays, age=age)
    np.testing.assert_allclose(riding, passed)


def test_age_is_routed_through_a_pipeline_and_a_search(healthy_model):
    X, diagnosis, age = people()
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(
            PCA(random_state=0),
            NeurodegenerationClassifier(brain_age=LinearAge(), features=["gap"], random_state=0),
        )
        search = GridSearchCV(
            model, {"neurodegenerationclassifier__classifier__C": [0.1, 1.0]}, cv=2
        )
        model.set_params(neurodegenerationclassifier__classifier=LogisticRegression())
        search.fit(X, diagnosis, age=age)
        accuracy = search.score(X, diagnosis, age=age)
    assert accuracy > 0.6
    assert search.best_score_ > 0.5


def test_saved_and_opened_it_says_the_same(tmp_path):
    X, _, age = people(100, 0, seed=1)
    brain_age = DomainInvariantRegressor(encoder=ENCODER, penalty=None, projection=None).fit(X, age)
    X, diagnosis, age = people(60, 20)
    save(brain_age, tmp_path / "brain_age")
    model = NeurodegenerationClassifier(
        brain_age=str(tmp_path / "brain_age"), tuning="fine_tune", encoder=ENCODER, cv=2,
        random_state=0, features=["embedding", "gap"],
    ).fit(X, diagnosis, age=age)  # fmt: skip
    save(model, tmp_path / "model")
    opened = load(tmp_path / "model")
    np.testing.assert_array_equal(opened.predict_proba(X, age=age), model.predict_proba(X, age=age))


def fine_tuned(brain_age, X, diagnosis):
    tiny = ContrastiveEncoder(width=2, embedding_dim=4, max_epochs=1, random_state=0)
    return NeurodegenerationClassifier(
        brain_age=FrozenEstimator(brain_age), tuning="fine_tune", features=["embedding"],
        encoder=tiny, cv=2, random_state=0,
    ).fit(X, diagnosis)  # fmt: skip


@pytest.mark.parametrize("kind", ["pipeline", "projection", "pipeline of a projection"])
def test_a_fine_tuned_network_sees_what_the_pretrained_one_saw(kind, monkeypatch, tmp_path):
    random = np.random.default_rng(0)
    age, site = random.uniform(50, 80, 60), np.arange(60) % 2
    X = 1000 + 200 * random.normal(size=(60, 4)) + 10 * age[:, None]
    X[:, 0] += 3000 * site
    seen = []

    class Recorder(_base.PeopleDataset):
        def __init__(self, X, *others, **more):
            super().__init__(X, *others, **more)
            seen.append(np.asarray(X))

    monkeypatch.setattr(_base, "PeopleDataset", Recorder)
    tiny = ContrastiveEncoder(width=2, embedding_dim=4, max_epochs=1, random_state=0)
    invariant = DomainInvariantRegressor(
        penalty=None, projector=SiteProjector(rank="all"), encoder=tiny
    )
    if kind == "pipeline":
        brain_age = make_pipeline(StandardScaler(), tiny).fit(X, age)
    elif kind == "projection":
        brain_age = invariant.fit(X, age, site=site)
    else:
        brain_age = make_pipeline(StandardScaler(), invariant)
        brain_age.fit(X, age, domaininvariantregressor__site=site)
    shown = seen.pop()
    model = fine_tuned(brain_age, X, np.where(np.arange(60) % 4 == 0, "AD", "CN"))
    np.testing.assert_allclose(seen[-1], shown, rtol=1e-6)
    if kind != "projection":
        assert abs(seen[-1].mean()) < 0.01
    opened = load(save(model, tmp_path / "model"))
    np.testing.assert_array_equal(opened.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("where", ["set_output", "config_context"])
@pytest.mark.parametrize("tuning", ["frozen", "fine_tune"])
def test_frames_as_output_change_no_prediction(where, tuning):
    X, _, age = people(60, 0, seed=1)
    tiny = ContrastiveEncoder(width=2, embedding_dim=4, max_epochs=1, random_state=0)
    # a frozen scaler would itself make frames, which its network was not fitted on
    brain_age = tiny if tuning == "frozen" else make_pipeline(StandardScaler(), tiny)
    brain_age.fit(X, age)
    X, diagnosis, age = people(40, 12)

    def classifier():
        return NeurodegenerationClassifier(
            brain_age=FrozenEstimator(brain_age), tuning=tuning, features=["embedding"],
            encoder=clone(tiny), cv=2, random_state=0,
        )  # fmt: skip

    expected = classifier().fit(X, diagnosis).predict_proba(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if where == "set_output":
            model = classifier().set_output(transform="pandas").fit(X, diagnosis)
            probability, frame = model.predict_proba(X), model.transform(X)
        else:
            with sklearn.config_context(transform_output="pandas"):
                model = classifier().fit(X, diagnosis)
                probability, frame = model.predict_proba(X), model.transform(X)
            np.testing.assert_array_equal(model.predict_proba(X), expected)
    np.testing.assert_array_equal(probability, expected)
    assert list(frame.columns) == list(model.get_feature_names_out())


REGIONS = ["hippocampus", "thalamus", "putamen", "caudate", "pons", "cortex"]


def test_columns_keep_their_names_for_what_looks_them_up():
    X, diagnosis, age = people()
    frame = pd.DataFrame(X, columns=REGIONS, index=[f"s{row}" for row in range(90)])
    limbic = {"limbic": REGIONS[:2], "deep": REGIONS[2:4]}
    settings = {"features": ["regional_gaps", "deviations"], "cv": 3, "random_state": 0}
    by_name = NeurodegenerationClassifier(
        regional_brain_age=RegionalBrainAge(estimator=Ridge(), regions=limbic),
        measures=ColumnTransformer([("kept", "passthrough", ["pons", "cortex"])]),
        **settings,
    )
    by_number = NeurodegenerationClassifier(
        regional_brain_age=RegionalBrainAge(
            estimator=Ridge(), regions={"limbic": [0, 1], "deep": [2, 3]}
        ),
        measures=ColumnTransformer([("kept", "passthrough", [4, 5])]),
        **settings,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = by_name.fit(frame, diagnosis, age=age).predict_proba(frame, age=age)
    numbered = by_number.fit(X, diagnosis, age=age).predict_proba(X, age=age)
    np.testing.assert_array_equal(named, numbered)
    assert list(by_name.get_feature_names_out()) == [
        "regional_gap_limbic", "regional_gap_deep", "deviation_kept__pons", "deviation_kept__cortex"
    ]  # fmt: skip


def test_a_frozen_model_of_named_columns_gets_them_without_a_warning():
    X, _, age = people(100, 0, seed=1)
    frozen = FrozenEstimator(Ridge().fit(pd.DataFrame(X, columns=REGIONS), age))
    X, diagnosis, age = people()
    frame = pd.DataFrame(X, columns=REGIONS)
    model = NeurodegenerationClassifier(brain_age=frozen, features=["gap"], random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(frame, diagnosis, age=age).predict(frame, age=age)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[REGIONS[::-1]], age=age)


def maps_of(X, age):
    """Return maps whose ages ride with them."""
    values = np.repeat(X, 2, axis=1)[:, None, :, None, None] * np.ones((1, 1, 12, 3, 3)) + 20
    names = [f"p{row}" for row in range(len(X))]
    metadata = pd.DataFrame({"age": age}, index=names)
    return MapArray.from_array(values.astype(np.float32), participants=names, metadata=metadata)


def test_an_unknown_age_stops_nothing_that_needs_none():
    X, diagnosis, age = people(40, 12)
    known, ages = maps_of(X, age), age.astype(object)
    ages[[3, 5]] = np.nan, "n/a"
    partly = maps_of(X, ages)
    tiny = ContrastiveEncoder(network="mlp", width=2, max_epochs=1, random_state=0)
    settings = {"encoder": tiny, "cv": 2, "random_state": 0}
    model = NeurodegenerationClassifier(**settings, features=["embedding"])
    expected = model.fit(known, diagnosis).predict_proba(known)
    np.testing.assert_array_equal(model.predict_proba(partly), expected)
    np.testing.assert_array_equal(model.fit(partly, diagnosis).predict_proba(partly), expected)
    assert model.age_range_ == (np.delete(age, [3, 5]).min(), np.delete(age, [3, 5]).max())
    nobody = maps_of(X, np.full(40, np.nan))
    assert model.fit(nobody, diagnosis).age_range_ is None
    for needs in ({"measures": FunctionTransformer()}, {"diagnosis_ages": (50, 100)}):
        with pytest.raises(ValueError, match="missing, or no number, in 2 of 40 rows: p3, p5"):
            NeurodegenerationClassifier(**settings, **needs).fit(partly, diagnosis)


@pytest.mark.parametrize("missing", [np.nan, np.inf, None, pd.NA, "unknown"])
def test_an_age_that_is_no_number_names_its_row(healthy_model, missing):
    X, diagnosis, age = people(30, 12)
    model = NeurodegenerationClassifier(brain_age=healthy_model, features=["gap"])
    ages = pd.Series(age, dtype=object)
    ages[4] = missing
    with pytest.raises(ValueError, match="in 1 of 30 rows: 4"):
        model.fit(X, diagnosis, age=ages)
    with pytest.raises(ValueError, match="age must hold a number for each of 30 rows, got 29"):
        model.fit(X, diagnosis, age=age[:-1])
    given = pd.Series(age).astype("Float64")
    np.testing.assert_array_equal(
        model.fit(X, diagnosis, age=given).predict(X, age=given), model.predict(X, age=age)
    )


def test_a_diagnosis_that_nobody_of_those_ages_has_is_counted():
    X, diagnosis, age = people(30, 10)
    age[diagnosis == "CN"] = 50.0
    with pytest.raises(ValueError, match=r"people by diagnosis: \{'AD': 10, 'CN': 0\}"):
        NeurodegenerationClassifier(diagnosis_ages=(52, 95)).fit(X, diagnosis, age=age)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tuning": "frozen"}, "tuning='frozen' needs brain_age"),
        ({"tuning": "fine_tune", "brain_age": LinearAge()}, "tuning='fine_tune' needs brain_age"),
        ({"features": ["gap"]}, "features has 'gap', which is made from brain_age="),
        ({"features": ["deviations"]}, "features has 'deviations', which is made from measures="),
        ({"features": ["volume"]}, "features must be among"),
        ({"diagnosis_ages": (20, 30)}, "there is not everybody that is to be told apart"),
        ({"diagnosis_ages": (90,)}, r"diagnosis_ages must be two ages .* got \(90,\)"),
        ({"diagnosis_ages": (90, 60)}, "the younger first"),
        ({"diagnosis_ages": [60, 70, 80]}, "diagnosis_ages must be two ages"),
        ({"diagnosis_ages": (60, None)}, "diagnosis_ages must be two ages"),
        ({"diagnosis_ages": (60, float("nan"))}, "diagnosis_ages must be two ages"),
        ({"features": []}, "features must be among"),
        ({"reference": "healthy"}, "No diagnosis is 'healthy'"),
        ({"encoder": ContrastiveEncoder(site_mixup=1.0)}, "encoder has site_mixup=1.0"),
    ],
)
def test_settings_that_lack_something_are_named(settings, message):
    X, diagnosis, age = people(30, 10)
    with pytest.raises(ValueError, match=message):
        NeurodegenerationClassifier(**settings).fit(X, diagnosis, age=age)


def test_a_fitted_model_that_clone_would_forget_is_refused():
    X, diagnosis, age = people(30, 10)
    fitted = LinearAge().fit(X, age)
    with pytest.raises(ValueError, match="brain_age is fitted, but scikit-learn clones"):
        NeurodegenerationClassifier(brain_age=fitted).fit(X, diagnosis, age=age)


def test_gaps_without_ages_are_refused_in_fit_and_in_predict(healthy_model):
    X, diagnosis, age = people(30, 12)
    model = NeurodegenerationClassifier(brain_age=healthy_model, features=["gap"])
    with pytest.raises(MissingMetadataError, match="there are no ages"):
        model.fit(X, diagnosis)
    with pytest.raises(MissingMetadataError, match="there are no ages"):
        model.fit(X, diagnosis, age=age).predict(X)
    age[3] = np.nan
    with pytest.raises(ValueError, match="age is missing, or no number, in 1 of 30 rows: 3"):
        model.predict(X, age=age)


@pytest.mark.parametrize(
    ("diagnosis", "message"),
    [
        (["CN"] * 20, "y has one class"),
        (["CN"] * 19 + ["AD"], "A class has one person only"),
        (["CN"] * 10, "inconsistent numbers of samples"),
    ],
)
def test_diagnoses_that_cannot_be_told_are_named(diagnosis, message):
    with pytest.raises(ValueError, match=message):
        NeurodegenerationClassifier().fit(np.zeros((20, 3)), diagnosis)


def test_a_seed_makes_a_network_without_one_reproducible():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 4)).astype(np.float32), np.repeat(["AD", "CN"], 20)
    encoder = ContrastiveEncoder(max_epochs=2)
    first, again, other = (
        NeurodegenerationClassifier(encoder=encoder, cv=2, random_state=seed).fit(X, y)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    assert (first.transform(X) != other.transform(X)).any()
    assert encoder.random_state is None
