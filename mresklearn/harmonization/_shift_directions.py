"""The directions in which sites shift, and how many of them are removed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..confounds._coordinates import coordinates
from ..exceptions import UnanswerableWarning
from ._grouped_sums import GroupedSums
from ._site_shifts import SiteShifts
from ._transfer_rank import RankChoice, choose_rank, leading_directions, shortcut_directions

__all__ = ["ShiftDirections", "learn_directions"]

CONSTANT = 1e-10
LEAST_SHARE_WITHIN = 1e-3


@dataclass(frozen=True, eq=False)
class ShiftDirections:
    """What is removed, and the scale that it is measured in.

    Parameters
    ----------
    scale : ndarray of shape (n_features,)
        Standard deviation within sites; 1 for features that do not vary.
    directions : ndarray of shape (rank, n_features)
        Orthonormal rows.
    n_leading : int
        Leading directions among them, which come first.
    choice : RankChoice or None
        Where the rank was chosen.
    """

    scale: np.ndarray
    directions: np.ndarray
    n_leading: int
    choice: RankChoice | None


def learn_directions(
    sums: GroupedSums,
    codes: np.ndarray,
    sites: Sequence[str],
    target: np.ndarray,
    *,
    rank: str | int,
    standardize: bool,
) -> ShiftDirections:
    """Learn the directions in which sites shift from sums over people.

    Parameters
    ----------
    sums : GroupedSums
        Of two or four groups of people if the rank is to be chosen.
    codes : ndarray of int of shape (n,)
        Site of each person.
    sites : sequence of str
        Names.
    target : ndarray of shape (n, n_targets)
        Target of each person, centred.
    rank : "auto", "all" or int
        How many.
    standardize : bool
        Whether each feature has a scale of its own.

    Raises
    ------
    ValueError
        If nothing would be left.
    """
    shifts = SiteShifts.of(sums, sums.features, np.ones(len(sums.counts), dtype=bool))
    _warn_of_hidden(shifts, sites, sums.counts.sum(axis=0))
    degrees = _degrees_within(sums, shifts)
    spread, varies = _spread_within(sums, shifts, degrees)
    scale = np.where(varies, spread, 1.0)
    if not standardize and varies.any():
        scale = np.where(varies, np.sqrt(np.mean(spread[varies] ** 2)), 1.0)
    scaled = SiteShifts(shifts.precision, np.where(varies, shifts.products / scale, 0.0))
    directions = leading_directions(scaled.independent_rows())
    choice = None
    if rank == "auto" and len(directions):
        flat = sums.features.reshape(-1, len(scale))
        turned = coordinates(flat, np.zeros(len(scale)), np.where(varies, scale, np.inf))
        choice = choose_rank(
            sums,
            turned.reshape(*sums.features.shape[:2], -1),
            sites,
            target,
            codes,
            n_dimensions=min(int(varies.sum()), degrees),
            variance=float(np.sum((spread / scale)[varies] ** 2)),
        )
    n_leading = _number(rank, choice, len(directions))
    if 0 < varies.sum() <= n_leading:
        raise ValueError(
            f"rank={rank!r} removes {n_leading} directions, which is all that {varies.sum()} "
            "feature(s) have. Give a smaller number, or rank='auto'."
        )
    directions = np.where(varies, directions[:n_leading], 0.0)  # but for rounding, they are
    if choice is not None and choice.shortcut:
        found = shortcut_directions(scaled, target, codes)
        found = np.where(varies, found - found @ directions.T @ directions, 0.0)
        directions = np.vstack([directions, _new_directions(found)])
    return ShiftDirections(scale, directions, n_leading, choice)


def _number(rank: str | int, choice: RankChoice | None, found: int) -> int:
    """Return the number of leading directions."""
    if rank == "auto":
        return 0 if choice is None else choice.n_leading
    return found if rank == "all" else min(int(rank), found)


def _new_directions(rows: np.ndarray) -> np.ndarray:
    """Return directions of what is left of rows of length one, without rounding."""
    return leading_directions(rows[np.linalg.norm(rows, axis=1) > 1e-6])


def _degrees_within(sums: GroupedSums, shifts: SiteShifts) -> int:
    """Return the degrees of freedom that site and what is held fixed leave."""
    return sums.n_people - sums.fixed.shape[1] - shifts.n_known


def _spread_within(
    sums: GroupedSums, shifts: SiteShifts, degrees: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the standard deviation of each feature within sites, and whether it varies at all.

    A feature that site tells exactly has none: it gets a small one, so that its shift counts most.
    """
    total = np.sqrt(sums.squares / sums.n_people)
    varies = total > CONSTANT * np.abs(sums.mean)
    fixed = sums.features[:, sums.n_sites :].sum(axis=0)
    explained = np.sum(fixed**2, axis=0) / sums.n_people  # columns of mean square one
    explained += np.sum(shifts.independent_rows() ** 2, axis=0)
    left = np.maximum(sums.squares - explained, 0.0)
    spread = np.sqrt(left / degrees) if degrees > 0 else np.zeros(len(total))
    return np.maximum(spread, LEAST_SHARE_WITHIN * total), varies


def _warn_of_hidden(shifts: SiteShifts, sites: Sequence[str], n_people: np.ndarray) -> None:
    """Name sites that what is held fixed tells from most others."""
    comparable = shifts.comparable_sites()
    largest = np.argmax(np.bincount(comparable, weights=n_people))
    hidden = comparable != largest
    if hidden.any():
        names = ", ".join(np.array(sites, dtype=object)[hidden])
        warnings.warn(
            f"What is held fixed tells {names} from the other sites, so their shifts are not known "
            "and stay. That is so where all people of a site, and of no other, have one diagnosis: "
            "leave such covariates out, or these sites.",
            UnanswerableWarning,
            stacklevel=5,
        )
