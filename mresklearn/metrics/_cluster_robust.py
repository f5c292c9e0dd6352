"""Least squares whose errors may differ in size from person to person, and go together within one.

The covariance is CR2 with the degrees of freedom of Bell and McCaffrey: with one row a person, that
is HC2, and without covariates nearly the t test of Welch. HC3 with all residual degrees of freedom,
the usual choice, rejects too often where one group is tiny.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import stats

__all__ = ["Estimate", "RobustLeastSquares"]

SINGULAR = 1e-9  # share of a direction, below which it is rounding


class Estimate(NamedTuple):
    """A combination of coefficients, with its standard error and degrees of freedom.

    Of several responses, `value` and `standard_error` are arrays with an entry each. Both the error
    and the degrees of freedom are NaN where the combination rests on one person.
    """

    value: Any
    standard_error: Any
    df: float

    def interval(self, confidence: float) -> tuple[Any, Any]:
        """Bounds of the t interval."""
        margin = stats.t.ppf((1 + confidence) / 2, self.df) * self.standard_error
        return _plain(self.value - margin), _plain(self.value + margin)

    def p_value(self) -> Any:
        """Two-sided p of no effect."""
        return _plain(2 * stats.t.sf(np.abs(self.value / self.standard_error), self.df))


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
    response : ndarray of shape (n_rows,) or (n_rows, n_responses)
        Any unit; several responses are fitted at once.
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
    def residual_sd(self) -> Any:
        """Standard deviation of a row about the fit."""
        squares = (self.residuals**2).sum(axis=0)
        return _plain(np.sqrt(squares / (len(self.residuals) - self.rank)))

    def is_estimable(self, contrast: np.ndarray) -> bool:
        """Whether the data say anything of this combination of coefficients."""
        seen = self._directions.T @ (self._directions @ contrast)
        return bool(np.linalg.norm(seen - contrast) < 1e-6 * np.linalg.norm(contrast))

    def rests_on(self, contrast: np.ndarray) -> np.ndarray:
        """Mark the rows of people without any of whom a combination could not be estimated.

        The fit follows such a person exactly, so that nothing says how far another would be off.
        """
        influence = self._to_rows @ contrast
        alone = np.zeros(len(influence), dtype=bool)
        for rows, sizes, directions in self._people:
            followed = directions[:, sizes <= SINGULAR].T @ influence[rows]
            alone[rows] = np.abs(followed).max(initial=0) > 1e-6 * np.abs(influence).max()
        return alone

    def estimate(self, contrast: np.ndarray) -> Estimate:
        """Estimate a combination of coefficients."""
        influence = self._to_rows @ contrast
        if self.rests_on(contrast).any():
            value = _plain(contrast @ self.coefficients)
            return Estimate(value, _plain(np.full(np.shape(value), np.nan)), np.nan)
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
            _plain(contrast @ self.coefficients),
            _plain(np.linalg.norm(scores, axis=0)),
            float((square - norm).sum() ** 2 / trace_of_square),
        )

    def described_alone(self) -> np.ndarray:
        """Mark the rows of people whom a column of the design describes alone."""
        alone = np.zeros(len(self.residuals), dtype=bool)
        for rows, sizes, _ in self._people:
            alone[rows] = sizes.min() < SINGULAR
        return alone

    def left_out_shifts(self, n_columns: int) -> np.ndarray:
        """Give what leaving each person out adds to the first coefficients.

        Of shape (n_people, n_columns), or (n_people, n_columns, n_responses). 0 along what a column
        describes in that person alone, which says nothing of the others.
        """
        shifts = np.empty((self.n_people, n_columns, *self.residuals.shape[1:]))
        for code, (rows, sizes, directions) in enumerate(self._people):
            left_out = _power(sizes, directions, -1.0) @ self.residuals[rows]
            shifts[code] = -self._to_rows[rows, :n_columns].T @ left_out
        return shifts


def _plain(numbers: Any) -> Any:
    """Turn what belongs to a single response into a float."""
    return numbers if np.ndim(numbers) else float(numbers)


def _left_over(basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of I - QQ', for the rows of one person."""
    if len(basis) == 1:
        return 1 - (basis**2).sum(axis=1), np.ones((1, 1))
    return np.linalg.eigh(np.eye(len(basis)) - basis @ basis.T)


def _power(sizes: np.ndarray, directions: np.ndarray, power: float) -> np.ndarray:
    """Power of a matrix of these eigenvalues, 0 where the fit follows the person exactly."""
    free = sizes > SINGULAR
    return (directions * (np.where(free, sizes, 1.0) ** power * free)) @ directions.T
