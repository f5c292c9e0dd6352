"""Checks of target, site and groups that every estimator makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from ..maps import MapArray

_MAX_LISTED = 8


def check_age(y: Any, X: Any) -> np.ndarray:
    """Return a continuous target as float64, or say what is wrong with it.

    Parameters
    ----------
    y : array-like of shape (n,)
        Target, in years for age.
    X : ndarray or MapArray
        Checked input of the same people.

    Returns
    -------
    y : ndarray of shape (n,), float64
        Finite and not constant.

    Raises
    ------
    ValueError
        If y is missing, not one-dimensional, of another length, NaN (rows named) or constant.
    """
    if y is None:
        raise ValueError(
            "This estimator requires y to be passed, but the target y is None. Give the ages."
        )
    y = check_array(y, ensure_2d=False, dtype=np.float64, ensure_all_finite=False, input_name="y")
    y = column_or_1d(y, warn=True)
    check_consistent_length(X, y)
    missing = np.flatnonzero(np.isnan(y))
    if missing.size:
        raise ValueError(
            f"Input y contains NaN in row(s) {name_rows(missing, X)}. Leave these people out, "
            "or give their age."
        )
    check_array(y, ensure_2d=False, input_name="y")
    if y.size < 2:
        raise ValueError(f"Got n_samples={y.size}: contrastive learning compares people, give two.")
    if np.ptp(y) == 0:
        raise ValueError(
            f"y is constant ({y[0]:g} for all {y.size} people), so there is nothing to order them "
            "by. Check that y holds the ages, or pool people of other ages."
        )
    return y


def resolve_site(site: Any, X: Any) -> np.ndarray | None:
    """Return site labels from the keyword, else from the rows, else None.

    Parameters
    ----------
    site : array-like of shape (n,) or None
        Keyword of `fit`.
    X : ndarray or MapArray
        A MapArray may carry a column ``site`` in its metadata.

    Returns
    -------
    site : ndarray of shape (n,) or None
        Labels without gaps; None means that nobody told.

    Raises
    ------
    ValueError
        If the length differs from X or labels are missing (rows named).
    """
    if site is None:
        metadata = X.metadata if isinstance(X, MapArray) else None
        if metadata is None or "site" not in metadata.columns:
            return None
        site = metadata["site"]
    labels = pd.Series(np.asarray(site, dtype=object))
    check_consistent_length(X, labels)
    missing = np.flatnonzero(labels.isna())
    if missing.size:
        raise ValueError(
            f"site is missing in row(s) {name_rows(missing, X)}. Give these people a site label "
            "(a label of their own if it is unknown), or leave them out."
        )
    return labels.astype(str).to_numpy()


def name_rows(rows: np.ndarray, X: Any) -> str:
    """Return row numbers, with participant ids where X knows them."""
    ids = X.participants if isinstance(X, MapArray) else None
    shown = [
        str(row) if ids is None else f"{row} (participant {ids[row]})" for row in rows[:_MAX_LISTED]
    ]
    more = f" and {len(rows) - _MAX_LISTED} more" if len(rows) > _MAX_LISTED else ""
    return ", ".join(shown) + more
