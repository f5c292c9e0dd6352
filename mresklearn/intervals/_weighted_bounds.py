"""Bounds of a conformal interval from held-out errors, each with its weight."""

from fractions import Fraction
from math import ceil

import numpy as np

__all__ = ["conformal_bounds", "minimum_size", "weighted_quantile"]

# sums of weights such as 1/10 miss round numbers by rounding
_ROUNDING = 1e-9


def conformal_bounds(predictions, residuals, weights, coverage):
    r"""Return the weighted CV+ interval of each new person.

    With :math:`\mu_{-i}` the model that was fitted without the held-out person i, and
    :math:`R_i = |y_i - \mu_{-i}(x_i)|`, the interval of x ends at the quantiles of

    .. math:: \sum_i w_i\, \delta_{\mu_{-i}(x) \pm R_i} + (1 - \sum_i w_i)\, \delta_{\pm\infty}

    at `coverage`. Equal weights :math:`1/(n+1)` give the CV+ interval of Barber, Candès, Ramdas and
    Tibshirani (2021), Annals of Statistics 49, 486-507; weights :math:`1/((K+1) n_k)` the form for
    a new group among K of Lee, Barber and Willett (2023), arXiv:2306.06342; a model that is the
    same for all i, split conformal prediction.

    Parameters
    ----------
    predictions : ndarray of shape (n_new, n_held_out)
        Prediction for each new person by the model without held-out person i.
    residuals : ndarray of shape (n_held_out,)
        Absolute errors of the held-out persons.
    weights : ndarray of shape (n_held_out,)
        Weights that add up to 1 or less; the rest is the weight of an infinite error.
    coverage : float
        Share of intervals that should hold the truth, over 0.5 and under 1.

    Returns
    -------
    bounds : ndarray of shape (n_new, 2)
        Lower and upper end; infinite where too few persons were held out.
    """
    lower = -weighted_quantile(residuals - predictions, weights, coverage)
    upper = weighted_quantile(residuals + predictions, weights, coverage)
    return np.column_stack([lower, upper])


def weighted_quantile(values, weights, share):
    """Return the smallest value of each row that has at least `share` of the weight up to it.

    Parameters
    ----------
    values : ndarray of shape (..., n)
        Values.
    weights : ndarray of shape (n,)
        Weights that add up to 1 or less; the rest lies at infinity.
    share : float
        In (0, 1).

    Returns
    -------
    quantile : ndarray of shape (...,)
        Infinite where the weights fall short of `share`.
    """
    if weights.sum() < share - _ROUNDING:
        return np.full(values.shape[:-1], np.inf)
    order = np.argsort(values, axis=-1, kind="stable")
    reached = np.cumsum(weights[order], axis=-1) >= share - _ROUNDING
    first = np.argmax(reached, axis=-1)[..., np.newaxis]
    return np.take_along_axis(values, np.take_along_axis(order, first, -1), -1)[..., 0]


def minimum_size(coverage):
    """Return how many held-out units a finite interval needs: 9 for 90 %, 19 for 95 %."""
    missed = 1 - Fraction(coverage).limit_denominator(10**6)
    return ceil(1 / missed) - 1
