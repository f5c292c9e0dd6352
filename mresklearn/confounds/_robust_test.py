"""A permutation test over all features that holds its level where noise differs between people."""

import numpy as np

from ._robust_score import RobustScore
from ._variance import residuals

__all__ = ["robust_test"]

# numbers in a working array: what a processor core keeps at hand
CELLS = 2**18


def robust_test(values, design, n_permutations, random_state):
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
        Features, or their coordinates.
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
        Its permutations.
    """
    left = residuals(values, design.reduced)
    weights = np.sum(left**2, axis=0)
    left = left[:, weights > 1e-10 * weights.sum()]
    weights = weights[weights > 1e-10 * weights.sum()]
    weights = weights / weights.sum()
    observed = float(weights @ RobustScore(design.added).statistic(left))

    score = RobustScore(design.added, np.float32)
    reduced = design.reduced.astype(np.float32)
    noise = (left / np.linalg.norm(left, axis=0)).astype(np.float32)
    batch = max(1, CELLS // noise.size)
    null = np.empty(n_permutations)
    for start in range(0, n_permutations, batch):
        size = min(batch, n_permutations - start)
        orders = random_state.permuted(np.tile(np.arange(len(noise)), (size, 1)), axis=1)
        permuted = noise[orders.T].reshape(len(noise), -1)
        permuted -= reduced @ (reduced.T @ permuted)
        null[start : start + size] = score.statistic(permuted).reshape(size, -1) @ weights
    return observed, null
