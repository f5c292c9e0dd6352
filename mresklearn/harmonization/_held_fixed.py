"""What is held fixed while sites are compared: the target, in a curve, and covariates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length, column_or_1d

from .._metadata import name_rows
from ..confounds._age_spline import ROWS_PER_COLUMN, age_spline
from ..confounds._variance import orthonormal
from ._coding import CovariateCoder

__all__ = ["HeldFixed", "hold_fixed"]


@dataclass(frozen=True, eq=False)
class HeldFixed:
    """Columns of a design that are held fixed, and the target among them.

    Parameters
    ----------
    design : ndarray of shape (n, columns)
        Orthogonal columns of mean square one, whose span holds the constant, every cubic spline of
        the target (or each of its categories), and the covariates.
    target : ndarray of shape (n, n_targets)
        The target itself, centred: one column for numbers, one fewer than categories else, none
        without a target.
    """

    design: np.ndarray
    target: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """One number a row that sorts by target."""
        return self.target @ np.arange(1, self.target.shape[1] + 1)


def hold_fixed(y: Any, covariates: pd.DataFrame, n_rows: int, *, n_knots: int) -> HeldFixed:
    """Code the target and the covariates of the training rows.

    Parameters
    ----------
    y : array-like of shape (n,) or None
        Numbers act in a curve; text, truth values and codes are categories. Codes are whole numbers
        that take no more values than the curve has columns, each in five rows on average.
    covariates : DataFrame of n rows
        Numbers act in a straight line; text is categories.
    n_rows : int
        Rows of X.
    n_knots : int
        Knots of the curve.

    Raises
    ------
    ValueError
        If y has another length or a value is missing; rows are named.
    """
    parts, target = [np.ones((n_rows, 1))], np.empty((n_rows, 0))
    if y is not None:
        values = _checked(y, n_rows)
        if _is_categorical(values, n_knots):
            codes, levels = pd.factorize(values, sort=True)
            target = (codes[:, None] == np.arange(1, len(levels))).astype(np.float64)
            parts.append(target)
        else:
            years = values.astype(np.float64)
            target = years[:, None]
            parts.append(age_spline(years, n_knots=n_knots))
    if len(covariates.columns):
        coded = CovariateCoder().fit(covariates).transform(covariates)
        parts.append(_standardised(coded))
    design = orthonormal(np.hstack(parts)) * np.sqrt(n_rows)
    return HeldFixed(design, target - target.mean(axis=0))


def _checked(y: Any, n_rows: int) -> np.ndarray:
    """Return one value a row, of which none is missing."""
    values = column_or_1d(y, warn=True)
    check_consistent_length(values, np.empty(n_rows))
    missing = pd.isna(values)
    if values.dtype.kind in "fc":
        missing |= ~np.isfinite(values)
    if missing.any():
        labels = y if isinstance(y, pd.Series) else values
        raise ValueError(
            f"Input y contains NaN or infinity in {missing.sum()} of {n_rows} rows: "
            f"{name_rows(missing, labels)}. Fill them in, or leave these people out."
        )
    return _as_numbers(values)


def _as_numbers(values: np.ndarray) -> np.ndarray:
    """Return objects that are all numbers as numbers, and other objects as text."""
    if values.dtype.kind in "fiub":
        return values
    if all(isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in values):
        return values.astype(np.float64)
    return values.astype(str)


def _is_categorical(values: np.ndarray, n_knots: int) -> bool:
    """Whether values are text, or codes: few whole numbers, each of several people."""
    if values.dtype.kind not in "fiu":
        return True
    n_values = len(np.unique(values))
    coded = n_values <= n_knots + 2 and ROWS_PER_COLUMN * n_values <= len(values)
    return coded and not np.any(values % 1)


def _standardised(columns: np.ndarray) -> np.ndarray:
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
