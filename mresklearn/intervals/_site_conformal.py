"""Conformal prediction intervals by site, and what can be said of a new site."""

from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.base import (
    BaseEstimator,
    MetaEstimatorMixin,
    RegressorMixin,
    _fit_context,
)
from sklearn.linear_model import Ridge
from sklearn.utils import (
    Bunch,
    check_random_state,
    get_tags,
    indexable,
)
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._metadata import check_labels, number_of_rows, site_of_rows
from .._target import check_target
from ..model_selection import StratifiedSiteKFold
from ..model_selection._fold_fitting import requested_keywords
from ..model_selection._site_folds import left_out_folds
from ._held_out_errors import fit_models, held_out_errors, one_row_a_person
from ._known_sites import codes_of_sites, learn_sites
from ._new_site import as_if_new, new_site_in_words, new_site_weights
from ._weighted_bounds import conformal_bounds, minimum_size

__all__ = ["SiteConformalRegressor"]

OWN_SITE, ALL_SITES = "own site", "all sites"
NEW_SITE, NO_GUARANTEE = "new site", "new site, no guarantee"


class SiteConformalRegressor(RegressorMixin, MetaEstimatorMixin, BaseEstimator):
    r"""Give predictions of any regressor intervals that say what they rest on.

    An interval for a person of a known site comes from held-out errors at that very site, where
    there are enough persons, else from those of all sites. For a site never seen before, errors at
    known sites guarantee nothing unless there are many sites; the interval then comes from errors
    at left-out sites, is marked, and :meth:`summary` says how far coverage swung between sites.

    Parameters
    ----------
    estimator : regressor or None, default=None
        Any regressor; give the whole pipeline, so that every step is fitted without the held-out
        person. None takes ``Ridge()``.
    coverage : float, default=0.9
        Share of intervals that should hold the truth, over 0.5 and under 1.
    method : {"cv+", "split"}, default="cv+"
        "cv+" holds out every person once and uses all of them to train and to calibrate; "split"
        calibrates one model on the first fold and trains it on the others: fewer fits, a stronger
        guarantee, wider intervals.
    n_splits : int, default=5
        Folds, balanced over sites and ages; with "split", one of them calibrates.
    new_sites : bool, default=True
        Also hold out each site once, which intervals at new sites need.
    n_jobs : int or None, default=None
        Models fitted at the same time, as in joblib.
    random_state : int, RandomState instance or None, default=0
        Seed of the folds, and of the row that stands for a person with several.
    verbose : int, default=0
        1 shows a progress bar over the fits.

    Attributes
    ----------
    estimator_ : regressor
        Makes the point predictions: fitted on all rows, or with "split" without the first fold.
    sites_ : list of str
        Known sites, sorted.
    calibration_ : DataFrame
        The held-out errors behind intervals at known sites, one line per person: ``row`` of X,
        ``site``, ``fold`` and ``error``, absolute and in the unit of y.
    new_site_ : DataFrame or None
        One line per site as if it were new: ``n_persons``; ``coverage``, the share of its people
        inside intervals made from errors at the other sites, whose models had seen it;
        ``half_width`` of these; and ``bias``, the mean of prediction minus y. None with one site
        or ``new_sites=False``.
    n_persons_needed_ : int
        Persons a site needs for intervals of its own: 9 for 90 %.
    n_sites_needed_ : int
        Sites that a guarantee for a new site needs: the same number.

    Raises
    ------
    ValueError
        If y is not numeric, finite and one-dimensional, a site or person is missing, or there are
        fewer persons than folds.

    Warns
    -----
    SingleSiteWarning
        If no site was given and none travels with the rows: then all rows are one site.

    See Also
    --------
    mresklearn.model_selection.cross_validate_sites : Errors at known and at new sites.

    Notes
    -----
    With :math:`n` persons that calibrate, an interval is finite from
    :math:`n \ge \lceil 1/\alpha \rceil - 1` on, where :math:`\alpha` is one minus the coverage.

    ===============================  =============================================================
    basis                            guarantee, for people like those of training
    ===============================  =============================================================
    own site                         split: coverage at this site on average over calibration sets;
                                     cv+: :math:`1 - 2\alpha - \sqrt{2/n}` at worst, in practice
                                     about :math:`1 - \alpha` ([1]_, within the site)
    all sites                        the same, for a person drawn from all sites together; at one
                                     site coverage may be lower
    new site                         :math:`1 - 2\alpha` over sites drawn as the known ones
                                     were ([2]_), which few collections of studies are
    new site, no guarantee           none: with fewer sites than `n_sites_needed_` the guaranteed
                                     interval would be infinite
    ===============================  =============================================================

    Each of several rows of one person depends on the others, so one of them, drawn at random,
    calibrates. Intervals at a new site weight sites equally, whatever their size.

    MAPIE's ``CrossConformalRegressor`` gives the same interval over all sites (a test compares
    them); it has no intervals by group and none that weight persons by site, which take the few
    lines of this package.

    References
    ----------
    .. [1] Barber, R. F., Candès, E. J., Ramdas, A., Tibshirani, R. J. (2021). Predictive inference
       with the jackknife+. Annals of Statistics 49, 486-507.
    .. [2] Lee, Y., Barber, R. F., Willett, R. (2023). Distribution-free inference with
       hierarchical data. arXiv:2306.06342.
    .. [3] Vovk, V., Gammerman, A., Shafer, G. (2005). Algorithmic learning in a random world.
       Springer. (Mondrian prediction: one guarantee for each category.)
    .. [4] Dunn, R., Wasserman, L., Ramdas, A. (2023). Distribution-free prediction sets for
       two-layer hierarchical models. Journal of the American Statistical Association 118,
       2491-2502. (One row a person.)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from mresklearn.intervals import SiteConformalRegressor
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["Delaware", "Mayo", "Utah"], [60, 60, 6])
    >>> X = rng.normal(size=(126, 3))
    >>> age = 50 + 10 * X[:, 0] + rng.normal(0, np.where(site == "Mayo", 6, 2))
    >>> model = SiteConformalRegressor(estimator=Ridge()).fit(X, age, site=site)
    >>> new = np.zeros((4, 3))
    >>> predicted, interval = model.predict(
    ...     new, site=["Delaware", "Mayo", "Utah", "Edinburgh"], return_interval=True)
    >>> interval.basis.tolist()
    ['own site', 'own site', 'all sites', 'new site, no guarantee']
    >>> width = interval.upper - interval.lower
    >>> bool(width[0] < 9 < 18 < width[1])          # Mayo is noisier
    True
    """

    __metadata_request__fit = {"site": True, "groups": True}
    __metadata_request__predict = {"site": True}

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "coverage": [Interval(Real, 0.5, 1, closed="neither")],
        "method": [StrOptions({"cv+", "split"})],
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "new_sites": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        estimator=None,
        coverage=0.9,
        method="cv+",
        n_splits=5,
        new_sites=True,
        n_jobs=None,
        random_state=0,
        verbose=0,
    ):
        self.estimator = estimator
        self.coverage = coverage
        self.method = method
        self.n_splits = n_splits
        self.new_sites = new_sites
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, *, site=None, groups=None):
        """Fit the regressor, and once more without each fold and each site.

        Parameters
        ----------
        X : DataFrame of paths, MapArray, or array-like of shape (n_rows, ...)
            Training people, as the regressor takes them.
        y : array-like of shape (n_rows,)
            Age in years, or another number.
        site : array-like of shape (n_rows,), default=None
            Site of each row. None: the sites that travel with the rows, in a column ``site`` of the
            DataFrame X or of X.metadata; where there are none, all rows are one site.
        groups : array-like of shape (n_rows,), default=None
            Person of each row. None: every row is a person of its own.

        Returns
        -------
        self : SiteConformalRegressor
            The fitted regressor.
        """
        X, y = indexable(X, check_target(y))
        site, codes, self.sites_ = learn_sites(X, site)
        self._has_site = site is not None
        given = {"site": site, "groups": groups}
        metadata = {name: values for name, values in given.items() if values is not None}
        rng = check_random_state(self.random_state)
        seed = rng.randint(2**31 - 1)
        persons = np.arange(len(y))
        if groups is not None:
            persons = check_labels(groups, len(y), name="groups (the persons)")[0]
        chosen = one_row_a_person(persons, rng)
        folds, sites = self._folds(X, y, codes, persons, seed)

        everyone = [] if self.method == "split" else [np.arange(len(y))]
        models = fit_models(
            Ridge() if self.estimator is None else self.estimator,
            X,
            y,
            [train for train, _ in folds + sites] + everyone,
            metadata,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        self.estimator_ = models[0 if self.method == "split" else -1]
        parts = (models[: len(folds)], folds), (models[len(folds) : len(folds) + len(sites)], sites)
        self._known, self._new = (
            held_out_errors(part, X, y, [test for _, test in cut], chosen, codes, metadata)
            for part, cut in parts
        )
        self.n_persons_needed_ = self.n_sites_needed_ = minimum_size(self.coverage)
        self.calibration_ = pd.DataFrame(
            {
                "row": self._known.row,
                "site": np.array(self.sites_, dtype=object)[self._known.site],
                "fold": self._known.model,
                "error": np.abs(self._known.error),
            }
        )
        self.new_site_ = None
        if sites:
            needed = self.n_sites_needed_
            self.new_site_ = as_if_new(self._new, self.sites_, self.coverage, needed)
        return self

    def predict(self, X, *, return_interval=False, site=None):
        """Predict, and say between which ends the truth should lie.

        Parameters
        ----------
        X : DataFrame of paths, MapArray, or array-like of shape (n_rows, ...)
            People, as the regressor takes them.
        return_interval : bool, default=False
            Also return the intervals.
        site : array-like of shape (n_rows,), default=None
            Site of each row, known or not, for intervals and for a regressor that asks for it.
            None: the sites that travel with the rows.

        Returns
        -------
        predicted : ndarray of shape (n_rows,)
            Point predictions, in the unit of y.
        interval : DataFrame, only with `return_interval`
            Columns ``lower``, ``upper``, in the unit of y, and ``basis``, see Notes of the class;
            indexed by participant where X knows them. Ends are infinite where too few persons
            calibrate.

        Raises
        ------
        MissingMetadataError
            If intervals are asked for, the model was fitted with sites, and rows have none.
        """
        check_is_fitted(self)
        site = site_of_rows(X, "site") if site is None else site
        metadata = {} if site is None else {"site": site}
        predicted = self.estimator_.predict(
            X, **requested_keywords(self.estimator_, "predict", metadata)
        )
        if not return_interval:
            return predicted
        codes = codes_of_sites(X, site, self.sites_ if self._has_site else None)
        bounds = np.column_stack([np.full(len(codes), -np.inf), np.full(len(codes), np.inf)])
        basis = np.full(len(codes), NO_GUARANTEE, dtype=object)
        for rows, calibrating, weights, name in self._cases(codes):
            errors = self._new if name in (NEW_SITE, NO_GUARANTEE) else self._known
            predictions = errors.predictions(X, rows, metadata, calibrating)
            sizes = np.abs(errors.error[calibrating])
            bounds[rows] = conformal_bounds(predictions, sizes, weights, self.coverage)
            basis[rows] = name
        frame = pd.DataFrame(bounds, columns=["lower", "upper"], index=_row_names(X))
        return predicted, frame.assign(basis=basis)

    def summary(self):
        """Say in prose what the intervals rest on.

        Returns
        -------
        text : str
            Which sites have intervals of their own, and what to expect at a new site.
        """
        check_is_fitted(self)
        counts = self.calibration_.site.value_counts().reindex(self.sites_, fill_value=0)
        own = [f"{name} ({n})" for name, n in counts.items() if n >= self.n_persons_needed_]
        pooled = [f"{name} ({n})" for name, n in counts.items() if n < self.n_persons_needed_]
        lines = [f"Intervals that should hold {self.coverage:.0%} of true values ({self.method})."]
        if own:
            lines.append(f"From errors at the site itself (persons held out): {', '.join(own)}.")
        if pooled:
            lines.append(
                f"From errors at all sites, as a site needs {self.n_persons_needed_} persons for "
                f"its own: {', '.join(pooled)}. At one of these, coverage may be lower."
            )
        lines.append(new_site_in_words(self.new_site_, self.n_sites_needed_))
        return "\n".join(lines)

    @property
    def n_features_in_(self):
        """Number of columns that the regressor saw in `fit`."""
        return self.estimator_.n_features_in_

    @property
    def feature_names_in_(self):
        """Columns that the regressor saw in `fit`."""
        return self.estimator_.feature_names_in_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(Ridge() if self.estimator is None else self.estimator)
        tags.input_tags = inner.input_tags
        tags.non_deterministic = inner.non_deterministic
        return tags

    def _folds(self, X, y, codes, persons, seed):
        """List the (train, test) rows of the folds, and of the left-out sites."""
        n_persons = len(np.unique(persons))
        if n_persons < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} folds need as many persons, but there are {n_persons} "
                f"(n_samples={len(y)}). Use fewer folds, or give more persons."
            )
        repeated = persons if n_persons < len(y) else None
        splitter = StratifiedSiteKFold(self.n_splits, random_state=seed)
        folds = list(splitter.split(X, y, groups=repeated, site=codes))
        sites = []
        if self.new_sites and len(self.sites_) > 1:
            cohort = Bunch(X=X, names=self.sites_, codes=codes, persons=persons)
            sites = [(fold.train, fold.test) for fold in left_out_folds(cohort)]
        return folds[:1] if self.method == "split" else folds, sites

    def _cases(self, codes):
        """List the rows of each site with the held-out persons that serve them."""
        for code in np.unique(codes):
            rows = np.flatnonzero(codes == code)
            if code < 0:
                if self._new.models:
                    weights, guaranteed = new_site_weights(self._new.site, self.n_sites_needed_)
                    name = NEW_SITE if guaranteed else NO_GUARANTEE
                    yield rows, np.arange(len(weights)), weights, name
                continue
            serving, name = np.flatnonzero(self._known.site == code), OWN_SITE
            if len(serving) < self.n_persons_needed_ and len(self.sites_) > 1:
                serving, name = np.arange(len(self._known.site)), ALL_SITES
            yield rows, serving, np.full(len(serving), 1 / (len(serving) + 1)), name


def _row_names(X):
    """Participants where X knows them, else row numbers."""
    known = X.index if isinstance(X, pd.DataFrame) else getattr(X, "participants", None)
    return pd.RangeIndex(number_of_rows(X)) if known is None else known
