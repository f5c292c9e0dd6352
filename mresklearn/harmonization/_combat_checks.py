"""Designs that cannot tell site from covariates: refused, or warned of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.linalg import cholesky, qr, solve_triangular

from .._warn_user import warn_user
from ..exceptions import HarmonizationWarning

__all__ = ["check_design", "check_new_sites"]

TARGET_IS_SITE = (
    " With target='ignore' y is not held fixed, and what it shares with site is removed."
)
RANK_TOLERANCE = 1e-10
HIGHEST_SHARE = 0.9
HIGHEST_CONDITION = 10.0


def check_design(
    counts: np.ndarray, means: np.ndarray, scatter: np.ndarray, names: Sequence[str]
) -> None:
    """Refuse covariates that site determines, and warn of those that it nearly determines.

    Parameters
    ----------
    counts : ndarray of shape (n_sites,)
        People at each site.
    means, scatter : ndarray of shape (n_sites, n_covariates), (n_sites, n_covariates, n_covariates)
        Means and centred scatter of the coded covariates.
    names : sequence of str
        Columns of the coded covariates.

    Raises
    ------
    ValueError
        If sites and covariates are linearly dependent; the message names the columns.
    """
    if not len(names):
        return
    within = scatter.sum(axis=0)
    centred = means - counts @ means / counts.sum()
    between = np.einsum("k,ki,kj->ij", counts, centred, centred)
    total = within + between
    nothing = np.diag(within) <= RANK_TOLERANCE * np.diag(total)
    fixed = [name for name, none_left in zip(names, nothing, strict=True) if none_left]
    if fixed:
        hint = TARGET_IS_SITE if any(name.split("=")[0] == "target" for name in fixed) else ""
        raise ValueError(
            f"Covariate(s) {fixed} do not vary within any site, so their effect cannot be told "
            "from that of site. Remove them from the covariates, or leave out the sites that they "
            f"separate.{hint}"
        )
    _check_independent(within, np.array(names))
    _warn_of_confounding(between, total, names)


def _check_independent(within: np.ndarray, names: np.ndarray) -> None:
    """Refuse covariates that other covariates and site determine."""
    length = np.sqrt(np.diag(within))
    _, triangle, order = qr(within / np.outer(length, length), pivoting=True, mode="economic")
    size = np.abs(np.diag(triangle))
    dependent = order[size <= RANK_TOLERANCE * size[0]]
    if len(dependent):
        raise ValueError(
            f"Covariate(s) {sorted(names[dependent].tolist())} are determined by site and the "
            f"other covariates {sorted(np.delete(names, dependent).tolist())}. Remove them."
        )


def _warn_of_confounding(between: np.ndarray, total: np.ndarray, names: Sequence[str]) -> None:
    """Warn where hardly any people of one site overlap with those of others.

    The condition number is that of site indicators and covariates, each brought to length one and
    the covariates made uncorrelated: what they share with each other says nothing of site.
    """
    shares = np.diag(between) / np.diag(total)
    length = np.sqrt(np.diag(total))
    factor = cholesky(total / np.outer(length, length), lower=True)
    half = solve_triangular(factor, between / np.outer(length, length), lower=True)
    whitened = solve_triangular(factor, half.T, lower=True)
    correlation = np.sqrt(np.clip(np.linalg.eigvalsh(whitened)[-1], 0, 1 - RANK_TOLERANCE))
    condition = np.sqrt((1 + correlation) / (1 - correlation))
    worst = int(np.argmax(shares))
    if shares[worst] >= HIGHEST_SHARE or condition >= HIGHEST_CONDITION:
        warn_user(
            f"Site and covariates are nearly confounded: site explains {shares[worst]:.0%} of the "
            f"variance of '{names[worst]}', and the scaled condition number of the design is "
            f"{condition:.0f}. Site effects are then extrapolated, and harmonised values can be "
            "worse than the raw ones. Compare sites where they overlap, or leave sites out.",
            HarmonizationWarning,
        )


def check_new_sites(
    sites: Sequence[str], counts: np.ndarray, known: Iterable[str], min_subjects: int
) -> None:
    """Refuse to adapt to sites that are known, or have too few people."""
    if min_subjects < 1:
        raise ValueError(f"min_subjects must be 1 or more, got {min_subjects}.")
    again = sorted(set(sites) & set(known))
    if again:
        raise ValueError(
            f"Site(s) {again} were in training already, so there is nothing to adapt. Hand over "
            "rows of new sites alone."
        )
    few = [f"{s} ({n})" for s, n in zip(sites, counts, strict=True) if n < min_subjects]
    if few:
        raise ValueError(
            f"Too few people to adapt to site(s), with their people: {', '.join(few)}; "
            f"min_subjects is {min_subjects}. Collect more, or lower it."
        )
