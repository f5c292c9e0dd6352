"""Cubic B-splines of a covariate, and the roughness that is penalised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import BSpline

__all__ = ["basis", "choose_penalties", "curvature", "spline_knots", "straight_line"]

DEGREE = 3
N_INNER_KNOTS = 6
GRID = np.logspace(-6, 6, 25)


def spline_knots(values: np.ndarray, name: str) -> np.ndarray:
    """Return the knots of a cubic spline with six inner knots at quantiles of a covariate.

    These are the ten basis functions that published harmonisation with smooth terms uses.

    Raises
    ------
    ValueError
        If quantiles coincide: a covariate of few distinct values has no curve.
    """
    inner = np.quantile(values, np.linspace(0, 1, N_INNER_KNOTS + 2))
    if len(np.unique(inner)) < len(inner):
        raise ValueError(
            f"smooth names '{name}', which has too few distinct values for a curve "
            f"({len(np.unique(values))}). Leave it out of smooth."
        )
    ends = np.repeat(inner[[0, -1]], DEGREE)
    return np.sort(np.concatenate([ends, inner]))


def basis(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return the basis functions at `values`, without the first: the sites hold the constant."""
    return BSpline.design_matrix(values, knots, DEGREE).toarray()[:, 1:]


def straight_line(knots: np.ndarray) -> np.ndarray:
    """Return the coefficients with which the basis is the covariate itself, less its minimum.

    A spline with the means of neighbouring knots as coefficients is a straight line (Marsden 1970).
    """
    means = np.array([knots[k + 1 : k + DEGREE + 1].mean() for k in range(len(knots) - DEGREE - 1)])
    return means[1:] - means[0]


def curvature(knots: np.ndarray) -> np.ndarray:
    """Return the integrals of products of second derivatives of the basis functions."""
    n_functions = len(knots) - DEGREE - 1
    second = BSpline(knots, np.eye(n_functions), DEGREE).derivative(2)
    distinct = np.unique(knots)
    # second derivatives are straight between knots, so two Gauss points are exact
    half = np.diff(distinct) / 2
    points = (distinct[:-1] + half)[:, None] + half[:, None] * np.array([-1, 1]) / np.sqrt(3)
    values = second(points.ravel())
    weights = np.repeat(half, 2)
    return ((values * weights[:, None]).T @ values)[1:, 1:]


def choose_penalties(
    scatter: np.ndarray,
    cross: np.ndarray,
    squares: np.ndarray,
    penalties: Sequence[np.ndarray],
    *,
    n_people: int,
    n_sites: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the weight of roughness for each feature, by generalised cross-validation.

    Parameters
    ----------
    scatter : ndarray of shape (n_columns, n_columns)
        Within-site scatter of the design.
    cross : ndarray of shape (n_columns, n_features)
        Its scatter with the features.
    squares : ndarray of shape (n_features,)
        Within-site sums of squares of the features.
    penalties : sequence of ndarray of shape (n_columns, n_columns)
        Roughness of each smooth covariate.
    n_people, n_sites : int
        Numbers behind the moments.

    Returns
    -------
    penalty : ndarray of shape (n_columns, n_columns)
        Sum of the penalties, each brought to the size of its columns' scatter, so that units of
        covariates do not matter.
    weights : ndarray of shape (n_features,)
        Its weight: one of 25, from a millionth to a million.

    References
    ----------
    Craven & Wahba (1979), Numerische Mathematik 31; Golub, Heath & Wahba (1979), Technometrics 21.
    """
    penalty = np.zeros_like(scatter)
    for part in penalties:
        smooth = np.diag(part) > 0
        penalty += part * (np.trace(scatter[np.ix_(smooth, smooth)]) / np.trace(part))
    # one length for all columns, so that units do not decide what counts as singular
    length = np.sqrt(np.diag(scatter))
    scatter, cross = scatter / np.outer(length, length), cross / length[:, None]
    scaled = penalty / np.outer(length, length)
    best = np.full(len(squares), np.inf)
    weights = np.full(len(squares), GRID[-1])
    for weight in GRID:
        inverse = np.linalg.pinv(scatter + weight * scaled, hermitian=True)
        coefficients = inverse @ cross
        left = squares - np.einsum("qp,qp->p", coefficients, 2 * cross - scatter @ coefficients)
        freedom = n_people - n_sites - np.trace(inverse @ scatter)
        if freedom <= 0:
            continue
        score = np.maximum(left, 0) / freedom**2
        better = score < best
        best[better], weights[better] = score[better], weight
    return penalty, weights
