"""Checks of target, site and groups that every estimator makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from .._metadata import check_labels, name_rows, site_of_rows
from ..maps import MapArray


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
    missing = np.isnan(y)
    if missing.any():
        named = name_rows(missing, pd.Series(y, index=_row_names(X, len(y))))
        raise ValueError(
            f"Input y contains NaN in {missing.sum()} of {y.size} rows: {named}. "
            "Give their age, or leave these people out."
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


def resolve_site(site: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return site codes and names, from the keyword, else from the rows, else one site for all.

    Parameters
    ----------
    site : array-like of shape (n,), DataFrame of shape (n, m) or None
        Keyword of `fit`; in a DataFrame other domain variables follow the site.
    X : ndarray or MapArray
        A MapArray may carry a column ``site`` in its metadata.

    Returns
    -------
    codes : ndarray of shape (n,) or (n, m), int
        Position of each row's site in `names`, and of other variables in their labels.
    names : ndarray of str
        Sites, sorted.

    Raises
    ------
    ValueError
        If the length differs from X or labels are missing (rows named).
    """
    if site is None:
        site = site_of_rows(X, "site")
        if site is None:
            return np.zeros(len(X), int), np.array(["0"])
    elif isinstance(site, pd.DataFrame):
        checked = [check_labels(site[name], len(X), name=str(name)) for name in site.columns]
        return np.stack([codes for codes, _ in checked], axis=1), np.array(checked[0][1])
    elif isinstance(X, MapArray):
        site = pd.Series(np.asarray(site, dtype=object), index=_row_names(X, len(site)))
    codes, names = check_labels(site, len(X), name="site")
    return codes, np.array(names)


def read_ages(age: Any, X: Any) -> np.ndarray | None:
    """Return ages from the keyword, else from the rows, NaN where one is no number.

    Parameters
    ----------
    age : array-like of shape (n,) or None
        Keyword, in years.
    X : ndarray or MapArray
        A MapArray may carry a column ``age`` in its metadata.

    Returns
    -------
    age : ndarray of shape (n,), float64, or None
        None where there are none.

    Raises
    ------
    ValueError
        If the length differs from X.
    """
    age = site_of_rows(X, "age") if age is None else age
    if age is None:
        return None
    values = pd.Series(np.asarray(age, dtype=object).ravel())
    ages = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if len(ages) != len(X):
        raise ValueError(f"age must hold a number for each of {len(X)} rows, got {len(ages)}.")
    return np.where(np.isfinite(ages), ages, np.nan)


def check_ages_known(age: np.ndarray, X: Any) -> None:
    """Refuse ages that are missing, with the rows, where something is made from them."""
    missing = np.isnan(age)
    if missing.any():
        named = name_rows(missing, pd.Series(age, index=_row_names(X, len(age))))
        raise ValueError(
            f"age is missing, or no number, in {missing.sum()} of {len(age)} rows: {named}. Give "
            "their age, leave these people out, or ask for nothing that is made from ages."
        )


def with_names(estimator: Any, checked: Any, X: Any) -> Any:
    """Return a checked table under the names of its columns, for models that look them up.

    Parameters
    ----------
    estimator : estimator
        With `feature_names_in_` where it was fitted on named columns.
    checked : ndarray or MapArray
        As :func:`~mresklearn.maps._validation.check_maps` returned it.
    X : object
        What came in; its rows may have names.

    Returns
    -------
    named : DataFrame, or `checked` where columns have no names
        The same values.
    """
    if isinstance(checked, MapArray) or not hasattr(estimator, "feature_names_in_"):
        return checked
    index = X.index if isinstance(X, pd.DataFrame) else None
    return pd.DataFrame(checked, columns=estimator.feature_names_in_, index=index)


def _row_names(X: Any, n_rows: int) -> pd.Index:
    """Return names of rows where X knows them, so that errors name people; else row numbers."""
    if isinstance(X, pd.DataFrame) and len(X) == n_rows:
        return X.index
    known = isinstance(X, MapArray) and len(X) == n_rows
    return X.participants if known else pd.RangeIndex(n_rows)
