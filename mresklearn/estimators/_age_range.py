"""Which ages a network was trained on, and a warning for people of other ages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from .._metadata import site_of_rows
from .._warn_user import warn_user
from ..exceptions import OutOfRangeWarning

__all__ = ["age_range", "warn_of_other_ages"]

SLACK = 3  # years: somebody has to be the oldest person of every fold that is held out


def age_range(
    X: Any, y: np.ndarray | None, *, widen: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Return the youngest and the oldest age of training people, and nothing else of them.

    Parameters
    ----------
    X : ndarray or MapArray
        Training people; ages that travel with them are taken first, since y may be another target.
    y : ndarray of shape (n,) or None
        Their ages in years, NaN where unknown; None where the target is no age.
    widen : tuple of two float or None, default=None
        Range of people seen before, which is included.

    Returns
    -------
    age_range : tuple of two float or None
        In years; None where no age is known.
    """
    ages = _travelling_ages(X)
    ages = y if ages is None else ages
    if ages is None or np.isnan(ages).all():
        return None
    low, high = float(np.nanmin(ages)), float(np.nanmax(ages))
    return (low, high) if widen is None else (min(low, widen[0]), max(high, widen[1]))


def warn_of_other_ages(estimator: Any, X: Any, age: np.ndarray | None = None) -> None:
    """Warn once where people are clearly younger or older than everybody seen in `fit`.

    Only ages that travel with the rows are known here; a person's *predicted* age is no reason to
    warn, since a brain that looks older than any in training may be the finding. Nor are three
    years beyond the range, which the model card names all the same.

    Parameters
    ----------
    estimator : estimator
        With `age_range_`; models that were saved without it are left in peace.
    X : object
        What is to be predicted, before it is read.
    age : ndarray of shape (n,) or None, default=None
        Ages in years, where they came in another way than with the rows.

    Warns
    -----
    OutOfRangeWarning
        With the number of rows, their ages and the range.
    """
    ages, seen = _travelling_ages(X) if age is None else age, getattr(estimator, "age_range_", None)
    if ages is None or seen is None:
        return
    youngest, oldest = math.floor(seen[0]), math.ceil(seen[1])
    outside = ages[(ages < youngest - SLACK) | (ages > oldest + SLACK)]
    if not len(outside):
        return
    span = " to ".join(f"{age:g}" for age in sorted({outside.min(), outside.max()}))
    warn_user(
        f"{len(outside)} of {len(ages)} rows are of an age (`age` {span}) that training did not "
        f"cover: it saw {youngest} to {oldest} years. What the model says of them is extrapolated. "
        "Leave them out, or train with people of their age.",
        OutOfRangeWarning,
    )


def _travelling_ages(X: Any) -> np.ndarray | None:
    """Return the ages that ride with maps; columns of a table are features, in any unit."""
    column = site_of_rows(getattr(X, "metadata", None), "age")
    if column is None:
        return None
    ages = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    ages = np.where(np.isfinite(ages), ages, np.nan)
    return None if np.isnan(ages).all() else ages
