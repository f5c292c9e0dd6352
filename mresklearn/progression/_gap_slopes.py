"""gap_slopes: how fast the gap of each person grows, and how far that can be believed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from sklearn.utils._param_validation import Interval, validate_params

from .._metadata import check_labels
from ..exceptions import UnanswerableWarning
from ._columns import check_columns, first_labels, numbers_of, people_of

__all__ = ["GapSlopes", "gap_slopes"]

CALLER = 4  # stack level: two functions and the check of parameters lie before the caller


@dataclass(frozen=True, eq=False)
class GapSlopes:
    """Slopes of the gap by person; :func:`gap_slopes` makes it.

    Attributes
    ----------
    table : DataFrame
        One person a row, by person, with the columns

        n_visits : int
            Visits that were used, at least 2.
        span : float
            Time between the first and the last of them.
        slope, standard_error : float
            Least-squares slope, in years of gap per unit of time, and its error from the noise of
            visits.
        reliability : float
            Share of the variance of such a slope that is differences between people, in [0, 1].
        slope_shrunken : float
            `slope`, drawn towards the mean as far as it is noise: the best prediction of the
            person's own slope.
    mean_slope, mean_slope_error : float
        Mean slope of these people, weighted by what is known of each, and its standard error.
    slope_sd : float
        Standard deviation of true slopes between people.
    visit_sd : float
        Standard deviation of a visit's gap around the person's line, in years.
    reliability : float
        Mean reliability of the people; a feature is no better than the root of it.
    single : tuple
        People with one visit, who have no slope.
    """

    table: pd.DataFrame = field(repr=False)
    mean_slope: float
    mean_slope_error: float
    slope_sd: float
    visit_sd: float
    reliability: float
    single: tuple[Any, ...] = field(repr=False)


@validate_params(
    {
        "gap": [str],
        "time": [str],
        "person": [str],
        "until": [pd.Series, None],
        "visit_sd": [Interval(Real, 0, None, closed="neither"), None],
    },
    prefer_skip_nested_validation=True,
)
def gap_slopes(
    visits: pd.DataFrame,
    *,
    gap: str = "gap",
    time: str = "time",
    person: str = "person",
    until: pd.Series | None = None,
    visit_sd: float | None = None,
) -> GapSlopes:
    r"""Estimate how fast each person's brain-age gap grows, and how much of that is noise.

    A slope from two visits is mostly noise of the two. This says how much, and gives the slope that
    is left when the noise is taken out.

    Parameters
    ----------
    visits : DataFrame of shape (n_visits, ...)
        One visit a row, in any order.
    gap : str, default="gap"
        Column of the gap (or any measure).
    time : str, default="time"
        Column of the time in years, since enrolment or age.
    person : str, default="person"
        Column of the person.
    until : Series or None, default=None
        Last time to be used, by person, such as ``start`` of :func:`time_to_conversion` with
        ``start_visit=2``; people who are not in it are left out. A slope that is to foresee
        conversion must not use what came after the start. None: all visits.
    visit_sd : float or None, default=None
        Standard deviation of a visit's gap around the person's line, in years, from people scanned
        twice within days: that of their differences over the root of 2. None: from people with 3
        visits or more. Needed where there are none.

    Returns
    -------
    slopes : GapSlopes
        With ``table``, ``mean_slope``, ``slope_sd``, ``visit_sd`` and ``reliability``.

    Raises
    ------
    ValueError
        If a column or value is missing, a person has two visits at one time, fewer than 3 people
        have 2 visits, or the noise of a visit cannot be told: nobody has 3 visits and `visit_sd` is
        not given, or all gaps lie exactly on lines.

    Warns
    -----
    UnanswerableWarning
        If the slopes differ by no more than noise does: all shrunken slopes are then the mean.

    See Also
    --------
    longitudinal_gap : Slopes of groups.
    time_to_conversion : Where `until` comes from.

    Notes
    -----
    The mixed model :math:`g_{ij} = a_i + b_i t_{ij} + e_{ij}`, with a level :math:`a_i` for each
    person, slopes :math:`b_i \sim N(\mu, \tau^2)` and noise :math:`\sigma^2`, by restricted maximum
    likelihood ([1]_). The slope of person i has error variance :math:`v_i = \sigma^2 / \sum_j
    (t_{ij} - \bar t_i)^2`, the reliability :math:`r_i = \tau^2 / (\tau^2 + v_i)`, and the best
    linear unbiased prediction :math:`\mu + r_i (\hat b_i - \mu)`. Levels are free, so that a high
    first gap does not pull the slope down.

    References
    ----------
    .. [1] Laird, N. M., Ware, J. H. (1982). Random-effects models for longitudinal data. Biometrics
       38, 963-974.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from mresklearn.progression import gap_slopes
    >>> rng = np.random.default_rng(0)
    >>> visits = pd.DataFrame({"person": np.arange(60)})
    >>> visits = visits.merge(pd.DataFrame({"time": [0, 1, 2, 4]}), how="cross")
    >>> own = np.repeat(rng.normal(0.5, 1, 60), 4)
    >>> visits["gap"] = own * visits.time + rng.normal(0, 1, 240)
    >>> slopes = gap_slopes(visits)
    >>> print(f"{slopes.slope_sd:.1f} {slopes.visit_sd:.1f} {slopes.reliability:.1f}")
    1.0 1.0 0.9
    """
    check_columns(visits, (gap, time, person), "visits")
    codes, names = people_of(visits, person)
    everybody = first_labels(visits, person, codes)
    times, gaps = numbers_of(visits, time), numbers_of(visits, gap)
    if until is not None:
        until_codes, until_names = check_labels(until.index, len(until), name="until.index")
        by_name = pd.Series(until.to_numpy(float), np.take(until_names, until_codes))
        last = by_name.reindex(names).to_numpy()
        # who is not in it is left out
        kept = times <= np.where(np.isnan(last), -np.inf, last)[codes]
        if not kept.any():
            raise ValueError("until leaves no visit: its index must be the persons of the visits.")
        codes, times, gaps = codes[kept], times[kept], gaps[kept]
    present = np.unique(codes)
    labels = everybody[present]
    codes = np.searchsorted(present, codes)
    table, squares, degrees = _lines(codes, times, gaps, labels)
    single = tuple(table.index[table.n_visits == 1])
    table = table[table.n_visits > 1]
    if len(table) < 3:
        raise ValueError(
            f"{len(table)} people have 2 visits or more, and slopes are compared from 3 on."
        )
    if visit_sd is None:
        _refuse_without_noise(squares, degrees, gaps)
    noise, mean, spread = _components(table, squares, degrees, visit_sd)
    if spread == 0:
        warnings.warn(
            "The slopes of these people differ by no more than the noise of their visits "
            f"(visit_sd {noise**0.5:.2g}), so there is nothing to tell them apart by. Longer "
            "intervals or more visits would help.",
            UnanswerableWarning,
            stacklevel=CALLER - 1,
        )
    error = noise / table["_scatter"]
    share = spread / (spread + error)
    table = table.assign(
        standard_error=np.sqrt(error),
        reliability=share,
        slope_shrunken=mean + share * (table.slope - mean),
    )
    columns = ["n_visits", "span", "slope", "standard_error", "reliability", "slope_shrunken"]
    return GapSlopes(
        table=table[columns],
        mean_slope=mean,
        mean_slope_error=float((1 / (spread + error)).sum() ** -0.5),
        slope_sd=float(np.sqrt(spread)),
        visit_sd=float(np.sqrt(noise)),
        reliability=float(share.mean()),
        single=single,
    )


def _lines(
    codes: np.ndarray, times: np.ndarray, gaps: np.ndarray, labels: pd.Index
) -> tuple[pd.DataFrame, float, int]:
    """Least-squares line of each person; squares and degrees of freedom of what is left."""
    number = np.bincount(codes)
    order = np.lexsort((times, codes))
    same = (np.diff(codes[order]) == 0) & (np.diff(times[order]) == 0)
    if same.any():
        place = order[1:][same][0]
        raise ValueError(
            f"{str(labels[codes[place]])!r} has two visits at time {times[place]:g}: average them, "
            "or keep one."
        )
    since = times - (np.bincount(codes, weights=times) / number)[codes]
    moved = gaps - (np.bincount(codes, weights=gaps) / number)[codes]
    scatter = np.bincount(codes, weights=since**2)
    scatter[number == 1] = np.nan
    slope = np.bincount(codes, weights=since * moved) / scatter
    left = (moved - np.nan_to_num(slope)[codes] * since)[number[codes] > 1]
    first = np.concatenate([[0], np.cumsum(number)[:-1]])
    ordered = times[order]
    table = pd.DataFrame(
        {
            "n_visits": number,
            "span": ordered[first + number - 1] - ordered[first],
            "slope": slope,
            "_scatter": scatter,
        },
        index=labels,
    )
    return table, float((left**2).sum()), int((number[number > 1] - 2).sum())


def _refuse_without_noise(squares: float, degrees: int, gaps: np.ndarray) -> None:
    """Two visits lie on a line whatever their noise, so somebody has to have three."""
    if degrees == 0:
        raise ValueError(
            "Nobody has 3 visits, so that the noise of a visit cannot be told from slopes. Give "
            "visit_sd=, from people scanned twice within days (the standard deviation of their "
            "differences over the root of 2)."
        )
    if squares <= 1e-18 * degrees * max(1.0, np.abs(gaps).max() ** 2):
        raise ValueError(
            "The gaps of everybody lie exactly on lines. Check that they were measured at each "
            "visit, and not filled in."
        )


def _components(
    table: pd.DataFrame, squares: float, degrees: int, visit_sd: float | None
) -> tuple[float, float, float]:
    """Noise variance, mean slope and variance of slopes, by restricted maximum likelihood."""
    slope, unit = table.slope.to_numpy(), 1 / table["_scatter"].to_numpy()

    def solve(ratio: float) -> tuple[float, float, float]:
        """Return noise, mean and deviance where slopes vary `ratio` times as much as noise."""
        weight = 1 / (ratio + unit)
        mean = float(weight @ slope / weight.sum())
        rest = float(weight @ (slope - mean) ** 2)
        known = visit_sd is not None
        total = degrees + len(slope) - 1
        noise = visit_sd**2 if visit_sd is not None else (squares + rest) / total
        deviance = -np.log(weight).sum() + np.log(weight.sum())
        deviance += (len(slope) - 1) * np.log(noise) + rest / noise if known else 0.0
        deviance += 0.0 if known else total * np.log(noise)
        return noise, mean, float(deviance)

    scale = float(np.median(unit))
    # a grid first, since the deviance may have a second, lower valley
    grid = scale * np.concatenate([[0.0], np.geomspace(1e-4, 1e5, 46)])
    values = [solve(ratio)[2] for ratio in grid]
    best = int(np.argmin(values))
    if best == 0:
        low, high = 0.0, grid[1]
    else:
        low, high = grid[best - 1], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(lambda ratio: solve(ratio)[2], bounds=(low, high), method="bounded",
                            options={"xatol": 1e-9 * max(high, 1e-300)})  # fmt: skip
    ratio = float(found.x) if found.fun < values[0] - 1e-10 else 0.0
    noise, mean, _ = solve(ratio)
    return float(noise), mean, float(ratio * noise)
