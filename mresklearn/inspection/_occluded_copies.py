"""Copies of people with one patch replaced, made when a model reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..maps._map_array import inside
from ._patches import Patches

__all__ = ["OccludedCopies"]


@dataclass(frozen=True, eq=False)
class OccludedCopies:
    """Rows of a MapArray, each a person's maps with one patch of their brain replaced.

    Parameters
    ----------
    samples : sequence of ndarray of shape (channels, x, y, z)
        Maps of each person.
    fills : sequence of sequence of ndarray of shape (channels, x, y, z)
        Replacements of each person.
    patches : Patches
        Where.
    plan : ndarray of shape (n, 3), int
        Person, replacement and patch of each row.
    channels : ndarray of int
        Channels that are replaced.
    """

    samples: list[np.ndarray]
    fills: list[list[np.ndarray]]
    patches: Patches
    plan: np.ndarray
    channels: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, channels, x, y, z)."""
        return (len(self.plan), *self.samples[0].shape)

    def read(self, row: int) -> np.ndarray:
        """Return one copy; background stays background."""
        person, number, patch = self.plan[row]
        copy = np.array(self.samples[person], order="C")
        flat = copy.reshape(len(copy), -1)
        voxels = self.patches.voxels(patch)
        voxels = voxels[inside(flat[:, voxels])]
        place = np.ix_(self.channels, voxels)
        flat[place] = self.fills[person][number].reshape(flat.shape)[place]
        return copy

    def take(self, rows: np.ndarray) -> OccludedCopies:
        """Return these rows only."""
        return replace(self, plan=self.plan[rows])
