"""Areas under the curve of gaps less the effects of age, sex and site, which are estimated too."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from ._cluster_robust import RobustLeastSquares
from ._delong import delong_ci

__all__ = ["AdjustedAreas"]


class AdjustedAreas:
    r"""Areas between pairs of groups, with intervals that allow for the adjustment.

    Each gap is adjusted by covariate effects that were estimated without the person, so that many
    covariates do not flatter it; rows of a person are averaged after that.

    DeLong's variance is that of leaving people out one at a time, group by group (the jackknife of
    several samples), with the scores as given. Here the covariate effects are estimated anew
    without each person too: to first order, the area A then moves by its derivative with respect to
    the effects :math:`\beta`. With :math:`n_g` people in group g, and :math:`V_i` the placement of
    person i, 0 for people of neither group,

    .. math::
        \widehat{\mathrm{var}}(A) = \sum_g \frac{n_g - 1}{n_g}
        \sum_{i \in g} (d_i - \bar d_g)^2, \quad
        d_i = - \frac{V_i - \bar V_g}{n_g - 1} + \frac{\partial A}{\partial \beta}^\top
        (\hat\beta_{(i)} - \hat\beta)

    (Arvesen, J. N. (1969). Annals of Mathematical Statistics 40, 2076-2100, for the jackknife of
    two samples). The interval is computed for the logit of A.

    Parameters
    ----------
    gap : ndarray of shape (n_rows,) or (n_rows, n_responses)
        Gaps in years.
    covariates : ndarray of shape (n_rows, n_covariates)
        The first columns of the design, the ones among them.
    fit : RobustLeastSquares
        The gaps on covariates and groups.
    codes, person : ndarray of int of shape (n_rows,)
        Group and person of each row; one group a person.
    apart : ndarray of bool of shape (n_rows,)
        Rows of patients without anybody of another group at their site, which are left out, as are
        people whom a covariate describes alone.
    """

    def __init__(
        self,
        gap: np.ndarray,
        covariates: np.ndarray,
        fit: RobustLeastSquares,
        *,
        codes: np.ndarray,
        person: np.ndarray,
        apart: np.ndarray,
    ) -> None:
        n_covariates = covariates.shape[1]
        usable = ~apart & ~fit.described_alone()
        # from the mean, so that what is left does not depend on which site the others are coded by
        centred = covariates - covariates[usable].mean(axis=0) if usable.any() else covariates
        effects = fit.coefficients[:n_covariates].reshape(n_covariates, -1)
        self._shifts = fit.left_out_shifts(n_covariates).reshape(-1, *effects.shape)
        own = np.einsum("rk,rkj->rj", centred, self._shifts[person])
        adjusted = gap.reshape(len(gap), -1) - centred @ effects - own
        self._codes = codes[np.unique(person, return_index=True)[1]]
        self._usable = np.bincount(person[usable], minlength=fit.n_people) > 0
        self._scores = self._by_person(adjusted[usable], person[usable])
        self._covariates = self._by_person(centred[usable], person[usable])

    def _by_person(self, values: np.ndarray, person: np.ndarray) -> np.ndarray:
        """Average the rows of each person; 0 where somebody has none that can be used."""
        sums = np.zeros((len(self._codes), values.shape[1]))
        np.add.at(sums, person, values)
        return sums / np.maximum(1, np.bincount(person, minlength=len(sums)))[:, None]

    def between(self, group: int, other: int, confidence: float) -> np.ndarray:
        """Area, lower and upper bound, as rows of an array (3, n_responses).

        NaN with fewer than 2 people in a group who can be adjusted. Groups that are fully apart
        have the bounds of :func:`delong_ci`.
        """
        compared = self._usable & np.isin(self._codes, (group, other))
        positive = self._codes[compared] == group
        if not 2 <= positive.sum() <= len(positive) - 2:
            return np.full((3, self._scores.shape[1]), np.nan)
        scores = self._scores[compared]
        area, placement = _placements(scores, positive)
        influence = np.zeros((len(self._codes), scores.shape[1]))
        for side in (positive, ~positive):
            from_mean = placement[side] - placement[side].mean(axis=0)
            influence[np.flatnonzero(compared)[side]] = -from_mean / (side.sum() - 1)
        slopes = _slopes(scores, positive, self._covariates[compared], self._shifts)
        influence += np.einsum("ikj,kj->ij", self._shifts, slopes)
        variance = np.zeros(scores.shape[1])
        for code in np.unique(self._codes):
            part = influence[self._codes == code]
            variance += (len(part) - 1) * part.var(axis=0)
        margin = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance)
        bounds = np.empty((3, len(area)))
        bounds[0] = area
        for response, value in enumerate(area):
            if 0 < value < 1 and variance[response] > 0:
                half_width = margin[response] / (value * (1 - value))
                bounds[1:, response] = expit(logit(value) + np.array([-half_width, half_width]))
            else:
                whole = delong_ci(positive, scores[:, response], confidence=confidence)
                bounds[1:, response] = whole.low, whole.high
        return bounds


def _placements(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the area of each response, and everybody's share of the other group in right order."""
    m, n = positive.sum(), (~positive).sum()
    ranks = stats.rankdata(scores, axis=0)
    placement = np.empty(scores.shape)
    placement[positive] = (ranks[positive] - stats.rankdata(scores[positive], axis=0)) / n
    below = ranks[~positive] - stats.rankdata(scores[~positive], axis=0)
    placement[~positive] = (m - below) / m
    return placement[positive].mean(axis=0), placement


def _slopes(
    scores: np.ndarray, positive: np.ndarray, covariates: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """Differentiate the area by each covariate effect, over a step of about its standard error.

    Areas are steps themselves; over smaller steps the derivative would be that of single pairs.
    """
    step = np.sqrt((shifts**2).sum(axis=0))
    slopes = np.zeros(step.shape)
    for column, size in enumerate(step):
        if not (size > 0).any() or np.ptp(covariates[:, column]) == 0:
            continue
        move = covariates[:, [column]] * size
        up, down = _placements(scores - move, positive)[0], _placements(scores + move, positive)[0]
        slopes[column] = (up - down) / np.where(size > 0, 2 * size, np.inf)
    return slopes
