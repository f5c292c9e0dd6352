"""What a variable explains of the typical feature, and of those that it moves most."""

import numpy as np
from scipy.stats import beta

from ._effect import Effect, not_estimable, permutation_p
from ._intervals import bounded, jackknife_interval
from ._partial_r2 import partial_r2_permutations
from ._variance import Design

__all__ = ["feature_share"]

QUANTILES = {"partial_r2_median": 0.5, "partial_r2_p95": 0.95}
N_GROUPS = 20
BLOCK = 4096
# beyond this many columns, permutations without a refit: much faster, slightly cautious
MOST_PERMUTED_COLUMNS = 2000


def feature_share(
    features,
    reduced,
    added,
    groups,
    strata,
    *,
    n_permutations,
    confidence,
    random_state,
    scheme=None,
    n_jobs=None,
    verbose=0,
):
    """Measure the partial R2 of every feature, and report its median and 95th percentile.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_features)
        Features; float32 is not copied as a whole.
    reduced, added : ndarray of shape (n_rows, n_columns)
        Design of what is held fixed, with a constant, and of the variable.
    groups : ndarray of int of shape (n_rows,) or None
        Levels of the variable, None where it is a number. The tests need them.
    strata : ndarray of int of shape (n_rows,)
        Groups that the jackknife keeps, such as sites.
    n_permutations, confidence, random_state, n_jobs, verbose
        As for the report.
    scheme : {"freedman_lane", "without_refit"} or None, default=None
        As in :func:`partial_r2_permutations`. None: "without_refit" for more than 2000 columns.

    Returns
    -------
    effects : tuple of two Effect
        ``partial_r2_median`` and ``partial_r2_p95``. ``null_mean`` is that quantile of the beta
        distribution which partial R2 has without an effect; ``value_adj`` is 0 there and 1 at 1.
        p is of the mean statistic of all features for the first, and of the largest for the second.
    adjusted : ndarray of shape (n_features,)
        Adjusted partial R2 of every feature.
    """
    design = Design.of(reduced, added)
    if design.problem:
        return tuple(not_estimable(name, design.problem) for name in QUANTILES), np.empty(0)
    shares = _partial_r2(features, design)
    levels = list(QUANTILES.values())
    chance = beta.ppf(levels, design.added.shape[1] / 2, design.df_error / 2)
    value = np.quantile(shares, levels)

    def of_rows(rows):
        part = Design.of(reduced[rows], added[rows])
        if part.problem:
            return [np.nan, np.nan]
        null = beta.ppf(levels, part.added.shape[1] / 2, part.df_error / 2)
        quantiles = np.quantile(_partial_r2(features, part, rows), levels)
        return (quantiles - null) / (1 - null)

    adjusted = (value - chance) / (1 - chance)
    limits = jackknife_interval(
        of_rows, adjusted, strata, confidence, random_state, n_groups=N_GROUPS
    )
    p = np.full(2, np.nan)
    if groups is not None:
        p = _test(features, reduced, groups, scheme, n_permutations, random_state, n_jobs, verbose)
    effects = tuple(
        Effect(
            name,
            value=float(value[place]),
            null_mean=float(chance[place]),
            value_adj=float(adjusted[place]),
            interval=bounded([limit[place] for limit in limits]),
            p=float(p[place]),
            n_permutations=0 if groups is None else n_permutations,
            reason="" if groups is not None else "Tested by rda_partial_r2.",
        )
        for place, name in enumerate(QUANTILES)
    )
    df_before = design.df_error + design.added.shape[1]
    return effects, 1 - (1 - shares) * df_before / design.df_error


def _partial_r2(features, design, rows=None):
    """Partial R2 of every feature, a block of them at a time; 0 where nothing is left."""
    shares = np.empty(features.shape[1])
    for start in range(0, len(shares), BLOCK):
        part = slice(start, start + BLOCK)
        block = features[:, part] if rows is None else features[rows, part]
        block = block.astype(np.float64)
        left = np.sum(block**2, axis=0)
        before = left - np.sum((design.reduced.T @ block) ** 2, axis=0)
        explained = np.sum((design.added.T @ block) ** 2, axis=0)
        varies = before > 1e-10 * left
        shares[part] = np.divide(explained, before, where=varies, out=np.zeros_like(before))
    return shares


def _test(features, reduced, groups, scheme, n_permutations, random_state, n_jobs, verbose):
    few = features.shape[1] <= MOST_PERMUTED_COLUMNS
    result = partial_r2_permutations(
        features,
        reduced,
        groups,
        n_permutations,
        scheme=scheme or ("freedman_lane" if few else "without_refit"),
        random_state=int(random_state.integers(2**31 - 1)),
        n_jobs=n_jobs,
        verbose=verbose,
    )
    return np.array(
        [
            permutation_p(result.mean_statistic, result.mean_null),
            permutation_p(result.max_statistic, result.max_null),
        ]
    )
