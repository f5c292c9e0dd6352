"""Features, site and covariates of each row, from the columns of X or from keywords."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import MissingMetadataError

__all__ = ["Rows", "split_rows"]


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
) -> Rows:
    """Take site and covariates from the columns of X, or from the keywords.

    Parameters
    ----------
    X : DataFrame or array of shape (n, columns)
        Names match the columns of a DataFrame, positions those of an array.
    site_column, covariate_columns
        Where the columns are in X.
    site, covariates
        Keywords of the call, or None.
    may_lack : bool, default=False
        Whether the covariates may be absent.

    Raises
    ------
    MissingMetadataError
        If a column is in neither place.
    ValueError
        If site or covariates come both ways, or their lengths differ from X.
    """
    n_rows, names = X.shape[0], _names(X)
    taken: dict[str | int, int] = {}
    wanted = [] if site is not None or site_column is None else [site_column]
    wanted += [] if covariates is not None else list(covariate_columns)
    for column in wanted:
        position = _position(column, names, X.shape[1])
        if position is not None:
            taken[column] = position
        elif column == site_column or not may_lack:
            raise MissingMetadataError(_absent(column, names, is_site=column == site_column))
    _refuse_both(site, site_column, names, "site")
    if covariates is not None:
        for column in covariate_columns:
            _refuse_both(covariates, column, names, "covariates")
    frame = pd.DataFrame(
        {str(name): _column(X, taken[name]) for name in covariate_columns if name in taken},
        index=X.index if isinstance(X, pd.DataFrame) else range(n_rows),
    )
    if covariates is not None:
        frame = _given(covariates, covariate_columns, n_rows)
    if site is None and site_column in taken:
        site = _column(X, taken[site_column])  # type: ignore[index]
    if site is not None and len(site) != n_rows:
        raise ValueError(f"site has {len(site)} entries, but X has {n_rows} rows.")
    positions = np.setdiff1d(np.arange(X.shape[1]), list(taken.values()))
    features = X
    if taken:
        features = X.iloc[:, positions] if isinstance(X, pd.DataFrame) else X[:, positions]
    return Rows(features, positions, site, frame)


def _names(X: Any) -> list[Any] | None:
    return list(X.columns) if isinstance(X, pd.DataFrame) else None


def _position(column: str | int, names: list[Any] | None, n_columns: int) -> int | None:
    """Return where a column is: by name in a DataFrame, else by number."""
    if names is not None and column in names:
        return names.index(column)
    if names is None and not isinstance(column, str) and -n_columns <= column < n_columns:
        return int(column) % n_columns
    return None


def _column(X: Any, position: int) -> Any:
    if isinstance(X, pd.DataFrame):
        return X.iloc[:, position]
    values = X[:, position]
    # 1.0 in an array of numbers and 1 in a table are one label
    whole = values.dtype.kind == "f" and np.all(values == np.round(values))
    return values.astype(np.int64) if whole else values


def _given(covariates: Any, columns: Sequence[str | int], n_rows: int) -> pd.DataFrame:
    frame = covariates if isinstance(covariates, pd.DataFrame) else pd.DataFrame(covariates)
    if len(frame) != n_rows:
        raise ValueError(f"covariates has {len(frame)} rows, but X has {n_rows}.")
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    names = [str(name) for name in columns]
    return frame[[name for name in names if name in frame.columns]] if names else frame


def _refuse_both(given: Any, column: str | int | None, names: list[Any] | None, what: str) -> None:
    if given is not None and names is not None and column in names:
        raise ValueError(
            f"{what} comes twice: as a keyword, and as column '{column}' of X. Give it one way."
        )


def _absent(column: str | int, names: list[Any] | None, *, is_site: bool) -> str:
    where = (
        f"X has no column {column!r}"
        if names is not None
        else f"X is an array, in which {column!r} is no column number"
    )
    keyword = "site=" if is_site else "covariates="
    ways = (
        f"Hand it on with the rows, as RegionAverager(keep=[{column!r}]) or a DataFrame with that "
        f"column does, or pass {keyword} to fit and transform."
    )
    if is_site:
        ways += " site_column=None says that there is one site."
    return f"{where}. {ways}"
