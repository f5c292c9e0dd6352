"""p values adjusted for the number of tests."""

from __future__ import annotations

import numpy as np
from scipy import stats

__all__ = ["CORRECTIONS", "adjust_p_values"]

CORRECTIONS = ("holm", "bonferroni", "fdr_bh", "fdr_by")


def adjust_p_values(p_values: np.ndarray, correction: str | None) -> np.ndarray:
    """Correct p for the number of tests, NaN apart.

    Parameters
    ----------
    p_values : ndarray
        Of any shape; all are one family.
    correction : {"holm", "bonferroni", "fdr_bh", "fdr_by"} or None
        Family-wise (Holm 1979) or false discovery rate (Benjamini & Hochberg 1995; Benjamini &
        Yekutieli 2001).

    Returns
    -------
    adjusted : ndarray
        Of the same shape.
    """
    known = np.isfinite(p_values)
    p, n_tests = p_values[known], int(known.sum())
    adjusted = np.full(p_values.shape, np.nan)
    if correction == "bonferroni":
        p = np.minimum(1, n_tests * p)
    elif correction == "holm":
        order = np.argsort(p)
        steps = np.maximum.accumulate(np.arange(n_tests, 0, -1) * p[order])
        p = np.minimum(1, steps[np.argsort(order)])
    elif correction is not None and n_tests:
        p = stats.false_discovery_control(p, method=correction.removeprefix("fdr_"))
    adjusted[known] = p
    return adjusted
