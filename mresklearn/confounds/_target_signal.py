"""What features say of the target within sites: what harmonising must not take away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import RidgeCV

from ._coordinates import column_moments, coordinates
from ._effect import Effect
from ._redundancy import redundancy
from ._report_rows.study import encode
from ._roles import Variable

__all__ = ["People", "Scores", "explained_by_target", "predict_target", "score_predictions"]

PENALTIES = np.logspace(-3, 4, 15)
N_REDRAWN = 2000


@dataclass(frozen=True, eq=False)
class People:
    """Who all tables have, with site, target and what is held fixed.

    Parameters
    ----------
    rows : ndarray of int of shape (n,)
        Row numbers in the participants.
    site : ndarray of int of shape (n,)
        Codes 0, 1 and so on.
    target : Variable
        What models predict, of all participants.
    covariates : tuple of Variable
        What is held fixed beside it, of all participants.
    folds : list of (train, test)
        Positions among `rows`.
    """

    rows: np.ndarray
    site: np.ndarray
    target: Variable
    covariates: tuple[Variable, ...]
    folds: list[tuple[np.ndarray, np.ndarray]]

    @property
    def years(self) -> np.ndarray:
        """The target of each."""
        return self.target.values[self.rows]


@dataclass(frozen=True, eq=False)
class Scores:
    """How well the target is predicted: values, and the same for people drawn anew.

    Parameters
    ----------
    mae : float
        Mean absolute error, in the unit of the target.
    r2 : float
        Share of the variance of the target that is predicted.
    r2_within_sites : float
        The same after both the target and the prediction are centred at each site: what site alone
        could tell does not count.
    redrawn : ndarray of shape (3, n_draws)
        The three for people drawn anew within their sites.
    """

    mae: float
    r2: float
    r2_within_sites: float
    redrawn: np.ndarray


def explained_by_target(features: np.ndarray, people: People, **settings: object) -> Effect:
    """Measure the share of the variance of all features that the target explains beyond site.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
        Features of these people.
    people : People
        Their site, target and covariates.
    **settings
        Permutations, confidence and random stream of :func:`redundancy`.
    """
    n_sites = people.site.max() + 1
    parts = [encode(other, people.rows) for other in people.covariates]
    fixed = np.hstack([np.ones((len(people.rows), 1)), np.eye(n_sites)[people.site], *parts])
    return redundancy(
        _turned(features), fixed, encode(people.target, people.rows), people.site, **settings
    )


def predict_target(features: np.ndarray, people: People) -> np.ndarray:
    """Predict the target of each person by ridge regression on the other folds.

    Columns count alike; the penalty is chosen by generalised cross-validation in each fold.
    """
    turned = _turned(features)
    scale = max(float(np.mean(np.sum(turned**2, axis=1))), np.finfo(float).tiny)
    predicted = np.empty(len(turned))
    for train, test in people.folds:
        model = RidgeCV(alphas=PENALTIES * scale).fit(turned[train], people.years[train])
        predicted[test] = model.predict(turned[test])
    return predicted


def score_predictions(predicted: np.ndarray, people: People, random_state: int) -> Scores:
    """Return error and shares of predictions, with people drawn anew within their sites.

    The same seed draws the same people, so that scores of two predictions can be subtracted draw by
    draw.
    """
    weights = _drawn(people.site, random_state)
    values = np.column_stack([np.ones(len(predicted)), weights])
    scores = _scores(predicted, people.years, people.site, values)
    mae, r2, within = (float(score[0]) for score in scores)
    return Scores(mae, r2, within, scores[:, 1:])


def _turned(features: np.ndarray) -> np.ndarray:
    mean, spread = column_moments(features)
    return coordinates(features, mean, np.where(spread > 0, spread, 1.0))


def _drawn(site: np.ndarray, random_state: int) -> np.ndarray:
    """Return how often each person is drawn in each draw, shape (n, n_draws)."""
    generator = np.random.default_rng(random_state)
    weights = np.empty((len(site), N_REDRAWN))
    for code in range(site.max() + 1):
        members = np.flatnonzero(site == code)
        share = np.full(len(members), 1 / len(members))
        weights[members] = generator.multinomial(len(members), share, N_REDRAWN).T
    return weights


def _scores(
    predicted: np.ndarray, years: np.ndarray, site: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return mean absolute error, R2 and R2 within sites for each column of weights."""
    total = weights.sum(axis=0)
    error = predicted - years
    mae = np.abs(error) @ weights / total
    spread = years**2 @ weights - (years @ weights) ** 2 / total
    r2 = 1 - (error**2 @ weights) / _positive(spread)
    left, within = np.zeros_like(total), np.zeros_like(total)
    for code in range(site.max() + 1):
        members = site == code
        w, e, t = weights[members], error[members], years[members]
        n = w.sum(axis=0)
        left += e**2 @ w - (e @ w) ** 2 / n
        within += t**2 @ w - (t @ w) ** 2 / n
    return np.array([mae, r2, 1 - left / _positive(within)])


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 1e-12, values, np.nan)
