"""What has to be known of maps before sums over people: which voxels take part, and their means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..maps import MapArray
from ..maps._map_array import inside
from ._projection import limits_of

__all__ = ["MapSurvey"]


@dataclass(frozen=True, eq=False)
class MapSurvey:
    """Findings of a first reading of all maps.

    Parameters
    ----------
    mask : ndarray of bool of shape (x, y, z)
        Voxels that enough people have.
    mean : ndarray of shape (channels * voxels,)
        Mean over the people who have them.
    limits : ndarray of shape (channels, 2), float32
        Range that projected maps must not leave.
    sizes : ndarray of shape (n,)
        Sum over the map of each person, which tells people of one age apart.
    """

    mask: np.ndarray
    mean: np.ndarray
    limits: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, maps: MapArray, coverage: float) -> MapSurvey:
        """Read maps person by person.

        Raises
        ------
        ValueError
            If no voxel has the coverage.
        """
        shape, channels = maps.shape[2:], len(maps.channels)
        counts, totals = np.zeros(shape, np.int64), np.zeros((channels, *shape))
        low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
        sizes = np.zeros(len(maps))
        for row, sample in enumerate(maps):
            brain = inside(sample)
            counts += brain
            totals += sample
            sizes[row] = sample.sum(dtype=np.float64)
            np.minimum(low, sample[:, brain].min(axis=1, initial=np.inf), out=low)
            np.maximum(high, sample[:, brain].max(axis=1, initial=-np.inf), out=high)
        mask = counts >= max(coverage * len(maps), 1)
        if not mask.any():
            raise ValueError(
                f"No voxel lies in the brain of {coverage:.0%} of the {len(maps)} training people. "
                "Lower coverage=, or check that the maps are registered to one template."
            )
        limits = [limits_of(*each) for each in zip(maps.channels, low, high, strict=True)]
        mean = (totals[:, mask] / counts[mask]).ravel()
        return cls(mask, mean, np.array(limits, np.float32), sizes)
