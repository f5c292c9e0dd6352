"""A classifier of features with calibrated probabilities and a threshold, both from folds."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

__all__ = ["CalibratedScores", "EvenBlocks"]


class EvenBlocks(TransformerMixin, BaseEstimator):
    """Standardise columns, and let every kind of feature count the same, whatever its columns.

    Beside 64 columns of an embedding that are penalised alike, the one column of a gap would
    hardly count.

    Parameters
    ----------
    sizes : list of int
        Columns of each kind, in order; the variances of one kind add up to 1.
    """

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes

    def fit(self, X: np.ndarray, y: Any = None) -> EvenBlocks:
        """Learn means and standard deviations."""
        self.scaler_ = StandardScaler().fit(X)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Standardise, and divide by the root of the number of columns of the kind."""
        scaled = np.asarray(self.scaler_.transform(X))  # a frame, where the user asked for frames
        return scaled / np.sqrt(np.repeat(self.sizes, self.sizes))


class CalibratedScores(BaseEstimator):
    """Standardise features, classify them, and turn scores into probabilities.

    Parameters
    ----------
    classifier : classifier or None
        None takes logistic regression with ``C=1`` and balanced class weights.
    calibration : {"sigmoid"} or None
        How scores become probabilities.
    threshold : "balanced_accuracy" or float
        Probability of the second of two classes above which it is predicted.
    sizes : list of int
        Columns of each kind of feature, in order.

    Attributes
    ----------
    model_ : Pipeline
        Fitted on all training people.
    calibrators_ : list
        Sigmoid of each score.
    out_of_fold_ : ndarray of shape (n_rows, n_classes)
        Probabilities of training people by models without them.
    threshold_ : float
        NaN where there are more than two classes.
    """

    def __init__(
        self, classifier: Any, calibration: str | None, threshold: str | float, sizes: list[int]
    ) -> None:
        self.classifier = classifier
        self.calibration = calibration
        self.threshold = threshold
        self.sizes = sizes

    def fit(self, features: np.ndarray, codes: np.ndarray, folds: list) -> CalibratedScores:
        """Fit to features and classes numbered from 0; folds are (train, test)."""
        classifier = (
            LogisticRegression(class_weight="balanced", max_iter=1000)
            if self.classifier is None
            else clone(self.classifier)
        )
        model = make_pipeline(EvenBlocks(self.sizes), classifier)
        self.calibrators_: list[Any] = []
        if self.calibration is None:
            self.model_ = model.fit(features, codes)
            self.out_of_fold_ = cross_val_predict(
                model, features, codes, cv=folds, method="predict_proba"
            )
        else:
            calibrated = CalibratedClassifierCV(model, method="sigmoid", cv=folds, ensemble=False)
            (fitted,) = calibrated.fit(features, codes).calibrated_classifiers_
            self.model_, self.calibrators_ = fitted.estimator, list(fitted.calibrators)
            scores = cross_val_predict(model, features, codes, cv=folds, method=_method(model))
            self.out_of_fold_ = self._calibrated(_columns(scores))
        self.threshold_ = self._find_threshold(codes)
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of each class, (n, n_classes)."""
        if not self.calibrators_:
            return self.model_.predict_proba(features)
        scores = getattr(self.model_, _method(self.model_))(features)
        return self._calibrated(_columns(scores))

    def _calibrated(self, scores: np.ndarray) -> np.ndarray:
        """Return probabilities from a score for each class, or one score of two classes."""
        found = [
            calibrator.predict(column)
            for calibrator, column in zip(self.calibrators_, scores.T, strict=True)
        ]
        if len(found) == 1:
            return np.column_stack([1 - found[0], found[0]])
        probability = np.column_stack(found)
        total = probability.sum(axis=1, keepdims=True)
        return np.where(total > 0, probability / np.where(total > 0, total, 1), 1 / len(found))

    def _find_threshold(self, codes: np.ndarray) -> float:
        if codes.max() > 1:
            return np.nan
        if not isinstance(self.threshold, str):
            return float(self.threshold)
        probability = self.out_of_fold_[:, 1]
        levels = np.unique(probability)
        candidates = (levels[1:] + levels[:-1]) / 2
        if len(candidates) == 0:
            return 0.5
        accuracy = [balanced_accuracy_score(codes, probability > one) for one in candidates]
        # the middle one of those that are as good
        best = np.flatnonzero(np.isclose(accuracy, np.max(accuracy)))
        return float(candidates[best[len(best) // 2]])


def _method(model: Any) -> str:
    return "decision_function" if hasattr(model, "decision_function") else "predict_proba"


def _columns(scores: np.ndarray) -> np.ndarray:
    """Return scores as columns: of two classes, the one of the second."""
    if scores.ndim == 1:
        return scores[:, None]
    return scores[:, 1:] if scores.shape[1] == 2 else scores
