"""Whether hazard ratios stay the same over time: Schoenfeld residuals against time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from ._partial_likelihood import CoxFit, PartialLikelihood

__all__ = ["proportional_hazards"]


def proportional_hazards(
    likelihood: PartialLikelihood,
    fit: CoxFit,
    duration: np.ndarray,
    event: np.ndarray,
    names: list[str],
) -> pd.DataFrame:
    """Score test of each coefficient against one that moves with time, and of all together.

    The score of theta in ``(beta + theta g(t)) x`` at theta = 0, with g(t) the share that has
    converted before t: Grambsch and Therneau (1994) with the covariance at each event in place of
    its average.
    """
    residuals, spread = likelihood.schoenfeld(fit.coefficients)
    clock = _share_before(duration, event)[likelihood.events]
    clock = clock - clock.mean()
    base = spread.sum(axis=0)
    score = clock @ residuals
    mixed = np.tensordot(clock, spread, axes=1)
    inner = np.tensordot(clock**2, spread, axes=1) - mixed @ np.linalg.inv(base) @ mixed
    scaled = residuals @ np.linalg.inv(base)
    rows = {}
    for column, name in enumerate(names):
        moves = np.ptp(clock) > 0 and inner[column, column] > 1e-10 * base[column, column]
        chi2 = score[column] ** 2 / inner[column, column] if moves else np.nan
        correlation = np.corrcoef(clock, scaled[:, column])[0, 1] if moves else np.nan
        rows[name] = {"correlation": correlation, "chi2": chi2, "df": 1}
    together = np.linalg.matrix_rank(inner, tol=1e-10 * np.trace(base)) == len(names)
    rows["all"] = {
        "correlation": np.nan,
        "chi2": score @ np.linalg.solve(inner, score) if together else np.nan,
        "df": len(names),
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("column")
    return table.assign(p_value=stats.chi2.sf(table.chi2, table.df))


def _share_before(duration: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Share converted before each time: a clock that late outliers do not stretch."""
    position = np.unique(duration, return_inverse=True)[1]
    happened = np.bincount(position, weights=event)
    leaving = np.bincount(position)
    at_risk = len(duration) - np.concatenate([[0], np.cumsum(leaving)[:-1]])
    free = np.cumprod(1 - happened / at_risk)
    return 1 - np.concatenate([[1.0], free[:-1]])[position]
