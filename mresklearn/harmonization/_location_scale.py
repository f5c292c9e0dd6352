"""Location and scale of every site beyond the covariates, in closed form from moments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._smooth_terms import choose_penalties

__all__ = ["LocationScale", "fit_location_scale", "locate_new_sites"]

EXPLAINED = 1e-12
ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class LocationScale:
    """Least squares fit of sites and covariates, and what it leaves at each site.

    Parameters
    ----------
    centre : ndarray of shape (n_features,)
        Mean of the site coefficients weighted by people, or that of the reference site.
    coefficients : ndarray of shape (n_covariates, n_features)
        Of the covariates.
    deviation : ndarray of shape (n_features,)
        Pooled standard deviation of the residuals, with n as divisor; 1 where nothing varies.
    location : ndarray of shape (n_sites, n_features)
        Site coefficients less the centre, in units of the feature.
    squares : ndarray of shape (n_sites, n_features)
        Sums of squared residuals of each site, in squared units.
    varies : ndarray of bool of shape (n_features,)
        False where nothing is left beyond sites and covariates, so that there is no scale.
    """

    centre: np.ndarray
    coefficients: np.ndarray
    deviation: np.ndarray
    location: np.ndarray
    squares: np.ndarray
    varies: np.ndarray


def fit_location_scale(
    moments: Any,
    blocks: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    n_features: int,
    *,
    reference: int | None = None,
    penalties: Sequence[np.ndarray] = (),
    weight: float | None = None,
) -> LocationScale:
    """Regress features on site indicators and covariates, from moments by site.

    With an indicator for every site, the coefficients of the covariates are those of the data
    centred by site (Frisch & Waugh 1933; Lovell 1963), and residuals sum to zero at each site. So
    neither the residuals nor the standardised data are ever formed.

    Parameters
    ----------
    moments : SiteMoments or SiteGroups
        With the counts of people, and mean and scatter of their covariates, by site.
    blocks : iterable of (means, cross_scatter, squares)
        As in :class:`SiteMoments`, of some features at a time, in order.
    n_features : int
        Features in all blocks.
    reference : int or None, default=None
        Site whose mean and residual variance are those of the output.
    penalties : sequence of ndarray of shape (n_covariates, n_covariates), default=()
        Roughness of each smooth covariate.
    weight : float or None, default=None
        Weight of the penalties; None chooses one for each feature.

    Returns
    -------
    fitted : LocationScale
        The fit.
    """
    n_sites, n_covariates = moments.covariate_means.shape
    fit = LocationScale(
        centre=np.empty(n_features),
        coefficients=np.empty((n_covariates, n_features)),
        deviation=np.empty(n_features),
        location=np.empty((n_sites, n_features)),
        squares=np.empty((n_sites, n_features)),
        varies=np.empty(n_features, dtype=bool),
    )
    start = 0
    for block in blocks:
        part = slice(start, start + block[0].shape[1])
        coefficients = _coefficients(moments, *block[1:], penalties, weight)
        coefficients[:, _is_rounding(moments, block, block[2]).all(axis=0)] = 0.0
        fit.coefficients[:, part] = coefficients
        _fit_block(fit, part, moments, block, reference)
        start = part.stop
    return fit


def locate_new_sites(
    moments: Any,
    blocks: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    centre: np.ndarray,
    coefficients: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return location and squares of sites that had no part in the fit, as :class:`LocationScale`.

    Parameters
    ----------
    moments, blocks
        Of the new sites, as in :func:`fit_location_scale`.
    centre, coefficients : ndarray
        Of the fit.
    """
    shape = (len(moments.counts), len(centre))
    location, squares, start = np.empty(shape), np.empty(shape), 0
    for block in blocks:
        part = slice(start, start + block[0].shape[1])
        sites, squares[:, part] = left_by_covariates(moments, block, coefficients[:, part])
        location[:, part] = shifts_from(centre[part], sites)
        start = part.stop
    return location, squares


def left_by_covariates(
    moments: Any, block: tuple[np.ndarray, np.ndarray, np.ndarray], coefficients: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return means and centred sums of squares by site of features less the covariates' part."""
    means, cross, squares = block
    explained = np.einsum(
        "qp,kqp->kp", coefficients, 2 * cross - moments.covariate_scatter @ coefficients
    )
    left = squares - explained
    # what rounding leaves of a feature that is constant, or explained, at this site alone
    left[(left <= EXPLAINED * squares) | _is_rounding(moments, block, left)] = 0.0
    return means - moments.covariate_means @ coefficients, left


def solve_scaled(scatter: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Solve normal equations with columns scaled to one length, so that units do not matter."""
    length = _lengths(scatter)
    scaled = scatter / np.outer(length, length)
    return np.linalg.lstsq(scaled, cross / length[:, None])[0] / length[:, None]


def _fit_block(
    fit: LocationScale,
    part: slice,
    moments: Any,
    block: tuple[np.ndarray, np.ndarray, np.ndarray],
    reference: int | None,
) -> None:
    """Write centre, deviation, locations and squares of a block of features."""
    counts = moments.counts
    sites, left = left_by_covariates(moments, block, fit.coefficients[:, part])
    centre = counts @ sites / counts.sum() if reference is None else sites[reference]
    total, within = left.sum(axis=0), block[2].sum(axis=0)
    varies = total > EXPLAINED * within
    variance = total / counts.sum()
    if reference is not None:
        varies &= left[reference] > EXPLAINED * total
        variance = left[reference] / counts[reference]
    fit.centre[part], fit.varies[part] = centre, varies
    fit.deviation[part] = np.sqrt(variance, where=varies, out=np.ones_like(variance))
    fit.location[:, part], fit.squares[:, part] = shifts_from(centre, sites), left


def shifts_from(centre: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """Return the distances of sites from the centre, zero where they are rounding."""
    location = sites - centre
    location[np.abs(location) <= ROUNDING * np.abs(centre)] = 0.0
    return location


def _is_rounding(
    moments: Any, block: tuple[np.ndarray, np.ndarray, np.ndarray], squares: np.ndarray
) -> np.ndarray:
    """Return where sums of squares at a site are what rounding leaves of a constant."""
    return squares <= moments.counts[:, None] * (ROUNDING * block[0]) ** 2


def _coefficients(
    moments: Any,
    cross_scatter: np.ndarray,
    squares: np.ndarray,
    penalties: Sequence[np.ndarray],
    weight: float | None,
) -> np.ndarray:
    """Return the coefficients of the covariates, penalised where they act in a curve."""
    scatter, cross = moments.covariate_scatter.sum(axis=0), cross_scatter.sum(axis=0)
    if not penalties:
        return solve_scaled(scatter, cross)
    if weight is not None:
        return solve_scaled(scatter + weight * np.sum(penalties, axis=0), cross)
    penalty, weights = choose_penalties(
        scatter, cross, squares.sum(axis=0), penalties,
        n_people=moments.counts.sum(), n_sites=len(moments.counts),
    )  # fmt: skip
    coefficients = np.empty_like(cross)
    for chosen in np.unique(weights):
        features = weights == chosen
        coefficients[:, features] = solve_scaled(scatter + chosen * penalty, cross[:, features])
    return coefficients


def _lengths(scatter: np.ndarray) -> np.ndarray:
    length = np.sqrt(np.diag(scatter))
    return np.where(length > 0, length, 1.0)
