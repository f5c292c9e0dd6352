"""Whether the shift of a new site lies in directions that the known sites span."""

import numpy as np

from ._effect import Effect, mean_of, not_estimable, permutation_p
from ._intervals import bounded, jackknife_interval
from ._variance import FEWEST_DEGREES_OF_FREEDOM, orthonormal, residuals

__all__ = ["shift_transfer"]

MEASURE = "shift_transfer_ratio"
HIDDEN = "What is held fixed tells this site from all others, so its shift is not known."
FEWEST_AT_SITE = 4
N_SPLITS = 20
N_GROUPS = 20


def shift_transfer(values, fixed, codes, *, n_permutations, confidence, random_state):
    r"""Measure which share of a held-out site's shift lies in the span of the other sites' shifts.

    What is in the span, a method that sees the other sites only can remove; the rest it cannot.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_coordinates)
        Features, or their coordinates.
    fixed : ndarray of shape (n_rows, n_columns)
        Design, with a constant, that is held fixed, such as a spline of age.
    codes : ndarray of int of shape (n_rows,)
        Sites; those of fewer than four people are left out.
    n_permutations : int
        Draws of other sites' shifts from noise alone, for the chance level.
    confidence : float
        Level of the intervals, by the jackknife over groups of people.
    random_state : numpy Generator
        Draws halves, permutations and jackknife groups.

    Returns
    -------
    pooled : Effect
        ``shift_transfer_ratio`` over all sites. ``null_mean`` is what as many directions of pure
        noise would hold of the shift, ``value_adj`` is rescaled to 0 there and 1 at 1. All are cut
        to [0, 1]; the interval is that of ``value``.
    by_site : dict of int to Effect
        The same for each site.

    Notes
    -----
    Let :math:`d_1, d_2` be the shift of site k at equal age from the mean of the other sites,
    estimated in two disjoint halves of the people, and :math:`P_1, P_2` the projections on the
    differences between the other sites in either half. Then

    .. math:: \tau_k = \frac{E \, d_1^\top (P_1 + P_2) d_2}{2 E \, d_1^\top d_2}, \qquad
              \tau = \frac{\sum_k E \, d_1^\top (P_1 + P_2) d_2}{2 \sum_k E \, d_1^\top d_2},

    with means over twenty ways to halve. The halves have no noise in common, so that noise counts
    neither as shift nor as span; that of a span makes the ratio a little too small. Where the
    denominator cannot be told from 0 there is no shift to transfer, and the ratio means nothing.
    """
    counts = np.bincount(codes)
    sites = np.flatnonzero(counts >= FEWEST_AT_SITE)
    small = {
        int(site): not_estimable(
            MEASURE, f"{counts[site]} people; {FEWEST_AT_SITE} are needed for two halves."
        )
        for site in np.flatnonzero((counts > 0) & (counts < FEWEST_AT_SITE))
    }
    hidden = _hidden(fixed, codes, sites)
    small |= {int(site): not_estimable(MEASURE, HIDDEN) for site in hidden}
    sites = np.setdiff1d(sites, hidden)
    kept = np.isin(codes, sites)
    problem = _problem(values[kept], len(sites), fixed.shape[1])
    if problem:
        return not_estimable(MEASURE, problem), {
            **{int(site): not_estimable(MEASURE, problem) for site in sites},
            **small,
        }
    measure = _Transfer(
        values[kept], fixed[kept], np.searchsorted(sites, codes[kept]), random_state
    )
    shares, totals = measure.of_rows(np.arange(kept.sum()))
    limits = jackknife_interval(
        lambda rows: _with_ratios(*measure.of_rows(rows)),
        _with_ratios(shares, totals),
        measure.codes,
        confidence,
        random_state,
        n_groups=N_GROUPS,
    )
    chance = measure.by_chance(totals, n_permutations, random_state)
    effects = [
        _effect(shares[k], totals[k], chance[:, k], [limit[k] for limit in limits])
        for k in range(len(sites) + 1)
    ]
    by_site = {int(site): effect for site, effect in zip(sites, effects, strict=False)}
    return effects[-1], {**by_site, **small}


class _Transfer:
    """Shares and totals of the shift of every site and of all, in fixed halves of the people."""

    def __init__(self, values, fixed, codes, random_state):
        self.values, self.codes = values, codes
        self.n_sites = codes.max() + 1
        fixed = fixed - fixed.mean(axis=0)
        self.fixed = fixed[:, np.linalg.norm(fixed, axis=0) > 1e-9]
        self.halves = [_first_half(codes, random_state) for _ in range(N_SPLITS)]

    def of_rows(self, rows):
        """Return numerators and denominators: one a site, then the sum."""
        parts = []
        for half in self.halves:
            first, second = (self._centres(rows[half[rows] == side]) for side in (True, False))
            parts.append(self._products(first, second))
        return np.mean(parts, axis=0)

    def by_chance(self, totals, n_draws, random_state):
        """Return ratios where the others' shifts are those of as many people without any shift."""
        rows = np.arange(len(self.codes))
        sites = np.eye(self.n_sites)[self.codes]
        noise = residuals(self.values, orthonormal(np.hstack([self.fixed, sites])))
        ratios = np.empty((n_draws, self.n_sites + 1))
        for place, half in enumerate(self.halves):
            sides = [rows[half], rows[~half]]
            maps = [self._map(side) for side in sides]
            centres = [turn @ self.values[side] for turn, side in zip(maps, sides, strict=True)]
            for draw in range(place, n_draws, len(self.halves)):
                drawn = noise[random_state.permutation(len(rows))]
                spans = [_spans(turn @ drawn[side]) for turn, side in zip(maps, sides, strict=True)]
                ratios[draw] = self._products(*centres, spans)[0] / totals
        return ratios

    def _products(self, first, second, spans=None):
        """Return inner products of the shifts in two halves, within spans and in all."""
        # sites count alike: the mean of the others is then not off to one side of their span
        contrast = np.eye(self.n_sites) - (1 - np.eye(self.n_sites)) / (self.n_sites - 1)
        shifts = contrast @ first, contrast @ second
        totals = np.sum(shifts[0] * shifts[1], axis=1)
        shares = np.zeros(self.n_sites)
        # the span of one half is free of the noise of the other, so that noise is no span
        for span in spans or (_spans(first), _spans(second)):
            inside = [np.einsum("kd,kdr->kr", shift, span) for shift in shifts]
            shares += np.sum(inside[0] * inside[1], axis=1) / 2
        return np.r_[shares, shares.sum()], np.r_[totals, totals.sum()]

    def _centres(self, rows):
        """Return the centre of every site at equal age."""
        return self._map(rows) @ self.values[rows]

    def _map(self, rows):
        sites = np.eye(self.n_sites)[self.codes[rows]]
        sites = residuals(sites, orthonormal(self.fixed[rows]))
        return np.linalg.pinv(sites.T @ sites, rcond=1e-12, hermitian=True) @ sites.T


def _spans(centres):
    """Return, for every site, an orthonormal basis of the differences between the others."""
    n_sites = len(centres)
    others = np.array([np.delete(np.arange(n_sites), site) for site in range(n_sites)])
    differences = centres[others[:, :-1]] - centres[others[:, -1:]]
    return np.linalg.qr(differences.swapaxes(1, 2))[0]


def _hidden(fixed, codes, sites):
    """Return the sites that what is held fixed tells from the others, as a site of patients."""
    hidden = []
    while len(sites) > 1:
        rows = np.isin(codes, sites)
        indicator = (codes[rows, None] == sites).astype(float)
        centred = fixed[rows] - fixed[rows].mean(axis=0)
        centred = centred[:, np.linalg.norm(centred, axis=0) > 1e-9]
        left = residuals(indicator, orthonormal(centred)) / np.sqrt(indicator.sum(axis=0))
        _, size, turn = np.linalg.svd(left, full_matrices=False)
        if size[-1] > 1e-6:
            break
        # a combination of sites that is not known: drop the one that stands out in it
        told = turn[-1] / np.sqrt(indicator.sum(axis=0))
        hidden.append(sites[np.argmax(np.abs(told - np.median(told)))])
        sites = sites[sites != hidden[-1]]
    return np.array(hidden, dtype=int)


def _first_half(codes, random_state):
    """Mark a random half of every site."""
    order = np.lexsort((random_state.permutation(len(codes)), codes))
    place = np.empty(len(codes), dtype=int)
    place[order] = np.arange(len(codes))
    # odd and even places: consecutive people of a sorted site fall in turn
    return place % 2 == 0


def _problem(values, n_sites, n_fixed):
    n_rows, n_columns = values.shape
    if n_sites < 3:
        return (
            f"Only {n_sites} sites have {FEWEST_AT_SITE} people: three are needed, one held out "
            "and two that differ."
        )
    if n_columns <= n_sites - 2:
        return f"The other sites span all {n_columns} dimensions, so everything is within reach."
    if n_rows // 2 - n_sites - n_fixed < FEWEST_DEGREES_OF_FREEDOM:
        return f"{n_rows} people are too few for {n_sites + n_fixed} parameters in each half."
    return None


def _with_ratios(shares, totals):
    """Stack ratios and denominators, for one jackknife."""
    return np.stack([shares / np.where(totals == 0, np.nan, totals), totals], axis=1)


def _effect(share, total, chance, limits):
    (low, least), (high, _) = limits
    if not least > 0:
        reason = "Its shift cannot be told from none, so there is nothing to transfer."
        return not_estimable(MEASURE, reason)
    ratio, level = float(share / total), mean_of(chance)
    adjusted = (ratio - level) / (1 - level) if len(chance) else ratio
    value, adjusted = bounded((ratio, adjusted))
    return Effect(
        MEASURE,
        value=value,
        null_mean=level,
        value_adj=adjusted,
        interval=bounded((low, high)),
        p=permutation_p(ratio, chance),
        n_permutations=len(chance),
    )
