"""What stands in an occluded place: the mean of a cohort, nothing, or another person's voxels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..maps import MapArray
from ..maps._map_array import inside

__all__ = ["Fill", "OthersFill", "SameFill", "cohort_fill", "count_brains"]

Fill = Callable[[int], list[np.ndarray]]
"""Takes the row of a person; returns full (channels, x, y, z) maps, each one replacement."""


def count_brains(maps: MapArray) -> np.ndarray:
    """Return in how many people's brain each voxel lies."""
    counts = np.zeros(maps.shape[2:], np.int64)
    for sample in maps:
        counts += inside(sample)
    return counts


def cohort_fill(reference: MapArray) -> np.ndarray:
    """Return the mean map over the people who have each voxel, as (channels, x, y, z) float32.

    Voxels that nobody has get the mean of the channel, so that a brain voxel is never filled with
    background, which is zero.
    """
    counts = np.zeros(reference.shape[2:], np.int64)
    totals = np.zeros(reference.shape[1:])
    for sample in reference:
        counts += inside(sample)
        totals += sample
    if not counts.any():
        raise ValueError("The reference has no brain voxel: every value is zero.")
    overall = totals.sum(axis=(1, 2, 3)) / counts.sum()
    mean = np.empty(totals.shape, np.float32)
    for out, total, value in zip(mean, totals, overall, strict=True):
        out[...] = np.divide(total, counts, out=np.full(counts.shape, value), where=counts > 0)
    return _as_brain(mean)


def _as_brain(volume: np.ndarray) -> np.ndarray:
    """Return maps without a voxel of zeros, which would be background."""
    volume[0][~inside(volume)] = np.finfo(np.float32).tiny
    return volume


@dataclass(frozen=True, eq=False)
class SameFill:
    """Give everybody the same replacement.

    Parameters
    ----------
    volume : ndarray of shape (channels, x, y, z)
        The replacement.
    """

    volume: np.ndarray

    def __call__(self, row: int) -> list[np.ndarray]:
        return [self.volume]


@dataclass(frozen=True, eq=False)
class OthersFill:
    """Give everybody the maps of other people; where those have no brain, the mean.

    Parameters
    ----------
    maps : MapArray
        All people.
    donors : ndarray of shape (repeats, n), int
        Row that each person gets voxels from.
    mean : ndarray of shape (channels, x, y, z)
        Mean map.
    """

    maps: MapArray
    donors: np.ndarray
    mean: np.ndarray

    def __call__(self, row: int) -> list[np.ndarray]:
        samples = (self.maps[int(donor)] for donor in self.donors[:, row])
        return [np.where(inside(sample), sample, self.mean) for sample in samples]
