"""Models by region: each equals a model made by hand, and nothing else reaches it."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import parallel_config
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from mresklearn import load, save
from mresklearn.estimators import RegionalBrainAge
from mresklearn.exceptions import DataError
from mresklearn.maps import MapArray, MapLoader, MapMasker, RegionCropper
from mresklearn.utils.estimator_checks import parametrize_with_map_checks

SHAPE = (9, 8, 7)
NAMES = {10: "Left-Thalamus", 49: "Right-Thalamus", 12: "Putamen", 13: "Pallidum"}
LOBES = {"thalamus": [10, 49], "Lenticular nucleus": ["Putamen", "Pallidum"]}


def label_data():
    data = np.zeros(SHAPE, np.int16)
    data[1:3, 2:5, 2:5], data[6:8, 2:5, 2:5] = 10, 49
    data[3:5, 1:3, 1:3], data[3:5, 5:7, 1:4] = 12, 13
    return data


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("atlas") / "labels.nii.gz"
    nib.Nifti1Image(label_data(), np.eye(4)).to_filename(path)
    return str(path)


@pytest.fixture(scope="module")
def people():
    """Maps whose putamen softens with age, ages and sites."""
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 30)
    maps = rng.normal(3, 0.1, (30, 2, *SHAPE)).astype(np.float32)
    maps[:, 0] -= 0.02 * age[:, None, None, None] * (label_data() == 12)
    return maps, age, np.array(["Mayo", "Utah", "Essen"])[np.arange(30) % 3]


def ridge():
    return make_pipeline(MapMasker(), Ridge(alpha=10.0))


class Recorder(RegressorMixin, BaseEstimator):
    """Keeps what it was given."""

    def fit(self, X, y, site=None, groups=None):
        self.rows_, self.site_, self.groups_ = X, site, groups
        return self

    def predict(self, X):
        return np.zeros(len(X))


class Plain(RegressorMixin, BaseEstimator):
    """Takes no metadata."""

    def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


@pytest.mark.parametrize("margin", [0, 1])
@pytest.mark.parametrize("mask", [True, False])
def test_each_region_equals_a_model_behind_a_cropper(people, labels, margin, mask):
    maps, age, _ = people
    model = RegionalBrainAge(
        estimator=ridge(), labels=labels, names=NAMES, regions=LOBES, margin=margin, mask=mask
    ).fit(maps[:20], age[:20])
    predicted = model.predict(maps[20:])
    for column, region in enumerate(([10, 49], [12, 13])):
        cropper = RegionCropper(labels=labels, region=region, margin=margin, mask=mask)
        by_hand = make_pipeline(cropper, ridge()).fit(maps[:20], age[:20])
        np.testing.assert_allclose(predicted[:, column], by_hand.predict(maps[20:]), rtol=1e-6)
    assert predicted.dtype == np.float32
    assert model.region_names_ == ["thalamus", "lenticular_nucleus"]
    assert model.members_ == {"thalamus": (10, 49), "lenticular_nucleus": (12, 13)}


def test_models_predict_from_whole_maps_by_themselves(people, labels):
    maps, age, _ = people
    model = RegionalBrainAge(labels=labels, names=NAMES).fit(maps, age)
    alone = [model.models_[name].predict(maps) for name in model.region_names_]
    np.testing.assert_allclose(model.predict(maps), np.column_stack(alone), rtol=1e-6)
    np.testing.assert_array_equal(model.transform(maps), model.predict(maps))
    assert list(model.get_feature_names_out()) == model.region_names_
    assert dict(zip(model.region_names_, model.n_voxels_, strict=True)) == {
        "left_thalamus": 18,
        "putamen": 8,
        "pallidum": 12,
        "right_thalamus": 18,
    }


def test_only_the_region_that_ages_tells_age_out_of_fold(people, labels):
    maps, age, _ = people
    model = RegionalBrainAge(labels=labels, names=NAMES, regions=["Putamen", "Pallidum"])
    predicted = cross_val_predict(model, maps, age, cv=KFold(5))
    error = np.abs(predicted - age[:, None]).mean(axis=0)
    assert error[0] < 4
    assert error[1] > 10


def test_a_region_sees_nothing_of_the_others(people, labels):
    maps, age, _ = people
    other = maps.copy()
    outside = label_data() != 12
    other[:, :, outside] = np.random.default_rng(1).normal(3, 1, (30, 2, outside.sum()))
    model = RegionalBrainAge(labels=labels, names=NAMES, regions=["Putamen", "Pallidum"])
    before, after = (clone(model).fit(X, age).predict(X) for X in (maps, other))
    np.testing.assert_array_equal(before[:, 0], after[:, 0])
    assert (before[:, 1] != after[:, 1]).any()


def test_jobs_do_not_change_the_result(people, labels):
    maps, age, _ = people
    model = RegionalBrainAge(estimator=ridge(), labels=labels, regions=LOBES, names=NAMES)
    expected = clone(model).fit(maps, age).predict(maps)
    with parallel_config("threading"):  # starting processes takes longer than all other tests
        parallel = clone(model).set_params(n_jobs=2).fit(maps, age)
        np.testing.assert_array_equal(parallel.predict(maps), expected)


def test_save_and_load(people, labels, tmp_path):
    maps, age, _ = people
    model = RegionalBrainAge(labels=labels, names=NAMES, regions=LOBES).fit(maps, age)
    opened = load(save(model, tmp_path / "regions"))
    np.testing.assert_array_equal(opened.predict(maps), model.predict(maps))
    assert opened.region_names_ == model.region_names_


def test_names_reach_frames(people, labels):
    maps, age, _ = people
    model = RegionalBrainAge(labels=labels, names=NAMES, regions=LOBES)
    frame = model.set_output(transform="pandas").fit(maps, age).transform(maps)
    assert list(frame.columns) == ["thalamus", "lenticular_nucleus"]
    assert isinstance(model.predict(maps), np.ndarray)


@parametrize_with_map_checks([RegionalBrainAge()])
def test_map_checks(estimator, check, tmp_path):
    data = np.zeros((8, 8, 8), np.int16)
    data[1:4, 2:6, 2:6], data[4:7, 2:6, 2:6] = 1, 2
    path = tmp_path / "labels.nii.gz"
    nib.Nifti1Image(data, np.diag([4.0, 4, 4, 1])).to_filename(path)
    check("RegionalBrainAge", estimator.set_params(labels=str(path)))


# metadata ------------------------------------------------------------------------------------


def test_site_and_persons_reach_the_clones_that_ask(people, labels):
    maps, age, site = people
    persons = np.arange(30) // 2
    model = RegionalBrainAge(estimator=Recorder(), labels=labels, names=NAMES)
    model.fit(maps, age, site=site, groups=persons)
    for fitted in model.models_.values():
        np.testing.assert_array_equal(fitted[-1].site_, site)
        np.testing.assert_array_equal(fitted[-1].groups_, persons)
    assert list(model.sites_) == ["Essen", "Mayo", "Utah"]
    RegionalBrainAge(estimator=Plain(), labels=labels).fit(maps, age, site=site, groups=persons)


def test_site_that_rides_with_the_rows_reaches_the_clones(people, labels):
    maps, age, site = people
    riding = MapArray.from_array(maps, metadata=pd.DataFrame({"site": site}))
    model = RegionalBrainAge(estimator=Recorder(), labels=labels, names=NAMES).fit(riding, age)
    for fitted in model.models_.values():
        np.testing.assert_array_equal(fitted[-1].site_, site)
        np.testing.assert_array_equal(fitted[-1].rows_.metadata.site, site)


def test_routing_takes_the_site_through_pipelines(people, labels):
    maps, age, site = people
    with sklearn.config_context(enable_metadata_routing=True):
        asking = Recorder().set_fit_request(site=True, groups=False)
        model = RegionalBrainAge(
            estimator=make_pipeline(MapMasker(), asking), labels=labels, regions=LOBES, names=NAMES
        )
        outer = make_pipeline(MapLoader(cache=None), model)
        outer.fit(maps, age, site=site)
    for fitted in outer[-1].models_.values():
        np.testing.assert_array_equal(fitted[-1][-1].site_, site)


# 2-D features --------------------------------------------------------------------------------


def test_columns_are_regions_of_a_table(people):
    _, age, _ = people
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(30, 4)), columns=["a", "b", "c", "d"])
    table["b"] += age / 20
    regions = {"first": ["a", "d"], "second": "b"}
    model = RegionalBrainAge(estimator=Ridge(), regions=regions).fit(table, age)
    predicted = model.predict(table)
    for column, names in enumerate((["a", "d"], ["b"])):
        by_hand = Ridge().fit(table[names], age)
        np.testing.assert_allclose(predicted[:, column], by_hand.predict(table[names]), rtol=1e-5)
    assert list(model.n_voxels_) == [2, 1]
    assert RegionalBrainAge().fit(table, age).region_names_ == ["a", "b", "c", "d"]
    assert RegionalBrainAge(regions=["d", "b"]).fit(table, age).members_ == {"d": (3,), "b": (1,)}


def test_columns_of_an_array_are_numbers(people):
    _, age, _ = people
    X = np.random.default_rng(1).normal(size=(30, 3))
    assert RegionalBrainAge().fit(X, age).region_names_ == ["x0", "x1", "x2"]
    model = RegionalBrainAge(regions={"both": [0, 2]}).fit(X, age)
    assert model.members_ == {"both": (0, 2)}


# bad input -----------------------------------------------------------------------------------


def test_labels_as_columns_of_a_named_table_are_refused(people):
    _, age, _ = people
    table = pd.DataFrame(np.ones((30, 20)), columns=[f"region{k}" for k in range(20)])
    with pytest.raises(ValueError, match=r"Region 'putamen': X has no column\(s\) \[12\]"):
        RegionalBrainAge(regions={"putamen": [12]}).fit(table, age)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"labels": None}, "needs a label image"),
        ({"regions": ["insula"]}, "has no region 'insula'"),
        ({"regions": {"lobe": [99]}}, r"label\(s\) \[99\] do not occur"),
        ({"regions": []}, "names no region"),
        ({"regions": {"a": [10], "A": [12]}}, "Two regions are called 'a'"),
    ],
)
def test_regions_that_cannot_be_found(people, labels, parameters, message):
    maps, age, _ = people
    model = RegionalBrainAge(**{"labels": labels, "names": NAMES, **parameters})
    with pytest.raises(ValueError, match=message):
        model.fit(maps, age)


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([], "names no region"),
        ({"a": []}, "Region 'a'"),
        ([7], r"no column\(s\) \[7\]"),
        ([1, 1], "Two regions are called 'x1'"),
    ],
)
def test_columns_that_cannot_be_found(regions, message):
    with pytest.raises(ValueError, match=message):
        RegionalBrainAge(regions=regions).fit(np.eye(5), np.arange(5.0))


def test_labels_of_another_grid(people, write_map):
    maps, age, _ = people
    path = write_map("labels.nii.gz", np.ones((4, 4, 4)), np.eye(4))
    with pytest.raises(DataError, match="has shape"):
        RegionalBrainAge(labels=path).fit(maps, age)


def test_maps_of_another_grid_at_prediction(people, labels):
    maps, age, _ = people
    here = MapLoader(cache=None).fit_transform([nib.Nifti1Image(m[0], np.eye(4)) for m in maps])
    shifted = np.eye(4)
    shifted[0, 3] = 3.0
    there = MapLoader(cache=None).fit_transform([nib.Nifti1Image(m[0], shifted) for m in maps])
    model = RegionalBrainAge(labels=labels).fit(here, age)
    with pytest.raises(DataError, match="RegionalBrainAge was fitted on maps of"):
        model.predict(there)


def test_a_region_that_nobody_has_is_named(people, labels):
    maps, age, _ = people
    cut = maps * (label_data() != 13)
    with pytest.raises(ValueError, match="The model of region 'pallidum' cannot be fitted"):
        RegionalBrainAge(labels=labels, names=NAMES).fit(cut, age)


def test_ages_must_belong_to_the_rows(people, labels):
    maps, age, _ = people
    with pytest.raises(ValueError, match="inconsistent numbers"):
        RegionalBrainAge(labels=labels).fit(maps, age[:-1])
