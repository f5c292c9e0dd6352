"""Which sites a model knows, and of which of them each row is."""

import warnings

import numpy as np
import pandas as pd

from .._metadata import check_labels, number_of_rows, site_of_rows
from ..exceptions import MissingMetadataError, SingleSiteWarning

__all__ = ["codes_of_sites", "learn_sites"]

CALLER = 4  # stack level: `fit` and the check of its parameters lie before the caller


def learn_sites(X, site):
    """Return the sites as given, or None, with a code for each row and the names.

    Parameters
    ----------
    X : DataFrame, MapArray, or array-like of shape (n_rows, ...)
        Training people, with whom sites may travel.
    site : array-like of shape (n_rows,) or None
        Site of each row; goes before those that travel.
    """
    site = site_of_rows(X, "site") if site is None else site
    if site is not None:
        return site, *check_labels(site, number_of_rows(X), name="site")
    warnings.warn(
        "SiteConformalRegressor got no site: its intervals hold for people like these, and say "
        "nothing of a new site. Pass site=, or let it travel with the rows, in a column 'site' "
        "of the DataFrame X or of X.metadata.",
        SingleSiteWarning,
        stacklevel=CALLER,
    )
    return None, np.zeros(number_of_rows(X), dtype=int), ["all rows"]


def codes_of_sites(X, site, known):
    """Return the code of each row's site among the known ones, -1 for a new site.

    Parameters
    ----------
    X : DataFrame, MapArray, or array-like of shape (n_rows, ...)
        People, with whom sites may travel.
    site : array-like of shape (n_rows,) or None
        Site of each row; goes before those that travel.
    known : list of str or None
        Names of the sites. None: the model was fitted without, so all rows are one site.
    """
    if known is None:
        return np.zeros(number_of_rows(X), dtype=int)
    site = site_of_rows(X, "site") if site is None else site
    if site is None:
        raise MissingMetadataError(
            f"Intervals depend on the site, and this model knows {len(known)}. Pass site= to "
            "predict, or let it travel with the rows, in a column 'site' of the DataFrame X or of "
            "X.metadata; for a place never seen, give any other name."
        )
    codes, names = check_labels(site, number_of_rows(X), name="site")
    return pd.Index(known).get_indexer(names)[codes]
