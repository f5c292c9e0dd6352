"""Whether sites differ in spread: what removing their means would leave."""

import numpy as np

from ._effect import Effect, mean_of, not_estimable, permutation_p
from ._intervals import explained_variance_interval
from ._variance import Design, nothing_left, residuals

__all__ = ["dispersion"]

FEWEST_IN_GROUP = 3
MEASURE = "dispersion_epsilon_squared"


def dispersion(values, reduced, groups, *, n_permutations, confidence, random_state):
    """Measure whether groups differ in how far people lie from the centre of their group.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_coordinates)
        Features, or their coordinates.
    reduced : ndarray of shape (n_rows, n_columns)
        Design, with a constant, that is held fixed, such as a spline of age.
    groups : ndarray of int of shape (n_rows,)
        Codes of the groups; those of fewer than three people are left out.
    n_permutations : int
        Permutations of the residuals of the full model, which is then fitted again.
    confidence : float
        Level of the interval, by the noncentral F of the distances.
    random_state : numpy Generator
        Draws the permutations.

    Returns
    -------
    effect : Effect
        ``dispersion_epsilon_squared``: epsilon squared of the distances over the groups.
    n_rows : int
        People in groups that are large enough.

    Notes
    -----
    Distances as in Anderson (2006), Biometrics 62, 245-253, divided by the square root of one less
    the leverage, since a small group draws its own centre near (O'Neill & Mathews 2000, Aust. N. Z.
    J. Stat. 42, 81-100).
    """
    kept = np.flatnonzero(np.bincount(groups)[groups] >= FEWEST_IN_GROUP)
    _, codes = np.unique(groups[kept], return_inverse=True)
    n_groups = codes.max(initial=-1) + 1
    if n_groups < 2:
        reason = f"Fewer than two groups have {FEWEST_IN_GROUP} people."
        return not_estimable(MEASURE, reason), len(kept)
    design = Design.of(reduced[kept], np.eye(n_groups)[codes])
    problem = design.problem or nothing_left(values[kept], design)
    if problem:
        return not_estimable(MEASURE, problem), len(kept)
    share = _ShareOfGroups(np.hstack([design.reduced, design.added]), codes)
    left = residuals(values[kept], share.basis)
    if np.sum(left**2) <= 1e-10 * np.sum(values[kept] ** 2):
        return not_estimable(MEASURE, "Nobody lies off the centre of the group."), len(kept)
    value = share(left)
    null = np.array(
        [share(left[random_state.permutation(len(left))]) for _ in range(n_permutations)]
    )
    df = n_groups - 1, len(kept) - n_groups
    f_statistic = value / df[0] / max((1 - value) / df[1], 1e-300)
    effect = Effect(
        MEASURE,
        value=value,
        null_mean=mean_of(null),
        value_adj=1 - (1 - value) * sum(df) / df[1],
        interval=explained_variance_interval(f_statistic, *df, len(kept), confidence),
        p=permutation_p(value, null),
        n_permutations=n_permutations,
    )
    return effect, len(kept)


class _ShareOfGroups:
    """The share of the variance of distances from the fitted centre that lies between groups."""

    def __init__(self, basis, codes):
        self.basis = basis
        freedom = 1 - np.sum(basis**2, axis=1)
        # a person that a parameter fits alone has no distance: it gets the mean one
        self.judged = freedom > 1e-6
        self.freedom = np.where(self.judged, freedom, 1.0)
        counts = np.bincount(codes)
        self.indicator = np.eye(len(counts))[codes] / np.sqrt(counts)

    def __call__(self, values):
        squares = np.sum(residuals(values, self.basis) ** 2, axis=1) / self.freedom
        distance = np.sqrt(squares)
        distance = np.where(self.judged, distance, distance[self.judged].mean())
        centred = distance - distance.mean()
        return float(np.sum((centred @ self.indicator) ** 2) / max(np.sum(centred**2), 1e-300))
