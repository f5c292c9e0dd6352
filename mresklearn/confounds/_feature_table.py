"""Images, embeddings and tables as one float32 table, a row a person, checked by person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..maps import MapArray, MapMasker
from ._numbers import as_numbers

__all__ = ["FeatureTable", "as_feature_table", "as_prediction", "check_same_people"]

CONSTANT = 1e-6  # of the largest value of a column, which float32 rounds to


@dataclass(frozen=True)
class FeatureTable:
    """Features of the people that have any, without columns that are incomplete or constant."""

    values: np.ndarray
    rows: np.ndarray
    note: str

    @property
    def n_features(self) -> int:
        """Number of columns that can be used."""
        return self.values.shape[1]


def as_feature_table(
    X: MapArray | ArrayLike, participants: pd.DataFrame, name: str
) -> FeatureTable:
    """Flatten maps to the voxels that most people have, and leave out what cannot be used.

    Parameters
    ----------
    X : MapArray or array-like of shape (n, features), (n, [channels,] x, y, z)
        Rows in the order of `participants`.
    participants : DataFrame of n rows
        The people.
    name : str
        What X is, for messages.

    Returns
    -------
    table : FeatureTable
        Centred float32 values of the people that have features, their row numbers, and a note on
        what was left out.
    """
    check_same_people(X, participants, name)
    values = _flatten(X, len(participants), name)
    finite = np.isfinite(values)
    rows = np.flatnonzero(finite.any(axis=1))
    complete = finite[rows].all(axis=0)
    if len(rows) < len(values) or not complete.all():
        values = values[rows][:, complete]
    else:
        values = values.copy()
    size = np.abs(values).max(axis=0, initial=0.0)
    values -= values.mean(axis=0, dtype=np.float64).astype(np.float32)
    moving = np.abs(values).max(axis=0, initial=0.0) > CONSTANT * size
    note = _note(len(finite) - len(rows), int((~complete).sum()), int((~moving).sum()))
    if not moving.all():
        values = values[:, moving]
    return FeatureTable(values, rows, note)


def as_prediction(prediction: ArrayLike, participants: pd.DataFrame) -> np.ndarray:
    """Return predictions as one float a person, NaN where there is none."""
    check_same_people(prediction, participants, "prediction")
    numbers = as_numbers(prediction, "prediction")
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = numbers[:, 0]
    if numbers.shape != (len(participants),):
        raise ValueError(
            f"prediction must hold one number for each of the {len(participants)} participants, "
            f"got shape {numbers.shape}."
        )
    return np.where(np.isfinite(numbers), numbers, np.nan)


def check_same_people(X: object, participants: pd.DataFrame, name: str) -> None:
    """Compare the ids that come with X with those of the table, where both have ids."""
    ids = X.participants if isinstance(X, MapArray) else getattr(X, "index", None)
    if not isinstance(ids, pd.Index) or isinstance(ids, pd.RangeIndex):
        return
    if isinstance(participants.index, pd.RangeIndex) or ids.equals(participants.index):
        return
    differing = ids[: len(participants)] != participants.index[: len(ids)]
    where = np.flatnonzero(differing)
    first = f", first at row {where[0]}" if len(where) else ""
    how = (
        "the same people in another order"
        if len(ids) == len(participants) and set(ids) == set(participants.index)
        else "other people"
    )
    raise ValueError(
        f"The rows of {name} are {how} than those of participants{first}. Bring them together by "
        "id, as in participants.loc[maps.participants]."
    )


def _flatten(X: MapArray | ArrayLike, n_rows: int, name: str) -> np.ndarray:
    """Return float32 features, a row a person; maps become the voxels that most people have."""
    if not isinstance(X, MapArray):
        X = np.asarray(X)
        if X.dtype.kind == "O":  # as tables with whole numbers that have gaps are
            X = as_numbers(X, name)
        if X.ndim == 1:
            X = X[:, None]
    if len(X) != n_rows:
        raise ValueError(f"{name} has {len(X)} rows, but participants has {n_rows}.")
    if X.ndim == 2:
        if not (np.issubdtype(X.dtype, np.number) or X.dtype == bool):
            raise ValueError(f"{name} must hold numbers, got dtype {X.dtype}.")
        return X.astype(np.float32, copy=False)
    if X.ndim not in (4, 5):
        raise ValueError(
            f"{name} must have shape (n, features), (n, x, y, z) or (n, channels, x, y, z), "
            f"got {X.shape}."
        )
    return np.asarray(MapMasker().fit_transform(X))  # a frame, where the user asked for frames


def _note(n_people: int, n_incomplete: int, n_constant: int) -> str:
    """Say what was left out, if anything."""
    parts = [
        f"{count} {one if count == 1 else many} left out"
        for count, one, many in (
            (n_people, "person without any value", "people without any value"),
            (n_incomplete, "column with missing values", "columns with missing values"),
            (n_constant, "constant column", "constant columns"),
        )
        if count
    ]
    return "; ".join(parts)
