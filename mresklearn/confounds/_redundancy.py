"""Which share of the variance of all features a variable explains, beyond age and others."""

import numpy as np

from ._effect import Effect, not_estimable, permutation_p
from ._intervals import bounded, explained_variance_interval, jackknife_interval
from ._robust_test import robust_test
from ._variance import Design, nothing_left, partial_r2

__all__ = ["redundancy"]


def redundancy(values, reduced, added, strata, *, n_permutations, confidence, random_state):
    r"""Measure the share of the variance of all features that a variable explains beyond others.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_coordinates)
        Features, or their coordinates.
    reduced, added : ndarray of shape (n_rows, n_columns)
        Design of what is held fixed, with a constant, and of the variable.
    strata : ndarray of int of shape (n_rows,)
        Groups that the jackknife keeps, such as sites.
    n_permutations : int
        Permutations of :func:`robust_test`.
    confidence : float
        Level of the interval.
    random_state : numpy Generator
        Draws permutations and jackknife groups.

    Returns
    -------
    effect : Effect
        ``rda_partial_r2``. With :math:`RSS_0` and :math:`RSS_1` the sums of squares that the
        reduced and the full model leave over all features, ``value`` is
        :math:`1 - RSS_1 / RSS_0` and ``value_adj``
        :math:`1 - (RSS_1 / df_1) / (RSS_0 / df_0)`. The interval is that of the noncentral F for a
        single column, that of the jackknife for more.

    Notes
    -----
    It is redundancy analysis, and its pseudo F is that of a permutational analysis of variance on
    Euclidean distances (McArdle & Anderson 2001, Ecology 82, 290-297). The adjustment is that of
    Peres-Neto et al. (2006), Ecology 87, 2614-2625.
    """
    measure = "rda_partial_r2"
    design = Design.of(reduced, added)
    problem = design.problem or nothing_left(values, design)
    if problem:
        return not_estimable(measure, problem)
    value, value_adj = partial_r2(values, design)
    observed, null = robust_test(values, design, n_permutations, random_state)

    if values.shape[1] == 1:
        df = design.added.shape[1], design.df_error
        f_statistic = value / df[0] / max((1 - value) / df[1], 1e-300)
        interval = explained_variance_interval(f_statistic, *df, len(values), confidence)
    else:
        interval = _interval(values, reduced, added, value_adj, strata, confidence, random_state)
    return Effect(
        measure,
        value=value,
        null_mean=design.r2_by_chance,
        value_adj=value_adj,
        interval=bounded(interval),
        p=permutation_p(observed, null),
        n_permutations=n_permutations,
    )


def _interval(values, reduced, added, estimate, strata, confidence, random_state):
    """Leave out one group of people after the other."""

    def of_rows(rows):
        part = Design.of(reduced[rows], added[rows])
        return np.nan if part.problem else partial_r2(values[rows], part)[1]

    return jackknife_interval(of_rows, estimate, strata, confidence, random_state)
