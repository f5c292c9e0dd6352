"""A content-addressed store of loaded samples on disk, shared by folds, processes and runs."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ._reading import MapReader, Sample

_FILE_DIGESTS: dict[tuple[str, int, int], str] = {}


def default_cache_folder() -> Path:
    """Return `$MRESKLEARN_CACHE`, or else `mresklearn/maps` in the user's cache folder."""
    named = os.environ.get("MRESKLEARN_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mresklearn" / "maps"


class MapCache:
    """Samples stored under a key of their files' content and of how they were read.

    A changed file or a changed parameter has another key, so no entry is ever stale. Entries are
    written to a temporary name and then moved, so a killed writer leaves nothing half-written; a
    damaged entry fails its checksum, counts as absent, and is written again.

    Parameters
    ----------
    folder : path-like
        Where entries live; created at the first write.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def key(self, row: tuple[Any, ...], reader: MapReader) -> str:
        """Return the key of a row of files under a reader."""
        digest = hashlib.blake2b(digest_size=20)
        digest.update(reader.fingerprint().encode())
        for path in row:
            digest.update(file_digest(path).encode())
        return digest.hexdigest()

    def path(self, key: str) -> Path:
        """Return where the entry of a key lives."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def get(self, key: str, *, verify: bool = True) -> Sample | None:
        """Return the sample of a key, or None if it is absent or damaged."""
        try:
            with safe_open(self.path(key), framework="np") as entry:
                about = entry.metadata() or {}
                data = entry.get_tensor("maps")
        except (OSError, SafetensorError):
            return None
        if verify and about.get("checksum") != array_digest(data):
            return None
        return Sample(data, json.loads(about.get("units", "{}")))

    def put(self, key: str, sample: Sample) -> None:
        """Store a sample in one atomic move."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        os.close(handle)
        try:
            about = {"checksum": array_digest(sample.data), "units": json.dumps(sample.units)}
            save_file({"maps": np.ascontiguousarray(sample.data)}, temporary, metadata=about)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def array_digest(array: np.ndarray) -> str:
    """Return a checksum of an array's bytes."""
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16).hexdigest()


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
