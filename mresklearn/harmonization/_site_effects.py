"""Shift and variance ratio of every site and feature, and their removal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ._empirical_bayes import (
    SitePrior,
    nonparametric_effects,
    parametric_effects,
    parametric_shift,
)

__all__ = ["estimate_effects", "remove_effects"]


def estimate_effects(
    shift: np.ndarray,
    squares: np.ndarray,
    counts: np.ndarray,
    *,
    eb: bool,
    parametric: bool,
    location_only: bool,
    stop_rule: str,
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Estimate the effects of each site from its standardised moments.

    Parameters
    ----------
    shift, squares : ndarray of shape (n_sites, n_features)
        Mean and centred sum of squares of the standardised values of each site.
    counts : ndarray of shape (n_sites,)
        People.
    eb, parametric, location_only, stop_rule
        As in :class:`ComBat`.

    Returns
    -------
    shift, ratio : ndarray of shape (n_sites, n_features)
        Effects, in standard deviations and as variance ratios; a single person says nothing of a
        ratio, which stays one.
    priors : DataFrame of shape (n_sites, 4)
        Mean and variance of the shifts, shape and scale of the ratios; NaN where not used.
    """
    final_shift, final_ratio = shift.copy(), np.ones_like(shift)
    priors = np.full((len(counts), 4), np.nan)
    for site, n_people in enumerate(counts):
        only_location = location_only or n_people == 1
        ratio = np.ones(shift.shape[1])
        if not only_location:
            ratio = squares[site] / (n_people - 1)
            ratio[ratio == 0] = 1.0  # constant at this site alone: nothing to rescale
        final_ratio[site] = ratio
        if not eb or shift.shape[1] < 2:  # a prior over features needs two of them
            continue
        prior = SitePrior.from_features(shift[site], ratio)
        priors[site, :2] = prior.mean, prior.variance
        if not parametric:
            final_shift[site], final_ratio[site] = nonparametric_effects(
                shift[site], ratio, squares[site], int(n_people)
            )
        elif only_location:
            final_shift[site] = parametric_shift(shift[site], prior)
        else:
            priors[site, 2:] = prior.shape, prior.scale
            final_shift[site], final_ratio[site] = parametric_effects(
                shift[site], ratio, squares[site], int(n_people), prior, stop_rule=stop_rule
            )
    return final_shift, final_ratio, pd.DataFrame(
        priors, columns=["shift_mean", "shift_variance", "ratio_shape", "ratio_scale"]
    )  # fmt: skip


def remove_effects(
    values: np.ndarray,
    out: np.ndarray,
    rows: list[Any],
    design: np.ndarray,
    *,
    centre: np.ndarray,
    coefficients: np.ndarray,
    deviation: np.ndarray,
    shift: np.ndarray,
    ratio: np.ndarray,
) -> None:
    r"""Write harmonised values of a block of features, without any matrix of expected values.

    .. math::

        x' = a x + (1 - a) (\alpha + c^\top \beta) - a \sigma \gamma, \qquad
        a = 1 / \sqrt{\delta}

    is the usual :math:`\sigma (z - \gamma) / \sqrt\delta + \alpha + c^\top \beta` with
    :math:`z = (x - \alpha - c^\top \beta) / \sigma`, and equals :math:`x` at a site without effect.

    Parameters
    ----------
    values, out : ndarray of shape (n, n_features)
        Features, and where to write.
    rows : list
        Rows of each site, as slices or indices.
    design : ndarray of shape (n, n_covariates)
        Coded covariates.
    centre : ndarray of shape (n_features,)
        :math:`\alpha`.
    coefficients : ndarray of shape (n_covariates, n_features)
        :math:`\beta`.
    deviation : ndarray of shape (n_features,)
        :math:`\sigma`.
    shift, ratio : ndarray of shape (n_sites, n_features)
        :math:`\gamma` and :math:`\delta`.
    """
    for site, members in enumerate(rows):
        block = values[members].astype(np.float64)
        if not len(block):
            continue
        gain = 1 / np.sqrt(ratio[site])
        block *= gain
        block += (1 - gain) * centre - gain * deviation * shift[site]
        if design.shape[1] and not (gain == 1).all():
            block += design[members] @ (coefficients * (1 - gain))
        out[members] = block
