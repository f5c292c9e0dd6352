"""One check of X for every estimator: features in two dimensions, or maps in five."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from ._map_array import MapArray
from ._opening import holds_files
from ._region_labels import check_same_grid


def check_maps(estimator: Any, X: Any, *, reset: bool) -> np.ndarray | MapArray:
    """Validate X and return it as a 2-D float array or as a MapArray.

    Two dimensions are features of each person, checked by scikit-learn. Everything else becomes a
    :class:`MapArray` without being read: 4-D and 5-D arrays, memmaps, and lists of paths or
    images (read as :class:`MapLoader` with its defaults would, without a cache).

    Parameters
    ----------
    estimator : estimator
        Gets `n_features_in_`, `sample_shape_` and `grid_` when `reset`, and is compared with them
        when not. `grid_` is None for maps that do not know theirs, and absent for features.
    X : array-like, MapArray, or paths
        One row per person.
    reset : bool
        True in `fit`.

    Returns
    -------
    checked : ndarray of shape (n, features) or MapArray of shape (n, channels, x, y, z)
        Two-dimensional arrays keep float32 or float64; the cast to float32 is made per item.

    Raises
    ------
    ValueError
        If the shape of a sample differs from that seen in `fit`; both are named.
    DataError
        If the voxels lie elsewhere than those seen in `fit`, though the shape agrees, where both
        calls were given maps that know their grid.
    """
    maps = _as_map_array(X)
    if maps is None:
        if not reset and len(getattr(estimator, "sample_shape_", (0,))) == 4:
            raise ValueError(
                f"{type(estimator).__name__} was fitted on maps of shape "
                f"{estimator.sample_shape_} per person, but got 2-D features."
            )
        table = validate_data(
            estimator, X, reset=reset, dtype=[np.float32, np.float64], ensure_min_features=1
        )
        if reset:
            estimator.sample_shape_ = (table.shape[1],)
            estimator.__dict__.pop("grid_", None)
        return table
    if len(maps) == 0:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    sample_shape = maps.shape[1:]
    if reset:
        estimator.sample_shape_ = sample_shape
        estimator.n_features_in_ = sample_shape[0]
        estimator.grid_ = maps.grid
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif tuple(estimator.sample_shape_) != sample_shape:
        raise ValueError(
            f"{type(estimator).__name__} was fitted on samples of shape "
            f"{tuple(estimator.sample_shape_)}, but got {sample_shape}. Load the new maps with "
            "the fitted MapLoader, which resamples them to the grid seen in fit."
        )
    else:
        check_same_grid(estimator, maps)
    return maps


def _as_map_array(X: Any) -> MapArray | None:
    """Return a MapArray for anything that holds maps, None for features."""
    if isinstance(X, MapArray):
        return X
    if holds_files(X):
        from ._loader import MapLoader

        return MapLoader(cache=None).fit_transform(X)
    if isinstance(X, np.ndarray) and X.ndim in (4, 5) and X.dtype.kind in "fiub":
        return MapArray.from_array(X)
    if isinstance(X, list) and X and isinstance(X[0], np.ndarray) and X[0].ndim in (3, 4):
        return MapArray.from_array(np.stack(X))
    return None
