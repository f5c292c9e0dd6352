"""Whether a prediction or an embedding carries site beyond what age says of it."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ._effect import permutation_p
from ._marginal_tests import anova, hsic
from ._partial_confounder import partial_confounder_permutations
from ._partial_r2 import partial_r2_permutations
from ._site_directions import SiteDirections
from ._site_effect_rows import NotEstimableError, SiteEffectRows, usable_rows

__all__ = ["site_effect_test"]

CONDITIONAL = ("nested_f", "gcm", "stratified_permutation", "partial_confounder")
MARGINAL = ("anova", "hsic")
MARGINAL_NOTE = (
    "This test does not look at age, so where sites differ in age it finds age. Read `conditional`."
)


@validate_params(
    {
        "method": [StrOptions({"auto", *CONDITIONAL, *MARGINAL})],
        "n_permutations": [Interval(Integral, 1, None, closed="left")],
        "n_strata": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [None, Integral],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=False,
)
def site_effect_test(
    values: ArrayLike,
    site: ArrayLike,
    age: ArrayLike,
    *,
    covariates: ArrayLike | None = None,
    method: str = "auto",
    n_permutations: int = 999,
    n_strata: int = 10,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Bunch:
    r"""Test whether a prediction or an embedding carries site beyond what age says of it.

    Where sites differ in age, everything that carries age differs by site, and a plain comparison
    of sites always finds an effect. These tests hold age fixed as a spline, and keep their level
    where age acts in a curve, noise changes with age, and sites differ in size, down to about ten
    people.

    Parameters
    ----------
    values : array-like of shape (n_rows,) or (n_rows, n_columns)
        Predicted age, gap or score of each person; or their embeddings. One row a person: repeated
        scans of one person must be averaged before.
    site : array-like of shape (n_rows,)
        Site of each row, or any other grouping whose effect is in question: scanner, frequency,
        sex.
    age : array-like of shape (n_rows,)
        Age in years.
    covariates : array-like of shape (n_rows,) or (n_rows, n_covariates), default=None
        Held fixed beside age: numbers act in a straight line, text by category. A DataFrame may
        hold both. For the score of a classifier, the diagnosis must be among them, as age is what
        a predicted age is held against.
    method : str, default="auto"
        "auto" is "nested_f" for a prediction and "gcm" for an embedding.

        - "nested_f": site added to the spline of age, the mean over columns; permutes what age
          leaves of the values [1]_;
        - "gcm": the same with the largest of the columns, which finds an effect on few of them
          best: a generalised covariance measure [2]_, see Notes;
        - "stratified_permutation": as "nested_f", but exchanges people within strata of age only,
          which asks less of the curve of age;
        - "partial_confounder": draws sites anew from what age says of them [3]_ [4]_. It leans on a
          model of site given age, not on one of the noise;
        - "anova", "hsic": not conditional on age. For comparison only; the result has the
          conditional test beside it.
    n_permutations : int, default=999
        Permutations or conditional draws.
    n_strata : int, default=10
        Strata of age with about equally many people, for "stratified_permutation".
    random_state : int, RandomState instance or None, default=None
        Seed of the permutations.
    n_jobs : int or None, default=None
        Blocks of columns computed at the same time, in threads. The result does not depend on it.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        With the attributes:

        status : {"ok", "not_estimable"}
            Whether the data can answer. If not, all numbers are NaN and `note` says why.
        p_value : float
            At least 1 / (1 + n_permutations), but for "anova", whose p is that of the F
            distribution.
        effect : float
            Adjusted partial R2: the share of the variance left by age and covariates that site
            explains; below 0 reads as 0. Without an effect it is 0 on average if the noise is
            equal, and above 0 where small sites are those with more noise. Of an embedding, the
            mean over its columns. Marginal for "anova" (epsilon squared), NaN for "hsic".
        partial_r2 : float
            The same without adjustment.
        statistic : float
            What p was computed from; its size is comparable within a method only. Of an embedding,
            the largest ("gcm") or the mean over columns.
        null_mean : float
            Mean of the statistic over permutations.
        n_permutations : int
            Permutations drawn, 0 for "anova".
        method : str
            The method used.
        sites : list of str
            Sites that were compared.
        n_rows : int
            Rows that were used.
        note : str
            What was left out, or limits the answer; empty if nothing.
        conditional : :class:`~sklearn.utils.Bunch` or None
            For "anova" and "hsic", the result of "auto" on the same data.

    Raises
    ------
    ValueError
        If lengths or types do not fit, or "anova" gets an embedding.

    See Also
    --------
    site_predictability : How well a probe reads site from features, against what age says.

    Notes
    -----
    Let e be the residual of a column after the spline of age and covariates, and U an orthonormal
    basis of the site columns after the same. "nested_f", "gcm" and "stratified_permutation" use the
    score statistic with the covariance of [5]_,

    .. math:: T = \frac{1}{r}\, u^\top V^{-1} u, \quad u = U^\top e, \quad
        V = \sum_i e_i^2 \, U_i U_i^\top ,

    over its r degrees of freedom, which is near F if the noise is equal. F itself with permuted
    residuals rejects several times too often where small sites are those with more noise; T does
    not [6]_, unless they have a handful of people only, which the note then says. T sees
    differences of the mean between sites, not of the spread. "partial_confounder" uses the F of
    residuals scaled by the noise at their age. In all of them

    .. math:: p = \frac{1 + \#\{b : T_b \ge T\}}{1 + B}.

    For two sites, the square of the covariance measure of [2]_ is :math:`n T / (n - T)`, and grows
    with T. For many columns that paper multiplies residuals by random numbers instead of permuting
    them. With skewed noise such multipliers reject too often: 0.10 at 0.05 for 16 columns. Level
    and power of all these tests are those of ``benchmarks/confound_tests_level.py``.

    Rows in which something is missing and sites with one row are left out, and the note says so; it
    also names sites with fewer than nine people, and those whose ages others hardly have. The
    answer is "not_estimable" where fewer than two sites remain, rows do not outnumber the columns
    of age, covariates and site by ten, age and covariates tell every site, or values are constant
    or, up to rounding in single precision, a function of age and covariates.

    References
    ----------
    .. [1] Freedman, D., Lane, D. (1983). A nonstochastic interpretation of reported significance
       levels. Journal of Business and Economic Statistics 1, 292-298.
    .. [2] Shah, R. D., Peters, J. (2020). The hardness of conditional independence testing and the
       generalised covariance measure. Annals of Statistics 48, 1514-1538.
    .. [3] Berrett, T. B., Wang, Y., Barber, R. F., Samworth, R. J. (2020). The conditional
       permutation test for independence while controlling for confounders. Journal of the Royal
       Statistical Society B 82, 175-197.
    .. [4] Spisak, T. (2022). Statistical quantification of confounding bias in machine learning
       models. GigaScience 11, giac082.
    .. [5] White, H. (1980). A heteroskedasticity-consistent covariance matrix estimator and a
       direct test for heteroskedasticity. Econometrica 48, 817-838.
    .. [6] DiCiccio, C. J., Romano, J. P. (2017). Robust permutation tests for correlation and
       regression coefficients. Journal of the American Statistical Association 112, 1211-1220.

    Examples
    --------
    Two sites that differ in age, and a prediction that follows age only, drawn to the mean as
    predictions are:

    >>> import numpy as np
    >>> from mresklearn.confounds import site_effect_test
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["Mayo", "Utah"], 100)
    >>> age = rng.normal(np.where(site == "Mayo", 45, 60), 10)
    >>> predicted = 20 + 0.6 * age + rng.normal(0, 4, 200)
    >>> naive = site_effect_test(predicted - age, site, age, method="anova", random_state=0)
    >>> naive.p_value < 0.001  # of age, not of site
    True
    >>> naive.conditional.p_value > 0.05
    True

    The same with an offset of one site:

    >>> shifted = predicted + np.where(site == "Mayo", 5, 0)
    >>> result = site_effect_test(shifted, site, age, random_state=0)
    >>> result.p_value
    0.001
    >>> round(result.effect, 1)
    0.1
    """
    auto = "nested_f" if np.ndim(values) == 1 else "gcm"
    method = auto if method == "auto" else method
    if method == "anova" and np.ndim(values) != 1:
        raise ValueError(
            "method='anova' compares one number a person. Use 'gcm' or 'hsic' for an embedding."
        )
    conditional = auto if method in MARGINAL else method
    try:
        rows = usable_rows(values, site, age, covariates)
        strata = _strata(rows, n_strata) if conditional == "stratified_permutation" else None
    except NotEstimableError as reason:
        result = _record(conditional, status="not_estimable", note=str(reason))
        beside = result if method in MARGINAL else None
        return _record(method, status="not_estimable", note=str(reason), conditional=beside)
    found = _conditional(
        conditional,
        rows,
        n_permutations,
        strata=strata,
        random_state=random_state,
        n_jobs=n_jobs,
        verbose=verbose,
    )
    result = _record(conditional, rows, n_permutations=n_permutations, **found)
    if method not in MARGINAL:
        return result
    found = _marginal(method, rows, n_permutations, random_state)
    note = f"{MARGINAL_NOTE} {rows.note}".rstrip()
    return _record(method, rows, **found, note=note, conditional=result)


def _record(method: str, rows: SiteEffectRows | None = None, **found: object) -> Bunch:
    """Return a result with every attribute, NaN where nothing was found."""
    numbers = ("p_value", "effect", "partial_r2", "statistic", "null_mean")
    blank = {
        "status": "ok",
        **dict.fromkeys(numbers, np.nan),
        "n_permutations": 0,
        "method": method,
        "sites": rows.sites if rows else [],
        "n_rows": len(rows.codes) if rows else 0,
        "note": rows.note if rows else "",
        "conditional": None,
    }
    return Bunch(**(blank | found))


def _conditional(
    method: str,
    rows: SiteEffectRows,
    n_permutations: int,
    *,
    strata: np.ndarray | None,
    random_state: int | np.random.RandomState | None,
    n_jobs: int | None,
    verbose: int,
) -> dict:
    """Test with age held fixed."""
    values = rows.values[:, rows.testable]
    data = values, rows.design, rows.codes, n_permutations
    if method == "partial_confounder":
        drawn = partial_confounder_permutations(*data, random_state=random_state, verbose=verbose)
        statistic, null = drawn.statistic, drawn.null
    else:
        drawn = partial_r2_permutations(
            *data,
            strata=strata,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        kind = "max" if method == "gcm" else "mean"
        statistic, null = drawn[f"{kind}_statistic"], drawn[f"{kind}_null"]
    directions = SiteDirections(rows.design, rows.codes)
    raw, adjusted = directions.partial_r2(directions.residuals(values))
    return {
        "p_value": float(permutation_p(statistic, null)),
        "effect": float(adjusted.mean()),
        "partial_r2": float(raw.mean()),
        "statistic": statistic,
        "null_mean": float(null.mean()),
    }


def _marginal(
    method: str,
    rows: SiteEffectRows,
    n_permutations: int,
    random_state: int | np.random.RandomState | None,
) -> dict:
    """Test without a look at age."""
    if method == "anova":
        return dict(anova(rows.values[:, 0], rows.codes))
    drawn = hsic(rows.values, rows.codes, n_permutations, random_state)
    return {
        "p_value": float(permutation_p(drawn.statistic, drawn.null)),
        "statistic": drawn.statistic,
        "null_mean": float(drawn.null.mean()),
        "n_permutations": n_permutations,
    }


def _strata(rows: SiteEffectRows, n_strata: int) -> np.ndarray:
    """Cut age at its quantiles; people of one age stay together."""
    cuts = np.quantile(rows.age, np.linspace(0, 1, n_strata + 1)[1:-1])
    strata = np.searchsorted(cuts, rows.age, side="right")
    pairs = np.unique(np.column_stack([strata, rows.codes]), axis=0)
    if len(pairs) == len(np.unique(strata)):
        raise NotEstimableError(
            "No stratum of age holds two sites, so nobody can be exchanged. Use fewer strata, or "
            f"restrict the rows to ages that sites share. {rows.note}".rstrip()
        )
    return strata
