"""Cox's partial likelihood with strata and ties, and its maximum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["CoxFit", "PartialLikelihood"]

STEPS = 40
FAR = 10.0  # standard deviation of log hazards between people, beyond which it grows for ever


@dataclass(frozen=True, eq=False)
class CoxFit:
    """The maximum: coefficients, value, information, and whether it lies at a finite place."""

    coefficients: np.ndarray
    value: float
    information: np.ndarray
    finite: bool


class PartialLikelihood:
    """Log partial likelihood of standardised columns.

    Each event contributes one row of weights: everybody at risk just before it in its stratum,
    less, under Efron's method, the share of those with the same time who are counted before it.

    Parameters
    ----------
    duration, event, stratum : ndarray of shape (n_people,)
        Time, whether it ended by the event, and code of the stratum.
    matrix : ndarray of shape (n_people, n_columns)
        Columns, of mean 0 and standard deviation 1 so that one stopping rule fits all.
    ties : {"efron", "breslow"}
        How events at the same time are treated.
    """

    def __init__(
        self,
        duration: np.ndarray,
        event: np.ndarray,
        stratum: np.ndarray,
        matrix: np.ndarray,
        ties: str,
    ) -> None:
        happened = np.flatnonzero(event)
        # by time and then stratum, so that events of the same time in a stratum lie together
        order = happened[np.lexsort((stratum[happened], duration[happened]))]
        same = stratum[order][:, np.newaxis] == stratum
        at_risk = same & (duration >= duration[order][:, np.newaxis])
        tied = same & event & (duration == duration[order][:, np.newaxis])
        self.events = order
        moments = np.column_stack([duration[order], stratum[order]])
        self.moment = np.unique(moments, axis=0, return_inverse=True)[1].reshape(-1)
        first = np.searchsorted(self.moment, self.moment)
        before = (np.arange(len(order)) - first) / np.maximum(tied.sum(axis=1), 1)
        self.weights = at_risk.astype(float)
        if ties == "efron":
            self.weights -= before[:, np.newaxis] * tied
        self.matrix = matrix

    def without(self, columns: list[int] | np.ndarray) -> PartialLikelihood:
        """Return the likelihood of the other columns, for the same people and events."""
        other = object.__new__(PartialLikelihood)
        other.events, other.moment, other.weights = self.events, self.moment, self.weights
        other.matrix = np.delete(self.matrix, columns, axis=1)
        return other

    def moments(
        self, coefficients: np.ndarray, offset: np.ndarray | float = 0.0
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, and mean and covariance of the columns among those at risk at each event."""
        risk = self.matrix @ coefficients + offset
        risk = risk - np.max(risk)
        share = np.exp(risk)
        total = np.maximum(self.weights @ share, np.finfo(float).tiny)
        value = float(risk[self.events].sum() - np.log(total).sum())
        n, p = self.matrix.shape
        weighted = self.matrix * share[:, np.newaxis]
        mean = self.weights @ weighted / total[:, np.newaxis]
        squares = (weighted[:, :, np.newaxis] * self.matrix[:, np.newaxis]).reshape(n, p * p)
        square = (self.weights @ squares / total[:, np.newaxis]).reshape(len(total), p, p)
        return value, mean, square - mean[:, :, np.newaxis] * mean[:, np.newaxis]

    def value(self, coefficients: np.ndarray, offset: np.ndarray | float = 0.0) -> float:
        """Return the log partial likelihood alone."""
        risk = self.matrix @ coefficients + offset
        risk = risk - np.max(risk)
        total = np.maximum(self.weights @ np.exp(risk), np.finfo(float).tiny)
        return float(risk[self.events].sum() - np.log(total).sum())

    def maximise(self, offset: np.ndarray | float = 0.0, start: np.ndarray | None = None) -> CoxFit:
        """Find the maximum by Newton's method with halved steps; the function is concave."""
        p = self.matrix.shape[1]
        at = np.zeros(p) if start is None else start.astype(float)
        value, mean, spread = self.moments(at, offset)
        converged = p == 0
        for _ in range(STEPS if p else 0):
            score = (self.matrix[self.events] - mean).sum(axis=0)
            step = np.linalg.pinv(spread.sum(axis=0), hermitian=True) @ score
            gain = float(score @ step)
            if gain < 1e-12:
                converged = True
                break
            # by what is moved between people: columns that go together need large coefficients
            step *= min(1.0, 5.0 / max(np.std(self.matrix @ step), np.finfo(float).tiny))
            while self.value(at + step, offset) < value and np.abs(step).max() > 1e-9:
                step = step / 2
            at = at + step
            if np.std(self.matrix @ at + offset) > 3 * FAR:
                break
            value, mean, spread = self.moments(at, offset)
        finite = converged and bool(np.std(self.matrix @ at) < FAR)
        return CoxFit(at, value, spread.sum(axis=0), finite)

    def schoenfeld(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns at each event less what was expected of it, and the covariance at each event.

        Events of the same time share the mean of their expectations.
        """
        _, mean, spread = self.moments(coefficients)
        counts = np.bincount(self.moment)
        shared = np.column_stack(
            [np.bincount(self.moment, weights=column) / counts for column in mean.T]
        )
        return self.matrix[self.events] - shared[self.moment], spread
