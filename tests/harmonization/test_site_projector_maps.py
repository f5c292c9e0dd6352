"""SiteProjector on maps: the table of their voxels, read and projected person by person."""

import pickle

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context

from mresklearn import MapArray, MapMasker, MapScaler, load, save
from mresklearn.exceptions import DataError, MissingMetadataError
from mresklearn.harmonization import SiteProjector
from mresklearn.harmonization._projection import ProjectOut
from mresklearn.maps._grid import Grid
from mresklearn.maps._sources import ArraySource


def maps_of(channels=2, n_sites=4, per_site=15, seed=0):
    """Maps in a ragged brain, with a shift of each site along one shared pattern."""
    rng = np.random.default_rng(seed)
    n = n_sites * per_site
    code = np.repeat(np.arange(n_sites), per_site)
    age = rng.uniform(20, 80, n)
    values = 3 + 0.3 * rng.normal(size=(n, channels, 6, 6, 6))
    values += 0.01 * (age - 50)[:, None, None, None, None]
    values += (rng.normal(size=n_sites)[code])[:, None, None, None, None] * (
        0.4 * rng.normal(size=(channels, 6, 6, 6))
    )
    mask = np.zeros((n, 1, 6, 6, 6), bool)
    mask[:, :, 1:5, 1:5, 1:5] = rng.random((n, 1, 4, 4, 4)) < 0.9
    mask[:, :, 2:4, 2:4, 2:4] = True
    return (values * mask).astype(np.float32), age, np.array(list("abcd"))[code], mask[:, 0]


def test_maps_are_projected_as_their_table_of_voxels():
    maps, age, site, mask = maps_of()
    fitted = SiteProjector().fit(maps, age, site=site)
    assert fitted.rank_ >= 1
    projected = fitted.transform(maps)
    assert isinstance(projected, MapArray)
    masker = MapMasker().fit(maps)
    np.testing.assert_array_equal(fitted.mask_, masker.mask_)
    table = masker.transform(maps)
    by_table = SiteProjector().fit(table, age, site=site)
    assert by_table.rank_ == fitted.rank_
    np.testing.assert_allclose(fitted.scale_, by_table.scale_, rtol=1e-4)
    out = np.asarray(projected)
    voxels = out[:, :, fitted.mask_].reshape(len(out), -1)
    present = np.tile(mask[:, fitted.mask_], 2)
    np.testing.assert_allclose(
        voxels[present], by_table.transform(table)[present], rtol=1e-3, atol=1e-4
    )
    np.testing.assert_array_equal(voxels[~present], 0)
    outside = ~fitted.mask_
    np.testing.assert_array_equal(out[:, :, outside], maps[:, :, outside])


def test_nobody_gains_or_loses_a_voxel_and_moduli_stay_positive():
    maps, age, site, mask = maps_of()
    maps *= np.where(site == "d", 0.05, 1.0)[:, None, None, None, None].astype(np.float32)
    arrays = MapArray.from_array(maps, channels=["stiffness", "other"])
    fitted = SiteProjector(rank="all").fit(arrays, age, site=site)
    out = np.asarray(fitted.transform(arrays))
    np.testing.assert_array_equal(np.any(out != 0, axis=1), mask)
    assert (out[:, 0][mask] > 0).all()
    # a standardised map may be negative, but never exactly zero inside
    scaled = np.asarray(MapScaler().fit_transform(arrays))
    flat = SiteProjector(rank="all").fit(scaled, age, site=site).transform(scaled)
    np.testing.assert_array_equal(np.any(np.asarray(flat) != 0, axis=1), np.any(scaled != 0, 1))
    assert (np.asarray(flat) < 0).any()


def test_a_voxel_that_is_projected_to_zero_stays_in_the_brain():
    sample = np.zeros((1, 2, 2, 2), np.float32)
    sample[0, 0, 0] = 2.0, -3.0
    mask = sample[0] != 0
    ones, free = np.ones(2, np.float32), np.array([[-np.inf, np.inf]], np.float32)
    step = ProjectOut(mask, 0 * ones, ones, np.array([[1, 0]], np.float32), free)
    out = step(sample)
    np.testing.assert_array_equal(out != 0, sample != 0)
    np.testing.assert_allclose(out[0, 0, 0], [0, -3], atol=1e-30)


def test_maps_keep_their_people_and_metadata_and_read_nothing_in_transform():
    maps, age, site, _ = maps_of()
    people = pd.DataFrame({"site": site, "age": age}, index=[f"sub-{k}" for k in range(60)])
    riding = MapArray.from_array(maps, metadata=people, participants=people.index)
    fitted = SiteProjector().fit(riding, age)
    np.testing.assert_array_equal(
        fitted.directions_, SiteProjector().fit(maps, age, site=site).directions_
    )
    maps[0] = np.nan  # whatever is read from now on would fail
    projected = fitted.transform(riding)
    assert list(projected.participants) == list(people.index)
    assert list(projected.metadata.columns) == ["site", "age"]
    with pytest.raises(ValueError, match="row 0"):
        np.asarray(projected)
    assert np.isfinite(np.asarray(projected[1:])).all()
    step = pickle.loads(pickle.dumps(projected[3:5]))
    np.testing.assert_array_equal(np.asarray(step), np.asarray(projected[3:5]))


def test_maps_from_files_and_covariates_from_their_metadata(tmp_path):
    maps, age, site, _ = maps_of(channels=1)
    sex = np.tile(["F", "M"], 30)
    paths = []
    for row, sample in enumerate(maps):
        paths.append(str(tmp_path / f"{row}.nii.gz"))
        nib.Nifti1Image(sample[0], np.diag([4.0, 4, 4, 1])).to_filename(paths[-1])
    frame = pd.DataFrame({"stiffness": paths, "site": site, "sex": sex})
    settings = {"rank": "all", "covariate_columns": ["sex"]}
    by_file = SiteProjector(**settings).fit(frame, age)
    metadata = frame[["site", "sex"]]
    arrays = MapArray.from_array(maps, channels=["stiffness"], metadata=metadata)
    by_array = SiteProjector(**settings).fit(arrays, age)
    np.testing.assert_allclose(by_file.directions_, by_array.directions_, atol=1e-5)
    np.testing.assert_allclose(
        np.asarray(by_file.transform(frame)), np.asarray(by_array.transform(arrays)), atol=1e-4
    )
    with pytest.raises(MissingMetadataError, match="sex"):
        SiteProjector(**settings).fit(maps, age, site=site)


def test_no_common_voxel_says_so():
    maps = np.zeros((4, 1, 4, 4, 4), np.float32)
    maps[np.arange(4), 0, np.arange(4)] = 1.0
    with pytest.raises(ValueError, match="No voxel lies in the brain of 80%"):
        SiteProjector().fit(maps, site=list("aabb"))


def test_saved_and_pickled_it_is_the_same(tmp_path):
    maps, age, site, _ = maps_of()
    fitted = SiteProjector().fit(maps, age, site=site)
    expected = np.asarray(fitted.transform(maps))
    for copy in (load(save(fitted, tmp_path / "m")), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(np.asarray(copy.transform(maps)), expected)


def test_maps_stay_maps_where_frames_are_asked_for_and_another_place_is_refused():
    array, age, site, _ = maps_of()
    here, there = (
        MapArray(
            ArraySource(array),
            channels=("stiffness", "damping_ratio"),
            grid=Grid.from_arrays((6, 6, 6), np.diag([size, size, size, 1])),
        )
        for size in (2.0, 3.0)
    )
    expected = SiteProjector(rank=1).fit(here, age, site=site)
    with config_context(transform_output="pandas"):
        projected = SiteProjector(rank=1).fit_transform(here, age, site=site)
    assert isinstance(projected, MapArray)
    np.testing.assert_array_equal(np.asarray(projected), np.asarray(expected.transform(here)))
    with pytest.raises(DataError, match="SiteProjector was fitted on maps of"):
        expected.transform(there)
