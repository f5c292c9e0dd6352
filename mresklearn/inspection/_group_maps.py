"""Mean map of a group, and its standard error, one person at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["GroupMaps", "group_maps"]


@dataclass(frozen=True, eq=False)
class GroupMaps:
    """What persons have in common; NaN where too few have the voxel.

    Parameters
    ----------
    mean, standard_error, magnitude : ndarray of shape (x, y, z), float32
        Mean over persons, its standard error (NaN for one person), and mean of the absolute value.
    n_people : ndarray of shape (x, y, z), int
        Persons who have each voxel.
    """

    mean: np.ndarray
    standard_error: np.ndarray
    magnitude: np.ndarray
    n_people: np.ndarray


def group_maps(
    map_of: Callable[[int], np.ndarray], person: np.ndarray, coverage: float
) -> GroupMaps:
    """Summarise maps over persons, the rows of one person being averaged first.

    Parameters
    ----------
    map_of : callable
        Returns the (x, y, z) map of a row, NaN outside its brain.
    person : ndarray of shape (n,), int
        Code of the person of each row.
    coverage : float
        Share of persons who must have a voxel.
    """
    n_persons = int(person.max()) + 1
    count = total = squares = magnitude = np.zeros(())
    for number in range(n_persons):
        volume = _mean_of([map_of(int(row)) for row in np.flatnonzero(person == number)])
        present = ~np.isnan(volume)
        value = np.where(present, volume, 0)
        if number == 0:
            count, total, squares, magnitude = (np.zeros(volume.shape) for _ in range(4))
        # Welford (1962): no cancellation
        count += present
        step = np.where(present, value - total, 0)
        total = total + np.divide(step, count, out=np.zeros_like(total), where=count > 0)
        squares += step * np.where(present, value - total, 0)
        magnitude += np.abs(value)
    shown = (count >= coverage * n_persons) & (count > 0)
    at_least_one, more = np.maximum(count, 1), np.maximum(count - 1, 1)
    error = np.sqrt(squares / more / at_least_one)
    return GroupMaps(
        np.where(shown, total, np.nan).astype(np.float32),
        np.where(shown & (count > 1), error, np.nan).astype(np.float32),
        np.where(shown, magnitude / at_least_one, np.nan).astype(np.float32),
        count.astype(int),
    )


def _mean_of(volumes: Sequence[np.ndarray]) -> np.ndarray:
    """Average the maps of one person where there are any, in float64."""
    if len(volumes) == 1:
        return volumes[0].astype(np.float64)
    stack = np.stack(volumes).astype(np.float64)
    count = (~np.isnan(stack)).sum(axis=0)
    total = np.nansum(stack, axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
