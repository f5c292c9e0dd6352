"""Whether one model predicts age better than another, tested as each protocol allows."""

import warnings
from numbers import Real

import numpy as np
import pandas as pd
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, validate_params

from ..exceptions import UnanswerableWarning
from ..metrics import bootstrap_ci, corrected_resampled_ttest, sign_flip_test
from ._score_tables import absolute_errors

__all__ = ["compare_models"]

_ROWS = ["protocol", "repeat", "fold", "row"]
_IDENTITY = [*_ROWS, "site", "y", "n_train"]


@validate_params(
    {
        "results_a": [Bunch, dict],
        "results_b": [Bunch, dict],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def compare_models(results_a, results_b, *, confidence=0.95, random_state=0):
    r"""Test whether two models differ in mean absolute error, from the same cross-validation.

    Folds share training people, and sites are few: the tests here are made for that. The unit is
    the fold within sites, and the site where sites are left out.

    Parameters
    ----------
    results_a, results_b : Bunch
        What :func:`cross_validate_sites` returned for two estimators, with the same rows in the
        same order, and the same `site`, `groups`, `n_splits`, `n_repeats`, `n_unlabelled` and
        `random_state`. Numbers of seeds may differ.
    confidence : float, default=0.95
        Coverage of the intervals.
    random_state : int, RandomState instance or None, default=0
        Seed of the bootstrap, and of the sign flips of more than 20 sites.

    Returns
    -------
    comparison : DataFrame
        One row for each protocol in both results:

        mae_a, mae_b : float
            Mean absolute errors in years, averaged over the units.
        difference : float
            ``mae_a - mae_b``; below 0, the first model is better.
        low, high : float
            Interval of the difference: from the corrected t distribution, or from the bootstrap
            over sites.
        p_value : float
            Two-sided p.
        smallest_p : float
            The smallest p that so many sites can give; 0 for folds.
        n_units : int
            Number of folds or sites.
        test : str
            ``"corrected resampled t"`` or ``"sign flip over sites"``.

    Raises
    ------
    ValueError
        If the results come from different rows or folds.

    Warns
    -----
    UnanswerableWarning
        If a test over sites cannot reach 0.05, as with fewer than six.

    See Also
    --------
    mresklearn.metrics.corrected_resampled_ttest : The test within sites, with formula and source.
    mresklearn.metrics.sign_flip_test : The test over sites.

    Notes
    -----
    Absolute errors are averaged over seeds first; repeats of the within-site folds enter the test
    as new partitions. Each fold, and each site whatever its size, has the same weight. The error of
    the people of a site is part of how much sites differ, so that the bootstrap draws sites alone:
    drawing people within them as well would count that error twice.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn.linear_model import Ridge
    >>> from mresklearn.model_selection import compare_models, cross_validate_sites
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(list("ABCDEF"), 20)
    >>> age = rng.uniform(20, 80, 120)
    >>> X = age[:, np.newaxis] + rng.normal(0, 5, (120, 3))
    >>> ridge, mean = (cross_validate_sites(model, X, age, site=site)
    ...                for model in (Ridge(), DummyRegressor()))
    >>> table = compare_models(ridge, mean)
    >>> table[["n_units", "p_value", "smallest_p"]].round(4)
                        n_units  p_value  smallest_p
    protocol
    within_site               5   0.00...     0.0000
    leave_one_site_out        6   0.0312      0.0312
    """
    a, b = results_a["predictions"], results_b["predictions"]
    common = [name for name in a.protocol.unique() if name in set(b.protocol)]
    rows = {}
    for protocol in common:
        one, other = (frame[frame.protocol == protocol] for frame in (a, b))
        _check_same_folds(one, other, protocol)
        test = _compare_folds if protocol == "within_site" else _compare_sites
        rows[protocol] = test(one, other, confidence, random_state)
    comparison = pd.DataFrame(rows.values(), index=pd.Index(rows, name="protocol"))
    _warn_of_few_sites(comparison)
    return comparison


def _warn_of_few_sites(comparison):
    """Warn once of the protocols whose test cannot reach 0.05."""
    mute = comparison[comparison.smallest_p > 0.05]
    if len(mute):
        found = ", ".join(f"{name} ({row.n_units})" for name, row in mute.iterrows())
        warnings.warn(
            f"Sites that differ are too few for a p below 0.05: {found}, and six are needed. "
            "Report the difference and its interval instead.",
            UnanswerableWarning,
            stacklevel=4,  # past the check of parameters
        )


def _check_same_folds(a, b, protocol):
    """Refuse to pair what does not belong together."""
    one, other = (
        frame.drop_duplicates(_ROWS)[_IDENTITY].sort_values(_ROWS).reset_index(drop=True)
        for frame in (a, b)
    )
    if not one.equals(other):  # names of people may come from X, and differ between its forms
        raise ValueError(
            f"The results differ in rows, ages, sites or folds of {protocol}, so that their errors "
            "cannot be paired. Give cross_validate_sites the same rows in the same order, and the "
            "same site, groups, n_splits, n_repeats, n_unlabelled and random_state."
        )


def _compare_folds(a, b, confidence, random_state):
    """Test over folds within sites."""
    keys = ["repeat", "fold"]
    mae_a, mae_b = absolute_errors(a, keys), absolute_errors(b, keys)
    sizes = a[a.seed == a.seed.iloc[0]].groupby(keys).n_train.agg(["first", "size"])
    table = (mae_a - mae_b).unstack("fold")
    result = corrected_resampled_ttest(
        table.to_numpy(),
        sizes["first"].to_numpy(),
        sizes["size"].to_numpy(),
        repeats="partitions",
        confidence=confidence,
    )
    return {
        "mae_a": mae_a.mean(),
        "mae_b": mae_b.mean(),
        "difference": result.mean,
        "low": result.low,
        "high": result.high,
        "p_value": result.p_value,
        "smallest_p": 0.0,
        "n_units": result.n_resamples,
        "test": "corrected resampled t",
    }


def _compare_sites(a, b, confidence, random_state):
    """Test over sites left out."""
    mae_a, mae_b = absolute_errors(a, "site"), absolute_errors(b, "site")
    difference = (mae_a - mae_b).to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnanswerableWarning)  # said once, by compare_models
        result = sign_flip_test(difference, random_state=random_state)
    low = high = np.nan
    if len(difference) > 2:
        bounds = bootstrap_ci(np.mean, difference, confidence=confidence, random_state=random_state)
        low, high = bounds.low, bounds.high
    return {
        "mae_a": mae_a.mean(),
        "mae_b": mae_b.mean(),
        "difference": result.mean,
        "low": low,
        "high": high,
        "p_value": result.p_value,
        "smallest_p": result.smallest_p,
        "n_units": result.n_sites,
        "test": "sign flip over sites",
    }
