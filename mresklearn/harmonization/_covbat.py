"""CovBat: ComBat, and then the covariance of what it leaves brought to one form at all sites."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, RealNotInt
from sklearn.utils.validation import check_is_fitted

from .._warn_user import warn_user
from ..exceptions import HarmonizationWarning, MissingMetadataError
from ._combat import ComBat
from ._principal_axes import Blocks, feature_blocks, leading_axes
from ._site_transformer import SiteTransformer
from ._target import target_frame

__all__ = ["CovBat"]


class CovBat(SiteTransformer):
    r"""Remove what sites change in mean, variance and covariance of features.

    ComBat leaves differences between sites in how features go together, from which a multivariate
    model still reads the site. CovBat finds the principal components of what ComBat leaves, brings
    mean and variance of the leading scores to those of all sites, and turns back. Everything,
    components included, is learned from the training people; each row is then treated by itself.

    Parameters
    ----------
    site_column : str, int or None, default="site"
        Column of X that holds the site, as in :class:`ComBat`.
    covariate_columns : sequence of str or int, default=()
        Columns of X that are held fixed. New people need them too, see `missing_covariates`.
    target : {"auto", "ignore", "training", "shrunk", "full"}, default="auto"
        Whether y is held fixed, as in :class:`ComBat`.
    n_components : float or int, default=0.95
        Leading components whose scores are adjusted, as in :class:`~sklearn.decomposition.PCA`: as
        few as explain more than this share of the variance, or a number of them.
    min_people : int, default=20
        Fewest people of a site for its scores to be adjusted; people of smaller sites get ComBat
        alone. 1 adjusts all sites, as published. See Notes.
    parametric, eb : bool, default=True
        Priors of the first step, as in :class:`ComBat`. Scores have no prior: components are no
        sample of exchangeable features.
    ref_site : str or None, default=None
        Site that the others are moved to, and that stays as it is.
    smooth : sequence of str, default=()
        Covariates, or ``"target"``, that act in a penalised curve.
    smooth_penalty : float or None, default=None
        Weight of its roughness; None chooses one per feature.
    unseen : {"error", "passthrough"}, default="error"
        What `transform` does with sites that training lacked; see :class:`ComBat`.
    missing_covariates : {"error", "mean"}, default="error"
        What `transform` does with people whose covariates are missing.
    stop_rule : {"converged", "reference"}, default="converged"
        When the posterior iteration of the first step stops.
    block_size : int or None, default=None
        Features that are handled at a time; None takes what stays in a processor's cache.

    Attributes
    ----------
    combat_ : ComBat
        First step, fitted on the features.
    score_combat_ : ComBat or None
        Second step, fitted on the scores; None where fewer than two sites are large enough.
    n_components_ : int
        Components whose scores are adjusted.
    components_ : ndarray of shape (n_components, n_features)
        Directions of standardised residuals, of unit length.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Share of the variance of each.
    sites_ : ndarray of str of shape (n_sites,)
        Sites of the training people, sorted.
    n_people_ : ndarray of shape (n_sites,)
        Training people of each.
    n_features_in_ : int
        Columns of X, site and covariates among them.

    Raises
    ------
    MissingMetadataError
        If site or a covariate comes neither with the rows nor as a keyword.
    ValueError
        As for :class:`ComBat`; and if more components are asked for than there are.

    See Also
    --------
    ComBat : The first step alone, for features that a model takes one by one.

    Notes
    -----
    With :math:`e_i` what ComBat leaves of a person beyond covariates and target, standardised over
    all people, :math:`q_k` the eigenvectors of its covariance and :math:`\xi_{ik} = q_k^\top e_i`,

    .. math::

        \xi'_{ik} = \tau_k \frac{\xi_{ik} - \mu_k - \tau_k \gamma_{sk}}{\tau_k \delta_{sk}} + \mu_k

    for the leading components, with :math:`\gamma_{sk}` and :math:`\delta_{sk}` mean and standard
    deviation at site s of the scores standardised by their mean :math:`\mu_k` and pooled deviation
    :math:`\tau_k`. Sites may differ in the sizes of common axes; axes of their own are equalised
    only as far as the common ones see them.

    What is held fixed in training only, such as age, is part of a new person's scores. So a site's
    factor stretches the age effect along a component with everything else, as ComBat does feature
    by feature.

    Scores are moved by each site's own mean and deviation, which few people tell badly. Where sites
    of 60 did not differ in covariance at all, new people of a site that had 3, 5, 10, 20 or 50 in
    training were off by 2.9, 1.1, 0.54, 0.31 and 0.18 standard deviations, against 0.62, 0.44,
    0.34, 0.25 and 0.16 with ComBat (100 features, of ten factors). Hence `min_people`.

    The components take as much memory as that many people.

    References
    ----------
    Chen, Beer, Tustison, Cook, Shinohara & Shou (2022), Human Brain Mapping 43, 1179-1195.

    Examples
    --------
    Two features that go together at one site, and against each other at the other:

    >>> import numpy as np
    >>> from mresklearn.harmonization import ComBat
    >>> from mresklearn.harmonization import CovBat
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2)) @ np.array([[1, 0.5], [0.5, 1]])
    >>> site = np.repeat(["Mayo", "Utah"], 100)
    >>> X[site == "Utah", 1] *= -1
    >>> def correlations(Z):
    ...     return [round(float(np.corrcoef(Z[site == s].T)[0, 1]), 1) for s in ("Mayo", "Utah")]
    >>> correlations(ComBat().fit_transform(X, site=site))
    [0.8, -0.8]
    >>> correlations(CovBat(n_components=2).fit_transform(X, site=site))
    [0.0, 0.0]
    """

    _parameter_constraints: dict = {
        **{
            name: ComBat._parameter_constraints[name]
            for name in (
                "site_column", "covariate_columns", "target", "parametric", "eb", "ref_site",
                "smooth", "smooth_penalty", "unseen", "missing_covariates", "stop_rule",
                "block_size",
            )
        },
        "n_components": [
            Interval(RealNotInt, 0, 1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "min_people": [Interval(Integral, 1, None, closed="left")],
    }  # fmt: skip

    def __init__(
        self,
        *,
        site_column: str | int | None = "site",
        covariate_columns: Sequence[str | int] = (),
        target: str = "auto",
        n_components: float | int = 0.95,
        min_people: int = 20,
        parametric: bool = True,
        eb: bool = True,
        ref_site: str | int | None = None,
        smooth: Sequence[str] = (),
        smooth_penalty: float | None = None,
        unseen: str = "error",
        missing_covariates: str = "error",
        stop_rule: str = "converged",
        block_size: int | None = None,
    ) -> None:
        self.site_column = site_column
        self.covariate_columns = covariate_columns
        self.target = target
        self.n_components = n_components
        self.min_people = min_people
        self.parametric = parametric
        self.eb = eb
        self.ref_site = ref_site
        self.smooth = smooth
        self.smooth_penalty = smooth_penalty
        self.unseen = unseen
        self.missing_covariates = missing_covariates
        self.stop_rule = stop_rule
        self.block_size = block_size

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, *, site: Any = None, covariates: Any = None) -> Self:
        """Estimate the effects of each site on features, and on the components of what is left.

        Parameters
        ----------
        X : DataFrame or array of shape (n, columns)
            Training people: features, and the columns named above.
        y : array-like of shape (n,), default=None
            Target, held fixed according to `target`.
        site : array-like of shape (n,), default=None
            Site of each row, where it is no column of X.
        covariates : DataFrame or array of shape (n, covariates), default=None
            What is held fixed, where it is no column of X.

        Returns
        -------
        self : CovBat
            The fitted harmoniser.
        """
        rows = self._split(X, site, covariates, reset=True)
        features, given = rows.features, _or_none(rows.covariates)
        first = ("target", "parametric", "eb", "ref_site", "smooth", "smooth_penalty")
        kept = ("missing_covariates", "stop_rule", "block_size")
        self.combat_ = ComBat(
            site_column=None, **{name: getattr(self, name) for name in (*first, *kept)}
        ).fit(features, y, site=rows.site, covariates=given)
        self.target_ = self.combat_.target_
        self.sites_, self.n_people_ = self.combat_.sites_, self.combat_.n_people_
        self._without_site = rows.site is None
        codes = self._codes(rows.site, len(features))
        fixed = target_frame(y, self.target, rows.covariates.index)
        design = self.combat_.coder_.transform(pd.concat([rows.covariates, fixed], axis=1))
        found = leading_axes(
            self._residuals(features, codes, design),
            len(features),
            self.combat_.varies_,
            self.n_components,
            block_size=self.block_size,
        )
        self.components_, self.explained_variance_ratio_ = found.axes, found.shares
        self.n_components_ = len(found.axes)
        self._residual_mean, self._residual_deviation = found.mean, found.deviation
        self.score_combat_ = self._fit_scores(features, codes, design)
        return self

    def transform(self, X: Any, *, site: Any = None, covariates: Any = None) -> np.ndarray:
        """Remove the site effects of each row.

        Parameters
        ----------
        X : DataFrame or array of shape (n, columns)
            People of known sites, with the columns seen in `fit`; names may come in any order.
        site : array-like of shape (n,), default=None
            Site of each row, where it is no column of X.
        covariates : DataFrame or array of shape (n, covariates), default=None
            Covariates, where they are no columns of X.

        Returns
        -------
        harmonised : ndarray of shape (n, n_features)
            Features without site and covariate columns; float32 where X is float32.
        """
        check_is_fitted(self)
        rows = self._split(X, site, covariates, reset=False)
        design = self._design(rows.covariates)
        codes = self._codes(rows.site, len(rows.features))
        return self._harmonised(rows.features, codes, design)

    def adapt(
        self, X_new: Any, *, site: Any = None, covariates: Any = None, min_subjects: int = 10
    ) -> Self:
        """Learn the effects of new sites from their scans, and leave this object as it was.

        See :meth:`ComBat.adapt` for what that costs where people of the new site differ in age.

        Parameters
        ----------
        X_new : DataFrame or array of shape (n, columns)
            People of one or more sites that training lacked.
        site, covariates : array-like, default=None
            As in :meth:`transform`.
        min_subjects : int, default=10
            Fewest people of a new site.

        Returns
        -------
        adapted : CovBat
            Knows the new sites too; what it does with the others is unchanged.

        Raises
        ------
        ValueError
            If a site is known already, or has too few people.
        """
        check_is_fitted(self)
        rows = self._split(X_new, site, covariates, reset=False)
        if rows.site is None:
            raise MissingMetadataError("adapt needs the name of the new site. Pass site=.")
        adapted = copy.copy(self)
        adapted.combat_ = self.combat_.adapt(
            rows.features,
            site=rows.site,
            covariates=_or_none(rows.covariates),
            min_subjects=min_subjects,
        )
        adapted.sites_, adapted.n_people_ = adapted.combat_.sites_, adapted.combat_.n_people_
        codes = adapted._codes(rows.site, len(rows.features))
        large = np.flatnonzero(adapted.n_people_[codes] >= self.min_people)
        if self.score_combat_ is not None and len(large):
            design = adapted.combat_._design(rows.covariates)
            scores = adapted._scores(adapted._residuals(rows.features, codes, design), len(codes))
            adapted.score_combat_ = self.score_combat_.adapt(
                scores[large], site=adapted.sites_[codes[large]], min_subjects=1
            )
        return adapted

    def _may_lack_covariates(self) -> bool:
        return self.missing_covariates == "mean"

    def _design(self, covariates: pd.DataFrame) -> np.ndarray:
        """Code covariates as the first step does; the target takes its training mean."""
        return self.combat_._design(covariates)

    def _residuals(self, features: np.ndarray, codes: np.ndarray, design: np.ndarray) -> Blocks:
        """Return a function of what the first step leaves of a block of features."""
        first = self.combat_

        def block_of(part: slice) -> np.ndarray:
            left = features[:, part] - first.centre_[part]
            left -= design @ first.coefficients_[:, part]
            left -= (first.shift_[:, part] * first.deviation_[part])[codes]
            left /= np.sqrt(first.ratio_[:, part])[codes]
            return left

        return block_of

    def _scores(self, block_of: Blocks, n_rows: int) -> np.ndarray:
        """Return coordinates along the components, of shape (n, n_components_)."""
        scores = np.zeros((n_rows, self.n_components_))
        for part in feature_blocks(n_rows, len(self._residual_mean), self.block_size):
            left = block_of(part)
            left -= self._residual_mean[part]
            left /= self._residual_deviation[part]
            scores += left @ self.components_[:, part].T
        return scores

    def _fit_scores(
        self, features: np.ndarray, codes: np.ndarray, design: np.ndarray
    ) -> ComBat | None:
        """Fit mean and deviation of the scores at sites that are large enough to tell them."""
        enough = self.n_people_ >= self.min_people
        if self.n_components_ == 0 or len(self.sites_) == 1:
            return None
        if not enough.all():
            few = [
                f"{site} ({count})"
                for site, count in zip(self.sites_, self.n_people_, strict=True)
                if count < self.min_people
            ]
            warn_user(
                f"Site(s) with fewer than min_people={self.min_people} people get ComBat without "
                f"the correction of covariances: {', '.join(few)}.",
                HarmonizationWarning,
            )
        if self.ref_site is not None and not enough[list(self.sites_).index(str(self.ref_site))]:
            raise ValueError(
                f"ref_site {self.ref_site!r} has fewer than min_people={self.min_people} people, "
                "too few to bring the covariances of others to its own. Choose another, or lower "
                "min_people."
            )
        if enough.sum() < 2:
            return None
        kept = np.flatnonzero(enough[codes])
        scores = self._scores(self._residuals(features, codes, design), len(codes))
        second = ComBat(site_column=None, target="ignore", eb=False, ref_site=self.ref_site)
        return second.fit(scores[kept], site=self.sites_[codes[kept]])

    def _harmonised(self, features: np.ndarray, codes: np.ndarray, design: np.ndarray) -> Any:
        """Return features after both steps; those of code -1 as they are."""
        out = self.combat_._harmonised(features, codes, design)
        second = self.score_combat_
        if second is None:
            return out
        large = np.isin(self.sites_, second.sites_)[codes] & (codes >= 0)
        if not large.any():
            return out
        rows = slice(None) if large.all() else np.flatnonzero(large)
        scores = self._scores(
            self._residuals(features[rows], codes[rows], design[rows]), int(large.sum())
        )
        moved = second.transform(scores, site=self.sites_[codes[rows]]) - scores
        for part in feature_blocks(len(scores), out.shape[1], self.block_size):
            out[rows, part] += (moved @ self.components_[:, part]) * self._residual_deviation[part]
        return out


def _or_none(covariates: pd.DataFrame) -> pd.DataFrame | None:
    """Return covariates as a keyword of ComBat."""
    return covariates if len(covariates.columns) else None
