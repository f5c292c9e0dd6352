"""How well the age from each region tells the age of people, with intervals over persons."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..metrics import brain_age_scores
from ..metrics._intervals import interval, levels

__all__ = ["age_sensitivity"]

_BLOCK = 256  # samples at a time, so that memory does not grow with their number


def age_sensitivity(
    predicted: np.ndarray,
    age: np.ndarray,
    person: np.ndarray,
    *,
    confidence: float,
    n_resamples: int,
    random: np.random.RandomState,
) -> pd.DataFrame:
    """Return error and correlation of each region, a row a region.

    Parameters
    ----------
    predicted : ndarray of shape (n_rows, n_regions)
        Ages from each region, in years.
    age : ndarray of shape (n_rows,)
        Chronological ages.
    person : ndarray of int of shape (n_rows,)
        Code of each row's person, 0, 1, ...
    confidence : float
        Coverage of the intervals.
    n_resamples : int
        Number of bootstrap samples; the same persons are drawn for all regions.
    random : RandomState
        What draws them.

    Returns
    -------
    table : DataFrame
        Columns mae, mae_low, mae_high, r, r_low, r_high and r2.
    """
    scores = [brain_age_scores(age, ages) for ages in predicted.T]
    n_people = int(person.max()) + 1
    draws = random.multinomial(n_people, np.full(n_people, 1 / n_people), size=n_resamples)
    blocks = [
        _weighted(draws[start : start + _BLOCK][:, person], predicted, age)
        for start in range(0, n_resamples, _BLOCK)
    ]
    error = np.vstack([mae for mae, _ in blocks])
    correlation = np.vstack([r for _, r in blocks])
    at = levels(confidence, n_people)
    rows = []
    for region, score in enumerate(scores):
        mae_low, mae_high = interval(error[:, region], at)
        r_low, r_high = interval(correlation[:, region], at)
        rows.append(
            {
                "mae": score.mae,
                "mae_low": mae_low,
                "mae_high": mae_high,
                "r": score.r,
                "r_low": r_low,
                "r_high": r_high,
                "r2": score.r2,
            }
        )
    return pd.DataFrame(rows)


def _weighted(
    weights: np.ndarray, predicted: np.ndarray, age: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return error and correlation of each sample (row) and region; weights are counts of rows."""
    share = weights / weights.sum(axis=1, keepdims=True)
    error = share @ np.abs(predicted - age[:, None])
    # about the overall means, so that nothing cancels
    x, y = predicted - predicted.mean(axis=0), age - age.mean()
    mean_x, mean_y = share @ x, (share @ y)[:, None]
    covariance = share @ (x * y[:, None]) - mean_x * mean_y
    variances = (share @ x**2 - mean_x**2) * ((share @ y**2)[:, None] - mean_y**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.where(variances > 0, covariance / np.sqrt(variances.clip(0)), np.nan)
    return error, correlation
