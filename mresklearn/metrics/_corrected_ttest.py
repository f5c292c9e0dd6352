"""The t test for differences between two models over overlapping training sets."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ._checks import check_numbers

__all__ = ["corrected_resampled_ttest"]


@validate_params(
    {
        "repeats": [None, StrOptions({"partitions", "seeds"})],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def corrected_resampled_ttest(
    differences: ArrayLike,
    n_train: ArrayLike,
    n_test: ArrayLike,
    *,
    repeats: str | None = None,
    confidence: float = 0.95,
) -> Bunch:
    r"""Test whether two models differ over the folds of a cross-validation.

    Training sets of folds overlap, so scores of folds are correlated, and the ordinary paired t
    test finds differences that are not there. This test adds the correlation to the variance.

    Parameters
    ----------
    differences : array-like of shape (n_resamples,) or (n_repeats, n_folds)
        Score of one model minus score of the other, both from the same test fold of the same
        training fold.
    n_train, n_test : int or array-like of int of shape (n_resamples,) or (n_repeats, n_folds)
        People in a training and in a test fold. Of unequal folds the means count.
    repeats : {"partitions", "seeds"}, default=None
        What the rows of a table of differences are; must be given for a table.

        - ``"partitions"``: each row is a new random partition of the people. All n_repeats *
          n_folds resamples enter the test.
        - ``"seeds"``: each row has the same folds and another seed of the models. Rows are averaged
          first, and n_folds resamples enter the test: a seed brings no new people.
    confidence : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        With the attributes:

        mean : float
            Mean difference.
        low, high : float
            Bounds of the interval for it.
        statistic : float
            t.
        p_value : float
            Two-sided p.
        degrees_of_freedom : int
            Number of resamples minus 1.
        n_resamples : int
            Number of resamples after averaging.

        Where all differences are equal there is no variance to judge by: interval and `statistic`
        are NaN, and so is `p_value`, except that it is 1 where all are 0.

    Raises
    ------
    ValueError
        If a difference is missing, there are fewer than two resamples, or a table comes without
        `repeats`.

    See Also
    --------
    sign_flip_test : For folds that are sites: the unit is then the site, and sites do not overlap.

    Notes
    -----
    With J resamples, mean difference :math:`\bar d` and sample variance :math:`s^2` [1]_,

    .. math::
        t = \frac{\bar d}{\sqrt{\left(\frac{1}{J} + \frac{n_{test}}{n_{train}}\right) s^2}},
        \quad J - 1 \text{ degrees of freedom} .

    For r repetitions of k-fold cross-validation J = r k and n_test / n_train = 1 / (k - 1) [2]_.

    Neither treatment of `repeats` can stand in for the other, since both errors find too much.
    Seeds that count as partitions raise J and the degrees of freedom (from 4 to 24 with 5 folds and
    5 seeds) without new people. Partitions that are averaged shrink :math:`s^2`, to which the
    correction n_test / n_train then no longer belongs.

    The correction is an approximation: no unbiased estimate of the variance exists. It speaks of
    new people from the *same* sites. False positives at the nominal 0.05 for two equally good
    regressions and 60 or 200 people (``benchmarks/metrics_coverage.py``): ten partitions in 5 folds
    0.04-0.05 (averaged first 0.27-0.29, ordinary t test 0.59-0.61), one partition 0.02, five seeds
    of one partition 0.01-0.02 (as partitions 0.04-0.09).

    References
    ----------
    .. [1] Nadeau, C., Bengio, Y. (2003). Inference for the generalization error. Machine Learning
       52, 239-281.
    .. [2] Bouckaert, R. R., Frank, E. (2004). Evaluating the replicability of significance tests
       for comparing learning algorithms. PAKDD, LNCS 3056, 3-12.

    Examples
    --------
    Ten folds of 300 people, in which one model is better by 0.2 years on average:

    >>> from mresklearn.metrics import corrected_resampled_ttest
    >>> differences = [0.3, 0.1, 0.4, -0.1, 0.2, 0.5, 0.0, 0.3, 0.2, 0.1]
    >>> result = corrected_resampled_ttest(differences, n_train=270, n_test=30)
    >>> round(result.mean, 3), round(result.p_value, 3)
    (0.2, 0.041)

    The ordinary t test makes more of the same numbers:

    >>> from scipy.stats import ttest_1samp
    >>> round(float(ttest_1samp(differences, 0).pvalue), 3)
    0.007
    """
    resamples = _resamples(differences, repeats)
    ratio = _mean_size(n_test, "n_test") / _mean_size(n_train, "n_train")
    n_resamples = len(resamples)
    mean = float(resamples.mean())
    degrees_of_freedom = n_resamples - 1
    low = high = statistic = np.nan
    p_value = 1.0 if np.all(resamples == 0) else np.nan
    if np.ptp(resamples) > 0:
        error = float(np.sqrt((1 / n_resamples + ratio) * resamples.var(ddof=1)))
        margin = stats.t.ppf((1 + confidence) / 2, degrees_of_freedom) * error
        low, high, statistic = float(mean - margin), float(mean + margin), mean / error
        p_value = float(2 * stats.t.sf(abs(statistic), degrees_of_freedom))
    return Bunch(
        mean=mean,
        low=low,
        high=high,
        statistic=statistic,
        p_value=p_value,
        degrees_of_freedom=degrees_of_freedom,
        n_resamples=n_resamples,
    )


def _resamples(differences: ArrayLike, repeats: str | None) -> np.ndarray:
    """List the differences that enter the test, after averaging over seeds."""
    table = np.asarray(differences)
    if table.ndim not in (1, 2):
        raise ValueError(
            "differences must have shape (n_resamples,) or (n_repeats, n_folds), "
            f"got {table.shape}."
        )
    if table.ndim == 2 and repeats is None:
        raise ValueError(
            f"differences is a table of {table.shape[0]} repeats x {table.shape[1]} folds: say "
            "with repeats= whether each row is a new random partition of the people ('partitions') "
            "or the same folds with another seed of the models ('seeds')."
        )
    numbers = check_numbers(table.ravel(), "differences").reshape(table.shape)
    resamples = (
        numbers.mean(axis=0) if numbers.ndim == 2 and repeats == "seeds" else numbers.ravel()
    )
    if len(resamples) < 2:
        raise ValueError("A variance needs at least 2 resamples, got 1: use more folds.")
    return resamples


def _mean_size(sizes: ArrayLike, name: str) -> float:
    """Mean size of the folds."""
    numbers = check_numbers(np.ravel(np.asarray(sizes)), name)
    if numbers.min() < 1:
        raise ValueError(f"{name} must be at least 1 person in every fold, got {numbers.min():g}.")
    return float(numbers.mean())
