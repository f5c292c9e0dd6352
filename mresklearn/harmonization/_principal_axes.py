"""Leading principal axes of residuals that come a block of features at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["Blocks", "PrincipalAxes", "feature_blocks", "leading_axes"]

BLOCK_ELEMENTS = 2**18
RANK_TOLERANCE = 1e-12

Blocks = Callable[[slice], np.ndarray]


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """Where rows are centred and scaled, and the directions in which they then vary most.

    Parameters
    ----------
    mean, deviation : ndarray of shape (n_features,)
        Of the training rows; deviation is 1 where nothing varies.
    axes : ndarray of shape (n_axes, n_features)
        Of unit length; the largest entry of each is positive.
    shares : ndarray of shape (n_axes,)
        Share of the variance of all standardised features along each, falling.
    """

    mean: np.ndarray
    deviation: np.ndarray
    axes: np.ndarray
    shares: np.ndarray


def feature_blocks(n_rows: int, n_features: int, block_size: int | None) -> Iterator[slice]:
    """Yield slices of features, by default so many that a block of all rows is some megabytes."""
    width = block_size or max(64, BLOCK_ELEMENTS // max(n_rows, 1))
    for start in range(0, n_features, width):
        yield slice(start, min(start + width, n_features))


def leading_axes(
    block_of: Blocks,
    n_rows: int,
    varies: np.ndarray,
    wanted: float | int,
    *,
    block_size: int | None = None,
) -> PrincipalAxes:
    """Return the principal axes that explain most of the variance of standardised columns.

    The whole table is never formed: the matrix of inner products of rows, or of columns where they
    are fewer, is gathered block by block.

    Parameters
    ----------
    block_of : callable
        Returns all rows of a slice of columns, float64, in an array of its own.
    n_rows : int
        Rows.
    varies : ndarray of bool of shape (n_features,)
        Columns that take part.
    wanted : float or int
        Share of the variance to exceed, or number of axes.
    block_size : int or None, default=None
        Columns at a time.

    Returns
    -------
    found : PrincipalAxes
        The leading axes.

    Raises
    ------
    ValueError
        If there are fewer axes than `wanted`.
    """
    n_features = len(varies)
    blocks = list(feature_blocks(n_rows, n_features, block_size))
    mean, deviation = np.zeros(n_features), np.ones(n_features)

    def standardised(part: slice) -> np.ndarray:
        values = block_of(part)
        values -= mean[part]
        values /= deviation[part]
        values[:, ~varies[part]] = 0.0
        return values

    for part in blocks:
        values = block_of(part)
        mean[part] = values.mean(axis=0)
        if n_rows > 1:
            spread = values.std(axis=0, ddof=1)
            deviation[part] = np.where(varies[part] & (spread > 0), spread, 1.0)
    if n_rows > n_features:
        table = np.hstack([standardised(part) for part in blocks])
        size, axes = np.linalg.eigh(table.T @ table)
        size, axes = size[::-1], axes.T[::-1]
        n_axes = _number(size, wanted, n_rows)
        axes = axes[:n_axes].copy()
    else:
        products = np.zeros((n_rows, n_rows))
        for part in blocks:
            values = standardised(part)
            products += values @ values.T
        size, turn = np.linalg.eigh(products)
        size, turn = size[::-1], turn[:, ::-1]
        n_axes = _number(size, wanted, n_rows)
        weights = turn[:, :n_axes] / np.sqrt(size[:n_axes])
        axes = np.empty((n_axes, n_features))
        for part in blocks:
            axes[:, part] = weights.T @ standardised(part)
    shares = size[:n_axes] / max(np.maximum(size, 0).sum(), np.finfo(float).tiny)
    for axis in axes:
        if axis[np.abs(axis).argmax()] < 0:  # else the sign would depend on the machine
            axis *= -1
    return PrincipalAxes(mean, deviation, axes, shares)


def _number(size: np.ndarray, wanted: float | int, n_rows: int) -> int:
    """Return how many axes are wanted, of those along which rows differ at all."""
    rank = int(np.count_nonzero(size > RANK_TOLERANCE * max(size[0], np.finfo(float).tiny)))
    rank = min(rank, n_rows - 1)
    if not isinstance(wanted, float):
        if wanted > rank and n_rows > 1:
            raise ValueError(
                f"n_components is {wanted}, but {n_rows} people differ along {rank} directions "
                "beyond site and covariates. Ask for fewer, or for a share of the variance."
            )
        return min(int(wanted), rank)
    share = np.cumsum(size[:rank]) / np.maximum(size, 0).sum() if rank else np.empty(0)
    return min(int(np.searchsorted(share, wanted, side="right")) + 1, rank)
