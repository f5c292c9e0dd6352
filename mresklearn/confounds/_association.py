"""How strongly two metadata columns go together, corrected for what chance alone would show."""

import numpy as np
from scipy.stats import rankdata

from ._effect import Effect, mean_of, not_estimable, permutation_p
from ._intervals import cramers_v_interval, explained_variance_interval, spearman_interval

__all__ = [
    "FEWEST_ROWS",
    "associate",
    "corrected_cramers_v",
    "determines",
    "epsilon_squared",
    "nesting",
]

FEWEST_ROWS = 10


def associate(first, second, *, n_permutations, confidence, random_state):
    """Measure the association of two variables by what their kinds allow.

    Parameters
    ----------
    first, second : Variable
        Columns of one table.
    n_permutations : int
        Free permutations of the one against the other, for the null mean and p.
    confidence : float
        Level of the interval.
    random_state : numpy Generator
        Draws the permutations.

    Returns
    -------
    effect : Effect
        ``cramers_v`` of two groupings, ``epsilon_squared`` of numbers in groups (of their ranks
        where they are ordinal), ``spearman`` of two numbers. ``value`` is raw, ``value_adj`` is
        corrected for chance, the interval is of the latter.
    n_rows : int
        Rows that have both.
    """
    both = first.present & second.present
    a, b = first.values[both], second.values[both]
    settings = (n_permutations, confidence, random_state)
    if first.is_grouping and second.is_grouping:
        effect = _between_groupings(a, b, *settings)
    elif first.is_grouping or second.is_grouping:
        groups, numbers = (a, b) if first.is_grouping else (b, a)
        ordinal = "ordinal" in (first.kind, second.kind)
        effect = _numbers_in_groups(numbers, groups, ordinal, *settings)
    else:
        effect = _between_numbers(a, b, *settings)
    return effect, int(both.sum())


def nesting(first, second):
    """Return which variable determines which: "first", "second", "both" or None."""
    both = first.present & second.present
    a, b = first.values[both], second.values[both]
    forward = first.kind != "continuous" and determines(a, b)
    backward = second.kind != "continuous" and determines(b, a)
    if forward and backward:
        return "both"
    return "first" if forward else "second" if backward else None


def determines(groups, values):
    """Whether the group fixes the value, judged on groups of two and more, where it need not."""
    _, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    judged = counts[codes] > 1
    codes, values = codes[judged], values[judged]
    if len(np.unique(codes)) < 2 or len(np.unique(values)) < 2:
        return False
    pairs = np.unique(np.column_stack([codes, values]), axis=0)
    return len(pairs) == len(np.unique(codes))


def corrected_cramers_v(chi2, n_rows, n_levels_a, n_levels_b):
    """Return the bias-corrected V of Bergsma (2013), J. Korean Stat. Soc. 42, 323-328, eq. 9-11.

    Two independent columns have 0 in the mean of phi squared, while the raw V grows with levels.
    """
    phi2 = max(0.0, chi2 / n_rows - (n_levels_a - 1) * (n_levels_b - 1) / (n_rows - 1))
    levels = [k - (k - 1) ** 2 / (n_rows - 1) for k in (n_levels_a, n_levels_b)]
    return min(1.0, np.sqrt(phi2 / (min(levels) - 1)))


def epsilon_squared(eta2, n_rows, n_groups):
    """Return eta squared less its mean under chance: Kelley (1935), PNAS 21, 554-559."""
    return 1 - (1 - eta2) * (n_rows - 1) / (n_rows - n_groups)


def _between_groupings(a, b, n_permutations, confidence, random_state):
    measure = "cramers_v"
    (_, a), (_, b) = (np.unique(values, return_inverse=True) for values in (a, b))
    n, levels_a, levels_b = len(a), a.max(initial=-1) + 1, b.max(initial=-1) + 1
    problem = _problem(n, (levels_a, levels_b), (levels_a, levels_b))
    if problem:
        return not_estimable(measure, problem)
    statistic = _ChiSquared(a, b)
    chi2 = statistic(b[None])[0]
    scale = n * (min(levels_a, levels_b) - 1)
    null = np.sqrt(_permuted(statistic, b, n_permutations, random_state) / scale)
    value = np.sqrt(chi2 / scale)
    return Effect(
        measure,
        value=value,
        null_mean=mean_of(null),
        value_adj=corrected_cramers_v(chi2, n, levels_a, levels_b),
        interval=cramers_v_interval(chi2, n, levels_a, levels_b, confidence),
        p=permutation_p(value, null),
        n_permutations=n_permutations,
    )


def _numbers_in_groups(numbers, groups, ordinal, n_permutations, confidence, random_state):
    measure = "epsilon_squared_of_ranks" if ordinal else "epsilon_squared"
    _, codes = np.unique(groups, return_inverse=True)
    n, k = len(codes), codes.max(initial=-1) + 1
    problem = _problem(n, (k, len(np.unique(numbers))), (k,))
    if problem:
        return not_estimable(measure, problem)
    values = rankdata(numbers) if ordinal else numbers
    centred = values - values.mean()
    indicator = np.eye(k)[codes] / np.sqrt(np.bincount(codes))

    def eta2(permuted):
        return np.sum((permuted @ indicator) ** 2, axis=1) / np.sum(centred**2)

    value = min(1.0, eta2(centred[None])[0])
    null = _permuted(eta2, centred, n_permutations, random_state)
    unexplained = max(0.0, 1 - value) / (n - k)
    f_statistic = value / (k - 1) / unexplained if unexplained > 0 else np.inf
    return Effect(
        measure,
        value=value,
        null_mean=mean_of(null),
        value_adj=epsilon_squared(value, n, k),
        interval=explained_variance_interval(f_statistic, k - 1, n - k, n, confidence),
        p=permutation_p(value, null),
        n_permutations=n_permutations,
    )


def _between_numbers(a, b, n_permutations, confidence, random_state):
    measure = "spearman"
    problem = _problem(len(a), [len(np.unique(values)) for values in (a, b)], ())
    if problem:
        return not_estimable(measure, problem)
    a, b = (_standardised(rankdata(values)) for values in (a, b))
    value = float(np.clip(a @ b, -1, 1))
    null = _permuted(lambda permuted: permuted @ a, b, n_permutations, random_state)
    # the squared correlation of n independent pairs is 1 / (n - 1) in the mean
    corrected = max(0.0, 1 - (1 - value**2) * (len(a) - 1) / (len(a) - 2))
    return Effect(
        measure,
        value=value,
        null_mean=mean_of(null),
        value_adj=np.sign(value) * np.sqrt(corrected),
        interval=spearman_interval(value, len(a), confidence),
        p=permutation_p(abs(value), np.abs(null)),
        n_permutations=n_permutations,
    )


def _problem(n_rows, n_distinct, group_counts):
    """Say why two columns cannot be compared, or nothing."""
    if n_rows < FEWEST_ROWS:
        return f"Only {n_rows} rows have both values; {FEWEST_ROWS} are needed."
    if min(n_distinct) < 2:
        return "One of the two is constant over the rows that have both."
    if max(group_counts, default=0) > n_rows / 2:
        return f"{max(group_counts)} levels for {n_rows} people: fewer than two people a level."
    return None


class _ChiSquared:
    """Chi squared of one grouping against many permutations of the other, in one count."""

    def __init__(self, a, b):
        self.a, self.levels_b = a, b.max() + 1
        self.levels_a = a.max() + 1
        self.expected = np.outer(np.bincount(a), np.bincount(b)) / len(a)

    def __call__(self, permuted):
        cells = self.levels_a * self.levels_b
        place = np.arange(len(permuted))[:, None] * cells + self.a * self.levels_b + permuted
        counts = np.bincount(place.ravel(), minlength=cells * len(permuted))
        counts = counts.reshape(-1, self.levels_a, self.levels_b)
        return np.sum((counts - self.expected) ** 2 / self.expected, axis=(1, 2))


def _permuted(statistic, values, n_permutations, random_state, block=100):
    """Return the statistic of random orders, a block at a time to bound memory."""
    parts = [
        statistic(random_state.permuted(np.tile(values, (size, 1)), axis=1))
        for size in _blocks(n_permutations, block)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _blocks(total, block):
    return [min(block, total - start) for start in range(0, total, block)]


def _standardised(values):
    centred = values - values.mean()
    return centred / np.sqrt(np.sum(centred**2))
