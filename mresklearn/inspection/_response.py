"""What a model says of maps: a prediction, probabilities, or an embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from .._metadata import number_of_rows
from ..maps import MapArray
from ..metrics._checks import check_numbers

__all__ = ["RESPONSES", "Response", "find_response"]

RESPONSES = ("predict", "predict_proba", "decision_function", "transform")


@dataclass(frozen=True, eq=False)
class Response:
    """One method of a fitted model, as numbers.

    Parameters
    ----------
    model : estimator
        Takes a MapArray.
    method : {"predict", "predict_proba", "decision_function", "transform"}
        What is asked.
    """

    model: Any
    method: str

    def __call__(self, maps: MapArray) -> np.ndarray:
        """Return (n,) numbers, or (n, d) for embeddings and three or more classes."""
        values = np.asarray(getattr(self.model, self.method)(maps), dtype=np.float64)
        if self.method == "predict_proba" and values.shape[1] == 2:
            return values[:, 1]
        return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values

    @property
    def classes(self) -> np.ndarray | None:
        """Classes of probabilities, else None."""
        return self.model.classes_ if self.method == "predict_proba" else None

    def target(self, y: Any, n_rows: int) -> np.ndarray:
        """Return y as the number or the class position that `error` compares with."""
        if self.method in ("transform", "decision_function"):
            raise ValueError(
                f"score='absolute_error' compares predictions with y, and {self.method} gives none "
                "in its unit. Leave y out, or give response='predict' or 'predict_proba'."
            )
        if self.classes is None:
            return check_numbers(y, "y", n_rows)
        labels = np.asarray(y)
        if labels.ndim != 1 or number_of_rows(labels) != n_rows:
            raise ValueError(f"y must have one label for each of the {n_rows} rows of X.")
        found = labels[:, None] == self.classes[None]
        if not found.any(axis=1).all():
            unknown = sorted(map(str, set(labels[~found.any(axis=1)].tolist())))
            raise ValueError(
                f"y holds {unknown[:5]}, which the model was not fitted on; its classes are "
                f"{self.classes.tolist()}. Leave these people out."
            )
        return found.argmax(axis=1)

    def error(self, values: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Return how far each response is from the truth, in its unit."""
        if values.ndim == 1:
            return np.abs(values - target)
        return 1 - values[np.arange(len(values)), target]


def find_response(model: Any, method: str) -> Response:
    """Return the response asked for; "auto" takes probabilities, predictions, or the embedding."""
    if method == "auto":
        order = ("predict_proba", "decision_function") if is_classifier(model) else ("predict",)
        method = next((name for name in (*order, "transform") if hasattr(model, name)), "predict")
    if not hasattr(model, method):
        raise ValueError(
            f"The model has no {method}. Give response= one of "
            f"{[name for name in RESPONSES if hasattr(model, name)]}."
        )
    if method == "predict" and is_classifier(model):
        raise ValueError(
            "response='predict' gives classes, which jump or stay; small effects would not show. "
            "Give response='predict_proba' or 'decision_function'."
        )
    return Response(model, method)
