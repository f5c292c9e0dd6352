"""The columns seen in `fit`, and the same columns of new rows, whatever their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from ._rows import place_of

__all__ = ["FittedColumns"]

MOST_NAMED = 5


class FittedColumns(BaseEstimator):
    """Names of the columns of X in `fit`, and which of them are features.

    Parameters
    ----------
    labels : list of str or int, or None
        Columns of the DataFrame, in order; None for an array.
    positions : ndarray of int
        Positions of the features among the columns.
    features_only : bool, default=False
        Whether `labels` are features alone, as those of moments, so that new rows may have columns
        for site and covariates beside them.
    """

    def __init__(
        self, labels: list | None, positions: np.ndarray, *, features_only: bool = False
    ) -> None:
        self.labels = labels
        self.positions = positions
        self.features_only = features_only

    def name_of(self, column: Any) -> Any:
        """Return the name that a column given by position had in `fit`."""
        if self.labels is None or self.features_only:
            return column
        place = place_of(column, pd.DataFrame(columns=self.labels))
        return column if place is None else self.labels[place]

    def named(self, X: Any) -> Any:
        """Return X with the labels of `fit`: arrays by position, DataFrames as they are."""
        if self.features_only or (self.labels is None) != isinstance(X, pd.DataFrame):
            return X
        if self.labels is None:
            return X.set_axis(range(X.shape[1]), axis=1)
        return pd.DataFrame(X, columns=self.labels)

    def in_order(self, features: Any) -> Any:
        """Return features in the order of `fit`, by name where they have names.

        Raises
        ------
        ValueError
            If they are not those of `fit`; the message names what is missing and what is new.
        """
        if self.labels is None or not isinstance(features, pd.DataFrame):
            if features.shape[1] != len(self.positions):
                raise ValueError(
                    f"X has {features.shape[1]} features beside site and covariates, but fit saw "
                    f"{len(self.positions)}."
                )
            return features
        known = [self.labels[place] for place in self.positions]
        given = list(features.columns)
        if given == known:
            return features
        if len(given) != len(known) or set(given) != set(known):
            raise ValueError(
                "The columns of X must be those of fit, in any order. Missing: "
                f"{_some_of(known, given)}; not seen in fit: {_some_of(given, known)}."
            )
        return features[known]


def _some_of(names: list, others: list) -> str:
    """Name those that are not among the others."""
    others_set = set(others)
    left = [str(name) for name in names if name not in others_set]
    more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
    return (", ".join(left[:MOST_NAMED]) or "none") + more
