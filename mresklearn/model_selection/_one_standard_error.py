"""The one-standard-error rule: the simplest setting that is not clearly worse than the best."""

from functools import partial

import numpy as np
from sklearn.utils._param_validation import StrOptions, validate_params

__all__ = ["one_standard_error_rule", "scores_by_fold"]


@validate_params(
    {
        "parameter": [str],
        "prefer": [StrOptions({"larger", "smaller"})],
        "paired": ["boolean"],
        "metric": [str],
    },
    prefer_skip_nested_validation=True,
)
def one_standard_error_rule(parameter, *, prefer="larger", paired=True, metric="score"):
    r"""Make a rule that picks from search results, for ``GridSearchCV(refit=...)``.

    With a handful of folds the best mean score is often best by luck. Among the settings that are
    within one standard error of it, the rule takes the one that a user can defend beforehand: the
    strongest penalty, the fewest components.

    Parameters
    ----------
    parameter : str
        Name in the grid of the parameter that decides; its values must be numbers.
    prefer : {"larger", "smaller"}, default="larger"
        Which values to prefer. Ties go to the better mean score.
    paired : bool, default=True
        Also stay within one standard error of the *difference* from the best setting. The error of
        the best score alone, as in [1]_, is mostly how much harder one site is than another where
        folds are sites. That is the same for all settings, so that the rule goes too far.
    metric : str, default="score"
        Name of the metric, where the search computes several.

    Returns
    -------
    rule : callable
        Takes ``cv_results_`` and returns the row that is picked.

    Raises
    ------
    ValueError
        By the rule: if a setting lacks `parameter` or has a value that is no number, if the metric
        is unknown, or if all scores are NaN.

    See Also
    --------
    SiteSearchCV : A search over training sites that picks by this rule.

    Notes
    -----
    With :math:`s_{ck}` the score of setting c on fold k of K, b the setting of the best mean and
    :math:`d_{ck} = s_{bk} - s_{ck}`, setting c is close enough if

    .. math::
        \bar d_c \le \mathrm{sd}(s_b) / \sqrt K
        \quad\text{and, if paired,}\quad
        \bar d_c \le \mathrm{sd}(d_c) / \sqrt K .

    The first is the rule of [1]_ (section 3.4.3) and [2]_ (section 7.10). The second alone would
    accept a setting that is much worse, where folds disagree on how much. The rule buys a simpler
    model, not a better score.

    References
    ----------
    .. [1] Breiman, L., Friedman, J. H., Olshen, R. A., Stone, C. J. (1984). Classification and
       Regression Trees. Wadsworth.
    .. [2] Hastie, T., Tibshirani, R., Friedman, J. (2009). The Elements of Statistical Learning.
       2nd edition. Springer.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GridSearchCV
    >>> from mresklearn.model_selection import one_standard_error_rule
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 20))
    >>> y = 3 * X[:, 0] + rng.normal(size=60)
    >>> grid = {"alpha": [1, 10, 100, 1000]}
    >>> GridSearchCV(Ridge(), grid).fit(X, y).best_params_
    {'alpha': 1}
    >>> rule = one_standard_error_rule("alpha")
    >>> GridSearchCV(Ridge(), grid, refit=rule).fit(X, y).best_params_
    {'alpha': 10}
    """
    return partial(_pick, parameter=parameter, prefer=prefer, paired=paired, metric=metric)


def _pick(cv_results, *, parameter, prefer, paired, metric):
    """Return the row of the search results that the rule picks."""
    scores = scores_by_fold(cv_results, metric)
    values = _values(cv_results, parameter)
    means = scores.mean(axis=1)
    if np.isnan(means).all():
        raise ValueError("All settings failed to fit or score: every mean score is NaN.")
    best = np.nanargmax(means)
    behind = scores[best] - scores
    error = _standard_error(scores[[best]])
    if paired:
        error = np.minimum(error, _standard_error(behind))
    close = behind.mean(axis=1) <= error  # False for settings that failed
    close[best] = True
    order = np.lexsort((-means, -values if prefer == "larger" else values))
    return int(next(row for row in order if close[row]))


def _standard_error(scores):
    """Return the error of the mean over folds; 0 with one fold, which leaves the best alone."""
    n_folds = scores.shape[1]
    return scores.std(axis=1, ddof=1) / np.sqrt(n_folds) if n_folds > 1 else np.zeros(1)


def scores_by_fold(cv_results, metric):
    """Return scores of shape (settings, folds)."""
    names: list[str] = []
    while f"split{len(names)}_test_{metric}" in cv_results:
        names.append(f"split{len(names)}_test_{metric}")
    if not names:
        found = sorted(name[10:] for name in cv_results if name.startswith("mean_test_"))
        raise ValueError(f"No scores of metric {metric!r} in the results, but of {found}.")
    return np.column_stack([cv_results[name] for name in names]).astype(float)


def _values(cv_results, parameter):
    """Return the values of the parameter that decides, one a setting."""
    settings = cv_results["params"]
    missing = [setting for setting in settings if parameter not in setting]
    if missing:
        raise ValueError(
            f"{parameter!r} is to decide between settings, but it is not among those searched: "
            f"{missing[0]}. Name a parameter of the grid."
        )
    try:
        values = np.array([float(setting[parameter]) for setting in settings])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{parameter!r} is to decide between settings, but has values that are not numbers."
        ) from error
    return values
