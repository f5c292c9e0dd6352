"""What a fit needs of the features: their products with the design, by group of people.

Sums over people, so that maps are read one at a time and features may come in blocks; everything
else is algebra on matrices that know sites but no people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..maps import MapArray
from ..maps._map_array import inside

__all__ = ["GroupedSums", "blocks", "deal_groups", "sums_of_maps", "sums_of_table"]

VALUES_AT_A_TIME = 2**22


@dataclass(frozen=True, eq=False)
class GroupedSums:
    """Cross-products of sites, fixed columns and features in each group of people.

    Parameters
    ----------
    counts : ndarray of shape (n_groups, n_sites)
        People.
    site_fixed : ndarray of shape (n_groups, n_sites, n_fixed)
        Sums of the fixed columns by site.
    fixed : ndarray of shape (n_groups, n_fixed, n_fixed)
        Cross-products of the fixed columns.
    features : ndarray of shape (n_groups, n_sites + n_fixed, n_features)
        Sums of the centred features by site, then their products with the fixed columns.
    squares : ndarray of shape (n_features,)
        Sums of squares of the centred features, over all people.
    mean : ndarray of shape (n_features,)
        What the features were centred at.
    """

    counts: np.ndarray
    site_fixed: np.ndarray
    fixed: np.ndarray
    features: np.ndarray
    squares: np.ndarray
    mean: np.ndarray

    @property
    def n_people(self) -> int:
        """All people."""
        return int(self.counts.sum())

    @property
    def n_sites(self) -> int:
        """Columns of site."""
        return self.counts.shape[1]


def deal_groups(codes: np.ndarray, order_by: tuple[np.ndarray, ...], n_groups: int) -> np.ndarray:
    """Deal the people of each site to groups that resemble each other, without chance.

    Parameters
    ----------
    codes : ndarray of int of shape (n,)
        Sites.
    order_by : tuple of ndarray of shape (n,)
        What people of a site are sorted by: the last first, as in :func:`numpy.lexsort`.
    n_groups : int
        Number of groups; there and back, so that no group gets the lower one every time.

    Returns
    -------
    group : ndarray of int of shape (n,)
        Does not depend on the order of the rows.
    """
    order = np.lexsort((*order_by, codes))
    counts = np.bincount(codes)
    place = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    turn, step = np.divmod(place, n_groups)
    group = np.empty(len(codes), dtype=np.intp)
    group[order] = np.where(turn % 2 == 0, step, n_groups - 1 - step)
    return group


def sums_of_table(
    X: np.ndarray, codes: np.ndarray, fixed: np.ndarray, group: np.ndarray, n_groups: int
) -> GroupedSums:
    """Sum a table in blocks of features, which alone are copied."""
    design = np.hstack([_indicators(codes), fixed])
    members = [np.flatnonzero(group == g) for g in range(n_groups)]
    features = np.empty((n_groups, design.shape[1], X.shape[1]))
    squares, mean = np.empty(X.shape[1]), np.empty(X.shape[1])
    for part in blocks(*X.shape):
        block = X[:, part].astype(np.float64)
        mean[part] = block.mean(axis=0)
        block -= mean[part]
        squares[part] = np.einsum("ij,ij->j", block, block)
        for rows, sums in zip(members, features, strict=True):
            sums[:, part] = design[rows].T @ block[rows]
    return GroupedSums(*_design_sums(codes, fixed, group, n_groups), features, squares, mean)


def sums_of_maps(
    maps: MapArray,
    mask: np.ndarray,
    mean: np.ndarray,
    codes: np.ndarray,
    fixed: np.ndarray,
    group: np.ndarray,
    n_groups: int,
) -> GroupedSums:
    """Sum maps person by person; voxels that a person lacks count as the mean."""
    n_sites = codes.max() + 1
    features = np.zeros((n_groups, n_sites + fixed.shape[1], len(mean)))
    squares = np.zeros(len(mean))
    for sample, code, columns, place in zip(maps, codes, fixed, group, strict=True):
        present = np.tile(inside(sample)[mask], sample.shape[0])
        values = np.where(present, sample[:, mask].ravel() - mean, 0.0)
        squares += values**2
        features[place, code] += values
        for sums, weight in zip(features[place, n_sites:], columns, strict=True):
            sums += weight * values
    return GroupedSums(*_design_sums(codes, fixed, group, n_groups), features, squares, mean)


def blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices of columns of which a copy is small."""
    width = max(1, VALUES_AT_A_TIME // max(n_rows, 1))
    return (slice(start, start + width) for start in range(0, n_columns, width))


def _design_sums(
    codes: np.ndarray, fixed: np.ndarray, group: np.ndarray, n_groups: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return counts, sums and cross-products of the design by group."""
    sites = _indicators(codes)
    members = [group == g for g in range(n_groups)]
    return (
        np.array([sites[rows].sum(axis=0) for rows in members]),
        np.array([sites[rows].T @ fixed[rows] for rows in members]),
        np.array([fixed[rows].T @ fixed[rows] for rows in members]),
    )


def _indicators(codes: np.ndarray) -> np.ndarray:
    return (codes[:, None] == np.arange(codes.max() + 1)).astype(np.float64)
