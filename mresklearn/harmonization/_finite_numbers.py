"""Errors that name rows and columns where features are missing, or text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from .._metadata import name_rows

__all__ = ["naming_bad_values"]


@contextmanager
def naming_bad_values(X: Any) -> Iterator[None]:
    """Replace scikit-learn's errors about NaN and text by ones that say where.

    Parameters
    ----------
    X : DataFrame or array of shape (n, features)
        What is validated inside.
    """
    try:
        yield
    except ValueError as error:
        frame = _frame(X)
        reason = None if frame is None else _text_in(frame) or _gaps_in(frame)
        if reason is None:
            raise
        raise ValueError(reason) from error


def _frame(X: Any) -> pd.DataFrame | None:
    """Return X as a DataFrame, or None where it is no table of real numbers and text."""
    if isinstance(X, pd.DataFrame):
        return X
    values = np.asarray(X)
    return pd.DataFrame(values) if values.ndim == 2 and values.dtype.kind in "fiubOU" else None


def _text_in(frame: pd.DataFrame) -> str | None:
    """Name columns whose entries are no numbers."""
    others = frame.select_dtypes(exclude="number")
    numbers = others.apply(pd.to_numeric, errors="coerce")
    text = [str(name) for name in others if (numbers[name].isna() & others[name].notna()).any()]
    if not text:
        return None
    return (
        f"Column(s) {', '.join(text)} of X hold text. Name them as site_column or in "
        "covariate_columns, or drop them."
    )


def _gaps_in(frame: pd.DataFrame) -> str | None:
    """Name rows and columns in which numbers are missing or infinite."""
    bad = ~np.isfinite(frame.to_numpy(np.float64, na_value=np.nan))
    rows, columns = bad.any(axis=1), bad.any(axis=0)
    if not rows.any():
        return None
    return (
        f"X has NaN or infinite features in {rows.sum()} of {len(rows)} rows "
        f"({name_rows(rows, pd.Series(0, index=frame.index))}) and {columns.sum()} of "
        f"{len(columns)} columns ({name_rows(columns, pd.Series(0, index=frame.columns))}). Fill "
        "them in, or drop them."
    )
