"""ConfoundReport: find confounds, measure them, and say what to do."""

from numbers import Integral, Real

from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from ._feature_table import as_feature_table
from ._report_html import render_page
from ._report_predictions import read_predictions
from ._report_rows.conclusion import conclude
from ._report_rows.study import Study
from ._report_rows.tasks import list_tasks
from ._report_text import write_summary
from ._roles import describe_variables

__all__ = ["ConfoundReport"]


class ConfoundReport(BaseEstimator):
    """Measure what may confound brain maps of several sites, and say what to do about it.

    Four questions, which must not be mixed: which metadata go together, and have people of a site
    counterparts elsewhere (design); what moves the images beyond age and biology (images); what a
    model carries of the site (model); and who bears its errors (harm).

    Parameters
    ----------
    roles : dict of str to {"technical", "biological", "target", "id"}, default=None
        Role of every column of the participants; the target and the site column need no entry.
        What is biological is held fixed and never advised to be removed. ``"id"`` columns are only
        checked for people that occur twice.
    target : str, default="age"
        Column that models predict, such as age in years. It enters as a cubic spline.
    site_column : str or None, default="site"
        Column that names the site. None: no question about sites is asked.
    kinds : dict of str to {"binary", "categorical", "ordinal", "continuous"}, default=None
        Kinds that cannot be read off the values, such as scanners numbered 1, 2, 3. Otherwise two
        levels are binary, text is categorical, and numbers of at most ten levels are ordinal.
    covariates : sequence of str, default=None
        Columns that are held fixed beside the target. None: every biological column that varies
        and that 90 % of the people have.
    n_permutations : int, default=999
        Permutations of each test, so that the smallest p is ``1 / (1 + n_permutations)``.
    confidence : float, default=0.95
        Level of all intervals.
    random_state : int, RandomState instance or None, default=None
        Seed of permutations, halves and people drawn anew. Each row has a stream of its own: to
        pass a prediction as well does not change the rows on images.
    n_jobs : int or None, default=None
        Folds of probes and blocks of columns at the same time, as in joblib.
    verbose : int, default=0
        1 shows a progress bar, 2 one for each test as well.

    Attributes
    ----------
    table_ : DataFrame
        What :meth:`to_frame` returns.
    verdicts_ : DataFrame
        One row a variable: what it goes with, how far it moves images and gap, and the verdict.
    variables_ : dict of str to Variable
        Kind, role and values of every column.
    covariates_ : tuple of str
        Columns held fixed beside the target.
    notes_ : dict of str to str
        What of `X` and `embedding` was left out.

    See Also
    --------
    site_predictability : The probes alone.

    Notes
    -----
    **Rows.** *Metadata*: bias-corrected Cramer's V, epsilon squared or Spearman's correlation of
    every pair, and what determines what. *Overlap*: overlap coefficient and effective counterparts
    of each site in age and biology, common range, and how well age alone tells the site. *Images*
    and *embedding*: partial R2 at equal age and biology, over all columns (redundancy analysis) and
    of the median and the 95th percentile column; dispersion; what is unique to age, unique to the
    variable, and shared; linear and Gaussian site probes and their excess over age; and the
    shift-transfer ratio. *Prediction* and *gap*: probes; partial R2 of every variable in the gap;
    bias and error of every site; and how much larger errors are where the site is left out.

    **Numbers.** ``value`` is raw; ``null_mean`` is what chance alone gives; ``value_adj`` is
    corrected for it, and the interval is of ``value_adj``. Intervals come from noncentral
    distributions (associations, shares of one column), the delete-a-group jackknife (shares of many
    columns, shift transfer), people drawn anew (overlap, probes), or robust variances (errors of
    sites and of people within sites). Errors have no chance level: ``null_mean`` is the error of
    people of like age elsewhere or, for a site left out, of the same people where their site is
    known. Associations permute freely; probes exchange the sites of test people of like age; what
    is conditional permutes the residuals of the reduced model (Freedman & Lane 1983), with a score
    statistic that holds its level where sites differ in size and noise. ``p_adj`` controls the
    false discovery rate over all rows (Benjamini & Hochberg 1995). ``severity`` follows from the
    size of the effect, never from p: 0.02, 0.13 and 0.26 of the variance (Cohen 1988), and 0.05,
    0.15 and 0.30 of excess balanced accuracy, are small, medium and large; that of errors at a site
    left out follows from the share of the squared error that a known site would not have.
    ``overlap_ess`` counts
    the people with counterparts of their age elsewhere; for a row on all sites, at the worst site.

    **Status.** ``ok``; ``nested``: one column determines the other; ``low_overlap``: a site has
    fewer than ten effective counterparts elsewhere or lacks a level, or most people of all levels
    have none, so that the number rests on a model; ``not_estimable``: no number, and `reason` says
    why.

    Columns of `X` count alike in what is said of all of them, whatever their unit; those of an
    embedding keep their lengths.

    Examples
    --------
    Three sites that differ in age, and one whose features are shifted:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from mresklearn.confounds import ConfoundReport
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["Delaware", "Mayo", "Utah"], 40)
    >>> people = pd.DataFrame({
    ...     "site": site,
    ...     "age": rng.normal(np.repeat([45, 50, 55], 40), 10),
    ...     "sex": rng.choice(["F", "M"], 120),
    ... })
    >>> X = rng.normal(size=(120, 20)) + np.outer(people.age / 10, rng.normal(size=20))
    >>> X[site == "Utah"] += rng.normal(size=20)
    >>> report = ConfoundReport(roles={"sex": "biological"}, n_permutations=99, random_state=0)
    >>> report.fit(people, X).verdicts_.verdict
    variable
    site    confounder
    sex        biology
    Name: verdict, dtype: ...
    >>> table = report.to_frame()
    >>> rda = table[(table.variable == "site") & (table.measure == "rda_partial_r2")]
    >>> round(rda.value_adj.item(), 1), rda.severity.item()
    (0.2, 'medium')
    """

    _parameter_constraints: dict = {
        "roles": [dict, None],
        "target": [str],
        "site_column": [str, None],
        "kinds": [dict, None],
        "covariates": [list, tuple, None],
        "n_permutations": [Interval(Integral, 19, None, closed="left")],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        roles=None,
        target="age",
        site_column="site",
        kinds=None,
        covariates=None,
        n_permutations=999,
        confidence=0.95,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        self.roles = roles
        self.target = target
        self.site_column = site_column
        self.kinds = kinds
        self.covariates = covariates
        self.n_permutations = n_permutations
        self.confidence = confidence
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, participants, X=None, embedding=None, prediction=None, *, prediction_unseen=None):
        """Measure everything that the given data allow.

        Parameters
        ----------
        participants : DataFrame
            One row a person, with the target, the site and further metadata. Values may be missing.
        X : MapArray or array-like, default=None
            Images or features, rows as in `participants`: (n, features), (n, x, y, z), or
            (n, channels, x, y, z), of which the voxels that 80 % of the people have are used.
            Columns with missing values are left out.
        embedding : array-like of shape (n, d), default=None
            What a model makes of the images, of people that it was *not* trained on.
        prediction : array-like of shape (n,) or result of cross_validate_sites, default=None
            Predicted target in its unit, *out of fold*: each person predicted by a model that was
            not trained on them, as :func:`~sklearn.model_selection.cross_val_predict` does. A model
            knows the people it was trained on, and their gap says nothing. NaN where there is none.
            The result of :func:`~mresklearn.model_selection.cross_validate_sites` on the same
            people, or its ``predictions``, holds both protocols: those within sites are taken as
            `prediction`, and those of left-out sites as `prediction_unseen`, averaged over seeds
            and repeats (errors: the mean of the errors, since a mean prediction is an ensemble's).
        prediction_unseen : array-like of shape (n,), default=None
            The same, each person predicted by a model that was trained without their *site*. Beside
            `prediction` it tells how much larger the error of the model is at a new site.

        Returns
        -------
        self : ConfoundReport
            The fitted report.

        Raises
        ------
        ValueError
            If a column has no role or a wrong one, the target is no number, rows of `X`,
            `embedding` or predictions do not fit those of `participants`, or `prediction_unseen`
            comes without `prediction` or without sites.
        """
        self.variables_ = describe_variables(
            participants,
            self.roles,
            target=self.target,
            kinds=self.kinds,
            site_column=self.site_column,
        )
        study = Study.of(
            self.variables_,
            self.target,
            self.site_column,
            self.covariates,
            n_permutations=self.n_permutations,
            confidence=self.confidence,
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
            n_jobs=self.n_jobs,
            verbose=max(0, int(self.verbose) - 1),
        )
        self.covariates_ = study.covariates
        tables = {
            name: as_feature_table(values, participants, name)
            for name, values in (("X", X), ("embedding", embedding))
            if values is not None
        }
        self.notes_ = {name: table.note for name, table in tables.items()}
        predictions = read_predictions(
            prediction, prediction_unseen, participants, study.target, study.site
        )
        rows = []
        tasks = list_tasks(study, tables, predictions)
        bar = tqdm(tasks, desc="confounds", disable=not self.verbose)
        for name, task in bar:
            bar.set_postfix_str(name)
            rows += task()
        gap = None if predictions is None else predictions.gap
        self.table_, self.verdicts_ = conclude(rows, study, gap)
        return self

    def to_frame(self):
        """Return the table: one effect a row, with what to do about it.

        Returns
        -------
        table : DataFrame
            With the columns variable, kind, role, n, n_missing, levels, min_level_n, against,
            conditioning, measure, value, null_mean, value_adj, ci_low, ci_high, p, p_adj, n_perm,
            overlap_ess, status, severity, advice and reason. One level of a variable against the
            rest is named as in ``site[Utah]``.
        """
        check_is_fitted(self, "table_")
        return self.table_.copy()

    def summary(self):
        """Return the report in prose: what is a confound here, what is not, and what to do.

        Returns
        -------
        text : str
            Paragraphs, separated by blank lines.
        """
        check_is_fitted(self, "table_")
        return write_summary(self)

    def plot(self, *, dark=False):
        """Draw the four pictures of a methods section.

        They show which metadata go together, the target by site with its overlap, what moves the
        images and how far sites are predictable, and the shift-transfer ratio beside bias and error
        of a model by site (without a prediction: what is unique to site).

        Parameters
        ----------
        dark : bool, default=False
            Light ink for a dark page; the background is left transparent then.

        Returns
        -------
        figure : matplotlib Figure
            About 11 by 9 inches; ``figure.savefig("confounds.pdf")`` stores it.
        """
        check_is_fitted(self, "table_")
        from ._report_plot import draw_report  # matplotlib only where something is drawn

        return draw_report(self, dark=dark)

    def to_html(self, path):
        """Write the report as one page that needs no network, in light or dark as readers have it.

        It begins with verdicts, advice and prose, goes on with the pictures, and ends with all rows
        in tables to be opened.

        Parameters
        ----------
        path : str or path-like
            File to write.

        Returns
        -------
        path : Path
            The file.
        """
        check_is_fitted(self, "table_")
        return render_page(self, path)
