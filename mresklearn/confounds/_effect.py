"""One measured effect: its value, what chance gives, what is left of it, and how sure that is."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Effect", "mean_of", "not_estimable", "permutation_p"]

# a permutation that repeats the observed order must count as a tie, whatever the rounding
TIE = 1e-9


@dataclass(frozen=True)
class Effect:
    """A number with its null mean, corrected value, interval and permutation p."""

    measure: str
    value: float = np.nan
    null_mean: float = np.nan
    value_adj: float = np.nan
    interval: tuple = (np.nan, np.nan)
    p: float = np.nan
    n_permutations: int = 0
    status: str = "ok"
    reason: str = ""


def not_estimable(measure, reason):
    """Say why there is no number."""
    return Effect(measure, status="not_estimable", reason=reason)


def permutation_p(observed, null):
    """Share of permutations at least as large as observed, which counts as one of them.

    Phipson & Smyth (2010), Statistical Applications in Genetics and Molecular Biology 9, 39.
    """
    null = np.asarray(null)
    if null.size == 0 or not np.isfinite(observed):
        return np.nan
    tolerance = TIE * max(1.0, abs(observed))
    return (1 + np.count_nonzero(null >= observed - tolerance)) / (1 + null.size)


def mean_of(null):
    """Mean over permutations, NaN where there are none."""
    return float(np.mean(null)) if len(null) else np.nan
