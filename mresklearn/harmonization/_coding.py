"""Covariates as numeric columns of a design, coded as in training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from .._metadata import name_rows
from .._warn_user import warn_user
from ..exceptions import HarmonizationWarning, MissingMetadataError
from ._smooth_terms import basis, curvature, spline_knots, straight_line

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
    frame = pd.DataFrame(covariates)
    if len(frame) != n_rows:
        raise ValueError(f"covariates has {len(frame)} rows, but X has {n_rows}.")
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    for name in frame:
        if not _is_number(frame[name]):
            raise ValueError(
                f"Covariate '{name}' holds {frame[name].dtype} values. Code it as numbers first, "
                "the same in every part of the study."
            )
        _refuse_missing(str(name), frame[name])
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
    means_ : ndarray of shape (n_coded,)
        Training mean of each column, which stands in for what is missing.
    """

    def __init__(self, smooth: Sequence[str] = ()) -> None:
        self.smooth = smooth

    @classmethod
    def of_numbers(cls, names: Sequence[str], means: np.ndarray) -> Self:
        """Return the coder of covariates that are numbers, of which only means are known."""
        coder = cls()
        coder.levels_, coder.knots_ = {}, {}
        coder.columns_ = coder.names_ = list(names)
        coder.means_ = means
        return coder

    def fit(self, frame: pd.DataFrame) -> Self:
        """Learn categories and knots from training people, who must miss nothing."""
        columns = [str(name) for name in frame]
        again = sorted({name for name in columns if columns.count(name) > 1})
        if again:
            raise ValueError(
                f"Covariate(s) {again} come twice. 'target' is what y is called where it is held "
                "fixed."
            )
        absent = [name for name in self.smooth if name not in columns]
        if absent:
            raise ValueError(
                f"smooth names {absent}, but the covariates are {columns}. Name a covariate "
                "column, or 'target' where y is held fixed."
            )
        self.columns_ = columns
        self.levels_: dict[str, list[str]] = {}
        self.knots_: dict[str, np.ndarray] = {}
        for name in columns:
            self._learn(name, frame[name])
        self.names_ = [coded for name in columns for coded in self._names(name)]
        self.means_ = np.zeros(len(self.names_))
        self.means_ = self.transform(frame).mean(axis=0)
        return self

    def transform(self, frame: pd.DataFrame, *, may_lack: Sequence[str] = ()) -> np.ndarray:
        """Return the design of new people, with training means where a covariate is missing.

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
        for name, place in self._places():
            if name in frame.columns:
                if name not in may_lack:
                    _refuse_missing(name, frame[name])
                design[:, place] = self._code(name, frame[name])
            elif name in may_lack:
                design[:, place] = np.nan
            else:
                raise MissingMetadataError(
                    f"Covariate '{name}' was held fixed in fit, but these rows do not carry it. "
                    "Hand it on with them, or set missing_covariates='mean'."
                )
        return np.where(np.isnan(design), self.means_, design)

    def roughness(self) -> list[np.ndarray]:
        """Return the penalty of each smooth covariate, as a matrix over all columns."""
        penalties = []
        for name, place in self._places():
            if name in self.knots_:
                penalty = np.zeros((len(self.names_), len(self.names_)))
                penalty[place, place] = curvature(self.knots_[name])
                penalties.append(penalty)
        return penalties

    def straightened(self) -> tuple[np.ndarray, list[str]]:
        """Return the map of the design to one where each curve is its covariate, and the names.

        Only the straight part of a curve is free of penalty, so this is what must be estimable.
        """
        parts, names = [], []
        for name, place in self._places():
            identity = np.eye(len(self.names_))[:, place]
            if name in self.knots_:
                identity = identity @ straight_line(self.knots_[name])[:, None]
            parts.append(identity)
            names += [name] if name in self.knots_ else self.names_[place]
        return np.hstack(parts) if parts else np.empty((0, 0)), names

    def _learn(self, name: str, column: pd.Series) -> None:
        """Learn the categories, or the knots, of one covariate."""
        _refuse_missing(name, column)
        if not _is_number(column):
            if name in self.smooth:
                raise ValueError(f"smooth names '{name}', which holds categories, not numbers.")
            self.levels_[name] = sorted(set(_text(column)))
        elif name in self.smooth:
            self.knots_[name] = spline_knots(_numbers(name, column), name)

    def _places(self) -> Iterator[tuple[str, slice]]:
        """Yield each covariate with its columns of the design."""
        start = 0
        for name in self.columns_:
            width = len(self._names(name))
            yield name, slice(start, start + width)
            start += width

    def _names(self, name: str) -> list[str]:
        if name in self.levels_:
            return [f"{name}={level}" for level in self.levels_[name][1:]]
        if name in self.knots_:
            return [f"s({name}){k}" for k in range(1, len(self.knots_[name]) - 4)]
        return [name]

    def _code(self, name: str, column: pd.Series) -> np.ndarray:
        """Return the columns of one covariate, NaN where it is missing."""
        if name in self.levels_:
            return self._indicators(name, column)
        numbers = _numbers(name, column)
        return self._spline(name, numbers) if name in self.knots_ else numbers[:, None]

    def _indicators(self, name: str, column: pd.Series) -> np.ndarray:
        text, absent = _text(column), _absent(column)
        unknown = sorted(set(text[~absent]) - set(self.levels_[name]))
        if unknown:
            raise ValueError(
                f"Covariate '{name}' has values {unknown} that training people lacked; they had "
                f"{self.levels_[name]}. Map them to these, or leave these rows out."
            )
        coded = (text[:, None] == np.array(self.levels_[name][1:], dtype=object)).astype(float)
        coded[absent] = np.nan
        return coded

    def _spline(self, name: str, numbers: np.ndarray) -> np.ndarray:
        low, high = self.knots_[name][[0, -1]]
        known = ~np.isnan(numbers)
        outside = (numbers < low) | (numbers > high)
        if outside.any():
            warn_user(
                f"Covariate '{name}' lies outside the training range of {low:g} to {high:g} in "
                f"{outside.sum()} rows, where its curve is unknown; they are treated as the "
                "nearest end.",
                HarmonizationWarning,
            )
        coded = np.full((len(numbers), len(self._names(name))), np.nan)
        coded[known] = basis(np.clip(numbers[known], low, high), self.knots_[name])
        return coded


def _is_number(column: pd.Series) -> bool:
    """Whether a covariate is a measurement, and no category."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return False
    return pd.api.types.is_numeric_dtype(column) or all(
        isinstance(value, Real) and not isinstance(value, bool) for value in column
    )


def _text(column: pd.Series) -> np.ndarray:
    """Return categories as text, without blanks at the ends; 1.0 and 1 are one category."""
    return np.array(
        [
            str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()
            for value in column
        ],
        dtype=object,
    )


def _absent(column: pd.Series) -> np.ndarray:
    """Return which rows have no value: none at all, or blank text."""
    absent = column.isna().to_numpy()
    return absent if pd.api.types.is_numeric_dtype(column) else absent | (_text(column) == "")


def _numbers(name: str, column: pd.Series) -> np.ndarray:
    """Return a measurement as float64, NaN where it is missing."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    text = np.isnan(numbers) & ~_absent(column)
    if text.any():
        raise ValueError(
            f"Covariate '{name}' held numbers in fit, but text in {text.sum()} of {len(column)} "
            f"rows: {name_rows(text, column)}."
        )
    return numbers


def _refuse_missing(name: str, column: pd.Series) -> None:
    missing = _absent(column)
    if not missing.any() and _is_number(column):
        missing = ~np.isfinite(_numbers(name, column))
    if missing.any():
        raise ValueError(
            f"Covariate '{name}' is missing or infinite in {missing.sum()} of {len(column)} rows: "
            f"{name_rows(missing, column)}. Fill it in, or drop those rows."
        )
