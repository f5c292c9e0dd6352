"""What a diagnosis is told from: an embedding, a network's scores, gaps in age, deviations.

Each source gives training people features that were made without them, as new people's will be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import _safe_indexing

from ..maps import MapArray
from ..metrics import BrainAgeBiasCorrector
from ..model_selection._fold_fitting import requested_keywords
from ._diagnosis_network import DiagnosisNetwork

__all__ = ["Deviations", "Embedding", "Gaps", "NetworkScores", "People", "Training"]


class People:
    """Some rows of the data with what goes along with them; nothing is copied before it is used.

    Parameters
    ----------
    X : ndarray, DataFrame or MapArray
        Samples; a DataFrame where columns have names.
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


class Training:
    """Training people, what is known of them, and how they are split.

    Parameters
    ----------
    everyone : People
        All rows that came.
    told : ndarray of int of shape (n,)
        Rows of those whose diagnosis is told.
    others : ndarray of int
        Rows of further healthy people, for what is learnt of healthy people alone.
    codes : ndarray of int of shape (n,)
        Diagnoses of those told, numbered from 0.
    healthy : ndarray of bool of shape (n,)
        Who of them is healthy.
    folds : list of (train, test)
        Positions in `told`; nobody is in two.
    """

    def __init__(
        self,
        everyone: People,
        *,
        told: np.ndarray,
        others: np.ndarray,
        codes: np.ndarray,
        healthy: np.ndarray,
        folds: list,
    ) -> None:
        self.everyone, self.told, self.others = everyone, told, others
        self.people = everyone[told]
        self.codes, self.healthy, self.folds = codes, healthy, folds

    def healthy_people(self, some: np.ndarray | None = None) -> People:
        """Return the healthy ones of some of those told, or of all, and the others."""
        some = np.arange(len(self.told)) if some is None else some
        return self.everyone[np.concatenate([self.told[some[self.healthy[some]]], self.others])]

    @property
    def fold_of(self) -> np.ndarray:
        """Number of the fold that tests each person."""
        fold = np.empty(len(self.told), int)
        for number, (_, test) in enumerate(self.folds):
            fold[test] = number
        return fold


class Embedding(BaseEstimator):
    """The embedding of a model that was trained on other people.

    Parameters
    ----------
    model : estimator
        Fitted, with `transform`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def learn(self, training: Training) -> np.ndarray:
        """Return the features of training people."""
        return self.features(training.people)

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
    preparation : list of transformers, default=()
        Fitted; what pretrained weights were shown the data through.
    """

    def __init__(self, network: DiagnosisNetwork, preparation: Any = ()) -> None:
        self.network = network
        self.preparation = preparation

    def learn(self, training: Training) -> np.ndarray:
        """Train a network without each fold, and one on all; return the scores of each fold."""
        people, codes = self._prepared(training.people), training.codes
        scores = np.empty((len(people), codes.max() + 1))
        for train, test in training.folds:
            scores[test] = self._train(people[train], codes[train]).decision(people[test].X)
        self.network_ = self._train(people, codes)
        return scores

    def features(self, people: People) -> np.ndarray:
        """Return the scores of new people."""
        return self.network_.decision(self._prepared(people).X).astype(np.float64)

    def names(self, n_columns: int) -> list[str]:
        """Return a name for each column."""
        return [f"score{column}" for column in range(n_columns)]

    def _prepared(self, people: People) -> People:
        X = people.X
        for transformer in self.preparation:
            X = transformer.transform(X)
        if self.preparation and not isinstance(X, MapArray):
            X = np.asarray(X)  # whether these are frames depends on the settings of the moment
        return People(X, people.age, people.site, people.person)

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

    def __init__(self, model: Any, is_fitted: bool, *, prefix: str) -> None:
        self.model = model
        self.is_fitted = is_fitted
        self.prefix = prefix

    def learn(self, training: Training) -> np.ndarray:
        """Return gaps of models that had not seen the person; learn the bias on healthy people."""
        people, healthy = training.people, training.healthy
        if self.is_fitted:
            self.model_ = self.model
            predicted = self._ages(self.model_, people)
        else:
            parts = [
                self._ages(self._train(training.healthy_people(train)), people[test])
                for train, test in training.folds
            ]
            predicted = np.empty((len(people), parts[0].shape[1]))
            for (_, test), part in zip(training.folds, parts, strict=True):
                predicted[test] = part
            self.model_ = self._train(training.healthy_people())
        self.correctors_ = [
            BrainAgeBiasCorrector(method="de_lange").fit(
                ages[healthy],
                people.age[healthy],
                fold=training.fold_of[healthy],
                groups=people.person[healthy],
            )
            for ages in predicted.T
        ]
        gaps = self._corrected(predicted, people)
        gaps[healthy] = _gaps_of_healthy(predicted[healthy], people[np.flatnonzero(healthy)])
        return gaps

    def features(self, people: People) -> np.ndarray:
        """Return the corrected gaps of new people."""
        return self._corrected(self._ages(self.model_, people), people)

    def names(self, n_columns: int) -> list[str]:
        """Return a name for each column."""
        if n_columns == 1:
            return [self.prefix]
        known = getattr(self.model_, "region_names_", range(n_columns))
        return [f"{self.prefix}_{name}" for name in known]

    def _train(self, people: People) -> Any:
        model = clone(self.model)
        return model.fit(people.X, people.age, **people.keywords(model, "fit"))

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


def _gaps_of_healthy(predicted: np.ndarray, healthy: People) -> np.ndarray:
    """Return gaps from lines through the other healthy people, as far off as new people's are."""
    design = _age_terms(healthy.age)[:, :2]
    gaps = np.empty_like(predicted)
    for person in np.unique(healthy.person):
        own = healthy.person == person
        line = np.linalg.lstsq(design[~own], predicted[~own], rcond=None)[0]
        gaps[own] = predicted[own] - design[own] @ line
    return gaps


class Deviations(BaseEstimator):
    r"""How far measures of a brain are from those of healthy people of the same age.

    With the mean :math:`m(a)`, a quadratic of age fitted to healthy people by least squares, and
    the standard deviation s of what is left, a measure x of a person of age a deviates by
    :math:`(x - m(a)) / s`: the W score of Jack et al. (1997), Neurology 49, 786-794.

    Parameters
    ----------
    measures : transformer
        Prototype of what turns people into a table.
    """

    def __init__(self, measures: Any) -> None:
        self.measures = measures

    def learn(self, training: Training) -> np.ndarray:
        """Return deviations from healthy people of the other folds; keep those from all."""
        people = training.people
        # without diagnoses, so that no fold has to learn the measures anew
        self.measures_ = clone(self.measures).fit(training.everyone.X)
        table = self._table(training.everyone)
        deviations = np.empty((len(people), table.shape[1]))
        for train, test in training.folds:
            self._learn_mean(table, training, train)
            deviations[test] = self._deviation(table[training.told[test]], people.age[test])
        self._learn_mean(table, training, np.arange(len(people)))
        return deviations

    def features(self, people: People) -> np.ndarray:
        """Return the deviations of new people."""
        return self._deviation(self._table(people), people.age)

    def names(self, n_columns: int) -> list[str]:
        """Return a name for each column."""
        try:
            known = self.measures_.get_feature_names_out()
        except (AttributeError, ValueError):
            known = range(n_columns)
        return [f"deviation_{name}" for name in known]

    def _table(self, people: People) -> np.ndarray:
        return np.asarray(self.measures_.transform(people.X), np.float64).reshape(len(people), -1)

    def _learn_mean(self, table: np.ndarray, training: Training, some: np.ndarray) -> None:
        rows = np.concatenate([training.told[some[training.healthy[some]]], training.others])
        age, measured = training.everyone.age[rows], table[rows]
        design = _age_terms(age)
        self.coefficients_, *_ = np.linalg.lstsq(design, measured, rcond=None)
        left = measured - design @ self.coefficients_
        freedom = len(rows) - np.linalg.matrix_rank(design)
        if freedom < 1:
            raise ValueError(
                f"There are {len(rows)} healthy people, too few to say how measures change with "
                "age. Leave 'deviations' out of features, or add healthy people."
            )
        spread = np.sqrt(np.einsum("ij,ij->j", left, left) / freedom)
        # a measure that age explains to rounding deviates by rounding alone
        size = np.abs(measured).max(axis=0) * np.sqrt(np.finfo(np.float32).eps)
        self.spread_ = np.where(spread > size, spread, np.inf)

    def _deviation(self, table: np.ndarray, age: np.ndarray) -> np.ndarray:
        return (table - _age_terms(age) @ self.coefficients_) / self.spread_


def _age_terms(age: np.ndarray) -> np.ndarray:
    """Return 1, age and its square, of like size."""
    decades = (age - 50) / 20
    return np.column_stack([np.ones(len(age)), decades, decades**2])
