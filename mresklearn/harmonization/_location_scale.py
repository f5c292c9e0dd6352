"""Location and scale of every site beyond the covariates, in closed form from moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._smooth_terms import choose_penalties

__all__ = ["LocationScale", "fit_location_scale"]

EXPLAINED = 1e-12
ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class LocationScale:
    """Least squares fit of sites and covariates, and what it leaves at each site.

    Parameters
    ----------
    grand_mean : ndarray of shape (n_features,)
        Mean of the site coefficients weighted by people, or that of the reference site.
    coefficients : ndarray of shape (n_covariates, n_features)
        Of the covariates.
    deviation : ndarray of shape (n_features,)
        Pooled standard deviation of the residuals, with n as divisor.
    location : ndarray of shape (n_sites, n_features)
        Site coefficients less the grand mean, in units of the feature.
    squares : ndarray of shape (n_sites, n_features)
        Sums of squared residuals of each site, in squared units.
    varies : ndarray of bool of shape (n_features,)
        False where nothing is left beyond sites and covariates, so that there is no scale.
    """

    grand_mean: np.ndarray
    coefficients: np.ndarray
    deviation: np.ndarray
    location: np.ndarray
    squares: np.ndarray
    varies: np.ndarray


def fit_location_scale(
    counts: np.ndarray,
    covariate_means: np.ndarray,
    covariate_scatter: np.ndarray,
    means: np.ndarray,
    cross_scatter: np.ndarray,
    squares: np.ndarray,
    *,
    reference: int | None = None,
    penalty: np.ndarray | None = None,
    weight: float | None = None,
) -> LocationScale:
    """Regress features on site indicators and covariates, from moments by site.

    With an indicator for every site, the coefficients of the covariates are those of the data
    centred by site (Frisch & Waugh 1933; Lovell 1963), and residuals sum to zero at each site. So
    neither the residuals nor the standardised data are ever formed.

    Parameters
    ----------
    counts, covariate_means, covariate_scatter, means, cross_scatter, squares : ndarray
        As in :class:`SiteMoments`.
    reference : int or None, default=None
        Site whose mean and residual variance are those of the output.
    penalty : ndarray of shape (n_covariates, n_covariates) or None, default=None
        Roughness of smooth covariates.
    weight : float or None, default=None
        Weight of the penalty; None chooses one for each feature.

    Returns
    -------
    fitted : LocationScale
        The fit.
    """
    scatter, cross = covariate_scatter.sum(axis=0), cross_scatter.sum(axis=0)
    total = squares.sum(axis=0)
    n_people = counts.sum()
    if penalty is None:
        coefficients = solve_scaled(scatter, cross)
    else:
        weights = (
            choose_penalties(scatter, cross, total, penalty, n_people=n_people, n_sites=len(counts))
            if weight is None
            else np.full(len(total), weight)
        )
        coefficients = np.empty_like(cross)
        for chosen in np.unique(weights):
            features = weights == chosen
            coefficients[:, features] = solve_scaled(scatter + chosen * penalty, cross[:, features])
    sites = means - covariate_means @ coefficients
    left = squares - np.einsum(
        "qp,kqp->kp", coefficients, 2 * cross_scatter - covariate_scatter @ coefficients
    )
    np.maximum(left, 0, out=left)
    grand_mean = counts @ sites / n_people if reference is None else sites[reference]
    variance = left.sum(axis=0) / n_people
    varies = variance * n_people > EXPLAINED * total
    varies &= variance > (ROUNDING * np.abs(means).max(axis=0)) ** 2
    if reference is not None:
        varies &= left[reference] > EXPLAINED * left.sum(axis=0)
        variance = left[reference] / counts[reference]
    location = sites - grand_mean
    location[np.abs(location) <= ROUNDING * np.abs(grand_mean)] = 0.0
    deviation = np.sqrt(variance, where=varies, out=np.ones_like(variance))
    return LocationScale(grand_mean, coefficients, deviation, location, left, varies)


def solve_scaled(scatter: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Solve the normal equations with columns scaled to one length, so that units do not matter."""
    length = np.sqrt(np.diag(scatter))
    length = np.where(length > 0, length, 1.0)
    scaled = scatter / np.outer(length, length)
    return np.linalg.solve(scaled, cross / length[:, None]) / length[:, None]
