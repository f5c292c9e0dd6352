"""Intervals from a bootstrap distribution."""

from __future__ import annotations

import numpy as np
from scipy import stats

__all__ = ["bca_levels", "interval", "levels"]


def levels(confidence: float, n_units: int | None = None) -> np.ndarray:
    """Levels of the two quantiles that bound the interval.

    With `n_units` (persons or sites) they are expanded: the bootstrap distribution of a mean has
    the variance with divisor n, and normal tails, so the plain interval is too narrow. Levels q
    with ``z(q) * sqrt((n - 1) / n) = t(p, n - 1)`` mend both (Hesterberg 2015).
    """
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if n_units is None:
        return tails
    return stats.norm.cdf(np.sqrt(n_units / (n_units - 1)) * stats.t.ppf(tails, n_units - 1))


def bca_levels(
    confidence: float, estimate: float, distribution: np.ndarray, jackknife: np.ndarray
) -> np.ndarray:
    """Levels corrected for bias and skewness (Efron 1987); NaN where undefined."""
    below = np.mean(distribution < estimate) + np.mean(distribution == estimate) / 2
    if not 0 < below < 1:
        return np.full(2, np.nan)
    bias = stats.norm.ppf(below)
    influence = jackknife.mean() - jackknife
    squares = (influence**2).sum()
    acceleration = (influence**3).sum() / (6 * squares**1.5) if squares > 0 else 0.0
    shifted = bias + stats.norm.ppf(levels(confidence))
    return stats.norm.cdf(bias + shifted / (1 - acceleration * shifted))


def interval(distribution: np.ndarray, at: np.ndarray) -> tuple[float, float]:
    """Read the bounds off; NaN where the statistic never moves, which tells no error."""
    if np.isnan(at).any() or len(distribution) == 0 or np.ptp(distribution) == 0:
        return np.nan, np.nan
    low, high = np.quantile(distribution, at)
    return float(low), float(high)
