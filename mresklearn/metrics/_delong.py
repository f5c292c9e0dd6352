"""Interval and paired test for the area under a ROC curve, without drawing."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import expit, logit
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, validate_params

from ._checks import check_numbers, check_positive

__all__ = ["delong_ci", "delong_test"]


@validate_params(
    {"confidence": [Interval(Real, 0, 1, closed="neither")]}, prefer_skip_nested_validation=True
)
def delong_ci(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    pos_label: object = None,
    confidence: float = 0.95,
) -> Bunch:
    r"""Give the area under the ROC curve with an interval, in time n log n.

    Parameters
    ----------
    y_true : array-like of shape (n_people,)
        Class of each person, two in all, with at least 2 people each. One row a person.
    scores : array-like of shape (n_people,)
        Score of each person, higher for the positive class.
    pos_label : object, default=None
        The positive class. None: 1, where classes are 0 and 1, -1 and 1 or False and True.
    confidence : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        With the attributes:

        auc : float
            Area under the curve: the probability that a positive person scores higher than a
            negative one, ties counting half.
        low, high : float
            Bounds of the interval, in [0, 1]. NaN where all scores are equal.
        standard_error : float
            Standard error of `auc`; NaN where all its terms are equal.
        n_positive, n_negative : int
            Number of people.
        note : str
            Empty, or why the interval is not the usual one.

    Raises
    ------
    ValueError
        If there are not two classes with 2 people each, the positive class is not clear, or a score
        is missing.

    See Also
    --------
    delong_test : Two models on the same people.
    bootstrap_ci : For several rows a person, with ``groups``.

    Notes
    -----
    With m positive scores :math:`x_i` and n negative scores :math:`y_j`, the placement values are
    :math:`V_i = \frac1n \sum_j \psi(x_i, y_j)` and :math:`W_j = \frac1m \sum_i \psi(x_i, y_j)`,
    :math:`\psi` being 1 if x > y, 1/2 if they tie, else 0. They follow from midranks [2]_. Then

    .. math::
        \widehat{AUC} = \bar V, \quad
        \widehat{\mathrm{var}} = \frac{s^2_V}{m} + \frac{s^2_W}{n}

    [1]_. The interval is computed for :math:`\log(AUC / (1 - AUC))`, so it stays within 0 and 1
    [3]_.

    Classes that are fully apart have AUC 1 and variance 0, which does not mean certainty. The bound
    is then that of min(m, n) disjoint pairs of people, of which all are in order, which is a
    binomial experiment: :math:`(\alpha / 2)^{1 / \min(m, n)}`, exact for any distribution, and
    conservative. With 11 patients it is 0.72. Coverage of 0.95 intervals, this rule included, for
    normal scores and true areas from 0.5 to 0.995 (``benchmarks/metrics_coverage.py``): 0.94-0.98
    with 5 positive and 20 negative people, 0.92-0.97 with 11 and 60, 0.94-0.97 with 50 and 50.

    References
    ----------
    .. [1] DeLong, E. R., DeLong, D. M., Clarke-Pearson, D. L. (1988). Comparing the areas under two
       or more correlated receiver operating characteristic curves. Biometrics 44, 837-845.
    .. [2] Sun, X., Xu, W. (2014). Fast implementation of DeLong's algorithm for comparing the areas
       under correlated receiver operating characteristic curves. IEEE Signal Processing Letters 21,
       1389-1393.
    .. [3] Pepe, M. S. (2003). The Statistical Evaluation of Medical Tests for Classification and
       Prediction. Oxford University Press.

    Examples
    --------
    >>> from mresklearn.metrics import delong_ci
    >>> diagnosis = ["control"] * 5 + ["AD"] * 4
    >>> gap = [-3.1, 0.2, 1.5, -0.7, 2.8, 1.9, 6.3, 4.4, 9.0]
    >>> result = delong_ci(diagnosis, gap, pos_label="AD")
    >>> round(result.auc, 2), round(result.low, 2), round(result.high, 2)
    (0.95, 0.51, 1.0)
    """
    positive = check_positive(y_true, pos_label)
    above, below = _placements(positive, check_numbers(scores, "scores", len(positive)))
    m, n = len(above), len(below)
    auc = float(above.mean() / n)
    standard_error = _standard_error(above, below)
    z = stats.norm.ppf((1 + confidence) / 2)
    note = ""
    if np.isfinite(standard_error):
        margin = z * standard_error / (auc * (1 - auc))
        low, high = expit(logit(auc) - margin), expit(logit(auc) + margin)
    elif auc in (0.0, 1.0):
        bound = ((1 - confidence) / 2) ** (1 / min(m, n))
        low, high = (bound, 1.0) if auc == 1.0 else (0.0, 1 - bound)
        note = f"classes are fully apart: exact binomial bound of {min(m, n)} pairs of people"
    else:
        low = high = np.nan
        note = "all scores are equal: no interval"
    return Bunch(
        auc=auc,
        low=float(low),
        high=float(high),
        standard_error=standard_error,
        n_positive=m,
        n_negative=n,
        note=note,
    )


@validate_params(
    {"confidence": [Interval(Real, 0, 1, closed="neither")]}, prefer_skip_nested_validation=True
)
def delong_test(
    y_true: ArrayLike,
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    *,
    pos_label: object = None,
    confidence: float = 0.95,
) -> Bunch:
    r"""Test whether two scores of the same people differ in the area under the ROC curve.

    Both scores see the same people, so their errors go together, and the difference is known better
    than from two separate intervals.

    Parameters
    ----------
    y_true : array-like of shape (n_people,)
        Class of each person, two in all, with at least 2 people each. One row a person.
    scores_a, scores_b : array-like of shape (n_people,)
        The two scores of each person, higher for the positive class.
    pos_label : object, default=None
        The positive class. None: 1, where classes are 0 and 1, -1 and 1 or False and True.
    confidence : float, default=0.95
        Coverage of the interval of the difference.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        With the attributes:

        auc_a, auc_b : float
            Areas under the two curves.
        difference : float
            `auc_a` minus `auc_b`.
        low, high : float
            Bounds of the interval for it, in [-1, 1].
        standard_error : float
            Standard error of the difference.
        statistic : float
            z, the difference over its standard error.
        p_value : float
            Two-sided p.
        n_positive, n_negative : int
            Number of people.

        Where the scores differ by the same for everybody there is no variance to judge by:
        interval, `standard_error` and `statistic` are NaN, and so is `p_value`, except that it is 1
        where both order all pairs of people alike.

    Raises
    ------
    ValueError
        If there are not two classes with 2 people each, the positive class is not clear, or a score
        is missing.

    Notes
    -----
    The difference of the areas is the mean of the differences of placement values (see
    :func:`delong_ci`), so its variance is :math:`s^2_{V_a - V_b} / m + s^2_{W_a - W_b} / n`, which
    equals the form with covariances of [1]_.

    The scores must come from models that did not see these people. For a model and an extension of
    it, fitted on the same people, the test does not hold its level [2]_.

    References
    ----------
    .. [1] DeLong, E. R., DeLong, D. M., Clarke-Pearson, D. L. (1988). Comparing the areas under two
       or more correlated receiver operating characteristic curves. Biometrics 44, 837-845.
    .. [2] Demler, O. V., Pencina, M. J., D'Agostino, R. B. (2012). Misuse of DeLong test to compare
       AUCs for nested models. Statistics in Medicine 31, 2577-2587.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.metrics import delong_test
    >>> rng = np.random.default_rng(0)
    >>> patient = np.repeat([0, 1], 40)
    >>> stiffness = patient + rng.normal(size=80)
    >>> volume = patient / 2 + rng.normal(size=80)
    >>> result = delong_test(patient, stiffness, volume)
    >>> bool(result.low < result.difference < result.high)
    True
    """
    positive = check_positive(y_true, pos_label)
    above_a, below_a = _placements(positive, check_numbers(scores_a, "scores_a", len(positive)))
    above_b, below_b = _placements(positive, check_numbers(scores_b, "scores_b", len(positive)))
    m, n = len(above_a), len(below_a)
    difference = float((above_a - above_b).mean() / n)
    standard_error = _standard_error(above_a - above_b, below_a - below_b)
    low = high = statistic = np.nan
    p_value = 1.0 if difference == 0 else np.nan
    if np.isfinite(standard_error):
        statistic = difference / standard_error
        p_value = float(2 * stats.norm.sf(abs(statistic)))
        margin = stats.norm.ppf((1 + confidence) / 2) * standard_error
        low, high = max(-1.0, difference - margin), min(1.0, difference + margin)
    return Bunch(
        auc_a=float(above_a.mean() / n),
        auc_b=float(above_b.mean() / n),
        difference=difference,
        low=low,
        high=high,
        standard_error=standard_error,
        statistic=statistic,
        p_value=p_value,
        n_positive=m,
        n_negative=n,
    )


def _placements(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count, ties as half, the negatives below each positive and the positives above each negative.

    Counts and not shares, because halves are exact: equal ones are found to be equal.
    """
    overall = stats.rankdata(scores)
    above = overall[positive] - stats.rankdata(scores[positive])
    below = positive.sum() - (overall[~positive] - stats.rankdata(scores[~positive]))
    return above, below


def _standard_error(above: np.ndarray, below: np.ndarray) -> float:
    """Estimate the error of the mean placement value; NaN where placements do not vary."""
    if np.ptp(above) == 0 and np.ptp(below) == 0:
        return np.nan
    m, n = len(above), len(below)
    return float(np.sqrt((above / n).var(ddof=1) / m + (below / m).var(ddof=1) / n))
