"""What a diagnosis is told from: an embedding, the scores of a network, brain-age gaps.

Each source gives training people features that were made without them, as new people's will be.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from ..metrics import BrainAgeBiasCorrector
from ..model_selection._fold_fitting import requested_keywords
from ..persistence import load
from ._diagnosis_network import DiagnosisNetwork

__all__ = ["Embedding", "Gaps", "NetworkScores", "People", "pretrained"]


class People:
    """Rows with what goes along with them.

    Parameters
    ----------
    X : ndarray or MapArray
        Samples.
    age : ndarray of shape (n,) or None
        In years.
    site : array-like of shape (n,) or None
        Sites.
    person : ndarray of int of shape (n,)
        Person of each row.
    """

    def __init__(self, X: Any, age: np.ndarray | None, site: Any, person: np.ndarray) -> None:
        self.X, self.age, self.site, self.person = X, age, site, person

    def __len__(self) -> int:
        return len(self.person)

    def __getitem__(self, rows: np.ndarray) -> People:
        parts = (self.age, self.site)
        age, site = (None if part is None else _safe_indexing(part, rows) for part in parts)
        return People(_safe_indexing(self.X, rows), age, site, self.person[rows])

    def keywords(self, estimator: Any, method: str) -> dict[str, Any]:
        """Return what a method of an estimator asks for."""
        known = {"site": self.site, "groups": self.person, "age": self.age}
        known = {name: values for name, values in known.items() if values is not None}
        return requested_keywords(estimator, method, known)


class Embedding(BaseEstimator):
    """The embedding of a model that was trained on other people.

    Parameters
    ----------
    model : estimator
        Fitted, with `transform`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def learn(self, people: People, codes: np.ndarray, healthy: np.ndarray, folds: list) -> Any:
        """Return the features of training people."""
        return self.features(people)

    def features(self, people: People) -> np.ndarray:
        """Return the features of new people."""
        return np.asarray(self.model.transform(people.X), np.float64)

    def names(self, n_columns: int) -> list[str]:
        """Return a name for each column."""
        return [f"embedding{column}" for column in range(n_columns)]


class NetworkScores(BaseEstimator):
    """Scores of a network that was trained to tell the diagnosis.

    A training embedding separates training people far better than new ones; so training people get
    the scores of networks that were trained without them.

    Parameters
    ----------
    network : DiagnosisNetwork
        Unfitted.
    """

    def __init__(self, network: DiagnosisNetwork) -> None:
        self.network = network

    def learn(self, people: People, codes: np.ndarray, healthy: np.ndarray, folds: list) -> Any:
        """Train a network without each fold, and one on all; return the scores of each fold."""
        scores = np.empty((len(people), codes.max() + 1))
        for train, test in folds:
            scores[test] = self._train(people[train], codes[train]).decision(people[test].X)
        self.network_ = self._train(people, codes)
        return scores

    def features(self, people: People) -> np.ndarray:
        """Return the scores of new people."""
        return self.network_.decision(people.X).astype(np.float64)

    def names(self, n_columns: int) -> list[str]:
        """Return a name for each column."""
        return [f"score{column}" for column in range(n_columns)]

    def _train(self, people: People, codes: np.ndarray) -> DiagnosisNetwork:
        return clone(self.network).fit(
            people.X, codes.astype(np.float64), site=people.site, groups=people.person
        )


class Gaps(BaseEstimator):
    """Brain-age gaps, one for each age that a model predicts, corrected for their bias with age.

    Parameters
    ----------
    model : regressor
        Of age, fitted on other people; or a prototype, to be fitted on the healthy training people.
    is_fitted : bool
        Which of the two.
    prefix : str
        Begins the names of columns.
    """

    def __init__(self, model: Any, *, is_fitted: bool, prefix: str) -> None:
        self.model = model
        self.is_fitted = is_fitted
        self.prefix = prefix

    def learn(self, people: People, codes: np.ndarray, healthy: np.ndarray, folds: list) -> Any:
        """Return gaps of models that had not seen the person; learn the bias on healthy people."""
        if self.is_fitted:
            self.model_ = self.model
            predicted = self._ages(self.model_, people)
        else:
            parts = [
                self._ages(self._train(people, train[healthy[train]]), people[test])
                for train, test in folds
            ]
            predicted = np.empty((len(people), parts[0].shape[1]))
            for (_, test), part in zip(folds, parts, strict=True):
                predicted[test] = part
            self.model_ = self._train(people, np.flatnonzero(healthy))
        fold = np.empty(len(people), int)
        for number, (_, test) in enumerate(folds):
            fold[test] = number
        self.correctors_ = [
            BrainAgeBiasCorrector(method="de_lange").fit(
                ages[healthy],
                people.age[healthy],
                fold=fold[healthy],
                groups=people.person[healthy],
            )
            for ages in predicted.T
        ]
        return self._corrected(predicted, people)

    def features(self, people: People) -> np.ndarray:
        """Return the corrected gaps of new people."""
        return self._corrected(self._ages(self.model_, people), people)

    def names(self, n_columns: int) -> list[str]:
        """Return a name for each column."""
        if n_columns == 1:
            return [self.prefix]
        known = getattr(self.model_, "region_names_", range(n_columns))
        return [f"{self.prefix}_{name}" for name in known]

    def _train(self, people: People, rows: np.ndarray) -> Any:
        some = people[rows]
        model = clone(self.model)
        return model.fit(some.X, some.age, **some.keywords(model, "fit"))

    def _ages(self, model: Any, people: People) -> np.ndarray:
        """Return predicted ages, a column each; of a transformer, one for each region."""
        method = "predict" if hasattr(model, "predict") and self.prefix == "gap" else "transform"
        ages = getattr(model, method)(people.X, **people.keywords(model, method))
        return np.asarray(ages, np.float64).reshape(len(people), -1)

    def _corrected(self, predicted: np.ndarray, people: People) -> np.ndarray:
        gaps = [
            corrector.gap(ages, people.age)
            for corrector, ages in zip(self.correctors_, predicted.T, strict=True)
        ]
        return np.column_stack(gaps)


def pretrained(model: Any, name: str) -> tuple[Any, bool]:
    """Return a model, and whether it is fitted: opened where it is a folder.

    Raises
    ------
    ValueError
        If a fitted one is not wrapped, so that a clone would forget what it learnt.
    """
    if isinstance(model, str | PathLike):
        return FrozenEstimator(load(model)), True
    if isinstance(model, FrozenEstimator):
        return model, True
    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError):
        return model, False
    raise ValueError(
        f"{name} is fitted, but scikit-learn clones what is inside an estimator, and a clone has "
        f"forgotten its fit. Give {name}=FrozenEstimator(model), from sklearn.frozen, to use it as "
        "it is, or sklearn.base.clone(model) to have it fitted on the healthy training people."
    )
