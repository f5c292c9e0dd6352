"""What every transformer of maps shares: how it is fitted, and how its columns are named."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils.validation import check_is_fitted

from ._map_output import MapOutputMixin


class MapTransformer(MapOutputMixin, BaseEstimator, metaclass=ABCMeta):
    """Takes maps, or features in two dimensions, and returns float32."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the attributes of the class from training people, one person at a time.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            Training people.
        y : ignored
            Present for scikit-learn.

        Returns
        -------
        self : estimator
            The fitted transformer.
        """
        self._learn(X)
        return self

    def transform(self, X: Any) -> Any:
        """Return what the class says of each person.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`.

        Returns
        -------
        converted : ndarray of shape (n, columns), DataFrame or MapArray, float32
            See the notes of the class.
        """
        check_is_fitted(self)
        return self._convert(X)

    @abstractmethod
    def _learn(self, X: Any) -> None:
        """Check the rows and set the fitted attributes."""

    @abstractmethod
    def _convert(self, X: Any) -> Any:
        """Check the rows against those of `fit`, and convert them."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class TableTransformer(MapTransformer):
    """Turns maps into a table, whose columns have names."""

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return a name for each column of the table.

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn.

        Returns
        -------
        names : ndarray of str
            What a column holds, and where, such as ``map0_voxel12_30_7``,
            ``stiffness_left_thalamus`` or ``block2_0_4``; input names for 2-D features.
        """
        check_is_fitted(self)
        return np.array(self._column_names(input_features), dtype=object)

    @abstractmethod
    def _column_names(self, input_features: Any) -> list[str]:
        """Name the columns of the output."""
