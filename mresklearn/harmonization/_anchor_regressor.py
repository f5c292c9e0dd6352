"""AnchorRegressor: ridge regression that does not lean on what differs between sites."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.linear_model import Ridge
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from .._metadata import check_labels
from ..exceptions import SingleSiteWarning
from ._finite_numbers import naming_bad_values
from ._riding_columns import site_of_table, without_columns
from ._site_transformer import ONE_SITE

__all__ = ["AnchorRegressor"]


class AnchorRegressor(RegressorMixin, BaseEstimator):
    r"""Ridge regression whose errors may differ less, or more, between sites than within.

    Residuals are split into the mean of their site and the rest. `gamma` is the weight of the
    former: above 1 the model gives up some accuracy at the known sites for errors that do not
    depend on the site, which guards against new sites that shift along the same directions, but
    further. Prediction needs no site.

    Parameters
    ----------
    gamma : float, default=10.0
        Weight of squared site means of the residuals, at least 0. 1 is ridge regression; 0 compares
        people within sites only; the larger, the closer to residuals whose site means are zero.
    alpha : float, default=1.0
        Penalty on squared coefficients, as in :class:`sklearn.linear_model.Ridge`.
    site_column : str, default="site"
        Column of a DataFrame that holds the site; no feature.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients.
    intercept_ : float
        Prediction where all features are zero.
    sites_ : ndarray of str
        Sites of the training people, sorted.
    n_features_in_ : int
        Number of features, without site.

    Raises
    ------
    ValueError
        If a site or target is missing, or a feature is NaN.

    Warns
    -----
    SingleSiteWarning
        If there is no site, or one only: then this is ridge regression.

    See Also
    --------
    SiteProjector : Removes directions of site shifts at equal age from the features instead.

    Notes
    -----
    With X and y centred, and :math:`\Pi` the projection on site indicators, minimises

    .. math:: \|(I - \Pi)(y - X b)\|^2 + \gamma \|\Pi (y - X b)\|^2 + \alpha \|b\|^2,

    which is ridge regression of :math:`W y` on :math:`W X`, :math:`W = I + (\sqrt\gamma - 1) \Pi`
    [1]_: each person's difference from the mean of the site, plus that mean times
    :math:`\sqrt\gamma`. With more features than people the dual problem is solved.

    Equal site means of the residuals are a guard where site acts on features alone. Where sites
    differ in age as well, and age acts on features rather than features on age, the condition asks
    for too much: :class:`SiteProjector`, which compares people of equal age, did better there in
    simulations.

    References
    ----------
    .. [1] Rothenhäusler, D., Meinshausen, N., Bühlmann, P., Peters, J. (2021). Anchor regression:
       heterogeneous data meet causality. Journal of the Royal Statistical Society B 83, 215-246.

    Examples
    --------
    A feature that sites shift, and one that they leave alone:

    >>> import numpy as np
    >>> from mresklearn.harmonization import AnchorRegressor
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat([0, 1, 2, 3], 50)
    >>> age = rng.normal(np.array([30, 50, 40, 60])[site], 10)
    >>> X = age[:, None] + rng.normal(0, [5, 10], (200, 2))
    >>> X[:, 0] += np.array([10, -20, 20, -10])[site]
    >>> AnchorRegressor(gamma=0).fit(X, age, site=site).coef_.round(1)  # within sites
    array([0.6, 0.2])
    >>> AnchorRegressor(gamma=10).fit(X, age, site=site).coef_.round(1)
    array([-0.1,  1. ])
    """

    __metadata_request__fit = {"site": True}

    _parameter_constraints: dict = {
        "gamma": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "site_column": [str],
    }

    def __init__(
        self, *, gamma: float = 10.0, alpha: float = 1.0, site_column: str = "site"
    ) -> None:
        self.gamma = gamma
        self.alpha = alpha
        self.site_column = site_column

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, *, site: Any = None) -> Self:
        """Fit the coefficients.

        Parameters
        ----------
        X : array-like of shape (n, features)
            Training people. A DataFrame may have a column for site.
        y : array-like of shape (n,)
            Target, age in years for instance.
        site : array-like of shape (n,), default=None
            Site of each row. None: the column of X.

        Returns
        -------
        self : AnchorRegressor
            The fitted model.
        """
        site = site_of_table(X, site, self.site_column)
        features = without_columns(X, [self.site_column])
        with naming_bad_values(features):
            features, y = validate_data(self, features, y, dtype=np.float64, y_numeric=True)
        codes, names = check_labels(
            np.full(len(y), ONE_SITE) if site is None else site, len(y), name="site"
        )
        self.sites_ = np.array(names)
        if len(names) < 2:
            found = "no site" if site is None else f"one site, {names[0]!r}, only"
            warnings.warn(
                f"AnchorRegressor got {found}, so it is ridge regression. Pass site= to fit, or "
                f"let it ride with the rows, in a column {self.site_column!r} of the DataFrame X.",
                SingleSiteWarning,
                stacklevel=3,
            )
        mean, target_mean = features.mean(axis=0), y.mean()
        ridge = Ridge(alpha=self.alpha, fit_intercept=False).fit(
            _weighted(features - mean, codes, self.gamma),
            _weighted((y - target_mean)[:, None], codes, self.gamma)[:, 0],
        )
        self.coef_ = ridge.coef_
        self.intercept_ = float(target_mean - mean @ self.coef_)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict the target; no site is needed.

        Parameters
        ----------
        X : array-like of shape (n, features)
            People of any site. A column for site may be there or not.

        Returns
        -------
        predicted : ndarray of shape (n,), float64
            In the unit of y.
        """
        check_is_fitted(self)
        features = without_columns(X, [self.site_column])
        with naming_bad_values(features):
            features = validate_data(self, features, dtype=np.float64, reset=False)
        return features @ self.coef_ + self.intercept_


def _weighted(centred: np.ndarray, codes: np.ndarray, gamma: float) -> np.ndarray:
    """Return rows plus the mean of their site, times the square root of gamma minus one."""
    counts = np.bincount(codes)
    means = np.array([centred[codes == code].sum(axis=0) for code in range(len(counts))])
    means *= ((np.sqrt(gamma) - 1) / counts)[:, None]
    centred += means[codes]
    return centred
