"""Where the rows of a MapArray come from: an array, or files through a reader and a cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..exceptions import DataError
from ._cache import MapCache
from ._reading import MapReader


class Source(Protocol):
    """Rows of samples that are read one at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, channels, x, y, z)."""

    def read(self, row: int) -> np.ndarray:
        """Return one (channels, x, y, z) float32 sample, finite, background exactly zero."""

    def take(self, rows: np.ndarray) -> Source:
        """Return a source of these rows only, so that a pickled subset carries no other row."""


@dataclass(frozen=True)
class ArraySource:
    """Rows of a (n, channels, x, y, z) array or memmap; the cast to float32 is made per row."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def read(self, row: int) -> np.ndarray:
        sample = np.asarray(self.array[row], dtype=np.float32)
        if not np.isfinite(sample).all():
            raise DataError(
                f"Map in row {row} contains NaN or infinity. Load files with MapLoader, which "
                "masks them, or set the background of arrays to 0, e.g. with numpy.nan_to_num."
            )
        return sample

    def take(self, rows: np.ndarray) -> ArraySource:
        return ArraySource(self.array[rows])


@dataclass(frozen=True)
class FileSource:
    """Rows of files (or images in memory), read through a reader, from the cache if there is one.

    Parameters
    ----------
    rows : tuple of tuple
        One path (or image) per column of the reader.
    reader : MapReader
        What a row of files becomes.
    cache : MapCache or None
        Where read samples are kept.
    keys : tuple of (str or None)
        Cache key of each row; None for rows that are not cached.
    """

    rows: tuple[tuple[Any, ...], ...]
    reader: MapReader
    cache: MapCache | None = None
    keys: tuple[str | None, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), len(self.reader.channels), *self.reader.grid.shape)

    def read(self, row: int) -> np.ndarray:
        key = self.keys[row] if self.keys else None
        if self.cache is None or key is None:
            return self.reader.read(self.rows[row]).data
        kept = self.cache.get(key)  # checked when the array was made
        if kept is None:  # pruned meanwhile; writing it again would outgrow the limit
            kept = self.reader.read(self.rows[row])
        return kept.data

    def take(self, rows: np.ndarray) -> FileSource:
        return FileSource(
            tuple(self.rows[row] for row in rows),
            self.reader,
            self.cache,
            tuple(self.keys[row] for row in rows) if self.keys else (),
        )
