"""The maps that enter a model, in their physical unit, and the model that takes them."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..maps import MapArray, MapLoader
from ..maps._validation import _as_map_array

__all__ = ["as_maps", "model_and_maps"]


def model_and_maps(estimator: Any, X: Any) -> tuple[Any, MapArray]:
    """Load what a model was fitted on, and return the model without its loader.

    Parameters
    ----------
    estimator : estimator
        Fitted; of a search, the best one is taken.
    X : MapArray, array, or paths
        One row per person.

    Returns
    -------
    model : estimator
        What takes maps in their physical unit.
    maps : MapArray
        The same rows, read lazily.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If X holds features rather than maps.
    """
    check_is_fitted(estimator)
    model = getattr(estimator, "best_estimator_", estimator)
    if isinstance(model, Pipeline) and len(model) > 1 and isinstance(model[0], MapLoader):
        maps = X if isinstance(X, MapArray) else model[0].transform(X)
        return model[1:], as_maps(maps, "X")
    return model, as_maps(X, "X")


def as_maps(X: Any, name: str) -> MapArray:
    """Return maps that are not read yet, or say that there are none."""
    maps = _as_map_array(X)
    if maps is None:
        shape = getattr(X, "shape", None)
        raise ValueError(
            f"{name} must hold maps, as a MapArray, an array of shape (n, [channels,] x, y, z) or "
            f"paths, got {type(X).__name__}{f' of shape {shape}' if shape else ''}. Give what "
            "enters the first step of the pipeline; for a table of regions or other features use "
            "sklearn.inspection.permutation_importance."
        )
    if len(maps) == 0:
        raise ValueError(f"{name} has no row: there is nobody whose maps could be looked at.")
    return maps
