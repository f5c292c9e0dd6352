"""Tests of site that do not look at age: they are shown beside one that does, never alone."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import f as f_distribution
from sklearn.utils import Bunch, check_random_state

from ._permuted_scores import draw_permutations

__all__ = ["anova", "hsic"]


def anova(values: np.ndarray, codes: np.ndarray) -> Bunch:
    """Compare site means of one column: F, p of the F distribution, and the bias-free share.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        Prediction or gap.
    codes : ndarray of int of shape (n_rows,)
        Site of each row, 0 to K - 1.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        ``statistic``, ``null_mean``, ``p_value``, ``partial_r2`` (eta squared) and ``effect``
        (epsilon squared, Kelley 1935).
    """
    counts = np.bincount(codes)
    centred = values - values.mean()
    total = np.sum(centred**2)
    between = np.sum(np.bincount(codes, weights=centred) ** 2 / counts)
    df_between, df_within = len(counts) - 1, len(values) - len(counts)
    statistic = (between / df_between) / max((total - between) / df_within, np.finfo(float).tiny)
    return Bunch(
        statistic=float(statistic),
        null_mean=df_within / (df_within - 2),
        p_value=float(f_distribution.sf(statistic, df_between, df_within)),
        partial_r2=float(between / total),
        effect=float(1 - (1 - between / total) * (len(values) - 1) / df_within),
    )


def hsic(
    values: np.ndarray,
    codes: np.ndarray,
    n_permutations: int,
    random_state: int | np.random.RandomState | None,
) -> Bunch:
    r"""Measure any dependence of columns on site by the Hilbert-Schmidt criterion.

    The Gaussian kernel of values has the median distance as its bandwidth, that of sites is 1 for
    equal sites; p from free permutations. Source: Gretton et al. (2005), Measuring statistical
    dependence with Hilbert-Schmidt norms, ALT, equation 9.

    .. math:: \mathrm{HSIC} = \frac{1}{(n-1)^2} \mathrm{tr}(K H L H)

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
        Prediction or embedding.
    codes : ndarray of int of shape (n_rows,)
        Site of each row, 0 to K - 1.
    n_permutations : int
        Permutations.
    random_state : int, RandomState instance or None
        Seed.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        ``statistic`` and ``null`` of shape (n_permutations,).
    """
    distances = pdist(values)
    bandwidth = np.median(distances[distances > 0])
    kernel = squareform(np.exp(-0.5 * (distances / bandwidth) ** 2))
    np.fill_diagonal(kernel, 1.0)
    means = kernel.mean(axis=0)
    kernel += kernel.mean() - means - means[:, None]
    member = (codes[:, None] == np.unique(codes)).astype(float)

    def criterion(order: np.ndarray) -> float:
        rearranged = member[order]
        return float(np.sum(rearranged * (kernel @ rearranged)) / (len(codes) - 1) ** 2)

    orders = draw_permutations(len(codes), n_permutations, check_random_state(random_state))
    return Bunch(
        statistic=criterion(np.arange(len(codes))),
        null=np.array([criterion(order) for order in orders]),
    )
