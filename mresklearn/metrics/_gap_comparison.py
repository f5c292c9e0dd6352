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

from ._adjusted_p_values import adjust_p_values
from ._checks import check_numbers
from ._cluster_robust import Estimate, RobustLeastSquares
from ._corrected_age import refuse_corrected
from ._delong import delong_ci
from ._gap_design import AGE_TERMS, GapDesign, check_order, gap_design

__all__ = ["GapComparison", "compare_by_design", "compare_gaps"]

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
            age, sex and site held fixed, and DeLong's interval. NaN with fewer than 2 people in a
            group who can be adjusted.
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
        group), there are fewer people than coefficients, the covariates explain the gap exactly, or
        pandas Series are in different orders.

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
    where each group has 10 people or more, but with 3 patients among 43 people finds differences
    that are none about twice as often as its level says.

    With :math:`s` the residual standard deviation, :math:`\nu` its degrees of freedom, and d the
    difference,

    .. math::
        g = J(\nu) \frac{d}{s}, \quad
        J(\nu) = \frac{\Gamma(\nu / 2)}{\sqrt{\nu / 2}\; \Gamma((\nu - 1) / 2)}, \quad
        \mathrm{var}(g) = J^2 \left(\frac{\mathrm{var}(d)}{s^2} + \frac{d^2}{2 \nu s^2}\right)

    [2]_. For the area under the curve each gap is adjusted by covariate effects that were estimated
    without the person, so that many covariates do not flatter it; several rows of a person are
    averaged after that. Its interval (:func:`delong_ci`) takes the adjustment as known.

    Age is held fixed, so it does not matter whether the gap is raw or corrected: a line in age is
    taken out of all of them [3]_. Without lines by site, p, g and areas are the same to rounding,
    and differences in Cole's gap are the others over the slope.

    References
    ----------
    .. [1] Bell, R. M., McCaffrey, D. F. (2002). Bias reduction in standard errors for linear
       regression with multi-stage samples. Survey Methodology 28, 169-181.
    .. [2] Hedges, L. V. (1981). Distribution theory for Glass's estimator of effect size and
       related estimators. Journal of Educational Statistics 6, 107-128.
    .. [3] Smith, S. M., Vidaurre, D., Alfaro-Almagro, F., Nichols, T. E., Miller, K. L. (2019).
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
    refuse_corrected(gap)
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
    return compare_by_design(check_numbers(gap, "gap", len(design.codes)), design, confidence)


def compare_by_design(gap: np.ndarray, design: GapDesign, confidence: float) -> GapComparison:
    """Compare gaps of people whose design was checked before there were any predictions."""
    fit = RobustLeastSquares(design.matrix, gap, design.person)
    if np.abs(fit.residuals).max() <= 1e-9 * max(1.0, np.abs(gap).max()):
        raise ValueError(
            "The gap follows from group and covariates exactly, so there is no noise to judge a "
            "difference by. Was something else passed in its place?"
        )
    adjusted = _adjusted(gap, design, fit)
    rows = []
    for group, other in design.pairs:
        difference = fit.estimate(design.contrast(group, other))
        low, high = difference.interval(confidence)
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
                **_standardised(difference, fit, confidence),
                **_area(adjusted, design, group, other, confidence),
                "note": design.notes.get(group, ""),
            }
        )
    names = [f"{row['group']} - {row['reference']}" for row in rows]
    table = pd.DataFrame(rows, index=pd.Index(names, name="comparison"))
    table["p_holm"] = adjust_p_values(table.p_value.to_numpy(), "holm")
    return GapComparison(table=table, held_fixed=design.held_fixed, residual_sd=fit.residual_sd)


def _adjusted(gap: np.ndarray, design: GapDesign, fit: RobustLeastSquares) -> np.ndarray:
    """Bring gaps to mean covariates, by effects fitted without the person; NaN if impossible."""
    usable = ~design.apart & ~fit.described_alone()
    adjusted = np.full(len(gap), np.nan)
    if usable.any():
        # from the mean, so that what is left does not depend on which site the others are coded by
        centred = design.covariates - design.covariates[usable].mean(axis=0)
        adjusted[usable] = (gap - fit.without_own(centred))[usable]
    return adjusted


def _standardised(difference: Estimate, fit: RobustLeastSquares, confidence: float) -> dict:
    """Hedges' g of an adjusted difference, with an interval from the robust standard error."""
    df = fit.n_people - fit.rank
    if df < 2:
        return dict.fromkeys(("hedges_g", "g_low", "g_high"), np.nan)
    unbiased = np.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / np.sqrt(df / 2)
    d = difference.value / fit.residual_sd
    error = np.hypot(difference.standard_error / fit.residual_sd, d / np.sqrt(2 * df))
    margin = stats.t.ppf((1 + confidence) / 2, difference.df) * error
    return {
        "hedges_g": float(unbiased * d),
        "g_low": float(unbiased * (d - margin)),
        "g_high": float(unbiased * (d + margin)),
    }


def _area(
    adjusted: np.ndarray, design: GapDesign, group: int, other: int, confidence: float
) -> dict:
    """Area under the curve of the adjusted gap, one value a person."""
    usable = np.isfinite(adjusted)
    people = np.unique(design.person[usable], return_inverse=True)[1]
    score = np.bincount(people, weights=adjusted[usable]) / np.bincount(people)
    first_row = np.unique(people, return_index=True)[1]
    codes = design.codes[usable][first_row]
    kept = np.isin(codes, (group, other))
    positive = codes[kept] == group
    if not 2 <= positive.sum() <= len(positive) - 2:
        return dict.fromkeys(("auc", "auc_low", "auc_high"), np.nan)
    area = delong_ci(positive, score[kept], confidence=confidence)
    return {"auc": area.auc, "auc_low": area.low, "auc_high": area.high}
