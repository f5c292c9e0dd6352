"""Intervals and p of Cox coefficients from the likelihood itself, which few events need."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from ._partial_likelihood import CoxFit, PartialLikelihood

__all__ = ["profile"]


def profile(
    likelihood: PartialLikelihood, fit: CoxFit, column: int, confidence: float
) -> dict[str, Any]:
    """Profile-likelihood interval and likelihood-ratio p of one coefficient.

    With few events the likelihood is skewed, and Wald's interval is too short on one side.
    """
    others = likelihood.without([column])
    values = likelihood.matrix[:, column]
    centre = float(fit.coefficients[column])
    start = np.delete(fit.coefficients, column)
    error = float(np.sqrt(np.linalg.inv(fit.information)[column, column]))

    def drop(at: float) -> float:
        """Twice the fall of the likelihood where this coefficient is held at a value."""
        return 2 * (fit.value - others.maximise(at * values, start).value)

    allowed = float(stats.chi2.ppf(confidence, 1))
    statistic = max(drop(0.0), 0.0)
    return {
        "coefficient": centre,
        "standard_error": error,
        "low": _bound(drop, centre, -error, allowed),
        "high": _bound(drop, centre, error, allowed),
        "chi2": statistic,
        "p_value": float(stats.chi2.sf(statistic, 1)),
    }


def _bound(drop: Any, centre: float, step: float, allowed: float) -> float:
    """Walk out until the likelihood has fallen enough; infinite where it never does."""
    inside = centre
    for _ in range(8):
        outside = inside + step
        if drop(outside) > allowed:
            root = brentq(lambda at: drop(at) - allowed, *sorted((inside, outside)), xtol=1e-6)
            return float(root)
        inside, step = outside, 1.6 * step
    return float(np.sign(step) * np.inf)
