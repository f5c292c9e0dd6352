"""What is predicted, and how predictions are scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error, roc_auc_score


@dataclass(frozen=True, kw_only=True)
class Task:
    """Target and score.

    Parameters
    ----------
    name : str
        What is predicted.
    target : callable
        People -> target.
    predict : callable
        Fitted model, rows -> one number a row.
    score : callable
        Target, predictions -> score of a fold.
    score_name : str
        Its name, with unit.
    smaller_is_better : bool
        Of the score.
    rides : tuple of str
        Columns of the people that ride along with their maps.
    strata : tuple of str
        Columns of the people, besides age, whose shares are alike in all folds of persons.
    """

    name: str
    target: Callable[[pd.DataFrame], np.ndarray]
    predict: Callable[[Any, Any], np.ndarray]
    score: Callable[[np.ndarray, np.ndarray], float]
    score_name: str
    smaller_is_better: bool
    rides: tuple[str, ...]
    strata: tuple[str, ...]


def age_of(people: pd.DataFrame) -> np.ndarray:
    return people["age"].to_numpy(float)


def predicted(model: Any, X: Any) -> np.ndarray:
    return np.asarray(model.predict(X), float)


def patient_or_not(people: pd.DataFrame) -> np.ndarray:
    return np.where(people["diagnosis"] == "CN", "CN", "patient")


def probability_of_patient(model: Any, X: Any) -> np.ndarray:
    return np.asarray(model.predict_proba(X), float)[:, list(model.classes_).index("patient")]


def area_under_curve(y: np.ndarray, predictions: np.ndarray) -> float:
    """Return the AUC, NaN where all or none are patients."""
    patients = y == "patient"
    return float(roc_auc_score(patients, predictions)) if 0 < patients.mean() < 1 else np.nan


AGE = Task(
    name="age",
    target=age_of,
    predict=predicted,
    score=mean_absolute_error,
    score_name="MAE (years)",
    smaller_is_better=True,
    rides=("site", "sex"),
    strata=("site",),
)
DIAGNOSIS = Task(
    name="diagnosis",
    target=patient_or_not,
    predict=probability_of_patient,
    score=area_under_curve,
    score_name="AUC",
    smaller_is_better=False,
    rides=("site", "sex", "age"),
    strata=("site", "diagnosis"),
)
