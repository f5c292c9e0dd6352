"""The cache: read once, never stale, never half-written, never trusted when damaged."""

import os

import numpy as np
import pandas as pd
import pytest

from mresklearn import MapLoader
from mresklearn.maps import _reading
from mresklearn.maps._cache import MapCache, default_cache_folder


@pytest.fixture
def count_reads(monkeypatch):
    calls = []
    read = _reading.MapReader.read

    def counted(self, row):
        calls.append(row)
        return read(self, row)

    monkeypatch.setattr(_reading.MapReader, "read", counted)
    return calls


def entries(folder):
    return sorted(folder.rglob("*.safetensors"))


def load(people, folder, **parameters):
    loader = MapLoader(cache=folder, maps=["stiffness", "damping_ratio"], **parameters)
    return np.asarray(loader.fit_transform(people))


def test_each_file_is_read_once_over_fits_and_folds(people, tmp_path, count_reads):
    first = load(people, tmp_path / "kept")
    assert len(count_reads) == 24
    np.testing.assert_array_equal(load(people.iloc[4:], tmp_path / "kept"), first[4:])
    assert len(count_reads) == 24


def test_another_parameter_is_another_entry(people, tmp_path, count_reads):
    load(people, tmp_path)
    load(people, tmp_path, voxel_size=4)
    load(people, tmp_path, units={"stiffness": "kPa"})
    assert len(count_reads) == 72


def test_a_changed_file_is_read_again(people, tmp_path, write_map, count_reads):
    before = load(people, tmp_path / "kept")
    path = people.stiffness.iloc[2]
    write_map(os.path.basename(path), np.full(before.shape[2:], 2.0))
    os.utime(path, (1, 1))
    after = load(people, tmp_path / "kept")
    assert len(count_reads) == 25
    assert not np.array_equal(before[2], after[2])
    np.testing.assert_array_equal(np.delete(before, 2, axis=0), np.delete(after, 2, axis=0))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_entry_is_recomputed(people, tmp_path, count_reads, damage):
    whole = load(people, tmp_path / "kept")
    victim = entries(tmp_path / "kept")[7]
    content = bytearray(victim.read_bytes())
    if damage == "flip":
        content[-100] ^= 1
    victim.write_bytes(
        content if damage == "flip" else content[: len(content) // 2 * (damage == "cut")]
    )
    np.testing.assert_array_equal(load(people, tmp_path / "kept"), whole)
    assert len(count_reads) == 25
    load(people, tmp_path / "kept")
    assert len(count_reads) == 25


def test_an_entry_that_vanishes_after_loading_is_read_again(people, tmp_path):
    maps = MapLoader(cache=tmp_path / "kept", maps=["stiffness"]).fit_transform(people)
    before = np.asarray(maps)
    for path in entries(tmp_path / "kept"):
        path.unlink()
    np.testing.assert_array_equal(np.asarray(maps), before)


def test_a_writer_that_dies_leaves_no_entry(people, tmp_path, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        load(people, tmp_path / "kept")
    assert entries(tmp_path / "kept") == []
    assert not list((tmp_path / "kept").rglob("*.part"))


def test_the_default_folder_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MRESKLEARN_CACHE", str(tmp_path))
    assert default_cache_folder() == tmp_path
    monkeypatch.delenv("MRESKLEARN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert default_cache_folder() == tmp_path / "x" / "mresklearn" / "maps"


def test_images_in_memory_are_not_cached(people, tmp_path):
    import nibabel as nib

    images = pd.DataFrame({"stiffness": [nib.load(path) for path in people.stiffness]})
    MapLoader(cache=tmp_path / "kept").fit(images)
    assert MapCache(tmp_path / "kept").get("00") is None
    assert not (tmp_path / "kept").exists()
