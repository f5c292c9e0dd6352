"""Diagnoses as they come: which there are, who has which, and which of them is healthy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from .._metadata import name_rows

__all__ = ["check_ages_told", "check_diagnoses", "find_reference"]


def check_diagnoses(y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the diagnoses, sorted, and the number of each row's.

    Parameters
    ----------
    y : array-like of shape (n,)
        Text, whole numbers or truth values, also of pandas' own types.
    n_rows : int
        Rows of X.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Of NumPy's type for the labels: int64 for pandas' Int64, say; text stays what it was.
    codes : ndarray of shape (n,), int
        Position of each row's diagnosis in `classes`.

    Raises
    ------
    ValueError
        If y is missing, in part (rows named) or as a whole, of another length, has one class only,
        or is no diagnosis.
    """
    if y is None:
        raise ValueError(
            "This estimator requires y to be passed, but the target y is None. Give diagnoses."
        )
    if isinstance(y, pd.Index | pd.api.extensions.ExtensionArray):
        y = pd.Series(y)
    column = y if isinstance(y, pd.Series) else np.asarray(y, dtype=object)
    if column.ndim == 1:
        missing = np.asarray(pd.isna(column))
        if missing.any():
            raise ValueError(
                f"Input y contains NaN in {missing.sum()} of {len(missing)} rows: "
                f"{name_rows(missing, column)}. Give their diagnosis, or leave these people out."
            )
    if isinstance(y, pd.Series):
        # as they are, these become floats or objects
        y = y.to_numpy(getattr(y.dtype, "numpy_dtype", None))
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    if len(y) != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {n_rows}, y "
            f"has {len(y)}."
        )
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y has one class, {classes.tolist()[0]!r}: there is nothing to tell apart. Give "
            "people of two diagnoses or more."
        )
    return classes, codes


def find_reference(classes: np.ndarray, reference: str) -> int | None:
    """Return the position of the healthy among the diagnoses, None where they have no such name.

    Whole numbers are named without a point, whatever their type: 0.0 is "0" as well.
    """
    for position, label in enumerate(classes.tolist()):
        names = {str(label)}
        if isinstance(label, float) and label.is_integer():
            names.add(str(int(label)))
        if reference in names:
            return position
    return None


def check_ages_told(diagnosis_ages: Any) -> tuple[float, float] | None:
    """Return the ages between which diagnoses are told apart.

    Raises
    ------
    ValueError
        If they are not two numbers, the younger first.
    """
    if diagnosis_ages is None:
        return None
    try:
        low, high = (float(age) for age in diagnosis_ages)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not low <= high:
        raise ValueError(
            "diagnosis_ages must be two ages in years, the younger first, such as (60, 100); got "
            f"{diagnosis_ages!r}."
        )
    return low, high
