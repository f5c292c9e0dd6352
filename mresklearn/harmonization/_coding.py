"""Covariates as numeric columns of a design, coded as in training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from .._metadata import name_rows
from ..exceptions import HarmonizationWarning, MissingMetadataError
from ._smooth_terms import basis, curvature, spline_knots

__all__ = ["CovariateCoder", "numeric_frame"]


def numeric_frame(covariates: Any, n_rows: int) -> pd.DataFrame:
    """Return covariates as a DataFrame of finite numbers, without columns if there are none.

    Raises
    ------
    ValueError
        If lengths differ, or a value is missing or not a number.
    """
    if covariates is None:
        return pd.DataFrame(index=range(n_rows))
    frame = covariates if isinstance(covariates, pd.DataFrame) else pd.DataFrame(covariates)
    if len(frame) != n_rows:
        raise ValueError(f"covariates has {len(frame)} rows, but X has {n_rows}.")
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    for name, column in frame.items():
        if not pd.api.types.is_numeric_dtype(column):
            raise ValueError(
                f"Covariate '{name}' holds {column.dtype} values. Code it as numbers first, the "
                "same in every part of the study."
            )
        _refuse_missing(name, column)
    return frame.astype(np.float64)


class CovariateCoder(BaseEstimator):
    """Code covariates as columns: numbers as they are, categories as indicators, curves as splines.

    Parameters
    ----------
    smooth : sequence of str, default=()
        Covariates that act in a curve.

    Attributes
    ----------
    levels_ : dict of str to list of str
        Categories of each categorical covariate, sorted; the first has no column.
    knots_ : dict of str to ndarray
        Knots of each smooth covariate.
    columns_ : list of str
        Covariates that the coder was fitted on.
    names_ : list of str
        Names of the columns of the design.
    """

    def __init__(self, smooth: Sequence[str] = ()) -> None:
        self.smooth = smooth

    def fit(self, frame: pd.DataFrame) -> CovariateCoder:
        """Learn categories and knots from training people, who must miss nothing."""
        absent = [name for name in self.smooth if name not in frame.columns]
        if absent:
            raise ValueError(
                f"smooth names {absent}, but the covariates are {list(frame.columns)}. Name a "
                "covariate column, or 'target' where y is held fixed."
            )
        self.levels_, self.knots_ = {}, {}
        for name, column in frame.items():
            _refuse_missing(name, column)
            if not _is_number(column):
                self.levels_[name] = sorted(column.astype(str).str.strip().unique())
            if name in self.smooth:
                if name in self.levels_:
                    raise ValueError(f"smooth names '{name}', which holds categories, not numbers.")
                self.knots_[name] = spline_knots(column.to_numpy(np.float64), name)
        self.columns_ = list(frame.columns)
        self.names_ = [coded for name in self.columns_ for coded in self._names(name)]
        return self

    def transform(self, frame: pd.DataFrame, *, may_lack: Sequence[str] = ()) -> np.ndarray:
        """Return the design of new people, NaN where a covariate is missing.

        Parameters
        ----------
        frame : DataFrame of shape (n, covariates)
            Their covariates.
        may_lack : sequence of str, default=()
            Covariates that may be absent, or missing in rows.

        Returns
        -------
        design : ndarray of float64 of shape (n, len(names_))
            Coded covariates.
        """
        design = np.empty((len(frame), len(self.names_)))
        start = 0
        for name in self.columns_:
            width = len(self._names(name))
            part = design[:, start : start + width]
            start += width
            if name not in frame.columns:
                if name not in may_lack:
                    raise MissingMetadataError(
                        f"Covariate '{name}' was held fixed in fit, but these rows do not carry "
                        "it. Hand it on with them, or set missing_covariates='mean'."
                    )
                part[:] = np.nan
                continue
            if name not in may_lack:
                _refuse_missing(name, frame[name])
            part[:] = self._code(name, frame[name])
        return design

    def penalty(self) -> np.ndarray | None:
        """Return the roughness of all smooth covariates as one matrix, each of trace one."""
        if not self.knots_:
            return None
        penalty = np.zeros((len(self.names_), len(self.names_)))
        start = 0
        for name in self.columns_:
            width = len(self._names(name))
            if name in self.knots_:
                part = slice(start, start + width)
                penalty[part, part] = curvature(self.knots_[name])
            start += width
        return penalty

    def _names(self, name: str) -> list[str]:
        if name in self.levels_:
            return [f"{name}={level}" for level in self.levels_[name][1:]]
        if name in self.knots_:
            return [f"s({name}){k}" for k in range(1, len(self.knots_[name]) - 4)]
        return [name]

    def _code(self, name: str, column: pd.Series) -> np.ndarray:
        absent = column.isna().to_numpy()
        if name in self.levels_:
            text = column.astype(str).str.strip().to_numpy()
            unknown = sorted(set(text[~absent]) - set(self.levels_[name]))
            if unknown:
                raise ValueError(
                    f"Covariate '{name}' has values {unknown} that training people lacked; they "
                    f"had {self.levels_[name]}. Map them to these, or leave these rows out."
                )
            coded = (text[:, None] == np.array(self.levels_[name][1:], dtype=object)).astype(float)
            coded[absent] = np.nan
            return coded
        numbers = pd.to_numeric(column).to_numpy(np.float64)
        if name not in self.knots_:
            return numbers[:, None]
        low, high = self.knots_[name][[0, -1]]
        outside = (numbers < low) | (numbers > high)
        if outside.any():
            warnings.warn(
                f"Covariate '{name}' lies outside the training range of {low:g} to {high:g} in "
                f"{outside.sum()} rows, where its curve is unknown; they are treated as the "
                "nearest end.",
                HarmonizationWarning,
                stacklevel=5,
            )
        coded = np.full((len(numbers), len(self._names(name))), np.nan)
        coded[~absent] = basis(np.clip(numbers[~absent], low, high), self.knots_[name])
        return coded


def _is_number(column: pd.Series) -> bool:
    """Whether a covariate is a measurement: numbers, or text that never occurs in it."""
    if pd.api.types.is_numeric_dtype(column):
        return True
    return all(
        isinstance(value, int | float | np.number) and not isinstance(value, bool)
        for value in column
    )


def _refuse_missing(name: str, column: pd.Series) -> None:
    missing = column.isna().to_numpy()
    if not missing.any() and pd.api.types.is_numeric_dtype(column):
        missing = ~np.isfinite(column.to_numpy(np.float64))
    if missing.any():
        raise ValueError(
            f"Covariate '{name}' is missing or infinite in {missing.sum()} of {len(column)} rows: "
            f"{name_rows(missing, column)}. Fill it in, or drop those rows."
        )
