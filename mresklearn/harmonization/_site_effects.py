"""Shift and variance ratio of every site and feature, and their removal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ._empirical_bayes import (
    SitePrior,
    nonparametric_effects,
    parametric_effects,
    parametric_shift,
)

__all__ = ["ROWS_OF_BLOCK", "estimate_effects", "prior_table", "remove_effects"]

ROWS_OF_BLOCK = 16
PART_VALUES = 2**16


def estimate_effects(
    shift: np.ndarray,
    squares: np.ndarray,
    counts: np.ndarray,
    varies: np.ndarray,
    *,
    eb: bool,
    parametric: bool,
    location_only: bool,
    stop_rule: str,
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Estimate the effects of each site from its standardised moments, in their place.

    With many sites these two arrays are most of what a fit holds, so there is no second pair.

    Parameters
    ----------
    shift, squares : ndarray of shape (n_sites, n_features)
        Mean and centred sum of squares of the standardised values of each site. Overwritten.
    counts : ndarray of shape (n_sites,)
        People.
    varies : ndarray of bool of shape (n_features,)
        False for features without a scale, which keep their shift and take no part in the priors.
    eb, parametric, location_only, stop_rule
        As in :class:`ComBat`.

    Returns
    -------
    shift, ratio : ndarray of shape (n_sites, n_features)
        Effects, in standard deviations and as variance ratios; a single person says nothing of a
        ratio, which stays one. They are the arrays handed over.
    priors : DataFrame of shape (n_sites, 4)
        Mean and variance of the shifts, shape and scale of the ratios; NaN where not used.
    """
    priors = np.full((len(counts), 4), np.nan)
    use = slice(None) if varies.all() else varies  # a slice copies nothing
    for site, n_people in enumerate(counts):
        only_location = location_only or n_people == 1
        own, sums = shift[site, use], squares[site, use]
        ratio = np.ones(len(own))
        if not only_location:
            ratio = sums / (n_people - 1)
            ratio[ratio == 0] = 1.0  # constant at this site alone: nothing to rescale
        if eb and len(own) > 1:  # a prior over features needs two of them
            prior = SitePrior.from_features(own, ratio)
            priors[site, :2] = prior.mean, prior.variance
            if not parametric:
                own, ratio = nonparametric_effects(own, ratio, sums, int(n_people))
            elif only_location:
                own = parametric_shift(own, prior)
            else:
                priors[site, 2:] = prior.shape, prior.scale
                own, ratio = parametric_effects(
                    own, ratio, sums, int(n_people), prior, stop_rule=stop_rule
                )
        shift[site, use] = own
        squares[site] = 1.0
        if not only_location:
            squares[site, use] = ratio
    return shift, squares, prior_table(priors)


def prior_table(priors: np.ndarray) -> pd.DataFrame:
    """Name the four numbers of each site's priors."""
    columns = ["shift_mean", "shift_variance", "ratio_shape", "ratio_scale"]
    return pd.DataFrame(priors, columns=columns)


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
        if not isinstance(members, slice) and not len(members):
            continue
        gain = 1 / np.sqrt(ratio[site])
        moved = (1 - gain) * centre - gain * deviation * shift[site]
        slopes = None
        if design.shape[1] and not (gain == 1).all():
            slopes = coefficients * (1 - gain)
        for part in _parts(members, len(gain)):
            # indices have copied already, slices have not
            block = values[part].astype(np.float64, copy=isinstance(part, slice))
            block *= gain
            block += moved
            if slopes is not None:
                block += design[part] @ slopes
            out[part] = block


def _parts(members: Any, n_features: int) -> Iterator[Any]:
    """Yield a few rows at a time, which stay in a processor's cache."""
    step = max(1, PART_VALUES // n_features)
    if not isinstance(members, slice):
        for start in range(0, len(members), step):
            yield members[start : start + step]
        return
    for start in range(members.start, members.stop, step):
        yield slice(start, min(start + step, members.stop))
