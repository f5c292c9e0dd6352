"""Mixed models with a line for each person, by restricted maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

__all__ = ["IN_STEP", "LEVELS", "SLOPES", "MixedFit", "fit_mixed"]

SLOPES, IN_STEP, LEVELS = "levels and slopes", "levels and slopes in step", "levels"
# of the starts: levels and slopes over the noise, so that none of the valleys is missed
STARTS = ((1.0, 0.0, 0.3), (3.0, 0.0, 0.05), (0.3, 0.3, 1.0), (3.0, -0.5, 1.0))


@dataclass(frozen=True, eq=False)
class MixedFit:
    """Coefficients and their covariance, with the covariance of people and the noise of visits."""

    coefficients: np.ndarray
    covariance: np.ndarray
    person_covariance: np.ndarray
    noise: float
    kind: str


class _Restricted:
    """Restricted deviance of the lines' relative Cholesky factor, the rest solved for.

    With V = I + Z L L' Z' of a person, all that is needed of visits are products with Z, X and y,
    so that a value costs nothing that grows with visits.
    """

    def __init__(
        self, values: np.ndarray, design: np.ndarray, person: np.ndarray, lines: np.ndarray
    ) -> None:
        both = np.column_stack([design, values])
        n_people, q = int(person.max()) + 1, lines.shape[1]
        self.freedom = len(values) - design.shape[1]
        self.inner = np.zeros((n_people, q, q))
        self.cross = np.zeros((n_people, q, both.shape[1]))
        np.add.at(self.inner, person, lines[:, :, np.newaxis] * lines[:, np.newaxis])
        np.add.at(self.cross, person, lines[:, :, np.newaxis] * both[:, np.newaxis])
        self.total = both.T @ both

    def solve(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, float]:
        """Deviance, coefficients, information over noise, and noise."""
        factor = np.array([[theta[0], 0.0], [theta[1], theta[2]]])
        middle = np.eye(2) + factor.T @ self.inner @ factor
        spread = factor.T @ self.cross
        total = self.total - np.einsum("nqi,nqj->ij", spread, np.linalg.solve(middle, spread))
        information, moment = total[:-1, :-1], total[:-1, -1]
        coefficients = np.linalg.solve(information, moment)
        noise = float(total[-1, -1] - moment @ coefficients) / self.freedom
        deviance = np.linalg.slogdet(middle)[1].sum() + np.linalg.slogdet(information)[1]
        deviance += self.freedom * np.log(max(noise, np.finfo(float).tiny))
        return float(deviance), coefficients, information, noise


def fit_mixed(
    values: np.ndarray, design: np.ndarray, person: np.ndarray, lines: np.ndarray
) -> MixedFit:
    """Fit levels and slopes of people with a free covariance, which may lie at its edge.

    The factor of the covariance is what is searched, as by Bates et al. (2015, Journal of
    Statistical Software 67): a slope that does not vary is a factor of 0, and no failure.
    `lines` holds 1 and time, centred.
    """
    size = np.sqrt((lines**2).mean(axis=0))
    scale = float(values.std()) or 1.0
    columns = np.sqrt((design**2).mean(axis=0))
    problem = _Restricted(values / scale, design / columns, person, lines / size)
    searches = [
        minimize(lambda theta: problem.solve(theta)[0], start, method="L-BFGS-B",
                 bounds=[(0, None), (None, None), (0, None)],
                 options={"ftol": 1e-13, "gtol": 1e-7, "maxiter": 500})
        for start in STARTS
    ]  # fmt: skip
    theta = min(searches, key=lambda search: search.fun).x
    _, coefficients, information, noise = problem.solve(theta)
    factor = np.array([[theta[0], 0.0], [theta[1], theta[2]]]) / size[:, np.newaxis]
    noise *= scale**2
    inverse = np.linalg.inv(information) / np.outer(columns, columns)
    return MixedFit(
        coefficients=coefficients * scale / columns,
        covariance=inverse * noise,
        person_covariance=factor @ factor.T * noise,
        noise=noise,
        kind=_kind(theta),
    )


def _kind(theta: np.ndarray) -> str:
    """Say what varies between people by more than rounding of the search."""
    if np.hypot(theta[1], theta[2]) < 1e-3:
        return LEVELS
    return IN_STEP if theta[2] < 1e-3 or theta[0] < 1e-3 else SLOPES
