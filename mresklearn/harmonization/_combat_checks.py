"""Designs that cannot tell site from covariates: refused, or warned of."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from scipy.linalg import qr

from ..exceptions import HarmonizationWarning

__all__ = ["check_design", "check_new_sites"]

RANK_TOLERANCE = 1e-10
HIGHEST_SHARE = 0.9
HIGHEST_CONDITION = 10.0


def check_design(
    counts: np.ndarray,
    means: np.ndarray,
    scatter: np.ndarray,
    names: Sequence[str],
    *,
    smooth: np.ndarray,
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
    smooth : ndarray of bool of shape (n_covariates,)
        Columns that belong to a curve, which a penalty holds.

    Raises
    ------
    ValueError
        If sites and covariates are linearly dependent; the message names the columns.
    """
    if not len(names):
        return
    within = scatter.sum(axis=0)
    centred = means - counts @ means / counts.sum()
    between = np.einsum("k,ki,ki->i", counts, centred, centred)
    total = np.diag(within) + between
    fixed = [
        name
        for name, left in zip(names, np.diag(within) <= RANK_TOLERANCE * total, strict=True)
        if left
    ]
    if fixed:
        raise ValueError(
            f"Covariate(s) {fixed} do not vary within any site, so their effect cannot be told "
            "from that of site. Remove them from the covariates, or leave out the sites that they "
            "separate."
        )
    plain = ~smooth
    if plain.any():
        _check_independent(within[np.ix_(plain, plain)], np.array(names)[plain])
        _warn_of_confounding(
            counts, means[:, plain], within[np.ix_(plain, plain)],
            (between / total)[plain], np.array(names)[plain],
        )  # fmt: skip


def _check_independent(within: np.ndarray, names: np.ndarray) -> None:
    """Refuse covariates that other covariates and site determine."""
    length = np.sqrt(np.diag(within))
    _, triangle, order = qr(within / np.outer(length, length), pivoting=True, mode="economic")
    size = np.abs(np.diag(triangle))
    dependent = order[size <= RANK_TOLERANCE * size[0]]
    if len(dependent):
        raise ValueError(
            f"Covariate(s) {sorted(names[dependent])} are determined by site and the other "
            f"covariates {sorted(np.delete(names, dependent))}. Remove them."
        )


def _warn_of_confounding(
    counts: np.ndarray,
    means: np.ndarray,
    within: np.ndarray,
    shares: np.ndarray,
    names: np.ndarray,
) -> None:
    """Warn where hardly any people of one site overlap with those of others."""
    gram = np.block(
        [
            [np.diag(counts.astype(float)), counts[:, None] * means],
            [means.T * counts, within + means.T @ (counts[:, None] * means)],
        ]
    )
    length = np.sqrt(np.diag(gram))
    condition = np.sqrt(np.linalg.cond(gram / np.outer(length, length)))
    worst = int(np.argmax(shares))
    if shares[worst] >= HIGHEST_SHARE or condition >= HIGHEST_CONDITION:
        warnings.warn(
            f"Site and covariates are nearly confounded: site explains {shares[worst]:.0%} of the "
            f"variance of '{names[worst]}', and the scaled condition number of the design is "
            f"{condition:.0f}. Site effects are then extrapolated, and harmonised values can be "
            "worse than the raw ones. Compare sites where they overlap, or leave sites out.",
            HarmonizationWarning,
            stacklevel=5,
        )


def check_new_sites(
    sites: Sequence[str], counts: np.ndarray, known: Sequence[str], min_subjects: int
) -> None:
    """Refuse to adapt to sites that are known, or have too few people."""
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
