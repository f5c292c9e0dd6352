"""Features, site and covariates of each row, from the columns of X or from keywords."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .._metadata import labels_as_text
from ..exceptions import MissingMetadataError

__all__ = ["Rows", "named_covariates", "place_of", "split_rows"]


@dataclass(frozen=True, eq=False)
class Rows:
    """What a harmoniser gets of each row.

    Parameters
    ----------
    features : array or DataFrame of shape (n, features)
        X without the columns below.
    positions : ndarray of int of shape (features,)
        Their positions in X.
    site : Series, array or None
        Site of each row.
    covariates : DataFrame of shape (n, covariates)
        Covariates by name; without columns where there are none.
    """

    features: Any
    positions: np.ndarray
    site: Any
    covariates: pd.DataFrame


def split_rows(
    X: Any,
    *,
    site_column: str | int | None,
    covariate_columns: Sequence[str | int],
    site: Any,
    covariates: Any,
    may_lack: bool = False,
    may_repeat: bool = False,
) -> Rows:
    """Take site and covariates from the columns of X, or from the keywords.

    Parameters
    ----------
    X : DataFrame or array of shape (n, columns)
        Columns of a DataFrame go by name, or by position; those of an array by position.
    site_column, covariate_columns
        Where the columns are in X.
    site, covariates
        Keywords of the call, or None.
    may_lack : bool, default=False
        Whether the covariates may be absent.
    may_repeat : bool, default=False
        Whether site may be both a column and a keyword, if they agree: tools that hand site on to
        every step of a pipeline do not know which of them have it.

    Raises
    ------
    MissingMetadataError
        If a column is in neither place.
    ValueError
        If site or covariates come both ways, or their lengths differ from X.
    """
    places = {
        column: place_of(column, X)
        for column in (site_column, *covariate_columns)
        if column is not None
    }
    index = X.index if isinstance(X, pd.DataFrame) else pd.RangeIndex(X.shape[0])
    own = None if site_column is None else places[site_column]
    site = _site(X, site, site_column, own, may_repeat)
    if covariates is None:
        frame = _own_covariates(X, covariate_columns, places, index, may_lack)
    else:
        frame = _given_covariates(X, covariates, covariate_columns, places)
    taken = [place for place in places.values() if place is not None]
    positions = np.delete(np.arange(X.shape[1]), taken)
    return Rows(_columns(X, positions) if taken else X, positions, site, frame)


def place_of(column: str | int | None, X: Any) -> int | None:
    """Return the position of a column of X, or None where there is none of that name or number."""
    names = list(X.columns) if isinstance(X, pd.DataFrame) else []
    if column in names:
        return names.index(column)
    # a number among numbered columns is a name, not a position
    if isinstance(column, str | None) or not all(isinstance(name, str) for name in names):
        return None
    return int(column) % X.shape[1] if -X.shape[1] <= column < X.shape[1] else None


def _site(X: Any, site: Any, column: Any, place: int | None, may_repeat: bool) -> Any:
    """Return the site of each row, from the keyword or the column."""
    if site is None and column is None:
        return None
    if site is None and place is None:
        ways = " site_column=None says that there is one site."
        raise MissingMetadataError(_absent(X, column, "site=") + ways)
    own = None if place is None else _column(X, place)
    if site is None:
        return own
    if np.ndim(site) != 1 or len(site) != X.shape[0]:
        raise ValueError(f"site has shape {np.shape(site)}, but X has {X.shape[0]} rows.")
    if own is not None and not (may_repeat and _same_labels(site, own)):
        raise ValueError(
            f"site comes twice: as a keyword, and as column {column!r} of X. Give it one way."
        )
    return site


def _own_covariates(
    X: Any,
    columns: Sequence[str | int],
    places: dict[str | int, int | None],
    index: pd.Index,
    may_lack: bool,
) -> pd.DataFrame:
    """Return the covariates that are columns of X."""
    frame = {}
    for column in columns:
        place = places[column]
        if place is not None:
            name = str(X.columns[place] if isinstance(X, pd.DataFrame) else column)
            frame[name] = _column(X, place)
        elif not may_lack:
            raise MissingMetadataError(_absent(X, column, "covariates="))
    return pd.DataFrame(frame, index=index)


def _given_covariates(
    X: Any,
    covariates: Any,
    columns: Sequence[str | int],
    places: dict[str | int, int | None],
) -> pd.DataFrame:
    """Return the covariates of the keyword: those that are named, or all."""
    for column in columns:
        if places[column] is not None:
            raise ValueError(
                f"covariates come twice: as a keyword, and as column {column!r} of X. Give them "
                "one way."
            )
    frame = named_covariates(covariates, columns, X.shape[0])
    names = [str(name) for name in columns]
    return frame[[name for name in names if name in frame.columns]] if names else frame


def named_covariates(covariates: Any, columns: Sequence[str | int], n_rows: int) -> pd.DataFrame:
    """Return the covariates of a keyword by name; those of an array are the columns asked for.

    Raises
    ------
    ValueError
        If they have another number of rows, or an array another number of columns than are named.
    """
    named = isinstance(covariates, pd.DataFrame | dict) or (
        isinstance(covariates, pd.Series) and covariates.name is not None
    )
    frame = pd.DataFrame(covariates)
    if len(frame) != n_rows:
        raise ValueError(f"covariates has {len(frame)} rows, but X has {n_rows}.")
    names = [str(name) for name in (frame.columns if named or not columns else columns)]
    if len(names) != frame.shape[1]:
        raise ValueError(
            f"covariates has {frame.shape[1]} columns without names, but covariate_columns names "
            f"{names}. Give one for each, or a DataFrame."
        )
    return frame.set_axis(names, axis=1)


def _column(X: Any, place: int) -> Any:
    return X.iloc[:, place] if isinstance(X, pd.DataFrame) else X[:, place]


def _columns(X: Any, positions: np.ndarray) -> Any:
    """Return some columns, as a view where they lie together."""
    if isinstance(X, pd.DataFrame):
        return X.iloc[:, positions]
    if len(positions) and positions[-1] - positions[0] + 1 == len(positions):
        return X[:, positions[0] : positions[-1] + 1]
    return X[:, positions]


def _same_labels(first: Any, second: Any) -> bool:
    return bool(np.array_equal(labels_as_text(first)[0], labels_as_text(second)[0]))


def _absent(X: Any, column: str | int, keyword: str) -> str:
    where = (
        f"X has no column {column!r}"
        if isinstance(X, pd.DataFrame)
        else f"X is an array, in which {column!r} is no column number"
    )
    return (
        f"{where}. Hand it on with the rows, as RegionAverager(keep=[{column!r}]) or a DataFrame "
        f"with that column does, or pass {keyword} to fit and transform."
    )
