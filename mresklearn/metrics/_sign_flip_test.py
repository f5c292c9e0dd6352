"""Whether two models differ over sites, exactly, for as few sites as there are."""

from __future__ import annotations

import warnings
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from ..exceptions import UnanswerableWarning
from ._checks import check_numbers

__all__ = ["sign_flip_test"]

LARGEST_EXACT = 20  # sites; 2**19 sums then, 4 MB
CALLER = 3  # stack level: the check of parameters lies between the test and its caller


@validate_params(
    {
        "n_resamples": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def sign_flip_test(
    differences: ArrayLike,
    *,
    n_resamples: int = 99_999,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    r"""Test whether differences, one a site, have mean 0, by flipping their signs.

    For leave-one-site-out the site is the unit, and there are few. The test is exact for any number
    of sites, and says what it can reach at best: with 5 sites p cannot be below 0.0625.

    Parameters
    ----------
    differences : array-like of shape (n_sites,)
        One number a site: score of one model minus score of the other, averaged over seeds first.
    n_resamples : int, default=99999
        Random sign flips where there are more than 20 sites; all 2**n_sites are counted otherwise.
    random_state : int, RandomState instance or None, default=None
        Seed of the random sign flips.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        With the attributes:

        mean : float
            Mean difference over sites, each with the same weight.
        p_value : float
            Two-sided p.
        smallest_p : float
            The smallest p that differences of these sizes could reach, whatever their signs.
        n_sites : int
            Number of sites.
        exact : bool
            Whether all sign flips were counted.

    Raises
    ------
    ValueError
        If a difference is missing or there are none.

    Warns
    -----
    UnanswerableWarning
        If `smallest_p` is above 0.05, as with fewer than six sites: no result can be significant.

    See Also
    --------
    corrected_resampled_ttest : For folds that hold people of the same sites.
    bootstrap_ci : An interval, over sites and people.

    Notes
    -----
    Where the models do not differ, the difference d of a site is as likely to be -d, so all
    :math:`2^K` choices of signs :math:`\epsilon` are equally likely [1]_, and

    .. math::
        p = 2^{-K} \, \#\left\{\epsilon :
        \left|\sum\nolimits_k \epsilon_k d_k\right| \ge \left|\sum\nolimits_k d_k\right|\right\}.

    The observed signs and their opposite are among them, hence p is at least :math:`2 / 2^K`:
    0.0625 for 5 sites, 0.031 for 6, 0.016 for 7. A site with difference 0 adds nothing, and does
    not count for `smallest_p`. For random sign flips p is (1 + number as extreme) / (1 + number
    drawn) [2]_.

    The test takes sites as independent. Models tested at one site of a cohort were trained at the
    others, which makes that an approximation.

    References
    ----------
    .. [1] Fisher, R. A. (1935). The Design of Experiments. Section 21.
    .. [2] Phipson, B., Smyth, G. K. (2010). Permutation p-values should never be zero. Statistical
       Applications in Genetics and Molecular Biology 9, 39.

    Examples
    --------
    One model is better at all of seven sites:

    >>> from mresklearn.metrics import sign_flip_test
    >>> result = sign_flip_test([0.4, 0.1, 0.6, 0.3, 0.2, 0.9, 0.5])
    >>> result.p_value, result.smallest_p
    (0.015625, 0.015625)
    """
    values = check_numbers(differences, "differences")
    n_sites = len(values)
    total = np.abs(values).sum()
    # sums that differ by rounding only are ties, and ties count
    threshold = abs(values.sum()) - 1e-12 * total
    exact = n_sites <= LARGEST_EXACT
    if exact:
        p_value = float(np.mean(np.abs(_all_sums(values)) >= threshold))
        smallest_p = float(np.mean(np.abs(_all_sums(np.abs(values))) >= total - 1e-12 * total))
    else:
        random = check_random_state(random_state)
        extreme = _count_extreme(values, threshold, n_resamples, random)
        p_value = (1 + extreme) / (1 + n_resamples)
        smallest_p = max(1 / (1 + n_resamples), 2.0 ** (1 - np.count_nonzero(values)))
    if smallest_p > 0.05:
        warnings.warn(
            f"Differences of {n_sites} sites cannot give a p below {smallest_p:.3g}: at least 6 "
            "sites with a difference are needed for one below 0.05. Report the differences and "
            "their interval instead (bootstrap_ci with site=).",
            UnanswerableWarning,
            stacklevel=CALLER,
        )
    return Bunch(
        mean=float(values.mean()),
        p_value=p_value,
        smallest_p=smallest_p,
        n_sites=n_sites,
        exact=exact,
    )


def _all_sums(values: np.ndarray) -> np.ndarray:
    """Sum `values` under all signs, the first fixed: the other half is the same with a minus."""
    sums = values[:1]
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _count_extreme(
    values: np.ndarray, threshold: float, n_resamples: int, random: np.random.RandomState
) -> int:
    """Count random sign flips whose sum reaches the threshold, in portions to spare memory."""
    portion = max(1, 4_000_000 // len(values))
    extreme = 0
    for start in range(0, n_resamples, portion):
        size = min(portion, n_resamples - start)
        signs = random.randint(2, size=(size, len(values)), dtype=np.int8)
        extreme += int(np.sum(np.abs((2 * signs - 1) @ values) >= threshold))
    return extreme
