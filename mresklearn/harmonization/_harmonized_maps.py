"""Maps that are harmonised when they are read, one person at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..maps import MapArray
from ..maps._map_array import inside

__all__ = ["HarmonizedRows", "fill_absent", "hold_in_range", "range_of", "read_voxels", "rows_of"]


@dataclass(frozen=True, eq=False)
class HarmonizedRows:
    """Rows of maps, harmonised inside a mask; a source of a :class:`MapArray`.

    Parameters
    ----------
    maps : MapArray
        What is harmonised.
    harmonizers : tuple of estimator
        One for each channel.
    mask : ndarray of bool of shape (x, y, z)
        Voxels that they were fitted on.
    fill : ndarray of shape (n_sites or 1, channels, voxels)
        Stands for voxels outside a person's own brain while the others are harmonised.
    limits : ndarray of shape (channels, 2)
        Range that harmonising does not leave.
    codes : ndarray of int of shape (n,)
        Row of `fill` of each person; -1 leaves a person as it is.
    labels : dict of str to array-like of n rows
        Site and covariates, as far as the harmonisers take them in `transform`.
    design : ndarray of shape (n, columns) or None
        Covariates as the harmonisers code them, so that they need not do it at every reading; None
        for harmonisers that have no such form.
    """

    maps: MapArray
    harmonizers: tuple[Any, ...]
    mask: np.ndarray
    fill: np.ndarray
    limits: np.ndarray
    codes: np.ndarray
    labels: dict[str, Any]
    design: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, channels, x, y, z)."""
        return self.maps.shape

    def read(self, row: int) -> np.ndarray:
        """Return one harmonised (channels, x, y, z) sample."""
        sample = self.maps[row]
        if self.codes[row] < 0:
            return sample
        present = inside(sample)[self.mask]
        harmonised = sample.copy()
        for channel, limits in enumerate(self.limits):
            raw = sample[channel][self.mask]
            filled = np.where(present, raw, self.fill[self.codes[row], channel])
            moved = hold_in_range(self._moved(filled[None], channel, row)[0], raw, limits)
            harmonised[channel][self.mask] = np.where(present, moved, raw)
        lost = inside(sample) & ~inside(harmonised)
        harmonised[0][lost] = np.finfo(np.float32).tiny  # zero would be background
        return harmonised

    def _moved(self, values: np.ndarray, channel: int, row: int) -> np.ndarray:
        """Return the voxels of one channel of one person, harmonised."""
        harmonizer, place = self.harmonizers[channel], slice(row, row + 1)
        if self.design is not None:
            return harmonizer._harmonised(values, self.codes[place], self.design[place])
        # a frame, where the user asked for frames
        return np.asarray(harmonizer.transform(values, **rows_of(self.labels, place)))

    def take(self, rows: np.ndarray) -> HarmonizedRows:
        """Return these rows only."""
        return replace(
            self,
            maps=self.maps[rows],
            codes=self.codes[rows],
            labels=rows_of(self.labels, rows),
            design=None if self.design is None else self.design[rows],
        )


def rows_of(labels: dict[str, Any], rows: Any) -> dict[str, Any]:
    """Return site and covariates of some rows."""
    return {
        name: value.iloc[rows] if hasattr(value, "iloc") else np.asarray(value, dtype=object)[rows]
        for name, value in labels.items()
    }


def hold_in_range(moved: np.ndarray, raw: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return harmonised values that did not leave a range; what lay outside it may stay there.

    Parameters
    ----------
    moved, raw : ndarray
        Values after and before harmonising.
    limits : ndarray of shape (2,)
        Lowest and highest value.
    """
    moved = np.maximum(moved, np.minimum(limits[0], raw))
    return np.minimum(moved, np.maximum(limits[1], raw))


def read_voxels(maps: MapArray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels of a mask, and who has them.

    Parameters
    ----------
    maps : MapArray of shape (n, channels, x, y, z)
        People.
    mask : ndarray of bool of shape (x, y, z)
        Voxels to read.

    Returns
    -------
    tables : ndarray of shape (channels, n, voxels), float32
        Zero where a person lacks a voxel.
    present : ndarray of bool of shape (n, voxels)
        Whether a voxel lies in a person's brain.
    """
    n_voxels = int(mask.sum())
    tables = np.empty((maps.shape[1], len(maps), n_voxels), np.float32)
    present = np.empty((len(maps), n_voxels), bool)
    for row, sample in enumerate(maps):
        tables[:, row] = sample[:, mask]
        present[row] = inside(sample)[mask]
    return tables, present


def fill_absent(tables: np.ndarray, present: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Put the mean of the person's site where a voxel is absent, or that of all if nobody has it.

    Parameters
    ----------
    tables : ndarray of shape (channels, n, voxels)
        Changed in place.
    present : ndarray of bool of shape (n, voxels)
        Voxels of each person; each voxel is somebody's.
    codes : ndarray of int of shape (n,)
        Site of each person.

    Returns
    -------
    fill : ndarray of shape (n_sites, channels, voxels), float32
        The means.
    """
    shape = codes.max() + 1, present.shape[1]
    counts = np.zeros(shape, np.int64)
    for code, here in zip(codes, present, strict=True):
        counts[code] += here
    fill = np.empty((shape[0], len(tables), shape[1]), np.float32)
    for channel, table in enumerate(tables):
        sums = np.zeros(shape)
        for code, values in zip(codes, table, strict=True):
            sums[code] += values
        overall = sums.sum(axis=0) / counts.sum(axis=0)
        fill[:, channel] = np.divide(
            sums, counts, out=np.tile(overall, (shape[0], 1)), where=counts > 0
        )
        for code, values, here in zip(codes, table, present, strict=True):
            np.copyto(values, fill[code, channel], where=~here)
    return fill


def range_of(table: np.ndarray, present: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest value that is present, a row at a time."""
    low, high = np.inf, -np.inf
    for values, here in zip(table, present, strict=True):
        low = min(low, float(values.min(where=here, initial=np.inf)))
        high = max(high, float(values.max(where=here, initial=-np.inf)))
    return low, high
