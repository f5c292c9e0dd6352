"""RegionCropper: the box is right, in voxels and in millimetres, and nothing is read early."""

import pickle

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from mresklearn import MapArray, MapLoader, MapMasker, MapScaler, RegionAverager, RegionCropper
from mresklearn.exceptions import DataError
from mresklearn.maps import FREESURFER_STRUCTURES
from mresklearn.maps._grid import Grid
from mresklearn.maps._sources import ArraySource

SHAPE = (12, 10, 9)
AFFINE = np.array([[2.0, 0.3, 0, -8], [-0.3, 2, 0, -10], [0, 0, 3, -6], [0, 0, 0, 1]])
GRID = Grid.from_arrays(SHAPE, AFFINE)


@pytest.fixture
def atlas():
    data = np.zeros(SHAPE, np.int16)
    data[2:4, 3:6, 4:7], data[7:9, 3:7, 4:6], data[5, 0, 0] = 10, 49, 16
    return nib.Nifti1Image(data, AFFINE)


@pytest.fixture
def array():
    rng = np.random.default_rng(0)
    brain = rng.random((6, 1, *SHAPE)) < 0.9
    return (rng.uniform(2, 4, (6, 2, *SHAPE)) * brain).astype(np.float32)


@pytest.fixture
def maps(array):
    return MapArray(
        ArraySource(array),
        channels=("stiffness", "damping_ratio"),
        grid=GRID,
        metadata=pd.DataFrame({"site": list("AABBCC")}),
    )


def test_the_crop_is_the_region_and_nothing_else(maps, array, atlas):
    labels = np.asarray(atlas.dataobj)
    cropper = RegionCropper(labels=atlas, region="thalamus").fit(maps)
    crops = cropper.transform(maps)
    assert crops.shape == (6, 2, 7, 4, 3)
    assert cropper.box_ == ((2, 9), (3, 7), (4, 7))
    expected = (array * np.isin(labels, [10, 49]))[:, :, 2:9, 3:7, 4:7]
    np.testing.assert_array_equal(np.asarray(crops), expected)
    assert crops[0].shape == (2, 7, 4, 3)
    assert crops[0].base is None  # no view that keeps the whole map
    assert crops.channels == maps.channels
    assert list(crops.metadata.site) == list("AABBCC")


def test_without_mask_the_box_keeps_all_of_the_brain(maps, array, atlas):
    crops = RegionCropper(labels=atlas, region=[49], mask=False).fit_transform(maps)
    np.testing.assert_array_equal(np.asarray(crops), array[:, :, 7:9, 3:7, 4:6])
    assert crops[0].base is None


def test_the_margin_ends_at_the_edge_of_the_maps(maps, atlas):
    cropper = RegionCropper(labels=atlas, region="brain_stem", margin=2).fit(maps)
    assert cropper.box_ == ((3, 8), (0, 3), (0, 3))
    assert cropper.mask_.sum() == 1
    assert np.asarray(cropper.transform(maps))[:, :, ~cropper.mask_].max() == 0


def test_voxels_stay_where_they_are_in_millimetres(maps, atlas):
    crops = RegionCropper(labels=atlas, region="thalamus", margin=1).fit_transform(maps)
    start = [1, 2, 3]
    assert crops.grid.shape == crops.shape[2:]
    for index in np.ndindex(crops.shape[2:]):
        np.testing.assert_allclose(
            crops.grid.matrix @ [*index, 1], AFFINE @ [*np.add(index, start), 1]
        )
    assert maps.grid == GRID
    # so that the label image still fits the crop
    before = RegionAverager(labels=atlas, regions=["thalamus"]).fit_transform(maps)
    after = RegionAverager(labels=atlas, regions=["thalamus"]).fit_transform(crops)
    np.testing.assert_allclose(after, before, rtol=1e-6)


def test_folds_of_crops_are_lazy_and_carry_their_shape(maps, atlas):
    crops = RegionCropper(labels=atlas, region="thalamus").fit_transform(maps)
    whole = np.asarray(crops)
    for train, _ in KFold(3).split(crops):
        fold = crops[train]
        copy = pickle.loads(pickle.dumps(fold))
        assert copy.shape == fold.shape == (4, 2, 7, 4, 3)
        assert copy.grid == crops.grid
        np.testing.assert_array_equal(np.asarray(copy), whole[train])
    doubled = crops[2:].with_step(lambda sample: sample * 2)
    assert doubled.shape == (4, 2, 7, 4, 3)
    np.testing.assert_array_equal(np.asarray(doubled), whole[2:] * 2)
    assert crops.nbytes == whole.nbytes


def test_nothing_is_read_before_it_is_asked_for(maps, atlas):
    class Untouchable(ArraySource):
        def read(self, row):
            raise AssertionError("read too early")

    lazy = MapArray(Untouchable(maps._source.array), channels=("a", "b"), grid=GRID)
    RegionCropper(labels=atlas, region="thalamus").fit_transform(lazy)[[0, 3]]


def test_steps_follow_a_crop(maps, atlas):
    scaled = make_pipeline(
        RegionCropper(labels=atlas, region=FREESURFER_STRUCTURES["thalamus"]), MapScaler()
    ).fit_transform(maps)
    values = np.asarray(scaled)
    brain = (values != 0).any(axis=1)
    assert values[:, 0][brain].mean() == pytest.approx(0, abs=1e-5)
    voxels = make_pipeline(
        RegionCropper(labels=atlas, region="thalamus"), MapMasker(coverage=0.1)
    ).fit_transform(maps)
    assert voxels.shape == (6, 2 * (2 * 3 * 3 + 2 * 4 * 2))


@pytest.mark.parametrize("region", ["thalamus", [10, 49], (10, "Right-Thalamus"), ["left", 49]])
def test_a_region_is_a_name_or_labels(maps, atlas, region):
    names = None if region in ("thalamus", [10, 49]) else {10: "Left", 49: "Right Thalamus"}
    cropper = RegionCropper(labels=atlas, names=names, region=region).fit(maps)
    assert cropper.mask_.sum() == 34


def test_names_given_are_the_only_ones(maps, atlas):
    """FreeSurfer's numbers mean something else in another atlas."""
    with pytest.raises(ValueError, match="no region 'thalamus'; its regions are V1, V2, region49"):
        RegionCropper(labels=atlas, names={10: "V1", 16: "V2"}, region="thalamus").fit(maps)


def test_what_is_missing_is_named(maps, array, atlas):
    for incomplete in (RegionCropper(), RegionCropper(labels=atlas), RegionCropper(region="x")):
        with pytest.raises(ValueError, match="needs a label image and a region"):
            incomplete.fit(maps)
    with pytest.raises(ValueError, match="do not occur"):
        RegionCropper(labels=atlas, region="hippocampus").fit(maps)
    far = nib.Nifti1Image(atlas.dataobj, AFFINE + np.array([[0, 0, 0, 500]] * 3 + [[0] * 4]))
    with pytest.raises(DataError, match="no voxel of region 'thalamus'"):
        RegionCropper(labels=far, region="thalamus").fit(maps)
    shifted = AFFINE + np.array([[0, 0, 0, 2]] + [[0] * 4] * 3)
    cropper = RegionCropper(labels=atlas, region="thalamus").fit(maps)
    other = MapArray(ArraySource(array), channels=("a", "b"), grid=Grid.from_arrays(SHAPE, shifted))
    with pytest.raises(DataError, match="fitted on maps of"):
        cropper.transform(other)


def test_clone_and_pickle(maps, atlas):
    cropper = RegionCropper(labels=atlas, region="thalamus")
    expected = np.asarray(cropper.fit_transform(maps))
    np.testing.assert_array_equal(np.asarray(clone(cropper).fit_transform(maps)), expected)
    copy = pickle.loads(pickle.dumps(cropper))
    np.testing.assert_array_equal(np.asarray(copy.transform(maps)), expected)


@pytest.mark.real_data
def test_a_network_sized_crop_of_real_maps(real_data):
    files = sorted((real_data / "mre134" / "individual_stiffness_files").glob("*.nii.gz"))[:2]
    maps = MapLoader(cache=None).fit_transform(pd.DataFrame({"stiffness": files}))
    atlas = real_data / "atlases" / "dk_aparc+aseg_MNI152_2mm.nii.gz"
    for structure in FREESURFER_STRUCTURES:
        crops = RegionCropper(labels=atlas, region=structure).fit_transform(maps)
        assert np.prod(crops.shape[2:]) < 0.15 * np.prod(maps.shape[2:])
    thalamus = RegionCropper(labels=atlas, region="thalamus").fit_transform(maps)
    sample = thalamus[0]
    mean = RegionAverager(labels=atlas, regions=["thalamus"]).fit_transform(maps[:1])
    assert sample[sample > 0].mean() == pytest.approx(mean.item(), rel=1e-5)
    low, high = thalamus.grid.box
    assert -30 < low[0] < -15  # left and right of the midline, in MNI space
    assert 15 < high[0] < 30
