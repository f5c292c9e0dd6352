"""conversion_curves: share of people converted over time, group by group."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils._param_validation import Interval, validate_params

from ._columns import check_columns, check_flags, numbers_of, people_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ConversionCurves", "conversion_curves"]


@dataclass(frozen=True, eq=False)
class ConversionCurves:
    """Share converted over time by group; :func:`conversion_curves` makes it.

    Attributes
    ----------
    table : DataFrame
        One group and time a row, for time 0 and each time at which somebody converted or left:

        group : str
            The group, in order.
        time : float
            On the scale of the durations.
        n_at_risk, n_events : int
            People followed up to this time and not converted before, and conversions at it.
        converted, low, high : float
            Share converted up to and with this time, and its interval at this time; the interval
            is NaN before the first conversion.
    by : str
        Column that the groups come from.
    """

    table: pd.DataFrame = field(repr=False)
    by: str

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the curves, with ticks where people were last seen and numbers at risk below.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure of 6 by 4.4 inches.

        Returns
        -------
        figure : matplotlib Figure
            The figure that holds the axes.
        """
        from ._conversion_curves_plot import draw_curves  # matplotlib only where it is drawn

        return draw_curves(self, ax)


@validate_params(
    {
        "by": [str],
        "n_groups": [Interval(Integral, 1, 6, closed="both")],
        "duration": [str],
        "event": [str],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def conversion_curves(
    table: pd.DataFrame,
    *,
    by: str,
    n_groups: int = 3,
    duration: str = "duration",
    event: str = "event",
    confidence: float = 0.95,
) -> ConversionCurves:
    r"""Estimate the share converted over time in groups of people, such as tertiles of the gap.

    The picture beside a Cox model: how many convert, when, and how few are left at the end.

    Parameters
    ----------
    table : DataFrame of shape (n_people, ...)
        One person a row, such as ``time_to_conversion(...).table``.
    by : str
        Column that makes the groups. Labels are the groups; numbers are cut at their quantiles.
    n_groups : int, default=3
        Groups that numbers are cut into, at most 6.
    duration, event : str, default="duration" and "event"
        Columns of the time to conversion or last visit, and of whether it converted.
    confidence : float, default=0.95
        Coverage of the interval at a time.

    Returns
    -------
    curves : ConversionCurves
        With ``table`` and ``plot()``.

    Raises
    ------
    ValueError
        If a column or value is missing, a time is negative, or numbers have too few different
        values for the groups.

    See Also
    --------
    conversion_model : The comparison; groups are for looking, and cutting numbers costs power.

    Notes
    -----
    Kaplan and Meier's estimate [1]_, :math:`1 - \prod_{t_i \le t} (1 - d_i / n_i)`, with
    Greenwood's variance on the scale of log(-log), which keeps intervals in [0, 1].

    References
    ----------
    .. [1] Kaplan, E. L., Meier, P. (1958). Nonparametric estimation from incomplete observations.
       JASA 53, 457-481.

    Examples
    --------
    >>> import pandas as pd
    >>> from mresklearn.progression import conversion_curves
    >>> people = pd.DataFrame(
    ...     {
    ...         "duration": [1.0, 2.0, 3.0, 4.0],
    ...         "event": [True, False, True, False],
    ...         "sex": ["F", "F", "F", "F"],
    ...     }
    ... )
    >>> curves = conversion_curves(people, by="sex")
    >>> curves.table[["time", "n_at_risk", "n_events", "converted"]]
       time  n_at_risk  n_events  converted
    0   0.0          4         0      0.000
    1   1.0          4         1      0.250
    2   2.0          3         0      0.250
    3   3.0          2         1      0.625
    4   4.0          1         0      0.625
    """
    check_columns(table, (by, duration, event), "table")
    times = numbers_of(table, duration)
    if (times < 0).any():
        row = table.index[int(np.argmax(times < 0))]
        raise ValueError(f"Column {duration!r} is {times.min():g} in row {row}: time is negative.")
    happened = check_flags(table, event)
    codes, labels = _groups(table, by, n_groups)
    parts = [
        _curve(times[codes == code], happened[codes == code], confidence).assign(group=label)
        for code, label in enumerate(labels)
    ]
    curves = pd.concat(parts, ignore_index=True)
    return ConversionCurves(curves[["group", *curves.columns.drop("group")]], by)


def _groups(table: pd.DataFrame, by: str, n_groups: int) -> tuple[np.ndarray, list[str]]:
    """Take labels as they are, and cut numbers at quantiles; equal numbers stay together."""
    if not pd.api.types.is_numeric_dtype(table[by]) or pd.api.types.is_bool_dtype(table[by]):
        codes, labels = people_of(table, by)
        if len(labels) > 6:
            raise ValueError(f"Column {by!r} has {len(labels)} labels: pool them to at most 6.")
        return codes, labels
    values = numbers_of(table, by)
    edges = np.quantile(values, np.arange(1, n_groups) / n_groups)
    codes = np.searchsorted(edges, values, side="left")
    if len(np.unique(codes)) < n_groups:
        raise ValueError(
            f"Column {by!r} has too many equal values to be cut into {n_groups} groups at its "
            "quantiles. Ask for fewer, or turn it into labels at values that mean something."
        )
    ends = [(values[codes == code].min(), values[codes == code].max()) for code in range(n_groups)]
    return codes, [f"{low:.4g} to {high:.4g}" for low, high in ends]


def _curve(times: np.ndarray, happened: np.ndarray, confidence: float) -> pd.DataFrame:
    """Kaplan and Meier's share converted of one group."""
    moments, position = np.unique(np.append(0.0, times), return_inverse=True)
    position = position[1:]
    events = np.bincount(position, weights=happened, minlength=len(moments))
    leaving = np.bincount(position, minlength=len(moments))
    at_risk = len(times) - np.concatenate([[0], np.cumsum(leaving)[:-1]])
    free = np.cumprod(1 - events / at_risk)
    z = stats.norm.ppf((1 + confidence) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):  # no interval at shares of 0 and 1
        greenwood = np.cumsum(events / (at_risk * (at_risk - events)))
        move = np.exp(z * np.sqrt(greenwood) / np.abs(np.log(free)))
        low, high = 1 - free ** (1 / move), 1 - free**move
    known = (free > 0) & (free < 1)
    return pd.DataFrame(
        {
            "time": moments,
            "n_at_risk": at_risk.astype(int),
            "n_events": events.astype(int),
            "converted": 1 - free,
            "low": np.where(known, low, np.nan),
            "high": np.where(known, high, np.nan),
        }
    )
