"""How far the errors at one site are from those elsewhere at equal age."""

import numpy as np
from scipy import stats

from ._effect import Effect, not_estimable, permutation_p
from ._robust_test import robust_test
from ._variance import Design, nothing_left, orthonormal, residuals

__all__ = ["site_error"]

FEWEST_AT_SITE = 3


def site_error(measure, errors, reduced, inside, *, n_permutations, confidence, random_state):
    """Compare the mean error of a site with that of the other sites at equal age.

    Where a model draws predictions towards the mean age, the young have a positive error and the
    old a negative one, so the plain mean of a site tells its ages as much as its scanner.

    Parameters
    ----------
    measure : str
        Name of the effect.
    errors : ndarray of shape (n_rows,)
        Predicted less true age for the bias, its absolute value for the mean absolute error.
    reduced : ndarray of shape (n_rows, n_columns)
        Design of what is held fixed, with a constant, such as a spline of age.
    inside : ndarray of bool of shape (n_rows,)
        People of the site.
    n_permutations : int
        Permutations of :func:`robust_test`.
    confidence : float
        Level of the interval.
    random_state : numpy Generator
        Draws the permutations.

    Returns
    -------
    effect : Effect
        ``value`` is the mean error at the site, ``null_mean`` what people of its ages have
        elsewhere, ``value_adj`` the difference, in the unit of the errors.

    Notes
    -----
    The interval has the variance HC3 of MacKinnon & White (1985), J. Econometrics 29, 305-325, and
    one degree of freedom fewer than people at the site, since their errors alone tell its variance
    where the site is small.
    """
    if inside.sum() < FEWEST_AT_SITE:
        reason = f"{inside.sum()} people at the site; {FEWEST_AT_SITE} are needed."
        return not_estimable(measure, reason)
    column = inside[:, None].astype(float)
    design = Design.of(reduced, column)
    problem = design.problem or nothing_left(errors[:, None], design)
    if problem:
        return not_estimable(measure, problem)
    direction = residuals(column, design.reduced)[:, 0]
    length = direction @ direction
    difference = direction @ errors / length
    full = orthonormal(np.hstack([design.reduced, design.added]))
    leverage = np.minimum(np.sum(full**2, axis=1), 1 - 1e-6)
    noise = residuals(errors, full) / (1 - leverage)
    error = np.sqrt(np.sum((direction * noise) ** 2)) / length
    df = min(inside.sum() - 1, design.df_error)
    half = stats.t.ppf(0.5 + confidence / 2, df) * error
    observed, null = robust_test(errors[:, None], design, n_permutations, random_state)
    mean = float(errors[inside].mean())
    return Effect(
        measure,
        value=mean,
        null_mean=mean - float(difference),
        value_adj=float(difference),
        interval=(float(difference - half), float(difference + half)),
        p=permutation_p(observed, null),
        n_permutations=n_permutations,
    )
