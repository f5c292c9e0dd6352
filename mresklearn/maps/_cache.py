"""A content-addressed store of loaded samples on disk, shared by folds, processes and runs."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ._image_files import files_of
from ._reading import MapReader, Sample

_SUFFIX = ".safetensors"
_PART_SUFFIX = ".part"
_ABANDONED_AFTER_SECONDS = 3600
_USED_RESOLUTION_SECONDS = 60
_DEFAULT_GIGABYTES = 50.0

# Entries whose checksum this process has compared, or written, and that have not changed since.
_SOUND: set[tuple[str, int, int]] = set()
_FILE_DIGESTS: dict[tuple[str, int, int], str] = {}


def default_cache_folder() -> Path:
    """Return `$MRESKLEARN_CACHE`, or else `mresklearn/maps` in the user's cache folder."""
    named = os.environ.get("MRESKLEARN_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mresklearn" / "maps"


def default_cache_bytes() -> int:
    """Return the size limit: `$MRESKLEARN_CACHE_GB` gigabytes, 50 without it."""
    given = os.environ.get("MRESKLEARN_CACHE_GB", "")
    try:
        gigabytes = float(given) if given else _DEFAULT_GIGABYTES
    except ValueError as error:
        raise ValueError(
            f"MRESKLEARN_CACHE_GB={given!r} is no number of gigabytes. Give one, such as 20."
        ) from error
    return int(gigabytes * 1e9)


class Entry(NamedTuple):
    """One file of the cache."""

    key: str
    path: Path
    n_bytes: int
    last_used: float


class MapCache:
    """Samples stored under a key of their files' content and of how they were read.

    A changed file or a changed parameter has another key, so no entry is ever stale. Entries are
    written to a temporary name and then moved, so a killed writer leaves nothing half-written; a
    damaged entry fails its checksum, counts as absent, and is written again. When new entries make
    the store larger than its limit, those used longest ago go.

    Parameters
    ----------
    folder : path-like
        Where entries live; created at the first write.
    max_bytes : int or None, default=None
        Size limit; None takes `$MRESKLEARN_CACHE_GB`, 50 GB without it.
    """

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int | None = None) -> None:
        self.folder = Path(folder)
        self.max_bytes = max_bytes

    def key(self, row: tuple[Any, ...], reader: MapReader) -> str:
        """Return the key of a row of files under a reader.

        Raises
        ------
        DataError
            If a file of several, such as a pair of header and voxels, is absent or no image.
        OSError
            If a file cannot be read.
        """
        digest = hashlib.blake2b(digest_size=20)
        digest.update(reader.fingerprint().encode())
        for source in row:
            for path in files_of(source):
                digest.update(file_digest(path).encode())
        return digest.hexdigest()

    def path(self, key: str) -> Path:
        """Return where the entry of a key lives."""
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def get(self, key: str) -> Sample | None:
        """Return the sample of a key as it lies, or None if there is none to read."""
        try:
            voxels, bits, about = self._open(key)
            return Sample(_unpack(voxels, bits, about), **_findings(about))
        except (OSError, SafetensorError):
            return None

    def check(self, key: str) -> dict[str, dict] | None:
        """Return units and quality of a whole entry, or None if it is absent or damaged.

        The entry counts as used. Its content is compared with the checksum once in a process, and
        again if the file has changed since.
        """
        try:
            path = self.path(key)
            state = _state(path)
            if state in _SOUND:
                with safe_open(path, framework="np") as entry:
                    about = entry.metadata()
            else:
                voxels, bits, about = self._open(key)
                if about.get("checksum") != _checksum(voxels, bits):
                    return None
            if time.time() - state[2] / 1e9 > _USED_RESOLUTION_SECONDS:
                os.utime(path)
                state = _state(path)
            _SOUND.add(state)
        except (OSError, SafetensorError):
            return None
        return _findings(about)

    def _open(self, key: str) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
        with safe_open(self.path(key), framework="np") as entry:
            return entry.get_tensor("voxels"), entry.get_tensor("mask"), entry.metadata() or {}

    def put(self, key: str, sample: Sample) -> None:
        """Store a sample in one atomic move."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=_PART_SUFFIX)
        os.close(handle)
        voxels, bits = _pack(sample.data)
        about = {
            "checksum": _checksum(voxels, bits),
            "shape": json.dumps(sample.data.shape),
            "units": json.dumps(sample.units),
            "quality": json.dumps(sample.quality),
        }
        try:
            save_file({"voxels": voxels, "mask": bits}, temporary, metadata=about)
            os.replace(temporary, path)
            _SOUND.add(_state(path))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def entries(self) -> list[Entry]:
        """Return all entries, the one used longest ago first."""
        found = []
        for path in self.folder.glob(f"*/*{_SUFFIX}"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process pruned it meanwhile
                continue
            found.append(Entry(path.stem, path, status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: entry.last_used)

    def verify(self) -> list[Entry]:
        """Return the entries whose content does not match their checksum; all are read."""
        _SOUND.clear()
        damaged = []
        for entry in self.entries():
            used = entry.last_used
            if self.check(entry.key) is None:
                damaged.append(entry)
            else:
                os.utime(entry.path, (used, used))  # a look is no use
        return damaged

    def prune(self, max_bytes: int, *, dry_run: bool = False) -> list[Entry]:
        """Remove the entries used longest ago until the rest fits; return what goes.

        Parameters
        ----------
        max_bytes : int
            Size that may stay; 0 empties the store.
        dry_run : bool, default=False
            Only tell.
        """
        entries = self.entries()
        total = sum(entry.n_bytes for entry in entries)
        leaving = []
        for entry in entries:
            if total <= max_bytes:
                break
            leaving.append(entry)
            total -= entry.n_bytes
        if not dry_run:
            for entry in leaving:
                entry.path.unlink(missing_ok=True)
            self._remove_abandoned()
        return leaving

    def keep_within_limit(self) -> None:
        """Prune to the size limit; called after new entries were written."""
        limit = default_cache_bytes() if self.max_bytes is None else self.max_bytes
        self.prune(limit)

    def _remove_abandoned(self) -> None:
        """Remove what writers left that were killed long ago."""
        for path in self.folder.glob(f"*/*{_PART_SUFFIX}"):
            try:
                if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
                    path.unlink()
            except FileNotFoundError:
                continue


def _checksum(voxels: np.ndarray, bits: np.ndarray) -> str:
    """Return a checksum that any flipped bit changes."""
    return f"{zlib.crc32(bits.data, zlib.crc32(voxels.data)):08x}"


def _findings(about: dict[str, str]) -> dict[str, dict]:
    return {"units": json.loads(about["units"]), "quality": json.loads(about["quality"])}


def _state(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return (str(path), status.st_size, status.st_mtime_ns)


def _pack(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the brain voxels of each channel and the bits of the mask, each in order in memory."""
    brain = data[0] != 0
    for channel in data[1:]:
        brain |= channel != 0
    places = np.flatnonzero(brain)
    voxels = np.empty((len(data), len(places)), np.float32)
    for channel, out in zip(data, voxels, strict=True):
        np.take(channel, places, out=out)
    return voxels, np.packbits(brain)


def _unpack(voxels: np.ndarray, bits: np.ndarray, about: dict[str, str]) -> np.ndarray:
    """Return the maps with their background; a file holds brain voxels only, a quarter of all."""
    shape = json.loads(about["shape"])
    # as booleans: finding the nonzero ones among bytes takes four times as long
    places = np.flatnonzero(np.unpackbits(bits, count=math.prod(shape[1:])).view(bool))
    data = np.zeros((shape[0], math.prod(shape[1:])), np.float32)
    for channel, values in zip(data, voxels, strict=True):
        channel[places] = values
    return data.reshape(shape)


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return a checksum of a file's bytes, remembered while its size and time stay the same."""
    status = os.stat(path)
    known = (str(path), status.st_size, status.st_mtime_ns)
    if known not in _FILE_DIGESTS:
        with open(path, "rb") as handle:
            _FILE_DIGESTS[known] = hashlib.file_digest(
                handle, lambda: hashlib.blake2b(digest_size=20)
            ).hexdigest()
    return _FILE_DIGESTS[known]
