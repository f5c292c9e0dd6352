"""ComBat: remove shift and scale of each site, with priors shared by all features."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._metadata import check_labels
from ..exceptions import MissingMetadataError
from ._coding import CovariateCoder
from ._combat_checks import check_new_sites
from ._combat_estimates import CombatEstimates
from ._fitted_columns import FittedColumns
from ._location_scale import locate_new_sites
from ._site_moments import SiteGroups, SiteMoments
from ._target import refuse_target_among, target_frame, way_to_hold

__all__ = ["ComBat"]


def _can_adapt(combat: ComBat) -> bool:
    """Whether the engine learns new sites."""
    if combat.engine == "native":
        return True
    raise AttributeError("adapt needs engine='native': neuroHarmonize learns no new sites.")


class ComBat(CombatEstimates):
    """Remove additive and multiplicative site effects from a table of features.

    Site effects are estimated on the training people beyond covariates, each drawn towards the mean
    over features (empirical Bayes), and removed from anybody of a known site: each row by itself,
    whoever else is in the call.

    Parameters
    ----------
    site_column : str, int or None, default="site"
        Column of X that holds the site: a name in a DataFrame, or a position, which also survives
        tools that turn a DataFrame into an array, such as bagging. It is not part of the output.
        None: site comes as the keyword ``site``, or there is one site, which leaves everything as
        it is.
    covariate_columns : sequence of str or int, default=()
        Columns of X that are held fixed, such as ``("sex",)``; not part of the output. Text is
        coded as categories. New people need them too, see `missing_covariates`.
    target : {"auto", "ignore", "training", "shrunk", "full"}, default="auto"
        Whether y is held fixed. ``"ignore"``: what y shares with site is removed with it.
        ``"training"``: fixed in `fit`, never needed in `transform`. ``"shrunk"``: the same, as far
        as the features tell of y beyond chance: without signal as ``"ignore"``, with strong signal
        as ``"training"``. ``"auto"``: ``"shrunk"``, or ``"training"`` where y acts in a curve or
        another engine fits; without y, or with several, ``"ignore"``. ``"full"`` allows a covariate
        that equals y, whose value new people then need: a leak, for comparison only. See Notes.
    engine : {"native", "neuroharmonize"}, default="native"
        Own closed form, or the package neuroHarmonize (``pip install mresklearn[neuroharmonize]``)
        around which the same rows, sites and guards are handled. It knows one stopping rule, and no
        `location_only`, `smooth`, non-parametric priors, `adapt` or `fit_moments`.
    parametric : bool, default=True
        Normal and inverse gamma priors. False: the empirical distribution over features, in time
        that grows with the square of their number.
    eb : bool, default=True
        Empirical Bayes. False takes each feature's own estimates.
    location_only : bool, default=False
        Remove shifts only. Needs no covariates in `transform`.
    ref_site : str, int or None, default=None
        Site that the others are moved to, and that stays as it is.
    smooth : sequence of str, default=()
        Covariates, or ``"target"``, that act in a penalised curve.
    smooth_penalty : float or None, default=None
        Weight of the integrated squared second derivative. None chooses one per feature by
        generalised cross-validation.
    unseen : {"error", "passthrough"}, default="error"
        What `transform` does with sites that training lacked. Passing them on is worse than not
        harmonising at all, as the model then meets a shift that it was promised not to; see
        `adapt`.
    missing_covariates : {"error", "mean"}, default="error"
        What `transform` does with people whose covariates are missing.
    stop_rule : {"converged", "reference"}, default="converged"
        When the posterior iteration stops: once every feature has converged to 1e-12, or as the
        published implementations do, which leaves differences of about 1e-5.
    block_size : int or None, default=None
        Features that are handled at a time; None takes what stays in a processor's cache.

    Attributes
    ----------
    sites_ : ndarray of str of shape (n_sites,)
        Sites of the training people, sorted.
    n_people_ : ndarray of shape (n_sites,)
        Training people of each.
    centre_ : ndarray of shape (n_features,)
        Mean that all sites are moved to, where the covariates are zero.
    coefficients_ : ndarray of shape (n_covariates, n_features)
        Effects of the coded covariates.
    covariate_names_ : ndarray of str of shape (n_covariates,)
        Names of these.
    deviation_ : ndarray of shape (n_features,)
        Pooled standard deviation within sites beyond the covariates; 1 where nothing varies.
    shift_, ratio_ : ndarray of shape (n_sites, n_features)
        Site effects: shifts in units of `deviation_`, and variance ratios.
    priors_ : DataFrame of shape (n_sites, 4)
        Mean and variance of the shifts' prior, shape and scale of the ratios' prior.
    varies_ : ndarray of bool of shape (n_features,)
        False for features that are constant within sites; they take no part in the priors, and
        only their shift is removed.
    target_ : {"ignore", "training", "shrunk", "full"}
        What was done with y.
    target_factor_ : float
        Share of the least squares effect of y that is held fixed. Only with ``target="shrunk"``.
    n_features_in_ : int
        Columns of X, site and covariates among them; after `fit_moments`, features alone.

    Raises
    ------
    MissingMetadataError
        If site or a covariate comes neither with the rows nor as a keyword.
    ValueError
        If site determines a covariate, a covariate is y (up to rounding, or renamed classes), a
        value is missing, or a new site is met.
    ImportError
        If ``engine="neuroharmonize"`` and the package is not installed.

    See Also
    --------
    SiteProjector : Needs no site at prediction, and works at sites never seen.

    Notes
    -----
    Where y differs by site, leaving it out removes its effect with the site effect; where the
    features say nothing of it, holding it fixed lets chance coefficients carry the site into the
    features. ``"shrunk"`` pays neither price; ``docs/harmonisation.md`` has all three as
    measured.

    References
    ----------
    Johnson, Li & Rabinovic (2007), Biostatistics 8, 118-127: the model. Fortin et al. (2018),
    NeuroImage 167, 104-120: brain features. Pomponio et al. (2020), NeuroImage 208, 116450: smooth
    covariates.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from mresklearn.harmonization import ComBat
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.normal(size=(40, 3)), columns=["thalamus", "pons", "putamen"])
    >>> X["site"] = ["Mayo", "Utah"] * 20
    >>> X.loc[X.site == "Utah", ["thalamus", "pons", "putamen"]] += 5
    >>> harmonised = ComBat().set_output(transform="pandas").fit_transform(X)
    >>> list(harmonised.columns)
    ['thalamus', 'pons', 'putamen']
    >>> harmonised.groupby(X.site)["pons"].mean().diff().abs().iloc[-1] < 0.2
    np.True_
    """

    _parameter_constraints: dict = {
        "site_column": [str, Integral, None],
        "covariate_columns": [list, tuple],
        "target": [StrOptions({"auto", "ignore", "training", "shrunk", "full"})],
        "engine": [StrOptions({"native", "neuroharmonize"})],
        "parametric": ["boolean"],
        "eb": ["boolean"],
        "location_only": ["boolean"],
        "ref_site": [str, Integral, None],
        "smooth": [list, tuple],
        "smooth_penalty": [Interval(Real, 0, None, closed="left"), None],
        "unseen": [StrOptions({"error", "passthrough"})],
        "missing_covariates": [StrOptions({"error", "mean"})],
        "stop_rule": [StrOptions({"converged", "reference"})],
        "block_size": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        site_column: str | int | None = "site",
        covariate_columns: Sequence[str | int] = (),
        target: str = "auto",
        engine: str = "native",
        parametric: bool = True,
        eb: bool = True,
        location_only: bool = False,
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
        self.engine = engine
        self.parametric = parametric
        self.eb = eb
        self.location_only = location_only
        self.ref_site = ref_site
        self.smooth = smooth
        self.smooth_penalty = smooth_penalty
        self.unseen = unseen
        self.missing_covariates = missing_covariates
        self.stop_rule = stop_rule
        self.block_size = block_size

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, *, site: Any = None, covariates: Any = None) -> Self:
        """Estimate the effects of each site.

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
        self : ComBat
            The fitted harmoniser.
        """
        self._check_engine()
        rows = self._split(X, site, covariates, reset=True)
        if self.target != "full":
            refuse_target_among(rows.covariates, y)
        fixed = target_frame(y, self.target, rows.covariates.index)
        held = way_to_hold(self.target, self.smooth, self.engine)
        self.target_ = held if len(fixed.columns) else self.target.replace("auto", "ignore")
        frame = pd.concat([rows.covariates, fixed], axis=1)
        self.coder_ = CovariateCoder(self.smooth).fit(frame)
        codes, sites = self._learn_sites(rows.site, len(rows.features))
        design = self.coder_.transform(frame)
        groups = SiteGroups(codes, len(sites), design)
        location = self._fit_location(
            sites, groups, groups.blocks(rows.features, self.block_size), rows.features.shape[1]
        )
        if self._asks_engine() and self.varies_.any():
            return self._fit_engine(rows.features, codes, design, location)
        return self._fit_effects(location)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_moments(self, moments: SiteMoments) -> Self:
        """Estimate the effects of each site from moments that were gathered elsewhere.

        Parameters
        ----------
        moments : SiteMoments
            Sum over all parts of the study. Covariates are those it names; one named ``"target"``
            is held fixed as `target` says and not needed in `transform`. `covariate_columns` and
            `smooth` have no say.

        Returns
        -------
        self : ComBat
            The fitted harmoniser, as :meth:`fit` on all people together would make it. In
            `transform` a DataFrame may hold site and covariates by their names.
        """
        if self.engine != "native":
            raise ValueError("fit_moments needs engine='native': neuroHarmonize wants all people.")
        self.__dict__.pop("feature_names_in_", None)
        labels = None if moments.features is None else list(moments.features)
        if labels is not None and all(isinstance(label, str) for label in labels):
            self.feature_names_in_ = np.array(labels, dtype=object)
        self.n_features_in_ = moments.n_features
        self._columns = FittedColumns(labels, np.arange(moments.n_features), features_only=True)
        self._without_site = False
        self._check_sites(moments.sites, moments.counts)
        means = moments.counts @ moments.covariate_means / moments.counts.sum()
        self.coder_ = CovariateCoder.of_numbers(moments.covariates, means)
        self.target_ = (
            way_to_hold(self.target, self.smooth, self.engine)
            if "target" in moments.covariates
            else "ignore"
        )
        location = self._fit_location(
            moments.sites, moments, moments.blocks(self.block_size), moments.n_features
        )
        return self._fit_effects(location)

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

    @available_if(_can_adapt)
    def adapt(
        self, X_new: Any, *, site: Any = None, covariates: Any = None, min_subjects: int = 10
    ) -> Self:
        """Learn the effects of new sites from their scans, and leave this object as it was.

        Without y, the difference in age between a new site and the training people looks like a
        site effect and is removed too. Do so only where a new site's people resemble the training
        people.

        Parameters
        ----------
        X_new : DataFrame or array of shape (n, columns)
            People of one or more sites that training lacked.
        site, covariates
            As in :meth:`transform`.
        min_subjects : int, default=10
            Fewest people of a new site. In simulations about a hundred were needed to gain.

        Returns
        -------
        adapted : ComBat
            Knows the new sites too; what it does with the others is unchanged.

        Raises
        ------
        ValueError
            If a site is known already, or has too few people.
        """
        check_is_fitted(self)
        rows = self._split(X_new, site, covariates, reset=False)
        if rows.site is None or self._without_site:
            raise MissingMetadataError(
                "adapt needs the site of each row, here and in fit. Pass site= to both."
            )
        codes, sites = check_labels(rows.site, len(rows.features), name="site")
        groups = SiteGroups(codes, len(sites), self._design(rows.covariates))
        check_new_sites(sites, groups.counts, self.sites_, min_subjects)
        location = locate_new_sites(
            groups, groups.blocks(rows.features, self.block_size), self.centre_, self.coefficients_
        )
        shift, ratio, priors = self._effects(*location, groups.counts)
        order = np.argsort(np.concatenate([self.sites_, sites]))
        adapted = copy.copy(self)
        adapted.sites_ = np.concatenate([self.sites_, sites])[order]
        adapted.n_people_ = np.concatenate([self.n_people_, groups.counts])[order]
        adapted.shift_ = np.concatenate([self.shift_, shift])[order]
        adapted.ratio_ = np.concatenate([self.ratio_, ratio])[order]
        priors.index = pd.Index(sites, name="site")
        adapted.priors_ = pd.concat([self.priors_, priors]).iloc[order]
        return adapted
