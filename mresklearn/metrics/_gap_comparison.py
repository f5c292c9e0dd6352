"""compare_gaps: how much older the brains of patients look, with age, sex and site held fixed."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import gammaln
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ._adjusted_area import AdjustedAreas
from ._adjusted_p_values import adjust_p_values
from ._checks import check_numbers
from ._cluster_robust import Estimate, RobustLeastSquares
from ._gap_design import AGE_TERMS, GapDesign, check_order, gap_design

__all__ = ["GapComparison", "compare_by_design", "compare_gaps", "standardised"]

CALLER = 4  # stack level: two functions and the check of parameters lie before the caller


@dataclass(frozen=True, eq=False)
class GapComparison:
    """Differences of groups in their gaps; :func:`compare_gaps` makes it.

    Attributes
    ----------
    table : DataFrame
        One row a comparison, named like ``"AD - CN"``, with the columns

        group, reference : str
            The groups compared.
        n_group, n_reference : int
            Number of people.
        difference, low, high : float
            Mean gap of the group minus that of the reference among people of the same age, sex and
            site, in years, and its interval.
        standard_error, df, p_value : float
            Its standard error, degrees of freedom and two-sided p.
        p_holm : float
            p, adjusted by Holm's method for the rows of the table.
        hedges_g, g_low, g_high : float
            The difference in standard deviations of people of the same group, age, sex and site,
            corrected for small samples, and its interval.
        auc, auc_low, auc_high : float
            Probability that somebody of the group has a larger gap than somebody of the reference,
            age, sex and site held fixed, and its interval, DeLong's widened for the adjustment. NaN
            with fewer than 2 people in a group who can be adjusted.
        note : str
            Empty, or what limits the comparison.
    held_fixed : tuple of str
        Covariates that varied and so were held fixed.
    residual_sd : float
        Standard deviation of the gap among people of the same group, age, sex and site, in years.
    """

    table: pd.DataFrame = field(repr=False)
    held_fixed: tuple[str, ...]
    residual_sd: float


@validate_params(
    {
        "reference": [str],
        "pairwise": ["boolean"],
        "age_terms": [StrOptions(set(AGE_TERMS))],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def compare_gaps(
    gap: ArrayLike,
    diagnosis: ArrayLike,
    *,
    age: ArrayLike,
    sex: ArrayLike | None = None,
    site: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    reference: str = "CN",
    pairwise: bool = False,
    age_terms: str = "quadratic",
    confidence: float = 0.95,
) -> GapComparison:
    r"""Compare the brain-age gap of patients and controls, with age, sex and site held fixed.

    The gap falls with age and differs by site, so groups that differ in age or in where they were
    scanned differ in gap with the same brains. This is the comparison that takes account of it, or
    says that these people cannot be compared.

    Parameters
    ----------
    gap : array-like of shape (n_rows,)
        Brain-age gap in years, raw or corrected, of predictions by models that saw none of these
        people, or each control out of fold.
    diagnosis : array-like of shape (n_rows,)
        Group of each row; one for all rows of a person.
    age : array-like of shape (n_rows,)
        Chronological age in years.
    sex : array-like of shape (n_rows,), default=None
        Sex of each row, as labels. None: not held fixed.
    site : array-like of shape (n_rows,), default=None
        Site of each row, as labels. None: not held fixed.
    groups : array-like of shape (n_rows,), default=None
        Person of each row, where people have several. None: every row is a person.
    reference : str, default="CN"
        The group that the others are compared with.
    pairwise : bool, default=False
        Compare the other groups with each other as well.
    age_terms : {"linear", "quadratic", "spline"}, default="quadratic"
        How the gap may depend on age, alike in all groups: ``"spline"`` is a cubic spline with 4
        knots at quantiles, for a hundred people or more.
    confidence : float, default=0.95
        Coverage of each interval; not adjusted for the number of comparisons.

    Returns
    -------
    comparison : GapComparison
        With ``table``, ``held_fixed`` and ``residual_sd``.

    Raises
    ------
    ValueError
        If a value is missing, a group has one person only, nobody has the reference diagnosis, a
        person has two diagnoses, a covariate tells the group of everybody (such as a site for each
        group) or of all but one person, there are fewer people than coefficients, the covariates
        explain the gap exactly, or pandas Series are in different orders.

    Warns
    -----
    UnanswerableWarning
        If some patients are at sites without anybody else to compare with, or a group shares no
        ages with the reference.

    See Also
    --------
    BrainAgeBiasCorrector : The corrected gap.
    age_stratified_permutation_test : A test without a model of the noise.

    Notes
    -----
    Least squares of the gap on groups, terms of age, sex and site (analysis of covariance).
    Standard errors allow for noise that differs in size between people and goes together within
    one: CR2 with Bell and McCaffrey's degrees of freedom [1]_, which for one row a person is HC2,
    and without covariates nearly Welch's t test. HC3 with n - p degrees of freedom is close to it
    where each group has 10 people or more, and too sure with 3 patients.

    With :math:`s` the residual standard deviation, :math:`\nu` its degrees of freedom, and d the
    difference,

    .. math::
        g = J(\nu) \frac{d}{s}, \quad
        J(\nu) = \frac{\Gamma(\nu / 2)}{\sqrt{\nu / 2}\; \Gamma((\nu - 1) / 2)}, \quad
        \mathrm{var}(g) = J^2 \left(\frac{\mathrm{var}(d)}{s^2} + \frac{d^2}{2 \nu s^2}\right)

    [2]_. For the area under the curve each gap is adjusted by covariate effects that were estimated
    without the person, so that many covariates do not flatter it; several rows of a person are
    averaged after that. DeLong's variance [3]_ is that of a jackknife of scores that are known.
    Here the effects :math:`\beta` are estimated anew without each person i too [4]_, which to first
    order moves the area A by

    .. math::
        d_i = - \frac{V_i - \bar V}{n_g - 1} + \frac{\partial A}{\partial \beta}^\top
        (\hat\beta_{(i)} - \hat\beta), \quad
        \mathrm{var}(A) = \sum_g \frac{n_g - 1}{n_g} \sum_{i \in g} (d_i - \bar d_g)^2

    with :math:`n_g` people in group g and placements :math:`V_i` (see :func:`delong_ci`), a first
    term of 0 for people of other groups, and the derivative over a step of about the standard error
    of :math:`\beta`. The interval is computed for :math:`\log(A / (1 - A))`; groups that are
    fully apart have the bound of :func:`delong_ci`.

    Simulated with 12 to 60 controls, patients of the same age or 10 years older, with the same
    noise or twice that of controls (``benchmarks/gap_comparison_level.py``). The level at 0.05 is
    0.02-0.07 / 0.04-0.07 / 0.04-0.07 with 3 / 5 / 11 or 20 patients, that of HC3 with n - p degrees
    of freedom 0.04-0.12 / 0.03-0.09 / 0.03-0.06, and that of Welch's test without covariates
    0.10-0.81 where patients are 10 years older. Intervals of 0.95 for g cover 0.94-0.99 / 0.93-0.98
    / 0.94-0.97. The interval of the area covers 0.85-0.97 / 0.90-0.98 / 0.94-0.99 with 3 / 5 / 11
    or 20 patients, and 0.79-0.96 / 0.84-0.95 / 0.87-0.95 with the adjustment taken as known. With 3
    patients take the interval of the area as too short.

    Age is held fixed, so it does not matter whether the gap is raw or corrected: a line in age is
    taken out of all of them [5]_. Without lines by site, p, g and areas are the same to rounding,
    and differences in Cole's gap are the others over the slope.

    References
    ----------
    .. [1] Bell, R. M., McCaffrey, D. F. (2002). Bias reduction in standard errors for linear
       regression with multi-stage samples. Survey Methodology 28, 169-181.
    .. [2] Hedges, L. V. (1981). Distribution theory for Glass's estimator of effect size and
       related estimators. Journal of Educational Statistics 6, 107-128.
    .. [3] DeLong, E. R., DeLong, D. M., Clarke-Pearson, D. L. (1988). Comparing the areas under two
       or more correlated receiver operating characteristic curves. Biometrics 44, 837-845.
    .. [4] Arvesen, J. N. (1969). Jackknifing U-statistics. Annals of Mathematical Statistics 40,
       2076-2100.
    .. [5] Smith, S. M., Vidaurre, D., Alfaro-Almagro, F., Nichols, T. E., Miller, K. L. (2019).
       Estimation of brain age delta from brain imaging. NeuroImage 200, 528-539.

    Examples
    --------
    Patients who are older, so that their raw gap is lower, and whose brains look 5 years older than
    that:

    >>> import numpy as np
    >>> from mresklearn.metrics import compare_gaps
    >>> rng = np.random.default_rng(0)
    >>> diagnosis = np.repeat(["CN", "AD"], [80, 20])
    >>> age = rng.normal(np.where(diagnosis == "AD", 75, 60), 8)
    >>> gap = 5 * (diagnosis == "AD") - 0.5 * (age - 60) + rng.normal(0, 4, 100)
    >>> print(f"{gap[80:].mean() - gap[:80].mean():.1f}")
    -2.1
    >>> comparison = compare_gaps(gap, diagnosis, age=age)
    >>> comparison.table.loc["AD - CN", ["difference", "low", "high"]].astype(float).round(1)
    difference    4.2
    low           2.1
    high          6.3
    Name: AD - CN, dtype: float64
    """
    values = check_numbers(gap, "gap", len(check_numbers(age, "age")))
    check_order(gap=gap, diagnosis=diagnosis, age=age, sex=sex, site=site, groups=groups)
    design = gap_design(
        diagnosis,
        age=age,
        sex=sex,
        site=site,
        groups=groups,
        reference=reference,
        pairwise=pairwise,
        age_terms=age_terms,
        stacklevel=CALLER,
    )
    return compare_by_design(values, design, confidence)


def compare_by_design(gap: np.ndarray, design: GapDesign, confidence: float) -> GapComparison:
    """Compare gaps of people whose design was checked before there were any predictions."""
    fit = RobustLeastSquares(design.matrix, gap, design.person)
    if np.abs(fit.residuals).max() <= 1e-9 * max(1.0, np.abs(gap).max()):
        raise ValueError(
            "The gap follows from group and covariates exactly, so there is no noise to judge a "
            "difference by. Was something else passed in its place?"
        )
    areas = AdjustedAreas(
        gap,
        design.covariates,
        fit,
        codes=design.codes,
        person=design.person,
        apart=design.apart,
    )
    rows = []
    for group, other in design.pairs:
        difference = fit.estimate(design.contrast(group, other))
        low, high = difference.interval(confidence)
        auc, auc_low, auc_high = areas.between(group, other, confidence)[:, 0]
        rows.append(
            {
                "group": design.names[group],
                "reference": design.names[other],
                "n_group": design.n_people(group),
                "n_reference": design.n_people(other),
                "difference": difference.value,
                "low": low,
                "high": high,
                "standard_error": difference.standard_error,
                "df": difference.df,
                "p_value": difference.p_value(),
                "p_holm": np.nan,
                **standardised(difference, fit, confidence),
                "auc": auc,
                "auc_low": auc_low,
                "auc_high": auc_high,
                "note": design.notes.get(group, ""),
            }
        )
    names = [f"{row['group']} - {row['reference']}" for row in rows]
    table = pd.DataFrame(rows, index=pd.Index(names, name="comparison"))
    table["p_holm"] = adjust_p_values(table.p_value.to_numpy(), "holm")
    return GapComparison(table=table, held_fixed=design.held_fixed, residual_sd=fit.residual_sd)


def standardised(difference: Estimate, fit: RobustLeastSquares, confidence: float) -> dict:
    """Hedges' g of an adjusted difference, with an interval from the robust standard error."""
    df = fit.n_people - fit.rank
    if df < 2:
        return dict.fromkeys(("hedges_g", "g_low", "g_high"), np.nan)
    unbiased = np.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / np.sqrt(df / 2)
    d = difference.value / fit.residual_sd
    error = np.hypot(difference.standard_error / fit.residual_sd, d / np.sqrt(2 * df))
    margin = stats.t.ppf((1 + confidence) / 2, difference.df) * error
    return {
        "hedges_g": unbiased * d,
        "g_low": unbiased * (d - margin),
        "g_high": unbiased * (d + margin),
    }
