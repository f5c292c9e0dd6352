"""What harmonisers of known sites share: rows, names, and the codes of sites."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from .._metadata import check_labels
from ..exceptions import HarmonizationWarning, MissingMetadataError, SingleSiteWarning
from ._rows import Rows, split_rows

__all__ = ["SiteTransformer"]

DTYPES = [np.float64, np.float32]
ONE_SITE = "all"


class SiteTransformer(TransformerMixin, BaseEstimator):
    """Take features, site and covariates from the rows, and check them against those of `fit`.

    Subclasses have the parameters `site_column`, `covariate_columns`, `unseen` and `ref_site`, and
    say in ``_may_lack_covariates`` whether `transform` works without covariates.
    """

    __metadata_request__fit = {"site": True, "covariates": True}
    __metadata_request__transform = {"site": True, "covariates": True}

    def fit_transform(
        self, X: Any, y: Any = None, *, site: Any = None, covariates: Any = None
    ) -> Any:
        """Fit, and remove the site effects of the training people.

        Parameters
        ----------
        X : DataFrame or array of shape (n, columns)
            Training people.
        y : array-like of shape (n,), default=None
            Target.
        site, covariates : array-like of n rows, default=None
            Where they are no columns of X.

        Returns
        -------
        harmonised : ndarray of shape (n, n_features)
            What `transform` makes of the same rows.
        """
        fitted = self.fit(X, y, site=site, covariates=covariates)
        return fitted.transform(X, site=site, covariates=covariates)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features, without site and covariates.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X; None takes those seen in `fit`.

        Returns
        -------
        names : ndarray of str
            One for each column of the output.
        """
        check_is_fitted(self)
        return _check_feature_names_in(self, input_features)[self._positions]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _split(self, X: Any, site: Any, covariates: Any, *, reset: bool) -> Rows:
        """Validate X, and take features, site and covariates of each row from it."""
        named = isinstance(X, pd.DataFrame)
        may_lack = not reset and self._may_lack_covariates()
        if not reset and named and hasattr(self, "feature_names_in_"):
            X = self._in_order(X, may_lack=may_lack)
        whole = self.site_column is None and not len(self.covariate_columns)
        if whole or not named:
            X = validate_data(self, X, dtype=DTYPES, reset=reset)
        elif reset:
            validate_data(self, X, skip_check_array=True)
        rows = split_rows(
            X, site_column=self.site_column, covariate_columns=self.covariate_columns, site=site,
            covariates=covariates, may_lack=may_lack,
        )  # fmt: skip
        if reset:
            self._positions = rows.positions
        features = rows.features
        if named and not whole:
            features = check_array(features, dtype=DTYPES, input_name="X", estimator=self)
        return Rows(features, rows.positions, rows.site, rows.covariates)

    def _in_order(self, X: pd.DataFrame, *, may_lack: bool) -> pd.DataFrame:
        """Match columns by name, so that their order does not matter."""
        known, given = list(self.feature_names_in_), set(X.columns)
        spare = {str(name) for name in self.covariate_columns} if may_lack else set()
        absent = [name for name in known if name not in given and name not in spare]
        if absent or given - set(known):
            # scikit-learn's own words, for names that it compares
            validate_data(self, X, reset=False, skip_check_array=True)
        return X[[name for name in known if name in given]]

    def _learn_sites(self, site: Any, n_rows: int) -> tuple[np.ndarray, list[str]]:
        """Return the code of each row's site, and the sites; without site all are one."""
        self._without_site = site is None
        if site is None:
            warnings.warn(
                f"{type(self).__name__} got no site, so that there is nothing to harmonise. Name "
                "the column with site_column=, or pass site= to fit and transform.",
                SingleSiteWarning,
                stacklevel=4,
            )
            site = np.full(n_rows, ONE_SITE)
        codes, sites = check_labels(site, n_rows, name="site")
        if self.ref_site is not None and str(self.ref_site) not in sites:
            raise ValueError(f"ref_site is {self.ref_site!r}, but the sites are {sites}.")
        alone = [name for name, count in zip(sites, np.bincount(codes), strict=True) if count == 1]
        if alone and n_rows > 1:
            warnings.warn(
                f"Site(s) {alone} have a single person, who says nothing of the site's spread: "
                "only a shift is removed there.",
                HarmonizationWarning,
                stacklevel=4,
            )
        return codes, sites

    def _codes(self, site: Any, n_rows: int) -> np.ndarray:
        """Return the code of each row's site, -1 for sites that are passed on as they are."""
        if site is None:
            if not self._without_site:
                raise MissingMetadataError(
                    f"{type(self).__name__} was fitted with the site of each row, but these rows "
                    "have none. Hand site on with them, or pass site= to transform."
                )
            return np.zeros(n_rows, dtype=np.intp)
        codes, names = check_labels(site, n_rows, name="site")
        if self._without_site:
            return np.zeros(n_rows, dtype=np.intp)
        place = {name: code for code, name in enumerate(self.sites_)}
        new = Counter(names[code] for code in codes if names[code] not in place)
        if new:
            self._meet_unseen(new)
        return np.array([place.get(name, -1) for name in names], dtype=np.intp)[codes]

    def _meet_unseen(self, new: Counter) -> None:
        people = ", ".join(f"{name} ({count})" for name, count in sorted(new.items()))
        known = f"fit saw {list(self.sites_)}"
        if self.unseen == "error":
            raise ValueError(
                f"Site(s) that training lacked, with their people: {people}; {known}. Their "
                "effects are unknown. Adapt to a site with adapt(X_new) where its people resemble "
                "the training people, use SiteProjector, which needs no site, or set "
                "unseen='passthrough' to leave these rows as they are."
            )
        warnings.warn(
            f"Site(s) {people} are passed on as they are; {known}. In simulations that was worse "
            "than harmonising nobody.",
            HarmonizationWarning,
            stacklevel=5,
        )
