"""K-fold cross-validation balanced over sites and ages, with every person in one fold."""

import warnings
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state

from .._metadata import check_labels, name_rows, number_of_rows, site_of_rows
from ..exceptions import SingleSiteWarning

__all__ = ["StratifiedSiteKFold"]


class StratifiedSiteKFold(BaseCrossValidator):
    """K folds alike in site and age: the error at known sites, without luck in the draw.

    Every fold gets about the same share of every site and, within it, of every age quantile. All
    rows of one person stay in one fold, so that no scan is predicted from one of the same brain.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    n_age_bins : int, default=5
        Age quantile bins within each site, at least 1. A site gets fewer where it is too small for
        `n_splits` persons in each bin.
    shuffle : bool, default=True
        Shuffle the persons of a stratum before they are dealt to folds. If False, the
        persons of a site are dealt in order of age, and the bins play no part.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling; an int gives the same folds on every call. Only for ``shuffle=True``.
    site_column : str, default="site"
        Column that holds the site where it travels with the rows: of `X`, when `X` is a pandas
        DataFrame, or of `X.metadata`, when `X` carries such a DataFrame.

    See Also
    --------
    LeaveOneSiteOut : Each fold is one whole site: the error at a site never seen before.

    Notes
    -----
    Persons are sorted by site, then by age bin within the site, and dealt in turn: the person at
    position p goes to fold p mod `n_splits`. A stratum is a run of consecutive positions, so the
    numbers of its persons in any two folds differ by at most 1; the same holds for a whole site and
    for all persons. Bin b of B at a site of n persons holds those whose age rank r in 0..n-1 has
    floor(r B / n) = b, with B = min(`n_age_bins`, max(1, floor(n / `n_splits`))). The counts are of
    persons: with very unequal numbers of rows a person, shares of rows can differ more.

    A person's site and age are those of the person's first row.

    ``groups`` (person ids) and ``site`` are requested for ``split`` by default. scikit-learn hands
    ``site`` to a splitter only with metadata routing on; with routing off, let the site travel with
    the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.model_selection import StratifiedSiteKFold
    >>> site = np.repeat(["Delaware", "Mayo"], [40, 20])
    >>> age = np.linspace(20, 80, 60)
    >>> cv = StratifiedSiteKFold(n_splits=5, random_state=0)
    >>> for train, test in cv.split(np.zeros((60, 3)), age, site=site):
    ...     print(len(train), len(test), np.sum(site[test] == "Mayo"))
    48 12 4
    48 12 4
    48 12 4
    48 12 4
    48 12 4
    """

    __metadata_request__split = {"groups": True, "site": True}

    def __init__(
        self,
        n_splits=5,
        *,
        n_age_bins=5,
        shuffle=True,
        random_state=None,
        site_column="site",
    ):
        self.n_splits = n_splits
        self.n_age_bins = n_age_bins
        self.shuffle = shuffle
        self.random_state = random_state
        self.site_column = site_column

    def split(self, X, y=None, groups=None, *, site=None):
        """Split the rows into training and test rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            The data. Only its number of rows is used, and its site column where `site` is None.
        y : array-like of shape (n_rows,)
            Age in years.
        groups : array-like of shape (n_rows,), default=None
            Person of each row. None: every row is a person of its own.
        site : array-like of shape (n_rows,), default=None
            Site of each row. None: the sites that travel with the rows; where there are none,
            everybody counts as one site, with a warning.

        Returns
        -------
        folds : iterator of (train, test)
            Row numbers, two integer arrays a fold.

        Raises
        ------
        ValueError
            If a parameter is out of range, an age, site or person is missing, there are fewer
            persons than folds, or the sites were passed as `groups`.

        Warns
        -----
        SingleSiteWarning
            If no site was given and none travels with the rows.
        """
        self._check_parameters()
        n_rows = number_of_rows(X)
        age = _check_age(y, n_rows)
        sites = self._sites(X, site, n_rows)
        if groups is None:
            person = np.arange(n_rows)
        else:
            person = check_labels(groups, n_rows, name="groups (the persons)")[0]
            _refuse_sites_as_persons(person, sites)
        _, first_row = np.unique(person, return_index=True)
        if len(first_row) < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} folds need at least as many persons, but there are "
                f"{len(first_row)}. Use fewer folds; `groups` are person ids, not sites."
            )
        fold = self._deal(sites[first_row], age[first_row])[person]
        return (
            (np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(self.n_splits)
        )

    def get_n_splits(self, X=None, y=None, groups=None, *, site=None):
        """Count the folds.

        Parameters
        ----------
        X, y, groups, site : object, default=None
            Ignored; scikit-learn passes them.

        Returns
        -------
        n_splits : int
            Number of folds.
        """
        return self.n_splits

    def _check_parameters(self):
        _check_integer(self.n_splits, "n_splits", 2)
        _check_integer(self.n_age_bins, "n_age_bins", 1)
        if not isinstance(self.shuffle, bool | np.bool_):
            raise ValueError(f"shuffle must be True or False, got {self.shuffle!r}.")
        if not self.shuffle and self.random_state is not None:
            raise ValueError(
                "random_state has no effect with shuffle=False. "
                "Leave random_state at None, or set shuffle=True."
            )

    def _sites(self, X, site, n_rows):
        name = "site"
        if site is None:
            site = site_of_rows(X, self.site_column)
            name = f"site column {self.site_column!r}"
        if site is None:
            warnings.warn(
                "StratifiedSiteKFold got no site and balances the folds by age alone. Pass site= "
                "(through cross_validate: params={'site': ...} with metadata routing on), or let "
                f"it travel with the rows, in a column {self.site_column!r} of the DataFrame X or "
                "of X.metadata. Pass a constant site if all rows come from one.",
                SingleSiteWarning,
                stacklevel=3,
            )
            return np.zeros(n_rows, dtype=int)
        return check_labels(site, n_rows, name=name)[0]

    def _deal(self, site, age):
        """Give each person a fold (see Notes)."""
        n_persons = len(age)
        # equal ages fall in random order, or, without shuffling, in the order of the rows
        random = check_random_state(self.random_state) if self.shuffle else None
        tie = np.arange(n_persons) if random is None else random.permutation(n_persons)
        by_age = np.lexsort((tie, age, site))
        if random is None:
            dealing_order = by_age
        else:
            _, site_sizes = np.unique(site, return_counts=True)
            age_bin = np.empty(n_persons, dtype=int)
            age_bin[by_age] = np.concatenate([self._age_bins(size) for size in site_sizes])
            dealing_order = np.lexsort((tie, age_bin, site))
        fold = np.empty(n_persons, dtype=int)
        fold[dealing_order] = np.arange(n_persons) % self.n_splits
        return fold

    def _age_bins(self, n_persons):
        """Age bin of each person of one site, youngest first."""
        n_bins = min(self.n_age_bins, max(1, n_persons // self.n_splits))
        return np.arange(n_persons) * n_bins // n_persons


def _check_age(y, n_rows):
    if y is None:
        raise ValueError(
            "StratifiedSiteKFold balances the folds by age: pass the ages in years as y."
        )
    if np.ndim(y) != 1 or len(y) != n_rows:
        raise ValueError(
            f"y must hold one age for each of the {n_rows} rows of X, got shape {np.shape(y)}."
        )
    try:
        age = pd.Series(y).to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "y must be ages in years, as numbers. To balance folds by a class such as diagnosis, "
            "use sklearn.model_selection.StratifiedGroupKFold."
        ) from error
    missing = ~np.isfinite(age)
    if missing.any():
        raise ValueError(
            f"Age (y) is missing or infinite in {missing.sum()} of {n_rows} rows: "
            f"{name_rows(missing, y)}. Fill it in, or drop those rows before splitting."
        )
    return age


def _check_integer(value, name, minimum):
    """Raise unless `value` is a whole number of at least `minimum`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {value!r}.")


def _refuse_sites_as_persons(person, site):
    """Raise where `groups` are the sites: whole sites would move, the opposite of what is meant."""
    n_persons, n_sites = person.max(initial=-1) + 1, site.max(initial=-1) + 1
    one_to_one = len({*zip(person.tolist(), site.tolist(), strict=True)}) == n_persons == n_sites
    if one_to_one and 1 < n_sites < len(person):
        raise ValueError(
            "groups are the same as the sites: every site would be kept whole in one fold. Pass "
            "person ids as groups (or leave them out), and the sites as site; to hold out whole "
            "sites, use LeaveOneSiteOut."
        )
