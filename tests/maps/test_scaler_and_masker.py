"""MapScaler and MapMasker against closed forms, and what they must never do."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.preprocessing import StandardScaler

from mresklearn import MapArray, MapMasker, MapScaler, load, save
from mresklearn.exceptions import DataError
from mresklearn.maps import RegionCropper
from mresklearn.maps._grid import Grid
from mresklearn.maps._scaler import _Moments
from mresklearn.maps._sources import ArraySource


def cohort(n=9, seed=0):
    """People with masks of their own and two channels of different scale."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n, 1, 5, 6, 4)) < 0.6
    mask[:, :, 2, 2, 2] = True
    values = rng.normal([[3.0], [0.2]], [[0.5], [0.05]], size=(n, 2, 120 // 120 * 1))
    maps = values[..., None, None] + rng.normal(0, 0.02, (n, 2, 5, 6, 4))
    return (maps * mask).astype(np.float32), mask


def test_statistics_are_those_of_brain_voxels_of_all_people():
    maps, mask = cohort()
    scaler = MapScaler().fit(maps)
    for channel in range(2):
        voxels = maps[:, channel][mask[:, 0]].astype(np.float64)
        assert scaler.mean_[channel] == pytest.approx(voxels.mean(), rel=1e-12)
        assert scaler.scale_[channel] == pytest.approx(voxels.std(), rel=1e-10)
    assert scaler.n_voxels_ == mask.sum()


def test_background_stays_exactly_zero_and_brain_is_standard():
    maps, mask = cohort()
    scaled = np.asarray(MapScaler().fit_transform(maps))
    outside = ~np.broadcast_to(mask, scaled.shape)
    assert (scaled[outside] == 0).all()
    assert not np.signbit(scaled[outside]).any()
    inside = scaled[:, 0][mask[:, 0]]
    assert inside.mean() == pytest.approx(0, abs=1e-5)
    assert inside.std() == pytest.approx(1, abs=1e-5)


def test_two_dimensions_are_the_standard_scaler():
    X = np.random.default_rng(0).normal(5, 3, (40, 6))
    ours, theirs = MapScaler().fit(X), StandardScaler().fit(X)
    np.testing.assert_allclose(ours.mean_, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.scale_, theirs.scale_, rtol=1e-12)
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), rtol=1e-5, atol=1e-6)


def test_parts_can_be_switched_off():
    X = np.random.default_rng(0).normal(5, 3, (40, 2))
    only_mean = MapScaler(with_std=False).fit_transform(X)
    assert only_mean.std() == pytest.approx(X.std(axis=0).mean(), rel=0.1)
    np.testing.assert_array_equal(MapScaler(with_mean=False).fit(X).mean_, 0)


def test_maps_without_brain_are_refused():
    with pytest.raises(ValueError, match="no brain voxel"):
        MapScaler().fit(np.zeros((3, 1, 4, 4, 4)))


@settings(deadline=None, max_examples=50)
@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    offset=st.floats(-1e4, 1e4),
    seed=st.integers(0, 100),
)
def test_moments_do_not_depend_on_how_rows_are_cut(sizes, offset, seed):
    values = np.random.default_rng(seed).normal(offset, 1, (2, sum(sizes) + 2))
    moments = _Moments(2)
    for part in np.split(values, np.cumsum(sizes), axis=1):
        moments.add(part)
    np.testing.assert_allclose(moments.mean, values.mean(axis=1), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        moments.sum_of_squares / moments.count, values.var(axis=1), rtol=1e-6, atol=1e-9
    )


def test_mask_is_where_enough_training_people_have_brain():
    maps, mask = cohort(20)
    masker = MapMasker(coverage=0.7).fit(maps)
    np.testing.assert_array_equal(masker.mask_, mask[:, 0].sum(axis=0) >= 14)


def test_voxels_come_by_channel_and_missing_ones_get_the_training_mean():
    maps, mask = cohort(20)
    masker = MapMasker(coverage=0.5).fit(maps)
    voxels = masker.transform(maps)
    n_voxels = masker.mask_.sum()
    assert voxels.shape == (20, 2 * n_voxels)
    assert voxels.dtype == np.float32
    for channel in range(2):
        part = voxels[:, channel * n_voxels : (channel + 1) * n_voxels]
        have = mask[:, 0][:, masker.mask_]
        values = maps[:, channel][:, masker.mask_]
        np.testing.assert_array_equal(part[have], values[have])
        means = np.nanmean(np.where(have, values, np.nan).astype(float), axis=0)
        expected = np.broadcast_to(means, part.shape)
        np.testing.assert_allclose(part[~have], expected[~have], rtol=1e-5)


def test_a_mask_that_nobody_shares_is_refused():
    maps = np.zeros((4, 1, 2, 2, 1))
    for person in range(4):
        maps[person, 0, person // 2, person % 2] = 1.0
    with pytest.raises(ValueError, match="Lower coverage"):
        MapMasker(coverage=0.9).fit(maps)


def test_coverage_itself_is_no_feature_with_the_mean_fill():
    """Two groups that differ in coverage alone become identical rows."""
    maps = np.full((6, 1, 3, 3, 3), 2.5)
    maps[:3, :, 0] = 0
    voxels = MapMasker(coverage=0.5).fit_transform(maps)
    assert np.ptp(voxels, axis=0).max() == 0
    assert np.ptp(MapMasker(coverage=0.5, fill=0.0).fit_transform(maps), axis=0).max() > 0


def test_column_names_say_channel_and_voxel():
    maps, _ = cohort()
    masker = MapMasker(coverage=0.9).fit(maps)
    names = masker.get_feature_names_out()
    assert len(names) == len(set(names)) == masker.transform(maps).shape[1]
    first = "_".join(map(str, np.argwhere(masker.mask_)[0]))
    assert names[0] == f"map0_voxel{first}"


def test_fill_must_be_mean_or_number():
    with pytest.raises(ValueError, match="fill must be 'mean' or a number"):
        MapMasker(fill="median").fit(np.ones((3, 1, 2, 2, 2)))


def on_grid(array, origin=0.0):
    """The maps, where voxels of 2 mm begin at `origin` mm; None for maps that do not know."""
    if origin is None:
        return MapArray.from_array(array)
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[0, 3] = origin
    return MapArray(
        ArraySource(array),
        channels=("stiffness", "damping_ratio"),
        grid=Grid.from_arrays(array.shape[2:], matrix),
    )


@pytest.mark.parametrize("make", [MapScaler, MapMasker])
def test_maps_of_another_place_are_refused_though_the_shape_agrees(make):
    maps, _ = cohort()
    fitted = make().fit(on_grid(maps))
    with pytest.raises(DataError, match=rf"{make.__name__} was fitted on maps of .* but got"):
        fitted.transform(on_grid(maps, 20))
    expected = np.asarray(fitted.transform(on_grid(maps)))
    for same in (on_grid(maps, 0.1), on_grid(maps, None), maps):
        np.testing.assert_array_equal(np.asarray(fitted.transform(same)), expected)
    unknown = make().fit(maps)
    assert unknown.grid_ is None
    unknown.transform(on_grid(maps, 20))
    del fitted.grid_  # as in models that were saved before it was kept
    fitted.transform(on_grid(maps, 20))
    assert not hasattr(make().fit(on_grid(maps)).fit(maps.reshape(9, -1)), "grid_")


def test_a_saved_model_still_knows_the_place(tmp_path):
    maps, _ = cohort()
    save(MapScaler().fit(on_grid(maps)), tmp_path / "model")
    with pytest.raises(DataError, match="fitted on maps of"):
        load(tmp_path / "model").transform(on_grid(maps, 20))


def test_maps_stay_maps_where_frames_are_asked_for():
    maps, _ = cohort()
    labels = nib.Nifti1Image(np.ones((5, 6, 4), np.int16), np.eye(4))
    for make in (MapScaler, lambda: RegionCropper(labels=labels, region=[1])):
        expected = make().fit_transform(maps)
        with config_context(transform_output="pandas"):
            outputs = [make().fit_transform(maps), make().fit(maps).transform(maps)]
        outputs.append(make().set_output(transform="pandas").fit_transform(maps))
        for output in outputs:
            assert isinstance(output, MapArray)
            np.testing.assert_array_equal(np.asarray(output), np.asarray(expected))
    table = pd.DataFrame(np.arange(6.0).reshape(3, 2), columns=["a", "b"], index=list("xyz"))
    scaled = MapScaler().set_output(transform="pandas").fit_transform(table)
    assert scaled.columns.equals(table.columns)
    assert scaled.index.equals(table.index)
    voxels = MapMasker().set_output(transform="pandas").fit_transform(maps)
    np.testing.assert_array_equal(voxels, MapMasker().fit_transform(maps))
