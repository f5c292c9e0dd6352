"""How far patients are from controls in the age of each region, age, sex and site held fixed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit

from ..metrics import delong_ci

__all__ = ["separate_group"]

_SINGULAR = 1e-9  # share of a direction, or of somebody's residual, below which it is rounding


def separate_group(
    gap: np.ndarray,
    covariates: np.ndarray,
    codes: np.ndarray,
    group: int,
    *,
    apart: np.ndarray,
    confidence: float,
) -> pd.DataFrame | None:
    r"""Compare a group with the reference, region by region.

    Parameters
    ----------
    gap : ndarray of shape (n_people, n_regions)
        Gaps in years, one row a person.
    covariates : ndarray of shape (n_people, n_covariates)
        Ones, terms of age, sex and site.
    codes : ndarray of int of shape (n_people,)
        Group of each person; 0 is the reference.
    group : int
        The group to compare with it.
    apart : ndarray of bool of shape (n_people,)
        Patients without anybody of another group at their site, whom the area leaves out.
    confidence : float
        Coverage of the intervals.

    Returns
    -------
    table : DataFrame or None
        A row a region, columns auc, auc_low, auc_high, difference, difference_low, difference_high
        and p; NaN for regions whose gap follows from the design exactly. None if the covariates
        stand in for the difference.
    """
    design = np.column_stack([covariates, np.eye(codes.max() + 1)[codes][:, 1:]])
    fit = _LeastSquares(design, gap)
    contrast = np.zeros(design.shape[1])
    contrast[covariates.shape[1] + group - 1] = 1
    if not fit.is_estimable(contrast):
        return None
    table = _difference(fit, contrast, confidence)
    effects = fit.coefficients[: covariates.shape[1]]
    shifts = fit.left_out_shifts[:, : covariates.shape[1]]
    area = _area(gap, covariates, effects, shifts, codes, group, apart, confidence)
    table = pd.concat([area, table], axis=1)
    exact = np.abs(fit.residuals).max(axis=0) <= _SINGULAR * np.maximum(1, np.abs(gap).max(axis=0))
    table.loc[exact] = np.nan
    return table


class _LeastSquares:
    """Least squares of several responses on one design, of any rank.

    Parameters
    ----------
    design : ndarray of shape (n_people, n_columns)
        Columns of like size.
    responses : ndarray of shape (n_people, n_responses)
        Any unit.
    """

    def __init__(self, design: np.ndarray, responses: np.ndarray) -> None:
        basis, sizes, directions = np.linalg.svd(design, full_matrices=False)
        kept = sizes > _SINGULAR * sizes[0]
        self.basis, self._directions = basis[:, kept], directions[kept]
        self.to_rows = basis[:, kept] / sizes[kept] @ directions[kept]
        self.coefficients = self.to_rows.T @ responses
        self.residuals = responses - self.basis @ (self.basis.T @ responses)
        free = 1 - (self.basis**2).sum(axis=1)
        # people whom a column describes alone say nothing of the others
        self.free = np.where(free > _SINGULAR, free, np.inf)

    def is_estimable(self, contrast: np.ndarray) -> bool:
        seen = self._directions.T @ (self._directions @ contrast)
        return bool(np.linalg.norm(seen - contrast) < 1e-6)

    @property
    def left_out_shifts(self) -> np.ndarray:
        """What leaving each person out adds to the coefficients; (people, columns, responses)."""
        return -self.to_rows[:, :, None] * (self.residuals / self.free[:, None])[:, None, :]


def _difference(fit: _LeastSquares, contrast: np.ndarray, confidence: float) -> pd.DataFrame:
    """Estimate the difference; HC2 errors, with the degrees of freedom of Bell and McCaffrey.

    With one row a person, a = X (X'X)^+ c and b = a / sqrt(1 - h), the variance is sum(b^2 e^2) and
    df = tr(O)^2 / tr(O^2) of O = diag(b) (I - QQ') diag(b).
    """
    weight = (fit.to_rows @ contrast) ** 2 / fit.free
    error = np.sqrt(weight @ fit.residuals**2)
    leverage = (fit.basis**2).sum(axis=1)
    cross = fit.basis.T @ (weight[:, None] * fit.basis)
    df = (weight @ (1 - leverage)) ** 2 / (weight**2 @ (1 - 2 * leverage) + (cross**2).sum())
    difference = contrast @ fit.coefficients
    margin = stats.t.ppf((1 + confidence) / 2, df) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(difference / error), df)
    return pd.DataFrame(
        {
            "difference": difference,
            "difference_low": difference - margin,
            "difference_high": difference + margin,
            "p": p,
        }
    )


def _area(
    gap: np.ndarray,
    covariates: np.ndarray,
    effects: np.ndarray,
    shifts: np.ndarray,
    codes: np.ndarray,
    group: int,
    apart: np.ndarray,
    confidence: float,
) -> pd.DataFrame:
    """Area under the curve of the adjusted gap, with DeLong's interval widened for the adjustment.

    DeLong's variance is that of leaving people out one at a time, group by group (Efron's jackknife
    of two samples), with the scores as given. Here the adjustment is refitted without them too: to
    first order, the area then moves by its derivative with respect to the covariate effects.
    """
    compared = np.isin(codes, (0, group)) & ~apart
    positive = codes[compared] == group
    n_regions = gap.shape[1]
    columns = ["auc", "auc_low", "auc_high"]
    if min(positive.sum(), (~positive).sum()) < 2:
        return pd.DataFrame(np.nan, index=range(n_regions), columns=columns)
    scores = gap[compared] - covariates[compared] @ effects
    auc, placement = _placements(scores, positive)
    influence = np.zeros(gap.shape)
    n_own = np.where(positive, positive.sum(), (~positive).sum())[:, None]
    own_mean = np.where(
        positive[:, None], placement[positive].mean(0), placement[~positive].mean(0)
    )
    influence[compared] = -(placement - own_mean) / (n_own - 1)
    slopes = _slopes(scores, positive, covariates[compared], shifts)
    influence += np.einsum("ikr,kr->ir", shifts, slopes)
    variance = np.zeros(n_regions)
    for code in np.unique(codes):
        part = influence[codes == code]
        variance += (len(part) - 1) * part.var(axis=0)
    margin = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance)
    rows = []
    for region in range(n_regions):
        a = auc[region]
        if 0 < a < 1 and variance[region] > 0:
            margin_of_logit = margin[region] / (a * (1 - a))
            rows.append((a, *expit(logit(a) + np.array([-1, 1]) * margin_of_logit)))
        else:
            whole = delong_ci(positive, scores[:, region], confidence=confidence)
            rows.append((whole.auc, whole.low, whole.high))
    return pd.DataFrame(rows, columns=columns)


def _placements(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the area of each region, and each person's share of the other group in right order."""
    m, n = positive.sum(), (~positive).sum()
    ranks = stats.rankdata(scores, axis=0)
    placement = np.empty(scores.shape)
    placement[positive] = (ranks[positive] - stats.rankdata(scores[positive], axis=0)) / n
    below = ranks[~positive] - stats.rankdata(scores[~positive], axis=0)
    placement[~positive] = (m - below) / m
    return placement[positive].mean(axis=0), placement


def _slopes(
    scores: np.ndarray, positive: np.ndarray, covariates: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """Differentiate the area by each covariate effect, over a step of about its standard error.

    Areas are steps themselves; over smaller steps the derivative would be that of single pairs.
    """
    step = np.sqrt((shifts**2).sum(axis=0))
    slopes = np.zeros(step.shape)
    for column, size in enumerate(step):
        if not (size > 0).any() or np.ptp(covariates[:, column]) == 0:
            continue
        move = covariates[:, [column]] * size
        up, down = _placements(scores - move, positive)[0], _placements(scores + move, positive)[0]
        slopes[column] = (up - down) / np.where(size > 0, 2 * size, np.inf)
    return slopes
