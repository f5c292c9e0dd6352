"""What harmonisers of known sites share: rows, names, and the codes of sites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from .._metadata import check_labels
from .._warn_user import warn_user
from ..exceptions import HarmonizationWarning, MissingMetadataError, SingleSiteWarning
from ._finite_numbers import naming_bad_values
from ._fitted_columns import FittedColumns
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
        return _check_feature_names_in(self, input_features)[self._columns.positions]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _split(self, X: Any, site: Any, covariates: Any, *, reset: bool) -> Rows:
        """Validate X, and take features, site and covariates of each row from it."""
        labels = None
        if isinstance(X, pd.DataFrame):
            labels = list(X.columns)
            self._check_labels_of_columns(X, reset)
        else:
            X = self._as_array(X, reset=reset)
        if reset:
            rows = split_rows(
                X, site_column=self.site_column, covariate_columns=self.covariate_columns,
                site=site, covariates=covariates,
            )  # fmt: skip
            self._columns = FittedColumns(labels, rows.positions)
        else:
            seen = self._columns
            rows = split_rows(
                seen.named(X), site_column=seen.name_of(self.site_column),
                covariate_columns=[seen.name_of(name) for name in self._covariates_of_new_rows()],
                site=site, covariates=covariates, may_lack=self._may_lack_covariates(),
                may_repeat=True,
            )  # fmt: skip
        return Rows(self._features(rows.features), rows.positions, rows.site, rows.covariates)

    def _check_labels_of_columns(self, X: pd.DataFrame, reset: bool) -> None:
        """Note names of columns in `fit`; later, warn of names where `fit` saw none."""
        again = sorted({str(name) for name in X.columns[X.columns.duplicated()]})
        if again:
            raise ValueError(f"Column(s) {again} occur twice in X. Rename or drop one of each.")
        if reset or (self._columns.labels is None and not self._columns.features_only):
            validate_data(self, X, reset=reset, skip_check_array=True)

    def _as_array(self, X: Any, *, reset: bool) -> np.ndarray:
        """Return X as an array, in which labels and gaps may be among the columns."""
        if not reset and self._columns.features_only:
            return check_array(X, dtype=None, ensure_all_finite=False)
        return validate_data(self, X, dtype=None, ensure_all_finite=False, reset=reset)

    def _features(self, features: Any) -> np.ndarray:
        """Return features as finite numbers, in the order of `fit`."""
        features = self._columns.in_order(features)
        with naming_bad_values(features):
            return check_array(features, dtype=DTYPES, input_name="X", estimator=self)

    def _covariates_of_new_rows(self) -> Sequence[str | int]:
        """Return the columns of X that hold covariates."""
        return self.covariate_columns

    def _learn_sites(self, site: Any, n_rows: int) -> tuple[np.ndarray, list[str]]:
        """Return the code of each row's site, and the sites; without site all are one."""
        self._without_site = site is None
        codes, sites = check_labels(
            np.full(n_rows, ONE_SITE) if site is None else site, n_rows, name="site"
        )
        self._check_sites(sites, np.bincount(codes))
        return codes, sites

    def _check_sites(self, sites: Sequence[str], counts: np.ndarray) -> None:
        """Refuse a reference site that is not there; warn of what says nothing of sites."""
        if self.ref_site is not None and str(self.ref_site) not in sites:
            raise ValueError(f"ref_site is {self.ref_site!r}, but the sites are {list(sites)}.")
        if self._without_site:
            warn_user(
                f"{type(self).__name__} got no site, so that there is nothing to harmonise. Name "
                "the column with site_column=, or pass site= to fit and transform.",
                SingleSiteWarning,
            )
        alone = [site for site, count in zip(sites, counts, strict=True) if count == 1]
        if alone and len(sites) > 1:
            warn_user(
                f"Site(s) {alone} have a single person, who says nothing of the site's spread: "
                "only a shift is removed there.",
                HarmonizationWarning,
            )

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
        known = f"fit saw {list(map(str, self.sites_))}"
        if self.unseen == "error":
            raise ValueError(
                f"Site(s) that training lacked, with their people: {people}; {known}. Their "
                "effects are unknown. Adapt to a site with adapt(X_new) where its people resemble "
                "the training people, use SiteProjector, which needs no site, or set "
                "unseen='passthrough' to leave these rows as they are."
            )
        warn_user(
            f"Site(s) {people} are passed on as they are; {known}. In simulations that was worse "
            "than harmonising nobody.",
            HarmonizationWarning,
        )
