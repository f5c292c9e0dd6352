"""How far patients are from controls in the age of each region, age, sex and site held fixed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..metrics._adjusted_area import AdjustedAreas
from ..metrics._cluster_robust import RobustLeastSquares

__all__ = ["separate_group"]

_EXACT = 1e-9  # share of the largest gap, below which a residual is rounding


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
        stand in for the difference, or do but for one person.
    """
    design = np.column_stack([covariates, np.eye(codes.max() + 1)[codes][:, 1:]])
    person = np.arange(len(gap))
    fit = RobustLeastSquares(design, gap, person)
    contrast = np.zeros(design.shape[1])
    contrast[covariates.shape[1] + group - 1] = 1
    if not fit.is_estimable(contrast) or fit.rests_on(contrast).any():
        return None
    areas = AdjustedAreas(gap, covariates, fit, codes=codes, person=person, apart=apart)
    auc, auc_low, auc_high = areas.between(group, 0, confidence)
    difference = fit.estimate(contrast)
    low, high = difference.interval(confidence)
    exact = np.abs(fit.residuals).max(axis=0) <= _EXACT * np.maximum(1, np.abs(gap).max(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):  # of exact ones
        p = difference.p_value()
    table = pd.DataFrame(
        {
            "auc": auc,
            "auc_low": auc_low,
            "auc_high": auc_high,
            "difference": difference.value,
            "difference_low": low,
            "difference_high": high,
            "p": p,
        }
    )
    table.loc[exact] = np.nan
    return table
