"""Statistics of one person's maps in many regions at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._map_array import inside


@dataclass(frozen=True, eq=False)
class RegionVoxels:
    """The voxels of each region, listed region by region; regions may overlap.

    Parameters
    ----------
    voxels : ndarray of shape (k,), int
        Flat index of each voxel on the grid.
    region : ndarray of shape (k,), int
        Number of its region, ascending.
    sizes : ndarray of shape (regions,), int
        Voxels of each region.
    """

    voxels: np.ndarray
    region: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of_masks(cls, masks: Sequence[np.ndarray]) -> RegionVoxels:
        """List the voxels of boolean masks, one mask a region."""
        voxels = [np.flatnonzero(mask) for mask in masks]
        sizes = np.array([len(part) for part in voxels])
        return cls(np.concatenate(voxels), np.repeat(np.arange(len(sizes)), sizes), sizes)

    def statistics(self, sample: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Summarise the brain voxels of each region.

        Parameters
        ----------
        sample : ndarray of shape (channels, x, y, z)
            One person's maps; background is zero.
        names : sequence of {"mean", "median", "std"}
            What to compute.

        Returns
        -------
        values : ndarray of shape (channels, regions, len(names)), float64
            NaN for regions without a brain voxel.
        coverage : ndarray of shape (regions,), float64
            Share of the region's voxels that lie in this person's brain.
        """
        values = sample.reshape(len(sample), -1)[:, self.voxels]
        brain = inside(values)
        values, region = values[:, brain], self.region[brain]
        counts = np.bincount(region, minlength=len(self.sizes))
        result = np.full((len(sample), len(self.sizes), len(names)), np.nan)
        for channel, out in zip(values, result, strict=True):
            for position, name in enumerate(names):
                out[:, position] = _STATISTICS[name](channel, region, counts)
        return result, counts / self.sizes


def _mean(values: np.ndarray, region: np.ndarray, counts: np.ndarray) -> np.ndarray:
    totals = np.bincount(region, weights=values, minlength=len(counts))
    return np.divide(totals, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def _std(values: np.ndarray, region: np.ndarray, counts: np.ndarray) -> np.ndarray:
    # two passes: the difference of two large sums would cancel
    deviation = values - _mean(values, region, counts)[region]
    return np.sqrt(_mean(deviation**2, region, counts))


def _median(values: np.ndarray, region: np.ndarray, counts: np.ndarray) -> np.ndarray:
    parts = np.split(values, np.cumsum(counts)[:-1])  # values come region by region
    return np.array([np.median(part) if part.size else np.nan for part in parts], dtype=float)


_STATISTICS = {"mean": _mean, "std": _std, "median": _median}
