"""longitudinal_gap: whether the gap grows faster in some groups than in others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils._param_validation import Interval, validate_params

from ._columns import check_columns, design_columns, numbers_of, people_of
from ._mixed_model import IN_STEP, LEVELS, MixedFit, fit_mixed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LongitudinalGap", "longitudinal_gap"]


@dataclass(frozen=True, eq=False)
class LongitudinalGap:
    """Growth of the gap by group; :func:`longitudinal_gap` makes it.

    Attributes
    ----------
    table : DataFrame
        One fixed effect a row: ``"level"`` and ``"slope"`` of the reference group at time 0 and
        covariates 0, ``"level: AD - CN"`` and ``"slope: AD - CN"`` for each other group, and the
        covariates. Columns ``estimate``, ``low``, ``high``, ``standard_error``, ``df``,
        ``p_value``.
    slopes : DataFrame
        One group a row: ``n_people``, ``n_visits``, ``slope``, ``low``, ``high``, ``p_value``; the
        p is that of a gap that stays.
    icc : float
        Share of the variance between people of a group in the middle of the times that stays from
        visit to visit.
    level_sd, slope_sd, visit_sd : float
        Standard deviations between people of levels in the middle of the times and of slopes, and
        of visits around a person's line.
    random : str
        What varies between people: ``"levels and slopes"``, ``"levels and slopes in step"`` or
        ``"levels"``; the last two are edges of what covariances can be.
    note : str
        Empty, or what such an edge means.
    """

    table: pd.DataFrame = field(repr=False)
    slopes: pd.DataFrame = field(repr=False)
    icc: float
    level_sd: float
    slope_sd: float
    visit_sd: float
    random: str
    note: str
    _visits: pd.DataFrame = field(repr=False)
    _centre: pd.Series = field(repr=False)

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw each person's visits and the line of each group at mean covariates.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure of 6 by 4 inches.

        Returns
        -------
        figure : matplotlib Figure
            The figure that holds the axes.
        """
        from ._longitudinal_gap_plot import draw_lines  # matplotlib only where it is drawn

        return draw_lines(self, ax)


@validate_params(
    {
        "group": [str],
        "gap": [str],
        "time": [str],
        "person": [str],
        "reference": [str, None],
        "covariates": ["array-like"],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def longitudinal_gap(
    visits: pd.DataFrame,
    *,
    group: str,
    gap: str = "gap",
    time: str = "time",
    person: str = "person",
    reference: str | None = None,
    covariates: Sequence[str] = (),
    confidence: float = 0.95,
) -> LongitudinalGap:
    r"""Compare how fast the brain-age gap grows in groups, from repeated visits.

    Visits of a person are alike, and people age at different rates; a regression that ignores
    either finds differences between groups that are none.

    Parameters
    ----------
    visits : DataFrame of shape (n_visits, ...)
        One visit a row. People with one visit count too: they help with the levels.
    group : str
        Column of the group, one for all visits of a person.
    gap : str, default="gap"
        Column of the gap (or any measure).
    time : str, default="time"
        Column of the time in years, best since the person's first visit.
    person : str, default="person"
        Column of the person.
    reference : str or None, default=None
        Group that the others are compared with. None: the first in alphabetical order.
    covariates : list of str, default=()
        Columns that shift the level: age at the first visit, sex, site. Numbers, or labels (text).
    confidence : float, default=0.95
        Coverage of each interval; not adjusted for the number of them.

    Returns
    -------
    growth : LongitudinalGap
        With ``table``, ``slopes``, ``icc``, ``random``, ``note`` and ``plot()``.

    Raises
    ------
    ValueError
        If a column or value is missing, a person is in two groups, a group has fewer than 2 people
        with 2 visits, the reference is no group, or a column follows from the others.

    See Also
    --------
    gap_slopes : Slopes of single people.
    mresklearn.metrics.compare_gaps : The comparison of levels, from one visit each.

    Notes
    -----
    Restricted maximum likelihood for gap ~ time * group + covariates + (time | person) [1]_.
    The covariance of levels and slopes is free and may end at an edge, where slopes do not vary
    or only in step with levels; `note` then says so.

    Intervals and p are from t with people less coefficients as degrees of freedom; visits are not
    people. Groups that were formed by what happened later (converters) are described, not
    predicted. Whoever stops coming is taken to be like those of the same gaps so far.

    References
    ----------
    .. [1] Laird, N. M., Ware, J. H. (1982). Random-effects models for longitudinal data. Biometrics
       38, 963-974.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from mresklearn.progression import longitudinal_gap
    >>> rng = np.random.default_rng(0)
    >>> people = pd.DataFrame(
    ...     {
    ...         "person": np.arange(60),
    ...         "group": np.repeat(["CN", "MCI"], 30),
    ...         "level": rng.normal(0, 4, 60),
    ...         "slope": rng.normal(np.repeat([0.0, 1.0], 30), 0.5),
    ...     }
    ... )
    >>> visits = people.merge(pd.DataFrame({"time": [0.0, 1.0, 2.0, 3.0]}), how="cross")
    >>> visits["gap"] = visits.level + visits.slope * visits.time + rng.normal(0, 1, 240)
    >>> growth = longitudinal_gap(visits, group="group")
    >>> growth.table.loc["slope: MCI - CN", ["estimate", "low", "high"]].round(1)
    estimate    1.0
    low         0.6
    high        1.4
    Name: slope: MCI - CN, dtype: float64
    >>> print(f"{growth.icc:.2f}")
    0.92
    """
    needed = [person, group, gap, time, *covariates]
    check_columns(visits, needed, "visits")
    twice = [name for name in needed if needed.count(name) > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is given for two things: each needs a column of its own.")
    values, times = numbers_of(visits, gap), numbers_of(visits, time)
    people, _ = people_of(visits, person)
    codes, labels = _check_groups(visits, group, people, reference)
    middle = float(times.mean())
    since = times - middle
    design, labels_of = _design(visits, since, codes, labels, covariates)
    _refuse_collinear(design)
    lines = np.column_stack([np.ones(len(times)), since])
    fit = fit_mixed(values, design.to_numpy(), people, lines)
    df = int(people.max()) + 1 - design.shape[1]
    if df < 1:
        raise ValueError(
            f"{people.max() + 1} people are too few for {design.shape[1]} coefficients."
        )
    to_zero = _to_time_zero(len(labels), design.shape[1], middle)
    estimates = to_zero @ fit.coefficients
    covariance = to_zero @ fit.covariance @ to_zero.T
    table = _tested(estimates, covariance, df, confidence).set_index(pd.Index(labels_of))
    slopes = _slopes(estimates, covariance, labels, df, confidence)
    counts = pd.DataFrame({"code": codes, "person": people}).groupby("code").person
    slopes.insert(0, "n_people", counts.nunique().to_numpy())
    slopes.insert(1, "n_visits", counts.size().to_numpy())
    level, slope = (float(value) for value in np.diag(fit.person_covariance))
    shown = pd.DataFrame({"person": people, "group": codes, "time": times, "gap": values})
    return LongitudinalGap(
        table=table.rename_axis("effect"),
        slopes=slopes,
        icc=level / (level + fit.noise),
        level_sd=level**0.5,
        slope_sd=slope**0.5,
        visit_sd=fit.noise**0.5,
        random=fit.kind,
        note=_note(fit),
        _visits=shown,
        _centre=pd.Series(design.mean(), index=design.columns).set_axis(labels_of),
    )


def _check_groups(
    visits: pd.DataFrame, group: str, people: np.ndarray, reference: str | None
) -> tuple[np.ndarray, list[str]]:
    """Code groups with the reference first; each needs two people from whom a slope can be told."""
    codes, labels = people_of(visits, group)
    pairs = np.unique(np.column_stack([people, codes]), axis=0)
    number = np.bincount(pairs[:, 0])
    if (number > 1).any():
        row = visits.index[np.flatnonzero(people == np.argmax(number > 1))[0]]
        raise ValueError(
            f"Column {group!r} puts a person into two groups (the one of row {row}). Use the group "
            "at the first visit, or one for converters."
        )
    if reference is not None:
        if reference not in labels:
            raise ValueError(f"reference={reference!r} is no group: {', '.join(labels)}.")
        order = [reference, *(label for label in labels if label != reference)]
        codes = np.array([order.index(label) for label in labels])[codes]
        labels = order
    repeated = np.bincount(people) > 1
    group_of = np.zeros(len(repeated), dtype=int)
    group_of[people] = codes
    for code, label in enumerate(labels):
        n_repeated = int(repeated[group_of == code].sum())
        if n_repeated < 2:
            raise ValueError(
                f"Group {label!r} has {n_repeated} people with 2 visits or more, and a slope needs "
                "2. Pool it, or leave it out."
            )
    return codes, labels


def _design(
    visits: pd.DataFrame,
    since: np.ndarray,
    codes: np.ndarray,
    labels: list[str],
    covariates: Sequence[str],
) -> tuple[pd.DataFrame, list[str]]:
    """Columns of the fixed effects: level and slope, those of groups, covariates."""
    columns = {"level": np.ones(len(since)), "slope": since}
    for code, label in enumerate(labels[1:], start=1):
        inside = (codes == code).astype(float)
        columns[f"level: {label} - {labels[0]}"] = inside
        columns[f"slope: {label} - {labels[0]}"] = inside * since
    design = pd.concat(
        [pd.DataFrame(columns, index=visits.index), design_columns(visits, list(covariates))],
        axis=1,
    )
    return design, list(design.columns)


def _refuse_collinear(design: pd.DataFrame) -> None:
    """Name the first column that follows from those before it."""
    scaled = design.to_numpy() / np.maximum(np.sqrt((design.to_numpy() ** 2).mean(axis=0)), 1e-300)
    for position, name in enumerate(design):
        if np.linalg.matrix_rank(scaled[:, : position + 1], tol=1e-7) <= position:
            raise ValueError(
                f"Column {name!r} does not vary, or follows from those before it "
                f"({', '.join(design.columns[:position])}). Drop it."
            )


def _to_time_zero(n_groups: int, n_columns: int, middle: float) -> np.ndarray:
    """Turn levels in the middle of the times, where the fit is stable, into those at time 0."""
    change = np.eye(n_columns)
    for position in range(n_groups):
        change[2 * position, 2 * position + 1] = -middle
    return change


def _tested(
    estimates: np.ndarray, covariance: np.ndarray, df: int, confidence: float
) -> pd.DataFrame:
    """Intervals and two-sided p from t."""
    errors = np.sqrt(np.diag(covariance))
    margin = stats.t.ppf((1 + confidence) / 2, df) * errors
    return pd.DataFrame(
        {
            "estimate": estimates,
            "low": estimates - margin,
            "high": estimates + margin,
            "standard_error": errors,
            "df": df,
            "p_value": 2 * stats.t.sf(np.abs(estimates) / errors, df),
        }
    )


def _slopes(
    estimates: np.ndarray, covariance: np.ndarray, labels: list[str], df: int, confidence: float
) -> pd.DataFrame:
    """Slope of each group: that of the reference and what the group adds."""
    picks = np.zeros((len(labels), len(estimates)))
    picks[:, 1] = 1
    for position in range(1, len(labels)):
        picks[position, 2 * position + 1] = 1
    found = _tested(picks @ estimates, picks @ covariance @ picks.T, df, confidence)
    found = found.rename(columns={"estimate": "slope"}).set_index(pd.Index(labels, name="group"))
    return found[["slope", "low", "high", "p_value"]]


def _note(fit: MixedFit) -> str:
    """Say where the people's lines lie at an edge, and what that means for the intervals."""
    if fit.kind == IN_STEP:
        return (
            "Levels and slopes of people are estimated to vary in step (or one of them not at "
            "all), which few visits lead to: do not read their covariance."
        )
    if fit.kind == LEVELS:
        return (
            "Slopes of people are estimated not to vary, so people differ in level only. "
            "Intervals of slopes are too narrow if they do vary after all."
        )
    return ""
