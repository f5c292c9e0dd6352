"""Cross-validation in which each fold holds out one whole site."""

import numpy as np
from sklearn.model_selection import BaseCrossValidator

from .._metadata import check_labels, number_of_rows, site_of_rows
from ..exceptions import MissingMetadataError

__all__ = ["LeaveOneSiteOut"]


class LeaveOneSiteOut(BaseCrossValidator):
    """Hold out one whole site a fold: the error to expect at a site never seen before.

    Sites are the `groups`; without them they are read from the rows. Folds come in the order of the
    site names sorted as text.

    Parameters
    ----------
    site_column : str, default="site"
        Column that holds the site where it travels with the rows: of `X`, when `X` is a pandas
        DataFrame, or of `X.metadata`, when `X` carries such a DataFrame.

    See Also
    --------
    StratifiedSiteKFold : Folds that all have people of every site: the error at the known sites.

    Notes
    -----
    ``groups`` is requested for ``split`` by default, so it works with metadata routing switched on
    and off. Where the pipeline needs person ids as ``groups``, switch routing on and let the
    splitter take the metadata called ``site`` instead::

        LeaveOneSiteOut().set_split_request(groups="site")

    A person scanned at two sites is in both the training and the test rows of some folds. For an
    error at new sites *and* new people, keep one site of such persons.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.model_selection import LeaveOneSiteOut
    >>> X = np.zeros((5, 3))
    >>> site = ["Utah", "Mayo", "Utah", "Mayo", "Delaware"]
    >>> cv = LeaveOneSiteOut()
    >>> cv.get_n_splits(X, groups=site)
    3
    >>> for train, test in cv.split(X, groups=site):
    ...     print(site[test[0]], test)
    Delaware [4]
    Mayo [1 3]
    Utah [0 2]

    The site may travel with the rows:

    >>> import pandas as pd
    >>> maps = pd.DataFrame({"stiffness": list("abcde"), "site": site})
    >>> len(list(cv.split(maps)))
    3
    """

    __metadata_request__split = {"groups": True}

    def __init__(self, *, site_column="site"):
        self.site_column = site_column

    def split(self, X, y=None, groups=None):
        """Split the rows into training and test rows, one site a fold.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            The data. Only its number of rows is used, and its site column where `groups` is None.
        y : array-like of shape (n_rows,), default=None
            Ignored; scikit-learn passes it.
        groups : array-like of shape (n_rows,), default=None
            Site of each row. None: the sites that travel with the rows.

        Returns
        -------
        folds : iterator of (train, test)
            Row numbers, two integer arrays a fold.

        Raises
        ------
        MissingMetadataError
            If the sites come neither as `groups` nor with the rows.
        ValueError
            If a row has no site, or all rows come from one site.
        """
        codes, sites = self._sites(X, groups)
        return (
            (np.flatnonzero(codes != held_out), np.flatnonzero(codes == held_out))
            for held_out in range(len(sites))
        )

    def get_n_splits(self, X=None, y=None, groups=None):
        """Count the folds: the number of sites.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...), default=None
            The data; may be left out where `groups` is given.
        y : array-like of shape (n_rows,), default=None
            Ignored; scikit-learn passes it.
        groups : array-like of shape (n_rows,), default=None
            Site of each row. None: the sites that travel with the rows.

        Returns
        -------
        n_splits : int
            Number of sites.

        Raises
        ------
        MissingMetadataError
            If the sites come neither as `groups` nor with the rows.
        ValueError
            If a row has no site, or all rows come from one site.
        """
        return len(self._sites(X, groups)[1])

    def _sites(self, X, groups):
        site = groups if groups is not None else site_of_rows(X, self.site_column)
        if site is None:
            raise MissingMetadataError(
                "LeaveOneSiteOut needs the site of each row. Pass it as groups=, as in "
                "cross_validate(..., groups=people.site) (with metadata routing on: "
                "params={'groups': people.site}), or let it travel with the rows, in a column "
                f"{self.site_column!r} of the DataFrame X or of X.metadata."
            )
        n_rows = len(site) if X is None else number_of_rows(X)
        codes, sites = check_labels(
            site,
            n_rows,
            name="groups (the sites)"
            if groups is not None
            else f"site column {self.site_column!r}",
        )
        if len(sites) < 2:
            held = (
                f"all {n_rows} rows come from site {sites[0]!r}" if sites else "there are no rows"
            )
            raise ValueError(
                f"LeaveOneSiteOut needs at least 2 sites, but {held}. "
                "Use StratifiedSiteKFold to cross-validate within a site."
            )
        return codes, sites
