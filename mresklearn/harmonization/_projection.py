"""Remove directions from rows: each row by itself, as a table or when a map is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..maps._kinds import kind_of
from ..maps._map_array import inside
from ._grouped_sums import blocks
from ._harmonized_maps import hold_in_range

__all__ = ["ProjectOut", "limits_of", "project_table"]


def project_table(
    X: np.ndarray, mean: np.ndarray, scale: np.ndarray, directions: np.ndarray
) -> np.ndarray:
    """Return rows without what they hold of the directions, in the precision of X."""
    projected = X.copy()
    parts = list(blocks(*X.shape))
    scores = np.zeros((len(X), len(directions)))
    for part in parts:
        scores += ((X[:, part] - mean[part]) / scale[part]) @ directions[:, part].T
    for part in parts:
        projected[:, part] = X[:, part] - scores @ (directions[:, part] * scale[part])
    return projected


@dataclass(frozen=True, eq=False)
class ProjectOut:
    """Remove directions from the voxels of one sample; picklable, so that folds can carry it.

    Voxels that a person lacks take no part and stay absent. The others stay in the range of the
    map, so that none falls out of the brain, which is where values differ from zero.

    Parameters
    ----------
    mask : ndarray of bool of shape (x, y, z)
        Voxels that take part.
    mean, scale : ndarray of shape (channels * voxels,), float32
        What is subtracted, and divided by, before directions are read.
    directions : ndarray of shape (rank, channels * voxels), float32
        Orthonormal directions in these units.
    limits : ndarray of shape (channels, 2), float32
        Range that values do not leave.
    """

    mask: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    limits: np.ndarray

    def __call__(self, sample: np.ndarray) -> np.ndarray:
        channels = len(sample)
        present = np.tile(inside(sample)[self.mask], channels)
        raw = sample[:, self.mask].ravel()
        standard = np.where(present, (raw - self.mean) / self.scale, np.float32(0))
        moved = raw - (self.directions @ standard) @ self.directions * self.scale
        projected = sample.copy()
        for channel, (before, after, here, limits) in enumerate(
            zip(*(part.reshape(channels, -1) for part in (raw, moved, present)), self.limits,
                strict=True)
        ):  # fmt: skip
            held = hold_in_range(after, before, limits)
            projected[channel][self.mask] = np.where(here, held, before)
        lost = inside(sample) & ~inside(projected)
        projected[0][lost] = np.finfo(np.float32).tiny
        return projected


def limits_of(channel: str, low: float, high: float) -> tuple[float, float]:
    """Return the range of a map kind where training values lie in it, or else what is positive.

    Parameters
    ----------
    channel : str
        Map kind.
    low, high : float
        Smallest and largest training value.
    """
    limits = kind_of(channel).limits
    if limits is not None and limits[0] <= low and high <= limits[1]:
        return limits
    return (low, np.inf) if low > 0 else (-np.inf, np.inf)
