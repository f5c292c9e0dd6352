"""What errors at left-out sites say of a site never seen."""

import numpy as np
import pandas as pd

from ._weighted_bounds import weighted_quantile

__all__ = ["as_if_new", "new_site_in_words", "new_site_weights"]


def new_site_weights(site, n_needed):
    """Weight left-out persons so that each site counts the same.

    Parameters
    ----------
    site : ndarray of int of shape (n,)
        Site of each left-out person.
    n_needed : int
        Sites that a guarantee needs; from there on, one share is left to an infinite error, that
        of the new site itself.

    Returns
    -------
    weights : ndarray of shape (n,)
        They add up to 1, or, with a guarantee for K sites, to K / (K + 1).
    guaranteed : bool
        Whether there are sites enough.
    """
    _, site, sizes = np.unique(site, return_inverse=True, return_counts=True)
    guaranteed = len(sizes) >= n_needed
    return 1 / ((len(sizes) + guaranteed) * sizes[site]), guaranteed


def as_if_new(errors, sites, coverage, n_needed):
    """Describe each site as if it were new, with intervals made from errors at the other sites.

    The models that made these errors had seen the site, so they are those of a study one site
    larger than the others; a site much unlike them widens its own intervals.

    Parameters
    ----------
    errors : HeldOutErrors
        Of models that had not seen the site.
    sites : list of str
        Names of the sites.
    coverage : float
        Coverage to reach.
    n_needed : int
        Sites that a guarantee needs.
    """
    rows = []
    for code in range(len(sites)):
        here = errors.site == code
        weights, _ = new_site_weights(errors.site[~here], n_needed)
        half = weighted_quantile(np.abs(errors.error[~here]), weights, coverage)
        rows.append(
            {
                "n_persons": here.sum(),
                "coverage": np.mean(np.abs(errors.error[here]) <= half),
                "half_width": float(half),
                "bias": errors.error[here].mean(),
            }
        )
    return pd.DataFrame(rows, index=pd.Index(sites, name="site"))


def new_site_in_words(table, n_needed):
    """Say what the table of :func:`as_if_new` means, or that there is none."""
    if table is None:
        return "New sites: no site was left out, so nothing can be said."
    coverage = table.coverage
    swing = (
        f"Each site treated as new, coverage went from {coverage.min():.0%} "
        f"({coverage.idxmin()}) to {coverage.max():.0%} ({coverage.idxmax()})."
    )
    if len(table) < n_needed:
        return (
            f"New sites: no guarantee from {len(table)} sites; it would take {n_needed} that are "
            f"drawn alike. {swing}"
        )
    return f"New sites: on average over sites that are drawn like these. {swing}"
