"""Search over settings whose inner folds each hold out one training site."""

import warnings

import numpy as np
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedGroupKFold
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _num_samples

from .._metadata import check_labels, site_of_rows
from ..exceptions import SingleSiteWarning, UnanswerableWarning
from ._fold_fitting import requested_keywords
from ._leave_one_site_out import LeaveOneSiteOut
from ._one_standard_error import one_standard_error_rule, scores_by_fold
from ._site_folds import without_persons

__all__ = ["SiteSearchCV"]

_INHERITED = ("n_jobs", "verbose", "error_score")


class SiteSearchCV(GridSearchCV):
    """Choose settings by the error at training sites left out in turn, never at the test site.

    Settings chosen by random inner folds suit the known sites. Here each inner fold is a site, as
    the outer one will be, and of the settings that are within one standard error of the best the
    preferred one is taken. Put it in :func:`cross_validate_sites` or any other outer loop: then it
    sees training sites alone.

    Parameters
    ----------
    estimator : estimator
        What is tuned, such as a whole pipeline.
    param_grid : dict or list of dict
        Settings to try, as for :class:`~sklearn.model_selection.GridSearchCV`.
    parameter : str or None, default=None
        Name in `param_grid` of the parameter that decides between settings that are as good. None
        takes the best mean score.
    prefer : {"larger", "smaller"}, default="larger"
        Which values of `parameter` to prefer.
    paired : bool, default=True
        Also stay within the standard error of the difference from the best setting; see
        :func:`one_standard_error_rule`.
    scoring : str or callable, default="neg_mean_absolute_error"
        Score of an inner site; sites count the same, whatever their size. Use ``"roc_auc"`` or
        similar for a classifier.
    site_column : str, default="site"
        Column that holds the site where it travels with the rows.
    n_jobs : int or None, default=None
        Fits at the same time, as in joblib.
    verbose : int, default=0
        Messages, as in GridSearchCV.
    error_score : "raise" or float, default="raise"
        What a fit that fails scores. A setting must not win because it failed at a hard site.

    Attributes
    ----------
    best_params_ : dict
        The setting chosen.
    best_score_ : float
        Its mean score over inner sites.
    best_estimator_ : estimator
        Fitted with it on all rows.
    best_index_ : int
        Its row of `cv_results_`.
    cv_results_ : dict
        Scores of every setting; ``split0_test_score`` is that at ``inner_sites_[0]``.
    inner_sites_ : list of str
        Site that each inner fold held out and scored; empty with one site.

    Raises
    ------
    ValueError
        If a site is missing, `parameter` is not in the grid or not numeric, or, with
        ``error_score="raise"``, a score is not defined at a site.

    Warns
    -----
    SingleSiteWarning
        If there is no site, or only one. Then the inner folds are five, over people, and what they
        choose says nothing of another site.
    UnanswerableWarning
        If an area under the curve is asked for, and sites lack a class: other sites choose.

    See Also
    --------
    one_standard_error_rule : The rule alone, for GridSearchCV.

    Notes
    -----
    Everything else is GridSearchCV. The site comes as ``site`` in `fit`, or with the rows. With
    metadata routing off, it reaches the estimator itself only if that is no Pipeline; let it travel
    with the rows then. No person is in training and test of an inner fold.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from mresklearn.model_selection import SiteSearchCV
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["Delaware", "Mayo", "Utah"], 20)
    >>> X = rng.normal(size=(60, 20))
    >>> age = 50 + 5 * X[:, 0] + rng.normal(size=60)
    >>> search = SiteSearchCV(Ridge(), {"alpha": [1, 10, 100]}, parameter="alpha")
    >>> search.fit(X, age, site=site).best_params_
    {'alpha': 1}
    >>> search.inner_sites_
    ['Delaware', 'Mayo', 'Utah']
    """

    __metadata_request__fit = {"site": True, "groups": True}

    _parameter_constraints: dict = {
        **{name: GridSearchCV._parameter_constraints[name] for name in _INHERITED},
        "estimator": GridSearchCV._parameter_constraints["estimator"],
        "param_grid": GridSearchCV._parameter_constraints["param_grid"],
        "scoring": [str, callable],
        "parameter": [str, None],
        "prefer": [str],
        "paired": ["boolean"],
        "site_column": [str],
    }

    # what GridSearchCV reads and a user of this class does not set
    cv = None
    pre_dispatch = "2*n_jobs"
    return_train_score = False

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        parameter=None,
        prefer="larger",
        paired=True,
        scoring="neg_mean_absolute_error",
        site_column="site",
        n_jobs=None,
        verbose=0,
        error_score="raise",
    ):
        self.estimator = estimator
        self.param_grid = param_grid
        self.parameter = parameter
        self.prefer = prefer
        self.paired = paired
        self.scoring = scoring
        self.site_column = site_column
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.error_score = error_score

    @property
    def refit(self):
        """How GridSearchCV picks the setting."""
        return self._choose

    def fit(self, X, y=None, *, site=None, groups=None, **params):
        """Score every setting at each training site, and fit the one chosen on all rows.

        Parameters
        ----------
        X : DataFrame of paths, MapArray, or array-like of shape (n_rows, ...)
            Training people, as the estimator takes them.
        y : array-like of shape (n_rows,), default=None
            Target.
        site : array-like of shape (n_rows,), default=None
            Site of each row. None: the sites that travel with the rows.
        groups : array-like of shape (n_rows,), default=None
            Person of each row, also for estimators that ask for it. None: every row is a person.
        **params : dict
            Passed to the estimator, as by GridSearchCV.

        Returns
        -------
        self : SiteSearchCV
            The fitted search.
        """
        keywords = {"site": site, "groups": groups}
        keywords = {name: values for name, values in keywords.items() if values is not None}
        if not get_config()["enable_metadata_routing"]:
            keywords = requested_keywords(self.estimator, "fit", keywords)
        self.cv = self._inner_folds(X, y, site, groups)
        try:
            super().fit(X, y, **keywords, **params)
        finally:
            del self.cv
            vars(self).pop("_checked_cv_orig", None)  # every row number of every fold
        self.best_score_ = self.cv_results_["mean_test_score"][self.best_index_]
        return self

    def get_metadata_routing(self):
        """Say what `fit` takes: the site for its folds, and what estimator and scorer ask for.

        Returns
        -------
        routing : MetadataRouter
            Routing information.
        """
        return super().get_metadata_routing().add_self_request(self)

    def _choose(self, cv_results):
        """Return the row of the setting chosen; none is chosen by scores that are missing."""
        scores = scores_by_fold(cv_results, "score")
        missing = np.isnan(scores).any(axis=0)
        if missing.any() and self.error_score == "raise":
            places = self.inner_sites_ or [f"fold {number}" for number in range(len(missing))]
            raise ValueError(
                f"scoring={self.scoring!r} gives no score at "
                f"{', '.join(np.array(places)[missing])}. Take one that is defined for the people "
                "there, or leave the site out of the search."
            )
        if self.parameter is None:
            return int(np.argmin(cv_results["rank_test_score"]))
        rule = one_standard_error_rule(self.parameter, prefer=self.prefer, paired=self.paired)
        return rule(cv_results)

    def _scored(self, folds, names, y):
        """Pass over sites that lack a class, where an area under the curve is not defined."""
        if not str(self.scoring).startswith("roc_auc"):
            return folds, names
        whole = [len(np.unique(np.asarray(y)[test])) == len(np.unique(y)) for _, test in folds]
        lacking = [name for name, is_whole in zip(names, whole, strict=True) if not is_whole]
        if len(lacking) == len(names):
            raise ValueError(
                f"scoring={self.scoring!r} needs people of every class at a site, and no site has "
                "them. Take another scoring."
            )
        if lacking:
            warnings.warn(
                f"Site(s) {', '.join(lacking)} do not have people of every class, so that "
                f"{self.scoring!r} cannot be computed there: they are trained on, and other sites "
                "choose.",
                UnanswerableWarning,
                stacklevel=4,
            )
        folds = [fold for fold, is_whole in zip(folds, whole, strict=True) if is_whole]
        return folds, [name for name in names if name not in lacking]

    def _inner_folds(self, X, y, site, groups):
        """List (train, test) of each training site, or of five folds where there is one site."""
        n_rows = _num_samples(X)
        persons = np.arange(n_rows)
        if groups is not None:
            persons = check_labels(groups, n_rows, name="groups (the persons)")[0]
        site = site_of_rows(X, self.site_column) if site is None else site
        names = [] if site is None else check_labels(site, n_rows, name="site")[1]
        if len(names) > 1:
            folds = list(LeaveOneSiteOut().split(X, groups=site))
            folds, self.inner_sites_ = self._scored(folds, names, y)
            return [(without_persons(train, test, persons), test) for train, test in folds]
        self.inner_sites_ = []
        found = f"only site {names[0]!r}" if names else "no site"
        warnings.warn(
            f"SiteSearchCV got {found}: it chooses by five folds over people, which says nothing "
            "of another site. Pass site=, or let it travel with the rows, in a column "
            f"{self.site_column!r} of the DataFrame X or of X.metadata.",
            SingleSiteWarning,
            stacklevel=3,
        )
        splitter = GroupKFold(n_splits=5)
        if is_classifier(self.estimator):
            type_of_target(y, input_name="y", raise_unknown=True)
            splitter = StratifiedGroupKFold(n_splits=5)
        return list(splitter.split(np.empty(n_rows), y, persons))
