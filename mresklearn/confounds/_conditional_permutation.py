"""Permutations of site that keep what age says of it (Berrett et al. 2020)."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

__all__ = ["permute_given", "site_log_probability"]

N_STEPS = 50
LARGEST_EXPONENT = 300  # odds this large never lose, and their sum is finite


def site_log_probability(design: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return how likely each site is for each row, by a multinomial logistic regression.

    Parameters
    ----------
    design : ndarray of shape (n_rows, n_columns)
        Spline of age and covariates.
    codes : ndarray of int of shape (n_rows,)
        Site of each row, 0 to K - 1.

    Returns
    -------
    log_probability : ndarray of shape (n_rows, K)
        Natural logarithm, finite: the ridge of the regression keeps every site possible.
    """
    # columns of equal size, or the ridge would flatten what small ones say
    moving = design[:, np.ptp(design, axis=0) > 0]
    if moving.shape[1] == 0:
        share = np.bincount(codes) / len(codes)
        return np.tile(np.log(share), (len(codes), 1))
    # rotated to columns that do not overlap, since those of a spline do
    left, size, _ = np.linalg.svd(StandardScaler().fit_transform(moving), full_matrices=False)
    columns = left[:, size > 1e-7 * size[0]] * np.sqrt(len(codes))
    model = LogisticRegression(max_iter=2000, tol=1e-3).fit(columns, codes)
    decision = model.decision_function(columns)
    if decision.ndim == 1:  # of the second of two sites
        decision = np.column_stack([np.zeros(len(codes)), decision])
    # not the logarithm of probabilities, which can be 0
    return log_softmax(decision, axis=1)


def permute_given(
    codes: np.ndarray,
    log_probability: np.ndarray,
    n_permutations: int,
    random: np.random.RandomState,
    *,
    n_steps: int = N_STEPS,
    verbose: int = 0,
) -> np.ndarray:
    r"""Draw permutations of the sites, each as likely as the sites given age make it.

    Rows meet in random pairs and exchange their sites with the probability

    .. math:: \frac{q_i(c_j) q_j(c_i)}{q_i(c_i) q_j(c_j) + q_i(c_j) q_j(c_i)},

    so that a permutation :math:`\pi` has probability proportional to
    :math:`\prod_i q_i(c_{\pi(i)})`: algorithm 1 of Berrett, Wang, Barber & Samworth (2020), The
    conditional permutation test for independence while controlling for confounders, Journal of the
    Royal Statistical Society B 82, 175-197. All chains share one sequence of pairings, and start
    from a state reached from the data by the sequence in reverse; given the pairings, data and
    permutations are then exchangeable, so p is exact where q is true.

    Parameters
    ----------
    codes : ndarray of int of shape (n_rows,)
        Site of each row.
    log_probability : ndarray of shape (n_rows, K)
        log q, of each site for each row.
    n_permutations : int
        Permutations to draw.
    random : RandomState
        Source of randomness.
    n_steps : int, default=50
        Pairings of each chain, as in the paper.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    permuted : ndarray of int of shape (n_permutations, n_rows)
        Each row a rearrangement of `codes`.
    """
    n_pairs = len(codes) // 2
    pairings = [random.permutation(len(codes))[: 2 * n_pairs] for _ in range(n_steps)]
    pairings = [pairing.reshape(2, n_pairs) for pairing in pairings]
    hub = codes[:, None].copy()
    for pair in reversed(pairings):
        _exchange(hub, pair, log_probability, random)
    permuted = np.repeat(hub, n_permutations, axis=1)
    for pair in tqdm(pairings, disable=not verbose, desc="Conditional permutation", unit="step"):
        _exchange(permuted, pair, log_probability, random)
    return permuted.T


def _exchange(
    codes: np.ndarray, pair: np.ndarray, log_probability: np.ndarray, random: np.random.RandomState
) -> None:
    """Let the rows of each pair exchange their sites at random, in place, chain by chain."""
    i, j = pair
    of_i, of_j = codes[i], codes[j]
    difference = log_probability[i] - log_probability[j]
    odds = np.exp(np.clip(difference, -LARGEST_EXPONENT, LARGEST_EXPONENT))
    start = np.arange(len(i))[:, None] * odds.shape[1]
    stay, change = odds.take(start + of_i), odds.take(start + of_j)
    swap = random.random_sample(stay.shape) * (stay + change) < change
    codes[i] = np.where(swap, of_j, of_i)
    codes[j] = np.where(swap, of_i, of_j)
