"""SiteMeanRegressor: what the name of the study says of age."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from .._metadata import check_labels, number_of_rows, site_of_rows
from .._target import check_target
from ..exceptions import MissingMetadataError, SingleSiteWarning
from ..maps._validation import check_maps

__all__ = ["SiteMeanRegressor"]


class SiteMeanRegressor(RegressorMixin, BaseEstimator):
    """Predict the mean training age of the person's site, and never look at the maps.

    With people of all sites in training, as in random folds, every model can reach this error by
    telling sites apart. At a site held out it predicts the overall mean.

    Attributes
    ----------
    sites_ : ndarray of str
        Sites, sorted.
    site_means_ : ndarray of shape (sites,)
        Mean age at each site, in years.
    mean_ : float
        Mean age of all training rows, in years; the prediction for a site that training lacks.
    n_features_in_ : int
        Number of channels (maps) or columns.

    Raises
    ------
    MissingMetadataError
        If several sites were seen in `fit`, and rows to predict have no site.

    Warns
    -----
    SingleSiteWarning
        If `fit` gets no site: then everybody is one site.

    See Also
    --------
    MaskOnlyRegressor : What the brain masks say, which tell the site.

    Notes
    -----
    X may be a DataFrame with a column ``site`` and anything else, paths included: no file is read.

    Examples
    --------
    >>> import pandas as pd
    >>> from mresklearn.baselines import SiteMeanRegressor
    >>> people = pd.DataFrame({"site": ["Mayo", "Mayo", "Utah"]})
    >>> model = SiteMeanRegressor().fit(people, [60, 70, 20])
    >>> model.predict(pd.DataFrame({"site": ["Mayo", "Utah", "Delaware"]}))
    array([65., 20., 50.], dtype=float32)
    """

    __metadata_request__fit = {"site": True}
    __metadata_request__predict = {"site": True}

    _parameter_constraints: dict = {}

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, *, site: Any = None) -> SiteMeanRegressor:
        """Average the ages of each site.

        Parameters
        ----------
        X : DataFrame, MapArray, array of shape (n, [channels,] x, y, z) or (n, features)
            Training people; only their sites are read.
        y : array-like of shape (n,)
            Age in years.
        site : array-like of shape (n,), default=None
            Site of each row. None: the sites that travel with the rows.

        Returns
        -------
        self : SiteMeanRegressor
            The fitted baseline.
        """
        y = check_target(y)
        X = self._check(X, reset=True)
        n_rows = number_of_rows(X)
        check_consistent_length(y, np.empty(n_rows))
        site = site_of_rows(X, "site") if site is None else site
        if site is None:
            warnings.warn(
                "SiteMeanRegressor got no site and predicts the overall mean for everybody. Pass "
                "site=, or let it travel with the rows, in a column 'site' of the DataFrame X or "
                "of X.metadata.",
                SingleSiteWarning,
                stacklevel=3,
            )
            site = np.zeros(n_rows, dtype=int)
        codes, names = check_labels(site, n_rows, name="site")
        self.sites_ = np.array(names)
        self.mean_ = float(y.mean())
        self.site_means_ = np.bincount(codes, weights=y) / np.bincount(codes)
        return self

    def predict(self, X: Any, *, site: Any = None) -> np.ndarray:
        """Predict the mean age of each row's site.

        Parameters
        ----------
        X : DataFrame, MapArray, array of shape (n, [channels,] x, y, z) or (n, features)
            People; only their sites are read.
        site : array-like of shape (n,), default=None
            Site of each row. None: the sites that travel with the rows.

        Returns
        -------
        predicted : ndarray of shape (n,), float32
            Age in years.
        """
        check_is_fitted(self)
        X = self._check(X, reset=False)
        n_rows = number_of_rows(X)
        site = site_of_rows(X, "site") if site is None else site
        if site is None:
            if len(self.sites_) > 1:
                raise MissingMetadataError(
                    "SiteMeanRegressor needs the site of each row to predict. Let it travel with "
                    "the rows, in a column 'site' of the DataFrame X or of X.metadata (maps: "
                    "MapLoader(metadata=['site'])), or pass site= to predict."
                )
            return np.full(n_rows, self.mean_, dtype=np.float32)
        codes, names = check_labels(site, n_rows, name="site")
        known = pd.Series(self.site_means_, index=self.sites_)
        return known.reindex(names).fillna(self.mean_).to_numpy(dtype=np.float32)[codes]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # values are ignored on purpose
        return tags

    def _check(self, X: Any, *, reset: bool) -> Any:
        """Compare shapes with those of `fit`; a table may hold paths, which are left alone."""
        if isinstance(X, pd.DataFrame):
            return validate_data(self, X, reset=reset, skip_check_array=True)
        return check_maps(self, X, reset=reset)
