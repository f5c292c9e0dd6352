"""Confidence intervals: noncentral distributions, Fisher's z, a grouped jackknife, a bootstrap."""

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import chndtr, ncfdtr

__all__ = [
    "bootstrap_interval",
    "bounded",
    "cramers_v_interval",
    "explained_variance_interval",
    "jackknife_interval",
    "spearman_interval",
]


# beyond it the noncentral F distribution is not a number, and both limits are 1 but for rounding
HOPELESSLY_LARGE = 1e8


def explained_variance_interval(f_statistic, df_effect, df_error, n_rows, confidence):
    """Return limits of the share of variance that an F test speaks of, eta squared or partial R2.

    The limits of the noncentrality, divided by noncentrality plus n: Steiger (2004), Psychological
    Methods 9, 164-182, eq. 16 and 17. Exact for normal errors.
    """
    if f_statistic > HOPELESSLY_LARGE:
        return 1.0, 1.0
    low, high = _noncentrality_limits(
        lambda size: ncfdtr(df_effect, df_error, size, f_statistic),
        confidence,
        start=max(1.0, df_effect * f_statistic),
    )
    return low / (low + n_rows), high / (high + n_rows)


def cramers_v_interval(chi2, n_rows, n_levels_a, n_levels_b, confidence):
    """Return limits of Cramer's V from those of the noncentrality of chi squared.

    Smithson (2003), Confidence Intervals, Sage, chapter 4.
    """
    df = (n_levels_a - 1) * (n_levels_b - 1)
    low, high = _noncentrality_limits(
        lambda size: chndtr(chi2, df, size), confidence, start=max(1.0, chi2)
    )
    scale = n_rows * (min(n_levels_a, n_levels_b) - 1)
    return min(1.0, np.sqrt(low / scale)), min(1.0, np.sqrt(high / scale))


def spearman_interval(correlation, n_rows, confidence):
    """Return limits of Spearman's correlation: Bonett & Wright (2000), Psychometrika 65, 23-28."""
    bounded = np.clip(correlation, -1 + 1e-12, 1 - 1e-12)
    error = np.sqrt((1 + bounded**2 / 2) / (n_rows - 3))
    half = stats.norm.ppf(0.5 + confidence / 2) * error
    return tuple(np.tanh(np.arctanh(bounded) + np.array([-half, half])))


def jackknife_interval(statistic, estimate, strata, confidence, random_state, *, n_groups=30):
    """Return limits of any smooth statistic of people, by leaving out one group after the other.

    Resampling with replacement would repeat people, which a model with many parameters takes for
    signal, so that shares of variance come out too large; leaving people out does not.

    Parameters
    ----------
    statistic : callable
        Takes row numbers and returns a number or an array of numbers.
    estimate : float or ndarray
        The statistic of all rows.
    strata : ndarray of int of shape (n_rows,)
        Groups take their share of each stratum, so that none is lost.
    confidence : float
        Level, such as 0.95.
    random_state : numpy Generator
        Draws the groups.
    n_groups : int, default=30
        Number of groups; fewer for fewer people.

    Returns
    -------
    low, high : float or ndarray
        Limits, from Student's t with ``n_groups - 1`` degrees of freedom.

    References
    ----------
    .. [1] Kott, P. S. (2001). The delete-a-group jackknife. Journal of Official Statistics 17,
       521-526.
    """
    n_groups = min(n_groups, len(strata))
    order = np.lexsort((random_state.permutation(len(strata)), strata))
    group = np.empty(len(strata), dtype=int)
    group[order] = np.arange(len(strata)) % n_groups
    parts = np.array([statistic(np.flatnonzero(group != left)) for left in range(n_groups)])
    variance = (n_groups - 1) / n_groups * np.sum((parts - parts.mean(axis=0)) ** 2, axis=0)
    half = stats.t.ppf(0.5 + confidence / 2, n_groups - 1) * np.sqrt(variance)
    return estimate - half, estimate + half


def bounded(interval, least=0.0, most=1.0):
    """Cut limits to the range that the quantity can take."""
    return tuple(float(np.clip(limit, least, most)) for limit in interval)


def bootstrap_interval(draws, estimate, confidence):
    """Return the bias-corrected percentile interval: Efron (1987), JASA 82, 171-185, section 2."""
    draws = np.sort(np.asarray(draws, dtype=float))
    below = np.mean(draws < estimate) + np.mean(draws == estimate) / 2
    shift = stats.norm.ppf(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws)))
    tails = stats.norm.ppf([0.5 - confidence / 2, 0.5 + confidence / 2])
    return tuple(np.quantile(draws, stats.norm.cdf(2 * shift + tails)))


def _noncentrality_limits(distribution, confidence, start):
    """Find the noncentralities that put the observed statistic at the two tails."""
    limits = []
    for tail in (0.5 + confidence / 2, 0.5 - confidence / 2):
        if distribution(0.0) <= tail:
            limits.append(0.0)
            continue
        upper = start
        while distribution(upper) > tail:
            upper *= 2
        limits.append(brentq(lambda size, tail=tail: distribution(size) - tail, 0.0, upper))
    return tuple(limits)
