"""Reliability of a measure over two scans of the same people."""

from __future__ import annotations

import numpy as np
from scipy import stats


def reliability(scans: np.ndarray, confidence: float = 0.95) -> dict[str, float]:
    """Return ICC(1,1) with its exact interval, and the standard error of one scan.

    Shrout & Fleiss (1979), Psychological Bulletin 86, 420-428.

    Parameters
    ----------
    scans : ndarray of shape (n_people, 2)
        The measure at each scan.
    confidence : float, default=0.95
        Coverage of the interval.
    """
    n = len(scans)
    between = 2 * scans.mean(axis=1).var(ddof=1)
    within = (np.diff(scans, axis=1) ** 2).sum() / 2 / n
    ratio = between / within if within else np.nan  # predictions that are all alike
    tail = (1 + confidence) / 2
    low, high = ratio / stats.f.ppf(tail, n - 1, n), ratio * stats.f.ppf(tail, n, n - 1)
    icc, icc_low, icc_high = ((f - 1) / (f + 1) for f in (ratio, low, high))
    return {
        "people": n, "icc": icc, "low": icc_low, "high": icc_high, "sd of a scan": within**0.5
    }  # fmt: skip
