"""Who takes part in comparisons of sites: everybody, or people whose age other sites have too."""

from __future__ import annotations

import numpy as np

__all__ = ["PEOPLE", "comparable_weights"]

PEOPLE = ("all", "overlap", "reweighted")
FEWEST_ELSEWHERE = 2.0
LARGEST_WEIGHT = 10.0


def comparable_weights(
    people: str, site: np.ndarray, y: np.ndarray, age_bandwidth: float
) -> np.ndarray:
    """Return what each person counts where sites are compared.

    Parameters
    ----------
    people : {"all", "overlap", "reweighted"}
        Everybody the same; only people with at least two of their age at other sites; or each
        site weighted to the ages of all sites together, each site counting the same, with weights
        of at most ten.
    site : ndarray of shape (n,), int
        Site codes.
    y : ndarray of shape (n,)
        Ages.
    age_bandwidth : float
        SD of the Gaussian window of similar age, in years.

    Returns
    -------
    weight : ndarray of shape (n,), float32
        Mean one over those who take part.
    """
    if people == "all":
        return np.ones(len(y), np.float32)
    members = np.eye(site.max() + 1)[site]
    window = np.exp(-(((y[:, None] - y) / age_bandwidth) ** 2) / 2)
    near = window @ members
    own = near[np.arange(len(y)), site]
    if people == "overlap":
        return (near.sum(axis=1) - own >= FEWEST_ELSEWHERE).astype(np.float32)
    present = members.sum(axis=0) > 0
    density = near[:, present] / members.sum(axis=0)[present]
    weight = density.mean(axis=1) / (own / members.sum(axis=0)[site])
    weight = np.minimum(weight, LARGEST_WEIGHT)
    return (weight / weight.mean()).astype(np.float32)
