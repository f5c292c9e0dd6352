"""How far the target is held fixed: as far as the features tell of it beyond chance."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._location_scale import LocationScale

__all__ = ["shrink_target"]


def shrink_target(
    fit: LocationScale, moments: Any, target: np.ndarray, *, reference: int | None = None
) -> float:
    r"""Draw the coefficients of the target towards zero, all by one factor, in their place.

    Least squares gives a target that the features say nothing of chance coefficients
    :math:`\hat\beta`. Each site's mean then keeps :math:`\bar y_s \hat\beta`: shifts along one
    direction, in the order of the sites' mean targets, from which a model reads the site. How large
    chance coefficients are is known, so that much is taken off. With :math:`F_j` the statistic of
    the target in feature j of p, and :math:`\nu` degrees of freedom of the residuals,

    .. math::

        \kappa = \min\left(1, \; \frac{\nu / (\nu - 2)}{\frac1p \sum_j F_j} \right), \qquad
        \hat\beta \leftarrow (1 - \kappa^2) \hat\beta .

    :math:`1 - \kappa` is the positive-part James-Stein factor for coefficients in standard errors:
    about zero without signal, one where it is strong. Shrinking what it takes off once more, which
    leaves :math:`1 - \kappa^2`, makes the bias of second order (twicing): site means of a target
    that the features tell well stay as they are. The other covariates are fitted to what that
    leaves.

    Parameters
    ----------
    fit : LocationScale
        Least squares fit. Its centre, coefficients and locations are overwritten.
    moments : SiteMoments or SiteGroups
        With the counts of people, and mean and scatter of their covariates, by site.
    target : ndarray of bool of shape (n_covariates,)
        Columns of the target.
    reference : int or None, default=None
        Site that the others are moved to.

    Returns
    -------
    factor : float
        :math:`1 - \kappa^2`.

    References
    ----------
    James & Stein (1961), Proc. 4th Berkeley Symposium 1, 361-379. Efron & Morris (1973), JASA 68,
    117-130: the factor as an empirical Bayes estimate. Tukey (1977), Exploratory Data Analysis,
    section 16: twicing.
    """
    scatter, other = moments.covariate_scatter.sum(axis=0), ~target
    slopes = np.linalg.lstsq(scatter[np.ix_(other, other)], scatter[np.ix_(other, target)])[0]
    beyond = scatter[np.ix_(target, target)] - scatter[np.ix_(target, other)] @ slopes
    taken_off = fit.coefficients[target]
    chance = _share_of_chance(fit, moments, taken_off, beyond)
    taken_off *= chance**2
    fit.coefficients[target] -= taken_off
    fit.coefficients[other] += slopes @ taken_off
    sites = moments.covariate_means[:, target] - moments.covariate_means[:, other] @ slopes
    weights = moments.counts / moments.counts.sum()
    middle = weights @ sites if reference is None else sites[reference]
    fit.centre[:] += middle @ taken_off
    for site, distance in enumerate(sites - middle):
        fit.location[site] += distance @ taken_off
    return 1 - chance**2


def _share_of_chance(
    fit: LocationScale, moments: Any, coefficients: np.ndarray, beyond: np.ndarray
) -> float:
    """Return what chance alone explains of the features, as a share of what the target does."""
    freedom = int(moments.counts.sum() - len(moments.counts) - len(fit.coefficients))
    left = fit.squares.sum(axis=0)
    if freedom <= 2 or not fit.varies.any():
        return 1.0
    explained = np.einsum("qp,qp->p", coefficients, beyond @ coefficients) / len(coefficients)
    statistic = explained[fit.varies] / (left[fit.varies] / freedom)
    return float(min(1.0, freedom / (freedom - 2) / max(statistic.mean(), 1e-300)))
