"""Models remember which ages they were trained on, and say when people are of another age."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from mresklearn import (
    ContrastiveEncoder,
    DomainInvariantRegressor,
    MapArray,
    MapLoader,
    NeurodegenerationClassifier,
    load,
    save,
)
from mresklearn.exceptions import OutOfRangeWarning

SHAPE = (1, 8, 8, 8)


def maps_of(age, travelling=None, site=None):
    """Noise maps of people of these ages, which travel with them unless others are given."""
    data = np.random.default_rng(0).normal(3, 1, (len(age), *SHAPE)).astype(np.float32)
    metadata = {"age": age if travelling is None else travelling}
    if site is not None:
        metadata["site"] = site
    return MapArray.from_array(data, metadata=pd.DataFrame(metadata))


def small_encoder(**settings):
    return ContrastiveEncoder(max_epochs=1, width=2, embedding_dim=4, random_state=0, **settings)


@pytest.fixture
def ages():
    return np.linspace(20.5, 79.5, 12)


@pytest.fixture
def encoder(ages):
    return small_encoder().fit(maps_of(ages), ages)


@pytest.fixture
def regressor(ages):
    site = np.array(["A", "B"] * 6)
    model = DomainInvariantRegressor(encoder=small_encoder(), penalty=None)
    return model.fit(maps_of(ages, site=site), ages)


def test_the_range_of_ages_is_all_that_is_kept_of_them(encoder, regressor):
    assert encoder.age_range_ == (20.5, 79.5)
    assert regressor.age_range_ == (20.5, 79.5)
    assert all(type(age) is float for age in encoder.age_range_)


def test_people_of_an_age_never_seen_are_counted_with_their_ages_and_the_range(encoder):
    with pytest.warns(OutOfRangeWarning) as caught:
        encoder.transform(maps_of(np.array([12.0, 50.0, 91.5])))
    assert len(caught) == 1
    text = str(caught[0].message)
    assert text.startswith("2 of 3 rows are of an age (`age` 12 to 91.5) that training did not")
    assert "20 to 80 years" in text
    assert "Leave them out, or train with people of their age" in text
    assert caught[0].filename == __file__


@pytest.mark.parametrize("method", ["predict", "transform"])
def test_a_regressor_warns_once_whatever_lies_inside_it(regressor, method):
    with pytest.warns(OutOfRangeWarning, match="1 of 2 rows") as caught:
        getattr(regressor, method)(maps_of(np.array([50.0, 85.0])))
    assert len(caught) == 1


def test_a_supervised_network_warns_as_well(ages):
    network = small_encoder(loss="l1").fit(maps_of(ages), ages)
    with pytest.warns(OutOfRangeWarning) as caught:
        network.predict(maps_of(np.array([99.0])))
    assert len(caught) == 1


def test_a_pipeline_of_files_warns_where_the_loader_lets_ages_travel(people):
    loader = MapLoader(maps=["stiffness"], metadata=["age"], voxel_size=8)
    X = people[["stiffness", "age"]]
    model = make_pipeline(loader, small_encoder(), Ridge()).fit(X, people.age)
    model.predict(X)
    with pytest.warns(OutOfRangeWarning, match=r"`age` 8\)") as caught:
        model.predict(X.iloc[:3].assign(age=[30.0, 8.0, 40.0]))
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_the_warning_changes_no_number(encoder, ages):
    inside, outside = maps_of(ages), maps_of(ages, ages + 60)
    with pytest.warns(OutOfRangeWarning):
        np.testing.assert_array_equal(encoder.transform(outside), encoder.transform(inside))


@pytest.mark.parametrize(
    "travelling",
    [[20.1, 79.9], [17.0, 83.0], [np.nan, 50.0], ["unknown", "n/a"], [np.inf, 50.0]],
    ids=["same year", "three years beyond", "unknown", "text", "infinite"],
)
def test_no_warning_for_nearly_the_same_age_or_for_an_age_that_is_not_known(encoder, travelling):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.transform(maps_of(np.array([50.0, 50.0]), travelling))


def test_no_warning_without_ages_nor_for_a_column_of_features_that_is_named_age(ages, encoder):
    table = pd.DataFrame({"age": (ages - ages.mean()) / ages.std(), "stiffness": ages})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small_encoder().fit(table, ages).transform(table)
        encoder.transform(np.zeros((2, *SHAPE), np.float32) + 1)


def test_a_new_site_is_the_normal_case_and_no_reason_to_warn(regressor):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regressor.predict(maps_of(np.array([30.0, 60.0]), site=["C", "D"]))


def test_a_predicted_age_beyond_the_range_is_a_finding_and_no_reason_to_warn(regressor):
    regressor.readout_.intercept_ += 100
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert regressor.predict(maps_of(np.array([70.0]))) > 100


def test_ages_that_travel_count_where_the_target_is_on_another_scale(ages):
    standardised = (ages - ages.mean()) / ages.std()
    encoder = small_encoder(sigma=0.3).fit(maps_of(ages), standardised)
    assert encoder.age_range_ == (20.5, 79.5)


def test_ages_that_travel_and_are_all_missing_leave_the_target(ages):
    encoder = small_encoder().fit(maps_of(ages, [np.nan] * 12), ages)
    assert encoder.age_range_ == (20.5, 79.5)


def test_training_that_goes_on_widens_the_range_and_a_new_fit_forgets_it(ages):
    encoder = small_encoder(lr_schedule="constant", warm_start=True)
    encoder.fit(maps_of(ages), ages)
    encoder.fit(maps_of(ages - 10), ages - 10)
    assert encoder.age_range_ == (10.5, 79.5)
    encoder.partial_fit(maps_of(ages + 10), ages + 10)
    assert encoder.age_range_ == (10.5, 89.5)
    encoder.set_params(warm_start=False).fit(maps_of(ages), ages)
    assert encoder.age_range_ == (20.5, 79.5)
    assert not hasattr(clone(encoder), "age_range_")


def test_a_model_from_before_the_range_was_kept_says_nothing_and_trains_on(encoder, ages):
    del encoder.age_range_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.transform(maps_of(np.array([99.0])))
        encoder.partial_fit(maps_of(ages), ages)
    assert encoder.age_range_ is None  # it may have seen any age before


@pytest.mark.parametrize("road", ["pickle", "folder"])
def test_the_range_comes_back_with_the_model(regressor, road, tmp_path):
    if road == "pickle":
        opened = pickle.loads(pickle.dumps(regressor))
    else:
        opened = load(save(regressor, tmp_path / "m"))
    assert opened.age_range_ == opened.encoder_.age_range_ == (20.5, 79.5)
    with pytest.warns(OutOfRangeWarning):
        opened.predict(maps_of(np.array([95.0])))


def test_a_diagnosis_is_no_age(ages):
    X = np.random.default_rng(0).normal(size=(12, 4))
    model = NeurodegenerationClassifier(encoder=small_encoder(), cv=2)
    model.fit(X, np.array(["AD", "CN"] * 6))
    assert model.sources_[0].network_.age_range_ is None
