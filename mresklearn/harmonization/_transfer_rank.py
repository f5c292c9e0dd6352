"""How many directions of site shifts are worth removing, judged by sites that were left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ._grouped_sums import GroupedSums
from ._site_shifts import SiteShifts

__all__ = [
    "RankChoice",
    "choose_rank",
    "groups_for",
    "leading_directions",
    "shortcut_directions",
]

MANY_SITES = 20
FEWEST_AT_SITE = 4  # two in each half
# a model that meets shifts along a direction in training distrusts it by itself, so that removing
# it gains less than theory says; from simulations in which each site shifts its own way
CAUTION = 1.5
# each half of four groups once; the other half is its complement
HALVES = {
    2: np.array([[1, 0]], dtype=bool),
    4: np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]], dtype=bool),
}


@dataclass(frozen=True, eq=False)
class RankChoice:
    """What was chosen, and what it was chosen from.

    Parameters
    ----------
    n_leading : int
        Leading directions of the site shifts to remove.
    shortcut : bool
        Whether to remove the directions along which sites tell the target, too.
    by_rank : DataFrame
        ``ratio``, ``chance`` and ``gain`` for each number of leading directions.
    by_site : DataFrame
        ``n_people``, ``squared_shift`` and ``ratio`` of each site, NaN where it was not left out.
    """

    n_leading: int
    shortcut: bool
    by_rank: pd.DataFrame
    by_site: pd.DataFrame


def groups_for(n_sites: int) -> int:
    """Return how many groups people are dealt to: more ways to halve them where sites are few."""
    return 2 if n_sites > MANY_SITES else 4


def leading_directions(rows: np.ndarray) -> np.ndarray:
    """Return orthonormal directions of rows, those of the largest differences first."""
    _, size, directions = np.linalg.svd(rows, full_matrices=False)
    directions = directions[size > 1e-10 * size.max(initial=0.0)]
    # a sign that does not depend on the order of the rows
    largest = np.argmax(np.abs(directions), axis=1)
    return directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]


def choose_rank(
    sums: GroupedSums,
    coordinates: np.ndarray,
    sites: Sequence[str],
    target: np.ndarray,
    codes: np.ndarray,
    *,
    n_dimensions: int,
    variance: float,
) -> RankChoice:
    """Choose the directions whose removal gains more, at a site left out, than it costs.

    Parameters
    ----------
    sums : GroupedSums
        Of two or four groups of people.
    coordinates : ndarray of shape (n_groups, n_sites + n_fixed, n_coordinates)
        Products of the design and the scaled features, turned to few coordinates.
    sites : sequence of str
        Names.
    target : ndarray of shape (n, n_targets)
        Target of each person, centred.
    codes : ndarray of int of shape (n,)
        Site of each person.
    n_dimensions : int
        Features, or degrees of freedom where there are fewer: what a model can use.
    variance : float
        Sum of the variances of the scaled features within sites.

    Returns
    -------
    choice : RankChoice
        See :class:`SiteProjector` for the reasons.
    """
    everybody = np.ones(len(coordinates), dtype=bool)
    whole = SiteShifts.of(sums, coordinates, everybody)
    halves = [
        (SiteShifts.of(sums, coordinates, half), SiteShifts.of(sums, coordinates, ~half))
        for half in HALVES[len(coordinates)]
    ]
    n_people = sums.counts.sum(axis=0)
    cost = _cost(whole.n_known, n_dimensions, variance)
    shares, totals = _left_out(halves, whole, n_people)
    measured = ~np.isnan(totals)
    gain = (shares[measured].mean(axis=0) if measured.any() else 0.0) - cost[:-1]
    n_leading = int(np.argmax(gain))
    weights = n_people / n_people.sum()
    if n_leading == len(gain) - 1 < whole.n_known:
        # all that could be tried was worth it. What few sites shift along their last direction says
        # little of how far others do, so the mean over all directions decides
        mean = _shift_along(halves, weights, _all_directions) / whole.n_known
        n_leading += int(mean > cost[n_leading + 1] - cost[n_leading])
    n_targets = target.shape[1]
    shortcut = _entanglement(target, codes) * n_dimensions > n_targets > 0 and bool(
        _shift_along(halves, weights, lambda shifts: shortcut_directions(shifts, target, codes))
        > _cost(n_targets, n_dimensions, variance)[-1]
    )
    by_rank = _rank_table(shares[measured], totals[measured], gain / variance, n_dimensions)
    ratio = _ratio(shares[:, min(n_leading, len(gain) - 1)], totals)
    by_site = pd.DataFrame(
        {"n_people": n_people, "squared_shift": totals, "ratio": ratio},
        index=pd.Index(sites, name="site"),
    )
    return RankChoice(n_leading, shortcut, by_rank, by_site)


def shortcut_directions(shifts: SiteShifts, target: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return directions along which the shift of a site tells the target of its people."""
    by_site = np.zeros((len(shifts.precision), target.shape[1]))
    np.add.at(by_site, codes, target)
    return leading_directions(by_site.T @ shifts.of_sites())


def _left_out(
    halves: list[tuple[SiteShifts, SiteShifts]], whole: SiteShifts, n_people: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of each site's squared shift that others' directions hold, and all of it."""
    n_sites, most = len(n_people), max(whole.n_known - 1, 0)
    contrasts = _contrasts(whole.comparable_sites(), n_people)
    shares, totals = np.zeros((n_sites, most + 1)), np.zeros(n_sites)
    times = np.zeros(n_sites)
    for sides in halves:
        known = np.all([side.are_known(contrasts) for side in sides], axis=0)
        shifts = [contrasts @ side.of_sites() for side in sides]
        for site in np.flatnonzero(known & contrasts.any(axis=1)):
            first, second = shifts[0][site], shifts[1][site]
            times[site] += 1
            totals[site] += first @ second
            # the directions of one half are free of the noise of the other: no bias
            for side in sides:
                directions = leading_directions(side.without(int(site)).independent_rows())[:most]
                held = np.cumsum((directions @ first) * (directions @ second)) / len(sides)
                shares[site, 1 : len(held) + 1] += held
                shares[site, len(held) + 1 :] += held[-1] if len(held) else 0.0
    times[times == 0] = np.nan
    return shares / times[:, None], totals / times


def _contrasts(comparable: np.ndarray, n_people: np.ndarray) -> np.ndarray:
    """Return each large site against the mean of the others that it can be compared with."""
    large = n_people >= FEWEST_AT_SITE
    contrasts = np.zeros((len(n_people), len(n_people)))
    for site in np.flatnonzero(large):
        others = large & (comparable == comparable[site])
        others[site] = False
        if others.any():
            contrasts[site, others] = -1 / others.sum()
            contrasts[site, site] = 1.0
    return contrasts


def _shift_along(
    halves: list[tuple[SiteShifts, SiteShifts]],
    weights: np.ndarray,
    directions_of: Callable[[SiteShifts], np.ndarray],
) -> float:
    """Return the squared shift of known sites along directions of one half, free of noise."""
    found = []
    for first, second in halves:
        shifts = [side.of_sites() for side in (first, second)]
        shifts = [part - weights @ part for part in shifts]
        for side in (first, second):
            directions = directions_of(side)
            along = [part @ directions.T for part in shifts]
            found.append(float(weights @ np.sum(along[0] * along[1], axis=1)))
    return float(np.mean(found))


def _all_directions(shifts: SiteShifts) -> np.ndarray:
    return leading_directions(shifts.independent_rows())


def _cost(most: int, n_dimensions: int, variance: float) -> np.ndarray:
    """Return what removing 0 to `most` directions costs, in the unit of squared shifts."""
    rank = np.arange(most + 1)
    left = np.maximum(1 - rank / max(n_dimensions, 1), 0.0)
    unit = CAUTION * variance / max(n_dimensions, 1)
    return np.divide(unit * rank, left, out=np.full(most + 1, np.inf), where=left > 0)


def _entanglement(target: np.ndarray, codes: np.ndarray) -> float:
    """Return epsilon squared: the share of the target that site explains, free of bias."""
    counts = np.bincount(codes)
    degrees = len(codes) - len(counts)
    total = np.sum(target**2)
    if degrees < 1 or not total > 0:
        return 0.0
    by_site = np.zeros((len(counts), target.shape[1]))
    np.add.at(by_site, codes, target)
    within = total - np.sum(by_site**2 / counts[:, None])
    return float(1 - (within / degrees) / (total / (len(codes) - 1)))


def _rank_table(
    shares: np.ndarray, totals: np.ndarray, gain: np.ndarray, n_dimensions: int
) -> pd.DataFrame:
    """Return what each number of leading directions holds of the shifts of sites left out."""
    rank = np.arange(len(gain))
    return pd.DataFrame(
        {
            "ratio": _ratio(shares.sum(axis=0), totals.sum()),
            "chance": np.minimum(rank / max(n_dimensions, 1), 1.0),
            "gain": gain,
        },
        index=pd.Index(rank, name="rank"),
    )


def _ratio(share: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return shares of squared shifts, NaN where no shift was found."""
    share, total = np.broadcast_arrays(np.asarray(share, float), np.asarray(total, float))
    return np.divide(share, total, out=np.full(share.shape, np.nan), where=total > 0)
