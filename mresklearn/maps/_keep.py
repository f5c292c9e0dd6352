"""Columns such as site that a table of features hands on beside the features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import MissingMetadataError
from ._map_array import MapArray


def split_kept(X: Any, keep: Sequence[str]) -> tuple[Any, pd.DataFrame | None]:
    """Take the columns that are handed on from the rows.

    Parameters
    ----------
    X : MapArray, DataFrame, or anything else
        A MapArray carries the columns as metadata, a DataFrame among its own columns.
    keep : sequence of str
        Names of the columns.

    Returns
    -------
    X : object
        The input; a DataFrame without the kept columns.
    kept : DataFrame or None
        One line per row, indexed by participant; None if `keep` is empty.

    Raises
    ------
    MissingMetadataError
        If the rows do not carry a column.
    """
    if not keep:
        return X, None
    frame = X if isinstance(X, pd.DataFrame) else None
    if isinstance(X, MapArray):
        frame = X.metadata
    columns = [] if frame is None else list(frame.columns)
    absent = [name for name in keep if name not in columns]
    if frame is None or absent:
        raise MissingMetadataError(
            f"keep names column(s) {absent}, but the rows of X carry {columns or 'no metadata'}. "
            f"Load files with MapLoader(metadata={list(keep)}), or give arrays their metadata "
            "with MapArray.from_array(maps, metadata=frame)."
        )
    kept = frame[list(keep)]
    if isinstance(X, MapArray):
        return X, kept.set_axis(X.participants)
    return X.drop(columns=list(keep)), kept


def with_kept(
    values: np.ndarray, names: Callable[[], np.ndarray], kept: pd.DataFrame | None
) -> Any:
    """Return the features alone, or as a DataFrame with the kept columns after them.

    Parameters
    ----------
    values : ndarray of shape (n, features), float32
        The features.
    names : callable
        Returns the names of all output columns; not called where there is nothing to hand on.
    kept : DataFrame or None
        Columns to hand on.
    """
    if kept is None:
        return values
    features = pd.DataFrame(values, index=kept.index, columns=names()[: values.shape[1]])
    return pd.concat([features, kept], axis=1)
