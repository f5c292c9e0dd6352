"""Columns of a table that are no features: they ride with the rows to where they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from .._metadata import site_of_rows
from ..exceptions import MissingMetadataError
from ._rows import named_covariates

__all__ = ["covariates_of_table", "is_table", "site_of_table", "without_columns"]


def site_of_table(X: Any, site: Any, site_column: str) -> Any:
    """Return site from the keyword, else from the column of X, else None."""
    return site_of_rows(X, site_column) if site is None else site


def covariates_of_table(X: Any, covariates: Any, names: Sequence[str], n_rows: int) -> pd.DataFrame:
    """Return covariates from the keyword, else from the columns of X.

    Raises
    ------
    MissingMetadataError
        If a named covariate comes neither way.
    ValueError
        If the keyword has another number of rows, or an array another number of columns.
    """
    if covariates is None:
        columns = list(X.columns) if isinstance(X, pd.DataFrame) else []
        absent = [name for name in names if name not in columns]
        if absent:
            raise MissingMetadataError(
                f"Covariate(s) {absent} come neither as columns of X nor as a keyword. Hand them "
                f"on with the rows, as RegionAverager(keep={absent}) or a DataFrame with these "
                "columns does, or pass covariates= to fit."
            )
        return X[list(names)] if names else pd.DataFrame(index=range(n_rows))
    return named_covariates(covariates, names, n_rows)


def is_table(X: Any, names: Sequence[str]) -> bool:
    """Return whether X is a DataFrame with numbers beside these columns, and not one of paths."""
    return isinstance(X, pd.DataFrame) and any(
        pd.api.types.is_numeric_dtype(dtype)
        for name, dtype in X.dtypes.items()
        if name not in names
    )


def without_columns(X: Any, names: Sequence[str]) -> Any:
    """Return X without these columns, where it has them."""
    if not isinstance(X, pd.DataFrame):
        return X
    return X.drop(columns=[name for name in names if name in X.columns])
