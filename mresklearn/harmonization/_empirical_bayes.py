"""Empirical Bayes estimates of site effects: each feature's own, drawn towards those of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["SitePrior", "nonparametric_effects", "parametric_effects", "parametric_shift"]

REFERENCE_TOLERANCE = 1e-4
TOLERANCE = 1e-12
MOST_ITERATIONS = 1000
BLOCK_ELEMENTS = 2**22
BLOCK_FEATURES = 2**14


@dataclass(frozen=True)
class SitePrior:
    """Prior of one site's effects, by the method of moments over its features.

    Parameters
    ----------
    mean, variance : float
        Of the normal prior of the shift, in standard deviations of the feature.
    shape, scale : float
        Of the inverse gamma prior of the variance ratio; infinite where all ratios are one value.
    ratio : float
        Mean of the variance ratios.

    References
    ----------
    Johnson, Li & Rabinovic (2007), Biostatistics 8: section 3.2 and its appendix.
    """

    mean: float
    variance: float
    shape: float
    scale: float
    ratio: float

    @classmethod
    def from_features(cls, shift: np.ndarray, ratio: np.ndarray) -> SitePrior:
        """Estimate the prior from the shift and the variance ratio of each feature, two or more."""
        mean, variance = ratio.mean(), ratio.var(ddof=1)
        with np.errstate(divide="ignore"):
            shape = (2 * variance + mean**2) / variance
            scale = (mean * variance + mean**3) / variance
        return cls(
            float(shift.mean()), float(shift.var(ddof=1)), float(shape), float(scale), float(mean)
        )


def parametric_shift(shift: np.ndarray, prior: SitePrior) -> np.ndarray:
    """Return posterior means of shifts with the variance held at one, as one observation each.

    The form that the published implementations use where only the location is adjusted: the site's
    number of people does not enter.
    """
    return (prior.variance * shift + prior.mean) / (prior.variance + 1)


def parametric_effects(
    shift: np.ndarray,
    ratio: np.ndarray,
    squares: np.ndarray,
    n_people: int,
    prior: SitePrior,
    *,
    stop_rule: str,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Solve for the posterior shift and variance ratio of each feature of one site.

    .. math::

        \gamma = \frac{n \tau^2 \hat\gamma + \delta \bar\gamma}{n \tau^2 + \delta}, \qquad
        \delta = \frac{\theta + \frac12 \sum_i (z_i - \gamma)^2}{\frac n2 + \lambda - 1}

    iterated from the estimates of each feature alone. The sum over people is
    :math:`\sum_i (z_i - \hat\gamma)^2 + n (\hat\gamma - \gamma)^2`, so no person's value is needed,
    and with :math:`\hat\gamma - \gamma = (\hat\gamma - \bar\gamma) \, \delta / (n \tau^2 + \delta)`
    the iteration is one over :math:`\delta` alone.

    Parameters
    ----------
    shift, ratio : ndarray of shape (n_features,)
        Mean and variance of the site's standardised values.
    squares : ndarray of shape (n_features,)
        Sum of squares of the standardised values about `shift`.
    n_people : int
        People at the site.
    prior : SitePrior
        Prior of the site.
    stop_rule : {"converged", "reference"}
        Until each feature has converged, or as the published implementations stop: together, once
        the largest change is under 1e-4 of the *signed* former value.

    Returns
    -------
    shift, ratio : ndarray of shape (n_features,)
        Posterior estimates.

    References
    ----------
    Johnson, Li & Rabinovic (2007), Biostatistics 8, eq. 3.1 and 3.2.
    """
    weight = n_people * prior.variance
    far = shift - prior.mean
    if np.isfinite(prior.shape):
        divisor = n_people / 2 + prior.shape - 1
        own, pull = (prior.scale + squares / 2) / divisor, far**2 * (n_people / 2 / divisor)
    else:
        own, pull = np.full_like(ratio, prior.ratio), np.zeros_like(ratio)

    def next_ratio(ratio: np.ndarray, part: slice) -> np.ndarray:
        share = ratio / (weight + ratio)
        share *= share
        share *= pull[part]
        share += own[part]
        return share

    def shift_given(ratio: np.ndarray) -> np.ndarray:
        return shift - far * (ratio / (weight + ratio))

    if stop_rule == "reference":
        return _iterate_together(next_ratio, shift_given, shift, ratio)
    converged = np.empty_like(ratio)
    for start in range(0, len(ratio), BLOCK_FEATURES):
        part = slice(start, start + BLOCK_FEATURES)
        now = ratio[part]
        for step in range(1, MOST_ITERATIONS):
            last, now = now, next_ratio(now, part)
            # looking costs as much as a step
            if step % 4 == 0 and not (np.abs(now - last) > TOLERANCE * now).any():
                break
        converged[part] = now
    return shift_given(converged), converged


def _iterate_together(
    next_ratio: Callable[[np.ndarray, slice], np.ndarray],
    shift_given: Callable[[np.ndarray], np.ndarray],
    shift: np.ndarray,
    ratio: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Iterate all features until the rule of the published implementations holds."""
    for _ in range(MOST_ITERATIONS):
        new_shift, new_ratio = shift_given(ratio), next_ratio(ratio, slice(None))
        with np.errstate(divide="ignore", invalid="ignore"):
            change = max(
                np.max(np.abs(new_shift - shift) / shift),
                np.max(np.abs(new_ratio - ratio) / ratio),
            )
        shift, ratio = new_shift, new_ratio
        if not change > REFERENCE_TOLERANCE:
            break
    return shift, ratio


def nonparametric_effects(
    shift: np.ndarray, ratio: np.ndarray, squares: np.ndarray, n_people: int
) -> tuple[np.ndarray, np.ndarray]:
    r"""Average the effects of all other features, weighted by how well they explain this one.

    The weight of feature :math:`j` for feature :math:`i` is the likelihood of the site's values of
    :math:`i` under a normal distribution with the shift and variance ratio of :math:`j`. Weights
    are formed as logarithms, so that many people do not underflow. Time grows with the square of
    the number of features.

    Parameters
    ----------
    shift, ratio : ndarray of shape (n_features,)
        Mean and variance of the site's standardised values; two features or more.
    squares : ndarray of shape (n_features,)
        Sum of squares of the standardised values about `shift`.
    n_people : int
        People at the site.

    Returns
    -------
    shift, ratio : ndarray of shape (n_features,)
        Posterior estimates.

    References
    ----------
    Johnson, Li & Rabinovic (2007), Biostatistics 8, supplement: non-parametric prior.
    """
    n_features = len(shift)
    posterior = np.empty((n_features, 2))
    effects = np.column_stack([shift, ratio])
    width = max(1, BLOCK_ELEMENTS // n_features)
    for start in range(0, n_features, width):
        rows = slice(start, min(start + width, n_features))
        distance = (shift[rows, None] - shift) ** 2
        total = squares[rows, None] + n_people * distance
        weight = -0.5 * (n_people * np.log(ratio) + total / ratio)
        weight[np.arange(weight.shape[0]), np.arange(rows.start, rows.stop)] = -np.inf
        weight -= weight.max(axis=1, keepdims=True)
        np.exp(weight, out=weight)
        posterior[rows] = weight @ effects / weight.sum(axis=1, keepdims=True)
    return posterior[:, 0], posterior[:, 1]
