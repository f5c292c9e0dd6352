"""Robust score statistics of permuted residuals, for many columns and permutations at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ._robust_score import RobustScore

__all__ = ["CELLS", "SCHEMES", "draw_permutations", "freedman_lane", "least_tie", "with_ties"]

# numbers in a block of columns: what a processor core keeps at hand
CELLS = {"freedman_lane": 2**17, "without_refit": 2**19}
ORDERS_AT_ONCE = 8
ROUNDING = 1e-5  # of statistics in float32, which are about 1 without an effect


def draw_permutations(
    n_rows: int,
    n_permutations: int,
    random: np.random.RandomState,
    strata: np.ndarray | None = None,
) -> np.ndarray:
    """Draw row orders of shape (n_permutations, n_rows), within strata where there are any."""
    orders = np.empty((n_permutations, n_rows), dtype=np.intp)
    strata = np.zeros(n_rows, dtype=int) if strata is None else strata
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        shuffled = random.random_sample((n_permutations, len(members))).argsort(axis=1)
        orders[:, members] = members[shuffled]
    return orders


def least_tie(observed: np.ndarray) -> np.ndarray:
    """Return the smallest permuted statistic that differs from the observed by rounding alone.

    Values of few levels, such as a yes or no, have so many equal permutations that p would come out
    several times too small without those that float32 puts below the data.
    """
    return observed - ROUNDING * np.maximum(1.0, np.abs(observed))


def with_ties(null: np.ndarray, observed: float) -> np.ndarray:
    """Make permutations equal to the data where rounding alone keeps them apart."""
    return np.where(np.abs(null - observed) <= observed - least_tie(observed), observed, null)


def freedman_lane(
    residuals: np.ndarray, reduced: np.ndarray, added: np.ndarray, orders: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Permute the residuals of the reduced model and fit it again, row by row.

    Parameters
    ----------
    residuals : ndarray of shape (n_rows, n_columns)
        What the reduced model leaves; their precision is that of the computation.
    reduced, added : ndarray of shape (n_rows, rank)
        Orthonormal bases of the reduced design, and of what is tested beyond it.
    orders : ndarray of int of shape (n_permutations, n_rows)
        Permutations of the rows.

    Yields
    ------
    batch : slice
        Some of the permutations.
    statistics : ndarray of shape (n_batch, n_columns)
        Their robust score statistics.
    """
    n_rows, n_columns = residuals.shape
    score, reduced = RobustScore(added, residuals.dtype), reduced.astype(residuals.dtype)
    for batch in _batches(max(1, CELLS["freedman_lane"] // residuals.size), len(orders)):
        moved = residuals[orders[batch].T].reshape(n_rows, -1)
        moved -= reduced @ (reduced.T @ moved)
        yield batch, score.statistic(moved).reshape(-1, n_columns)


def without_refit(
    residuals: np.ndarray, reduced: np.ndarray, added: np.ndarray, orders: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield about the same, from sums over rows; residuals of mean square 1."""
    n_rows, n_columns = residuals.shape
    score = RobustScore(added, residuals.dtype)
    linear = np.hstack([score.basis, reduced.astype(residuals.dtype)]).T.copy()
    products, squares = score.products.T.copy(), np.square(residuals)
    # to move the rows of the designs back is the same as to move the residuals, and cheaper
    places = np.argsort(orders, axis=1)
    for batch in _batches(ORDERS_AT_ONCE, len(orders)):
        sums, covariances = (
            (rows[:, places[batch]].reshape(-1, n_rows) @ columns).reshape(len(rows), -1, n_columns)
            for rows, columns in ((linear, residuals), (products, squares))
        )
        scores, taken_up = np.split(sums, [added.shape[1]])
        left = 1 - np.sum(np.square(taken_up), axis=0) / n_rows
        yield batch, score.of_sums(scores, covariances) / left


def _batches(n_batch: int, n_total: int) -> Iterator[slice]:
    """Cut `n_total` permutations into batches."""
    return (slice(start, start + n_batch) for start in range(0, n_total, n_batch))


SCHEMES = {"freedman_lane": freedman_lane, "without_refit": without_refit}
