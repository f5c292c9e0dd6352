"""time_to_conversion: visits of people into one row a person, with time and event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ._columns import check_columns, first_labels, numbers_of, people_of

__all__ = ["TimeToConversion", "time_to_conversion"]

OWN = ("duration", "event", "last_stable", "first_seen", "start", "n_visits", "reverted")


@dataclass(frozen=True, eq=False)
class TimeToConversion:
    """People at risk and when they converted; :func:`time_to_conversion` makes it.

    Attributes
    ----------
    table : DataFrame
        One person a row, by person, with the columns of the starting visit (status, age, features,
        whatever the visits hold) and

        duration : float
            Time from the starting visit to conversion, or to the last visit.
        event : bool
            Whether the person converted.
        last_stable, first_seen : float
            Between these two times the conversion took place; `first_seen` is infinite for people
            who did not convert. For models of interval-censored data.
        start : float
            When the person's starting visit was, on the scale of the visits.
        n_visits : int
            Number of visits from the starting one on.
        reverted : bool
            Whether a visit after one that counts as converted does not.
    excluded : Series of str
        Why each person who is not in the table is not, by person.
    """

    table: pd.DataFrame = field(repr=False)
    excluded: pd.Series = field(repr=False)

    def __repr__(self) -> str:
        """Give the counts, which a report needs."""
        counts = "".join(f", {n} {why}" for why, n in self.excluded.value_counts().items())
        return (
            f"TimeToConversion({len(self.table)} people at risk, {self.table.event.sum()} "
            f"converted; left out: {len(self.excluded)}{counts})"
        )


@validate_params(
    {
        "converted": [callable, "array-like"],
        "person": [str],
        "time": [str],
        "status": [str],
        "event_at": [StrOptions({"midpoint", "first_seen"})],
        "lasting": ["boolean"],
        "start_visit": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def time_to_conversion(
    visits: pd.DataFrame,
    *,
    converted: Callable[[pd.Series], Any] | Sequence[Any],
    person: str = "person",
    time: str = "time",
    status: str = "status",
    event_at: str = "midpoint",
    lasting: bool = False,
    start_visit: int = 1,
) -> TimeToConversion:
    """Turn visits into time to conversion, one row a person who could still convert.

    A conversion is never seen, only that it happened between two visits. This keeps both visits,
    says where it puts the event, and counts the people who tell nothing.

    Parameters
    ----------
    visits : DataFrame of shape (n_visits, ...)
        One visit a row, in any order.
    converted : callable or array-like
        What counts as converted: values of `status`, such as ``["AD"]``, or a function of that
        column that returns booleans, such as ``lambda cdr: cdr > 0``.
    person : str, default="person"
        Column of the person.
    time : str, default="time"
        Column of the time of the visit in years: since enrolment, or age.
    status : str, default="status"
        Column of the diagnosis or rating.
    event_at : {"midpoint", "first_seen"}, default="midpoint"
        Where in the interval the event is put: half-way between the last visit without and the
        first with conversion, or at the latter, which is late by half a visit on average.
    lasting : bool, default=False
        Count a conversion only if it is still there at all later visits: the first visit of the
        last unbroken run. People who reverted for good are then stable up to their last visit.
    start_visit : int, default=1
        Visit that time is counted from. 2 or more leaves earlier visits for slopes
        (:func:`gap_slopes`); who had converted by then is left out.

    Returns
    -------
    conversion : TimeToConversion
        With ``table``, for :func:`conversion_model`, and ``excluded``.

    Raises
    ------
    ValueError
        If a column is missing or has the name of a result, a person, time or status is missing, a
        person has two visits at one time, nobody's status counts as converted, or nobody is left.

    See Also
    --------
    conversion_model : Who converts sooner.
    conversion_curves : Share converted over time.

    Notes
    -----
    Conversions that are found at one visit and count as events at a point are a simplification;
    hazard ratios suffer little where intervals are short beside the follow-up, absolute risks more
    [1]_. Compare both settings of `event_at`, and where they differ use `last_stable` and
    `first_seen` in a model for interval-censored data.

    Whoever does not come back is taken to be as likely to convert as the others (independent
    censoring). People who decline often stop coming, and no analysis of these columns shows it.

    References
    ----------
    .. [1] Lindsey, J. C., Ryan, L. M. (1998). Methods for interval-censored data. Statistics in
       Medicine 17, 219-238.

    Examples
    --------
    >>> import pandas as pd
    >>> from mresklearn.progression import time_to_conversion
    >>> visits = pd.DataFrame(
    ...     {
    ...         "person": ["a", "a", "a", "b", "b", "c", "d", "d"],
    ...         "time": [0, 2, 4, 0, 3, 0, 0, 1],
    ...         "status": ["CN", "CN", "AD", "CN", "CN", "CN", "AD", "AD"],
    ...     }
    ... )
    >>> conversion = time_to_conversion(visits, converted=["AD"])
    >>> conversion
    TimeToConversion(2 people at risk, 1 converted; left out: 2, 1 seen once, 1 converted at start)
    >>> conversion.table[["duration", "event", "last_stable", "first_seen"]]
            duration  event  last_stable  first_seen
    person
    a            3.0   True          2.0         4.0
    b            3.0  False          3.0         inf
    """
    check_columns(visits, (person, time, status), "visits")
    taken = [name for name in OWN if name in visits.columns and name not in (person, time, status)]
    if taken:
        raise ValueError(
            f"visits has a column {taken[0]!r}, which is the name of a result: rename it."
        )
    codes = people_of(visits, person)[0]
    labels = first_labels(visits, person, codes)
    ill = _converted(visits[status], converted)
    # times as text would be sorted as text, and one person written in two ways be two
    told = {person: labels.take(codes).array, time: numbers_of(visits, time), "_ill": ill}
    rows = visits.assign(**told).sort_values([person, time], kind="stable")
    _refuse_double(rows, person, time)
    kept, excluded = {}, {}
    for name, own in rows.groupby(person, sort=True):
        seen = own["_ill"].to_numpy()
        reason = _why_not(seen, start_visit)
        if reason:
            excluded[name] = reason
        else:
            times = own[time].to_numpy(dtype=float)[start_visit - 1 :]
            course = _course(times, seen[start_visit - 1 :], event_at, lasting)
            kept[name] = own.iloc[start_visit - 1].drop(["_ill", person]).to_dict() | course
    if not kept:
        raise ValueError(
            "Nobody is at risk: everybody was seen too few times or had converted at the start "
            f"({pd.Series(excluded).value_counts().to_dict()})."
        )
    table = pd.DataFrame.from_dict(kept, orient="index").rename_axis(person)
    left_out = pd.Series(excluded, name="excluded", dtype=object).rename_axis(person)
    return TimeToConversion(table=table, excluded=left_out)


def _converted(column: pd.Series, converted: Any) -> np.ndarray:
    """Mark the visits that count as converted; none at all is a spelling mistake."""
    if column.isna().any():
        rows = ", ".join(map(str, column.index[column.isna()][:5]))
        raise ValueError(
            f"Column {column.name!r} is missing in {column.isna().sum()} of {len(column)} visits "
            f"(rows {rows}): whether these people had converted is not known. Drop the visits."
        )
    if callable(converted):
        ill = np.asarray(converted(column))
        if ill.shape != (len(column),) or ill.dtype != bool:
            raise ValueError(
                f"converted must return a truth value for each visit, got {ill.dtype} of shape "
                f"{ill.shape}. Write it as in converted=lambda cdr: cdr > 0."
            )
    else:
        ill = column.isin(list(converted)).to_numpy()
    if not ill.any():
        found = ", ".join(map(repr, sorted(column.unique(), key=str)[:8]))
        raise ValueError(f"No visit counts as converted. Column {column.name!r} holds {found}.")
    return ill


def _refuse_double(rows: pd.DataFrame, person: str, time: str) -> None:
    """Two visits at one time have no order, so which of them is the later cannot be told."""
    double = rows.duplicated([person, time])
    if double.any():
        first = rows[double].iloc[0]
        raise ValueError(
            f"{first[person]!r} has two visits at {time} {first[time]} (and so have "
            f"{rows.loc[double, person].nunique() - 1} others): keep one of them."
        )


def _why_not(seen: np.ndarray, start_visit: int) -> str:
    """Say why a person tells nothing about conversion; empty if there is no reason."""
    if seen[:start_visit].any():
        return "converted at start"
    if len(seen) == 1:
        return "seen once"
    return "not seen after start" if len(seen) <= start_visit else ""


def _course(times: np.ndarray, ill: np.ndarray, event_at: str, lasting: bool) -> dict[str, Any]:
    """Time, event and the interval that holds it, of one person."""
    since = times - times[0]
    reverted = bool((ill[:-1] & ~ill[1:]).any())
    event = bool(ill[-1]) if lasting else bool(ill.any())
    if event:
        well = np.flatnonzero(~ill)
        visit = int(well[-1]) + 1 if lasting else int(np.argmax(ill))
        stable, first = since[visit - 1], since[visit]
        duration = (stable + first) / 2 if event_at == "midpoint" else first
    else:
        stable, first, duration = since[-1], np.inf, since[-1]
    values = (duration, event, stable, first, times[0], len(times), reverted)
    return {
        name: float(value) if isinstance(value, np.floating) else value
        for name, value in zip(OWN, values, strict=True)
    }
