"""Whether people of a site have counterparts elsewhere: overlap, effective people, common range.

Where they have none, no method can tell the site from the age or the diagnosis.
"""

import numpy as np

from ._effect import Effect, not_estimable, permutation_p
from ._intervals import bootstrap_interval, bounded

__all__ = [
    "common_support",
    "level_overlap",
    "matched_people",
    "matched_people_by_level",
    "number_overlap",
]

N_BOOTSTRAP = 500
GRID_POINTS = 200
FEWEST_FOR_SUPPORT = 5


def number_overlap(values, inside, *, n_permutations, confidence, random_state):
    """Measure the overlap of a number, such as age, between one site and the rest.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        Finite numbers.
    inside : ndarray of bool of shape (n_rows,)
        People of the site.
    n_permutations : int
        Permutations of who belongs to the site.
    confidence : float
        Level of the interval, from people drawn anew within the site and within the rest.
    random_state : numpy Generator
        Draws both.

    Returns
    -------
    effect : Effect
        ``overlap_coefficient``, the area under the smaller of the two densities (Weitzman 1970):
        1 for equal distributions, 0 without overlap. Estimated densities never agree fully, so
        ``value_adj`` is divided by the mean under chance.
    matched : float
        Effective number of matched people, see :func:`matched_people`.
    """
    problem = _problem(inside)
    if problem:
        return not_estimable("overlap_coefficient", problem), np.nan
    effect = _overlap(_kernel(values, inside), inside, n_permutations, confidence, random_state)
    return effect, _matched_by_number(values, inside)


def level_overlap(codes, inside, *, n_permutations, confidence, random_state):
    """Measure the overlap of levels, such as diagnoses, between one site and the rest.

    Parameters
    ----------
    codes : ndarray of int of shape (n_rows,)
        Levels.
    inside, n_permutations, confidence, random_state
        As in :func:`number_overlap`.

    Returns
    -------
    effect : Effect
        As in :func:`number_overlap`, with shares of levels for densities.
    matched : float
        Effective number of matched people.
    """
    problem = _problem(inside)
    if problem:
        return not_estimable("overlap_coefficient", problem), np.nan
    indicator = np.eye(codes.max() + 1)[codes].T
    effect = _overlap(indicator, inside, n_permutations, confidence, random_state)
    return effect, matched_people(indicator @ inside, indicator @ ~inside)


def matched_people(at_site, elsewhere):
    r"""Count the people of a site that have counterparts elsewhere, by information.

    With :math:`n_l` and :math:`m_l` people at level l, a comparison at equal levels is as precise
    as one person against infinitely many others for each of

    .. math:: \sum_l n_l m_l / (n_l + m_l).

    It is the sum of the overlap weights of Li, Morgan & Zaslavsky (2018), JASA 113, 390-400. Unlike
    the effective sample size of weights, it falls to 0 where nobody has a counterpart.
    """
    at_site, elsewhere = np.asarray(at_site, float), np.asarray(elsewhere, float)
    total = at_site + elsewhere
    return float(np.sum(np.divide(at_site * elsewhere, total, where=total > 0, out=total * 0)))


def common_support(values, codes, *, n_permutations, confidence, random_state):
    """Measure which share of people is of an age that every site has.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        Finite numbers, such as ages.
    codes : ndarray of int of shape (n_rows,)
        Sites.
    n_permutations, confidence, random_state
        As in :func:`number_overlap`.

    Returns
    -------
    effect : Effect
        ``common_support``: the share of all people between the largest of the smallest ages and
        the smallest of the largest ages of the sites.
    limits : tuple of two float
        The common range, NaN where there is none.
    """
    counts = np.bincount(codes)
    large = np.flatnonzero(counts >= FEWEST_FOR_SUPPORT)
    if len(large) < 2:
        reason = f"Fewer than two sites have {FEWEST_FOR_SUPPORT} people."
        return not_estimable("common_support", reason), (np.nan, np.nan)
    kept = np.isin(codes, large)
    values, codes = values[kept], np.searchsorted(large, codes[kept])
    # sorted by site, so that the extremes of all sites are one reduction
    order = np.argsort(codes, kind="stable")
    values, codes = values[order], codes[order]
    starts = np.flatnonzero(np.r_[True, np.diff(codes) > 0])

    def limits(table):
        low = np.minimum.reduceat(table, starts, axis=1).max(axis=1)
        high = np.maximum.reduceat(table, starts, axis=1).min(axis=1)
        return low, high

    def share(table):
        low, high = limits(table)
        return np.mean((table >= low[:, None]) & (table <= high[:, None]), axis=1)

    value = share(values[None])[0]
    null = share(random_state.permuted(np.tile(values, (n_permutations, 1)), axis=1))
    sizes = np.diff(np.r_[starts, len(values)])
    draws = [
        start + random_state.integers(size, size=(N_BOOTSTRAP, size))
        for start, size in zip(starts, sizes, strict=True)
    ]
    low, high = (float(limit[0]) for limit in limits(values[None]))
    effect = _corrected(
        "common_support", value, null, share(values[np.hstack(draws)]), confidence, n_permutations
    )
    return effect, (low, high) if low <= high else (np.nan, np.nan)


def matched_people_by_level(values, codes):
    """Count the people of every level that have counterparts of their age at other levels."""
    return np.array([_matched_by_number(values, codes == k) for k in range(codes.max() + 1)])


def _matched_by_number(values, inside):
    if _problem(inside):
        return np.nan
    nearness = _gaussian(values[inside], values, _bandwidth(values, inside))
    site, rest = nearness[:, inside].sum(axis=1), nearness[:, ~inside].sum(axis=1)
    return float(np.sum(rest / (site + rest)))


def _kernel(values, inside):
    """Spread the unit mass of every person over a grid."""
    width = _bandwidth(values, inside)
    grid = np.linspace(values.min() - 3 * width, values.max() + 3 * width, GRID_POINTS)
    spread = _gaussian(grid, values, width)
    return spread / spread.sum(axis=0)


def _bandwidth(values, inside):
    """Bandwidth of Silverman (1986), Density Estimation, eq. 3.31, of the narrower group.

    That of a pool of wide ages would make two narrow neighbours overlap.
    """
    width = min(_silverman(values[group]) for group in (inside, ~inside))
    width *= min(inside.sum(), (~inside).sum()) ** -0.2
    return max(width, (values.max() - values.min()) / GRID_POINTS, 1e-12)


def _gaussian(places, values, width):
    return np.exp(-0.5 * ((places[:, None] - values) / width) ** 2)


def _silverman(values):
    quartiles = np.subtract(*np.quantile(values, [0.75, 0.25])) / 1.34
    deviation = values.std(ddof=1)
    return 0.9 * (min(deviation, quartiles) if quartiles > 0 else deviation)


def _overlap(masses, inside, n_permutations, confidence, random_state):
    """Area under the smaller of two mass functions, its null and its bootstrap.

    `masses` of shape (n_cells, n_rows) says where each person's unit of mass lies.
    """
    n_site, n_rest = inside.sum(), (~inside).sum()
    total = masses.sum(axis=1, keepdims=True)

    def of_members(weights):
        site = masses @ weights
        return np.minimum(site / n_site, (total - site) / n_rest).sum(axis=0)

    value = of_members(inside[:, None].astype(float))[0]
    members = random_state.permuted(np.tile(inside, (n_permutations, 1)), axis=1)
    null = of_members(members.T.astype(float))
    site, rest = (
        masses[:, group] @ random_state.multinomial(size, np.full(size, 1 / size), N_BOOTSTRAP).T
        for group, size in ((inside, n_site), (~inside, n_rest))
    )
    draws = np.minimum(site / n_site, rest / n_rest).sum(axis=0)
    return _corrected("overlap_coefficient", value, null, draws, confidence, n_permutations)


def _corrected(measure, value, null, draws, confidence, n_permutations):
    """Divide by the mean under chance, where sampling alone keeps the measure from 1."""
    chance = float(null.mean()) if null.size else 1.0
    if chance <= 0:
        return not_estimable(measure, "Chance alone gives 0 with sites this small.")
    interval = bootstrap_interval(draws, value, confidence)
    return Effect(
        measure,
        value=max(0.0, float(value)),
        null_mean=chance if null.size else np.nan,
        value_adj=float(np.clip(value / chance, 0.0, 1.0)),
        interval=bounded([limit / chance for limit in interval]),
        p=permutation_p(-float(value), -null),  # little overlap is what counts as an effect
        n_permutations=n_permutations,
    )


def _problem(inside):
    n_site, n_rest = int(inside.sum()), int((~inside).sum())
    if min(n_site, n_rest) < 2:
        return f"{n_site} people at the site and {n_rest} elsewhere: two are needed of both."
    return None
