"""write_maps: what is written is read back, and nothing is lost or overwritten on the way."""

import os

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mresklearn import MapArray, MapLoader, make_mre_cohort
from mresklearn.datasets import Cohort
from mresklearn.maps._grid import Grid
from mresklearn.maps._sources import ArraySource
from mresklearn.maps._writing import _safe, write_maps

AFFINE = [[2.0, 0, 0, -14], [0, 2, 0, -16], [0, 0, 3, -14.5], [0, 0, 0, 1]]


def some_maps(ids=("sub-01", "sub-02"), shape=(4, 5, 3)):
    rng = np.random.default_rng(0)
    array = rng.uniform(1, 4, (len(ids), 2, *shape)).astype(np.float32)
    array[:, 1] /= 5
    array[:, :, 0] = 0
    return MapArray(
        ArraySource(array),
        channels=("stiffness", "damping_ratio"),
        grid=Grid.from_arrays(shape, AFFINE),
        participants=list(ids),
    )


def test_files_hold_values_affine_and_unit(tmp_path):
    maps = some_maps()
    paths = write_maps(maps, tmp_path / "new" / "folder")
    assert paths.index.tolist() == ["sub-01", "sub-02"]
    assert paths.index.name == "participant_id"
    assert paths.columns.tolist() == ["stiffness", "damping_ratio"]
    for row in range(2):
        for channel, kind in enumerate(paths.columns):
            image = nib.load(paths.iloc[row][kind])
            assert image.get_data_dtype() == np.float32
            assert image.header.get_xyzt_units()[0] == "mm"
            np.testing.assert_array_equal(image.affine, AFFINE)
            np.testing.assert_array_equal(np.asarray(image.dataobj), maps[row][channel])
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == [
        "sub-01_damping_ratio.nii.gz", "sub-01_stiffness.nii.gz",
        "sub-02_damping_ratio.nii.gz", "sub-02_stiffness.nii.gz",
    ]  # fmt: skip


def test_a_cohort_on_another_grid_comes_back_the_same(tmp_path):
    cohort = make_mre_cohort(n_subjects=6, n_sites=2, voxel_size=8, random_state=0)
    maps = MapLoader(voxel_size=12).fit_transform(cohort.maps)
    paths = write_maps(maps, tmp_path)
    again = Cohort(maps=paths, participants=cohort.participants)
    loader = MapLoader()
    read = loader.fit_transform(again.maps)
    np.testing.assert_array_equal(np.asarray(read), np.asarray(maps))
    assert read.participants.equals(maps.participants)
    assert read.channels == maps.channels
    assert loader.grid_.same_as(maps.grid)
    assert loader.units_ == {"stiffness": "kPa"}


def test_rows_of_a_slice_only(tmp_path):
    maps = some_maps(ids=("a", "b", "c"))
    paths = write_maps(maps[[2, 0]], tmp_path)
    assert paths.index.tolist() == ["c", "a"]
    np.testing.assert_array_equal(nib.load(paths.loc["c", "stiffness"]).get_fdata(), maps[2][0])
    assert not list(tmp_path.glob("b_*"))
    assert write_maps(maps[[]], tmp_path / "empty").shape == (0, 2)


def test_nothing_is_overwritten_unless_asked(tmp_path):
    maps = some_maps()
    written = write_maps(maps[:1], tmp_path)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in os.listdir(tmp_path)}
    with pytest.raises(FileExistsError, match=r"2 of the files already: sub-01.*overwrite=True"):
        write_maps(maps, tmp_path)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in os.listdir(tmp_path)} == before
    doubled = maps.with_step(double)
    write_maps(doubled, tmp_path, overwrite=True)
    np.testing.assert_array_equal(
        nib.load(written.iloc[0, 0]).get_fdata(), 2 * maps[0][0].astype(np.float64)
    )
    assert len(os.listdir(tmp_path)) == 4


def double(sample):
    return 2 * sample


def test_a_failure_leaves_no_half_written_file(tmp_path):
    def fail_at_the_second(sample, seen=[]):  # noqa: B006
        seen.append(1)
        if len(seen) > 1:
            raise RuntimeError("out of reach")
        return sample

    with pytest.raises(RuntimeError, match="out of reach"):
        write_maps(some_maps().with_step(fail_at_the_second), tmp_path)
    assert sorted(os.listdir(tmp_path)) == [
        "sub-01_damping_ratio.nii.gz", "sub-01_stiffness.nii.gz",
    ]  # fmt: skip


def test_a_file_that_cannot_be_moved_is_removed(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr("mresklearn.maps._writing.os.replace", refuse)
    with pytest.raises(PermissionError):
        write_maps(some_maps(), tmp_path)
    assert os.listdir(tmp_path) == []


def test_files_stay_in_the_folder_whatever_the_id(tmp_path):
    folder = tmp_path / "maps"
    ids = ["../evil", "/etc/passwd", ".hidden", "a b", "Ünal", "c:d", "x\\y"]
    paths = write_maps(some_maps(ids=ids), folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps"]
    assert len(os.listdir(folder)) == 14
    assert not [name for name in os.listdir(folder) if name.startswith(".")]
    assert paths.index.tolist() == ids
    loaded = MapLoader(cache=None).fit_transform(paths)
    assert loaded.participants.tolist() == ids


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.text(max_size=12), second=st.text(max_size=12))
def test_names_are_safe_and_different_ids_get_different_names(first, second):
    if any("\ud800" <= letter <= "\udfff" for letter in first + second):
        return
    names = _safe(first), _safe(second)
    assert (names[0] == names[1]) == (first == second)
    for name in names:
        assert not set(name) & set('/\\:*?"<>| ')
        assert not name.startswith(".")
        assert name.isascii()


@pytest.mark.parametrize("ids", [("a", "a"), ("Sub", "sub")])
def test_ids_that_share_a_file_are_refused(tmp_path, ids):
    with pytest.raises(ValueError, match="one file"):
        write_maps(some_maps(ids=ids), tmp_path)
    assert os.listdir(tmp_path) == []


def test_numbered_people_become_text(tmp_path):
    maps = some_maps(ids=(1, 2))
    assert write_maps(maps, tmp_path).index.tolist() == ["1", "2"]


def test_maps_without_grid_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no grid"):
        write_maps(MapArray.from_array(np.ones((2, 3, 3, 3))), tmp_path)
    with pytest.raises(ValueError, match="maps"):
        write_maps(np.ones((2, 3, 3, 3)), tmp_path)


def test_paths_are_a_frame_for_the_loader(tmp_path):
    paths = write_maps(some_maps(), tmp_path)
    assert isinstance(paths, pd.DataFrame)
    assert all(isinstance(path, str) for path in paths.to_numpy().flat)
