"""A permutation test over all features that holds its level where noise differs between people."""

from __future__ import annotations

import numpy as np

from ._permuted_scores import freedman_lane, with_ties
from ._robust_score import RobustScore
from ._variance import Design, residuals

__all__ = ["robust_test"]

NOTHING_LEFT = 1e-10  # of the sum of squares over all features, which rounding leaves


def robust_test(
    values: np.ndarray, design: Design, n_permutations: int, random_state: np.random.Generator
) -> tuple[float, np.ndarray]:
    r"""Return a statistic of what a variable adds to a reduced model, and its permutations.

    The F statistic of an analysis of variance, permuted, rejects too often where sites differ in
    size and in noise. So each coordinate gets the score statistic with the covariance of White
    (1980), whose permutations hold their level then as well (DiCiccio & Romano 2017), and their
    mean is weighted by what the reduced model leaves of each,

    .. math:: T = \sum_j w_j T_j, \quad w_j = RSS_{0j} / \sum_l RSS_{0l},

    which is the pseudo F of a redundancy analysis where the noise is equal.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_coordinates)
        Features, or their coordinates; not all of them explained by the reduced model.
    design : Design
        What is held fixed, and what the variable adds.
    n_permutations : int
        Permutations of the residuals of the reduced model, which is then fitted again (Freedman &
        Lane 1983).
    random_state : numpy Generator
        Draws the permutations.

    Returns
    -------
    observed : float
        The statistic.
    null : ndarray of shape (n_permutations,)
        Its permutations; equal to `observed` where rounding alone differs.
    """
    left = residuals(values, design.reduced)
    weights = np.sum(left**2, axis=0)
    usable = weights > NOTHING_LEFT * weights.sum()
    left, weights = left[:, usable], weights[usable] / weights[usable].sum()
    observed = float(weights @ RobustScore(design.added).statistic(left))

    noise = (left / np.linalg.norm(left, axis=0)).astype(np.float32)
    rows = np.tile(np.arange(len(noise)), (n_permutations, 1))
    orders = random_state.permuted(rows, axis=1)
    null = np.empty(n_permutations)
    for batch, statistics in freedman_lane(noise, design.reduced, design.added, orders):
        null[batch] = statistics @ weights
    return observed, with_ties(null, observed)
