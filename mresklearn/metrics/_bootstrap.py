"""Intervals for any statistic, over people, whole persons, or sites and then people."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from .._metadata import check_labels
from ..exceptions import UnanswerableWarning
from ._checks import check_people
from ._intervals import bca_levels, interval, levels
from ._repeat import draw_seeds, repeat
from ._resampling import Resampler

__all__ = ["bootstrap_ci"]

CALLER = 4  # stack level: two functions and the check of parameters lie before the caller


@validate_params(
    {
        "statistic": [callable],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "method": [StrOptions({"expanded", "percentile", "bca"})],
        "n_resamples": [Interval(Integral, 100, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [None, Integral],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=False,
)
def bootstrap_ci(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    groups: ArrayLike | None = None,
    site: ArrayLike | None = None,
    confidence: float = 0.95,
    method: str = "expanded",
    n_resamples: int = 5000,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Bunch:
    r"""Give an interval for any statistic of the rows, by drawing them again.

    What is drawn decides what the interval speaks of: people of these sites, or, with `site`,
    people of sites like these. Drawing people alone understates the error at new sites badly.

    Parameters
    ----------
    statistic : callable
        ``statistic(*arrays) -> float``; gets the drawn rows of each array, as ndarrays.
    *arrays : array-like of shape (n_rows, ...)
        What the statistic needs, such as `y_true` and `y_pred`: one entry a row in each.
    groups : array-like of shape (n_rows,), default=None
        Person of each row; all rows of a person are drawn together. None: every row is a person.
    site : array-like of shape (n_rows,), default=None
        Site of each row. Given, sites are drawn, and then people from each site drawn. At least 3
        sites. A person seen at two sites counts as one person at each.
    confidence : float, default=0.95
        Coverage of the interval.
    method : {"expanded", "percentile", "bca"}, default="expanded"
        - ``"expanded"``: the percentile interval with levels widened for few persons (with `site`,
          few sites) as a t interval is. The best coverage with few of them, see Notes.
        - ``"percentile"``: the plain quantiles.
        - ``"bca"``: quantiles corrected for bias and skewness, for statistics that are biased in
          samples. Not with `site`.
    n_resamples : int, default=5000
        Number of bootstrap samples, at least 100. The expanded levels of few sites lie far out in
        the tails: do not go below the default there.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.
    n_jobs : int or None, default=None
        Samples computed at the same time, as in joblib. The result does not depend on it.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        With the attributes:

        estimate : float
            The statistic of the rows as they are.
        low, high : float
            Bounds of the interval. NaN where the statistic is the same in all samples, such as an
            accuracy of 1: the bootstrap cannot tell its error then. With ``"bca"`` also NaN where
            the statistic of all samples lies on one side of the estimate.
        standard_error : float
            Standard deviation over samples; NaN where it is 0.
        distribution : ndarray of shape (n_resamples,)
            The statistic of each sample.
        n_units : int
            Number of persons or, with `site`, of sites.

    Raises
    ------
    ValueError
        If lengths differ, a site or person is missing, there are fewer than 2 persons or 3 sites,
        or the statistic is not finite on the rows or in more than 1 % of the samples.

    Warns
    -----
    UnanswerableWarning
        If there are too few sites for the coverage asked for: at 0.95, fewer than 6.

    See Also
    --------
    delong_ci : For the area under a ROC curve, without drawing.
    sign_flip_test : A test over sites.

    Notes
    -----
    The expanded levels q of the levels p, with n units, are [1]_

    .. math:: \Phi^{-1}(q) = \sqrt{n / (n - 1)} \; t_{n-1}^{-1}(p) .

    Coverage of 0.95 intervals for mean absolute error and mean gap of normal gaps
    (``benchmarks/metrics_coverage.py``): with 10 people 0.93-0.95 expanded, 0.89-0.91 BCa and
    0.89-0.90 percentile; with 40 people all 0.94-0.96. ``"bca"`` is as in [2]_, with the
    acceleration from the jackknife over persons.

    Both stages of `site` draw with replacement ([3]_, section 3.8). Coverage for a mean gap whose
    standard deviation is 5 years in a site and 3 between sites, 20 people a site, with 5 / 7 / 10 /
    20 sites: 0.96 / 0.95 / 0.95 / 0.95 expanded, 0.88 / 0.89 / 0.93 / 0.94 percentile, and
    0.50-0.60 if people alone are drawn. Where sites do not differ, the two stages count the error
    of people twice, and the interval is too wide (coverage 1.00 with 7 sites).

    With K sites that differ by much more than the error of people, no interval by resampling goes
    beyond the sites seen, and all of them lie on one side of the truth with probability
    :math:`2^{1-K}`: the coverage cannot exceed 0.75 / 0.88 / 0.94 with 3 / 4 / 5 sites.

    A sample in which the statistic is not finite (one class, one age) is left out, as long as that
    happens in at most 1 %.

    References
    ----------
    .. [1] Hesterberg, T. C. (2015). What teachers should know about the bootstrap: resampling in
       the undergraduate statistics curriculum. The American Statistician 69, 371-386.
    .. [2] Efron, B. (1987). Better bootstrap confidence intervals. Journal of the American
       Statistical Association 82, 171-185.
    .. [3] Davison, A. C., Hinkley, D. V. (1997). Bootstrap Methods and their Application. Cambridge
       University Press.

    Examples
    --------
    Gaps of 8 sites, each with a bias of its own:

    >>> import numpy as np
    >>> from mresklearn.metrics import bootstrap_ci
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(list("abcdefgh"), 25)
    >>> gap = rng.normal(0, 4, 200) + np.repeat(rng.normal(0, 3, 8), 25)
    >>> people = bootstrap_ci(np.mean, gap, n_resamples=500, random_state=0)
    >>> sites = bootstrap_ci(np.mean, gap, site=site, n_resamples=500, random_state=0)
    >>> bool(sites.high - sites.low > 2 * (people.high - people.low))
    True
    """
    if not arrays:
        raise ValueError("bootstrap_ci needs at least one array, as in bootstrap_ci(np.mean, gap).")
    tables = tuple(np.asarray(array) for array in arrays)
    check_consistent_length(*tables)
    resampler, n_units = _units(len(tables[0]), groups, site, method, confidence)
    estimate = float(statistic(*tables))
    if not np.isfinite(estimate):
        raise ValueError(f"The statistic of the rows themselves is {estimate}: nothing to bound.")

    compute = partial(_of_sample, statistic, tables, resampler)
    evaluate = partial(repeat, n_jobs=n_jobs, verbose=verbose)
    seeds = draw_seeds(check_random_state(random_state), n_resamples)
    distribution = evaluate(compute, seeds, label="Bootstrap")
    finite = _finite(distribution)
    if method == "bca":
        leave_out = partial(_without_unit, statistic, tables, resampler)
        jackknife = evaluate(leave_out, np.arange(n_units), label="Jackknife")
        if not np.isfinite(jackknife).all():
            raise ValueError(
                f"Without one of the persons (number {np.argmin(np.isfinite(jackknife))}) the "
                "statistic is not finite, so method='bca' cannot judge its skewness. Use "
                "method='expanded'."
            )
        at = bca_levels(confidence, estimate, finite, jackknife)
    else:
        at = levels(confidence, n_units if method == "expanded" else None)
    low, high = interval(finite, at)
    moves = np.ptp(finite) > 0
    return Bunch(
        estimate=estimate,
        low=low,
        high=high,
        standard_error=float(finite.std(ddof=1)) if moves else np.nan,
        distribution=distribution,
        n_units=n_units,
    )


def _units(
    n_rows: int, groups: ArrayLike | None, site: ArrayLike | None, method: str, confidence: float
) -> tuple[Resampler, int]:
    """Settle what is drawn, and refuse what cannot give an interval."""
    people = check_people(groups, n_rows)
    if site is None:
        resampler = Resampler(people)
        if resampler.n_units < 2:
            raise ValueError("An interval over people needs at least 2 persons, got 1.")
        return resampler, resampler.n_units
    codes, names = check_labels(site, n_rows, name="site")
    n_sites = len(names)
    if method == "bca":
        raise ValueError(
            "method='bca' is for people: from few sites its skewness is noise. "
            "Use method='expanded' with site=."
        )
    if n_sites < 3:
        raise ValueError(
            f"An interval over sites needs at least 3 sites, got {n_sites}: {names}. Leave "
            "site out for an interval that speaks of people of these sites only."
        )
    reachable = 1 - 2.0 ** (1 - n_sites)
    if reachable < confidence:
        warnings.warn(
            f"{n_sites} sites give an interval of coverage {reachable:.2f} at most where sites "
            f"differ, not {confidence:g}. Say so beside it, or give the number of every site "
            "instead.",
            UnanswerableWarning,
            stacklevel=CALLER,
        )
    return Resampler(people, codes), n_sites


def _of_sample(
    statistic: Callable[..., float], arrays: tuple[np.ndarray, ...], resampler: Resampler, seed: int
) -> float:
    """Compute the statistic of one bootstrap sample."""
    rows = resampler.draw(seed)
    return float(statistic(*(array[rows] for array in arrays)))


def _without_unit(
    statistic: Callable[..., float], arrays: tuple[np.ndarray, ...], resampler: Resampler, unit: int
) -> float:
    """Compute the statistic without one person."""
    rows = resampler.without(unit)
    return float(statistic(*(array[rows] for array in arrays)))


def _finite(distribution: np.ndarray) -> np.ndarray:
    """Drop the rare samples without a statistic; refuse where they are not rare."""
    finite = np.isfinite(distribution)
    if np.mean(~finite) > 0.01:
        raise ValueError(
            f"The statistic is not finite in {np.sum(~finite)} of {len(finite)} bootstrap samples, "
            "so its interval would describe the others only. Some class or value has too few "
            "people: pool it, or report the estimate without an interval."
        )
    return distribution[finite]
