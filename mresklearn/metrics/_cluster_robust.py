"""Least squares whose errors may differ in size from person to person, and go together within one.

The covariance is CR2 with the degrees of freedom of Bell and McCaffrey: with one row a person, that
is HC2, and without covariates nearly the t test of Welch. HC3 with all residual degrees of freedom,
the usual choice, rejects too often where one group is tiny.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = ["Estimate", "RobustLeastSquares"]

SINGULAR = 1e-9  # share of a direction, below which it is rounding


class Estimate(NamedTuple):
    """A combination of coefficients, with its standard error and degrees of freedom."""

    value: float
    standard_error: float
    df: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Bounds of the t interval."""
        margin = stats.t.ppf((1 + confidence) / 2, self.df) * self.standard_error
        return float(self.value - margin), float(self.value + margin)

    def p_value(self) -> float:
        """Two-sided p of no effect."""
        return float(2 * stats.t.sf(abs(self.value / self.standard_error), self.df))


class RobustLeastSquares:
    r"""Least squares by persons, of any rank.

    With residuals :math:`e_g` of person g, an orthonormal basis Q of the design,
    :math:`a = X (X^\top X)^+ c` and :math:`b_g = (I - Q_g Q_g^\top)^{-1/2} a_g`,

    .. math::
        \widehat{\mathrm{var}}(c^\top \hat\beta) = \sum_g (b_g^\top e_g)^2, \quad
        \nu = \frac{(\mathrm{tr}\, \Omega)^2}{\mathrm{tr}\, \Omega^2}, \quad
        \Omega_{gh} = b_g^\top (I - Q Q^\top)_{gh}\, b_h

    (Bell, R. M., McCaffrey, D. F. (2002). Survey Methodology 28, 169-181; with the generalised
    inverse of Pustejovsky, J. E., Tipton, E. (2018). Journal of Business & Economic Statistics 36,
    672-683, for people whom a column of the design describes alone).

    Parameters
    ----------
    design : ndarray of shape (n_rows, n_columns)
        Columns of like size, the ones among them.
    response : ndarray of shape (n_rows,)
        Any unit.
    person : ndarray of int of shape (n_rows,)
        Code of each row's person, 0, 1, ...
    """

    def __init__(self, design: np.ndarray, response: np.ndarray, person: np.ndarray):
        basis, sizes, directions = np.linalg.svd(design, full_matrices=False)
        kept = sizes > SINGULAR * sizes[0]
        self.rank = int(kept.sum())
        self.n_people = int(person.max()) + 1
        self._basis, self._directions = basis[:, kept], directions[kept]
        self._to_rows = basis[:, kept] / sizes[kept] @ directions[kept]
        self.coefficients = self._to_rows.T @ response
        self.residuals = response - basis[:, kept] @ (basis[:, kept].T @ response)
        order = np.argsort(person, kind="stable")
        starts = np.searchsorted(person[order], np.arange(1, self.n_people))
        self._people = [(rows, *_left_over(self._basis[rows])) for rows in np.split(order, starts)]

    @property
    def residual_sd(self) -> float:
        """Standard deviation of a row about the fit."""
        return float(np.sqrt(self.residuals @ self.residuals / (len(self.residuals) - self.rank)))

    def is_estimable(self, contrast: np.ndarray) -> bool:
        """Whether the data say anything of this combination of coefficients."""
        seen = self._directions.T @ (self._directions @ contrast)
        return bool(np.linalg.norm(seen - contrast) < 1e-6 * np.linalg.norm(contrast))

    def estimate(self, contrast: np.ndarray) -> Estimate:
        """Estimate a combination of coefficients."""
        influence = self._to_rows @ contrast
        scores, squares, leaned = [], [], []
        for rows, sizes, directions in self._people:
            weight = _power(sizes, directions, -0.5) @ influence[rows]
            scores.append(weight @ self.residuals[rows])
            squares.append(weight @ weight)
            leaned.append(self._basis[rows].T @ weight)
        square, lean = np.array(squares), np.array(leaned)
        norm = (lean**2).sum(axis=1)
        trace_of_square = (square * (square - 2 * norm)).sum() + ((lean.T @ lean) ** 2).sum()
        return Estimate(
            float(contrast @ self.coefficients),
            float(np.linalg.norm(scores)),
            float((square - norm).sum() ** 2 / trace_of_square),
        )

    def described_alone(self) -> np.ndarray:
        """Mark the rows of people whom a column of the design describes alone."""
        alone = np.zeros(len(self.residuals), dtype=bool)
        for rows, sizes, _ in self._people:
            alone[rows] = sizes.min() < SINGULAR
        return alone

    def without_own(self, columns: np.ndarray) -> np.ndarray:
        """Predict from the first columns, with coefficients fitted without the row's own person."""
        n_columns = columns.shape[1]
        predicted = columns @ self.coefficients[:n_columns]
        for rows, sizes, directions in self._people:
            left_out = _power(sizes, directions, -1.0) @ self.residuals[rows]
            predicted[rows] -= columns[rows] @ (self._to_rows[rows, :n_columns].T @ left_out)
        return predicted


def _left_over(basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of I - QQ', for the rows of one person."""
    if len(basis) == 1:
        return 1 - (basis**2).sum(axis=1), np.ones((1, 1))
    return np.linalg.eigh(np.eye(len(basis)) - basis @ basis.T)


def _power(sizes: np.ndarray, directions: np.ndarray, power: float) -> np.ndarray:
    """Power of a matrix of these eigenvalues, 0 where the fit follows the person exactly."""
    free = sizes > SINGULAR
    return (directions * (np.where(free, sizes, 1.0) ** power * free)) @ directions.T
