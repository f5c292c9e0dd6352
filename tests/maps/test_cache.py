"""The cache: read once, never stale, never half-written, never trusted when damaged."""

import hashlib
import os
import pathlib
import signal
import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mresklearn import MapLoader
from mresklearn.exceptions import DataError
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
        load(people, tmp_path / "kept", n_jobs=1)  # other threads would still be writing
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


def test_the_store_stays_within_its_limit_and_keeps_what_was_used_last(people, tmp_path):
    cache = MapCache(tmp_path / "kept")
    load(people.iloc[:10], cache.folder)
    for age, entry in enumerate(cache.entries()):
        os.utime(entry.path, (1000 + age, 1000 + age))
    oldest = [entry.key for entry in cache.entries()][:4]
    load(people.iloc[:3], cache.folder)  # marks three as used
    total = sum(entry.n_bytes for entry in cache.entries())
    gone = cache.prune(int(total * 0.6))
    assert len(gone) == 4
    assert len(set(oldest) & {entry.key for entry in gone}) >= 1
    assert len(cache.entries()) == 6


def test_writing_beyond_the_limit_prunes(people, tmp_path, monkeypatch):
    load(people.iloc[:6], tmp_path / "kept")
    one = MapCache(tmp_path / "kept").entries()[0].n_bytes
    monkeypatch.setenv("MRESKLEARN_CACHE_GB", str(one * 8.5 / 1e9))
    whole = load(people, tmp_path / "kept")
    assert len(entries(tmp_path / "kept")) == 8
    np.testing.assert_array_equal(whole, load(people, None))
    monkeypatch.setenv("MRESKLEARN_CACHE_GB", "much")
    with pytest.raises(ValueError, match="'much' is no number of gigabytes"):
        load(people, tmp_path / "other")


def test_a_look_at_the_store_is_no_use_of_it(people, tmp_path):
    load(people.iloc[:3], tmp_path / "kept")
    cache = MapCache(tmp_path / "kept")
    for entry in cache.entries():
        os.utime(entry.path, (1000, 1000))
    assert cache.verify() == []
    assert {entry.last_used for entry in cache.entries()} == {1000}


def test_abandoned_parts_are_swept_and_fresh_ones_stay(people, tmp_path):
    load(people.iloc[:3], tmp_path / "kept")
    folder = entries(tmp_path / "kept")[0].parent
    old, fresh = folder / "a.part", folder / "b.part"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    MapCache(tmp_path / "kept").prune(10**12)
    assert not old.exists()
    assert fresh.exists()


KILLED = """
import os, signal, sys
import pandas as pd
from mresklearn import MapLoader
from mresklearn.maps import _cache
put, count = _cache.MapCache.put, [0]
save = _cache.save_file
def dying_save(tensors, path, metadata):
    count[0] += 1
    save(tensors, path, metadata=metadata)
    if count[0] == int(sys.argv[3]):
        with open(path, "r+b") as handle:
            handle.truncate(os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
_cache.save_file = dying_save
X = pd.read_pickle(sys.argv[1])
MapLoader(maps=["stiffness"], cache=sys.argv[2], n_jobs=1).fit(X)
"""


def test_two_kills_while_caching_leave_the_result_of_a_clean_run(people, tmp_path):
    """kill -9 in the middle of a write, twice; then a clean run gives identical maps."""
    people.to_pickle(tmp_path / "people.pickle")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "people.pickle"), str(tmp_path / "s")]
    for number in ("5", "9"):
        run = subprocess.run([*command, number], check=False)
        assert run.returncode == -signal.SIGKILL
    assert len(entries(tmp_path / "s")) == 4 + 8
    assert MapCache(tmp_path / "s").verify() == []
    loader = MapLoader(maps=["stiffness"], cache=tmp_path / "s")
    resumed = np.asarray(loader.fit_transform(people))
    clean = np.asarray(MapLoader(maps=["stiffness"], cache=None).fit_transform(people))
    np.testing.assert_array_equal(resumed, clean)
    assert len(entries(tmp_path / "s")) == 24


def test_persons_whose_maps_are_pairs_of_files_are_told_apart(people, tmp_path, count_reads):
    """Headers on one template are the same for everybody; the voxels lie in another file."""
    pairs = []
    for number, path in enumerate(people.stiffness[:2]):
        image = nib.load(path)
        nib.Nifti1Pair(image.get_fdata(dtype=np.float32), image.affine).to_filename(
            tmp_path / f"{number}.img"
        )
        pairs.append([str(tmp_path / f"{number}{ending}") for ending in (".hdr", ".img")])
    by_header, by_voxels = (pd.DataFrame({"stiffness": paths}) for paths in np.transpose(pairs))
    expected = np.asarray(MapLoader(cache=None).fit_transform(people[["stiffness"]][:2]))
    assert not np.array_equal(*expected)
    for frame in (by_header, by_voxels):
        loaded = MapLoader(cache=tmp_path / "kept").fit_transform(frame)
        np.testing.assert_array_equal(np.asarray(loaded), expected)
    assert len(entries(tmp_path / "kept")) == 2, "whichever file of the pair is named"
    before = len(count_reads)
    header = pathlib.Path(pairs[0][0])
    changed = bytearray(header.read_bytes())
    changed[148:154] = b"edited"  # the description
    header.write_bytes(changed)
    MapLoader(cache=tmp_path / "kept").fit(by_voxels)
    assert len(count_reads) == before + 1, "a changed header is a changed map"


def test_the_key_of_a_single_file_is_that_of_its_bytes(people):
    reader = MapLoader(cache=None, maps=["stiffness"]).fit(people[:1])._reader
    path = pathlib.Path(people.stiffness.iloc[0])
    content = hashlib.blake2b(path.read_bytes(), digest_size=20).hexdigest()
    expected = hashlib.blake2b((reader.fingerprint() + content).encode(), digest_size=20)
    assert MapCache("anywhere").key((path,), reader) == expected.hexdigest()
    assert '"version": 2}' in reader.fingerprint(), "so that stores stay valid"


def test_half_a_pair_and_a_folder_are_named(people, tmp_path):
    image = nib.load(people.stiffness.iloc[0])
    nib.Nifti1Pair(image.get_fdata(dtype=np.float32), image.affine).to_filename(tmp_path / "p.img")
    (tmp_path / "p.img").unlink()
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "folder").mkdir()
    good = people.stiffness.iloc[0]
    for bad in ("p.hdr", "folder.nii", "folder"):
        X = pd.DataFrame({"stiffness": [good, str(tmp_path / bad)]})
        with pytest.raises(DataError, match=bad.replace("hdr", "(hdr|img)")):
            MapLoader(cache=tmp_path / "kept").fit(X)
