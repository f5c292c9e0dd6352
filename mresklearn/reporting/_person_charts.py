"""The two charts of a person: predicted against true age, and the gap among those of controls."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from ._gap_placement import FEWEST_FOR_LINE, ControlLine, GapPlacement
from ._numbers import as_signed, as_years
from ._svg import Chart

__all__ = ["draw_age_line", "draw_gap_chart"]

BAND = 0.95  # share of controls in the band


def draw_age_line(
    age: float, predicted: float, interval: tuple[float, float] | None, alt: str
) -> Markup:
    """Draw both ages on one line, with the interval."""
    finite = interval is not None and bool(np.isfinite(interval).all())
    ends = [age, predicted, *(interval if finite and interval is not None else ())]
    room = max(4.0, 0.18 * (max(ends) - min(ends)))
    chart = Chart(
        (min(ends) - room, max(ends) + room), (0, 1), width=440, height=132,
        left=12, right=12, top=8, bottom=40,
    )  # fmt: skip
    chart.axes("age in years", y_ticks=[])
    if finite and interval is not None:
        chart.area(interval, (0.42, 0.42), (0.58, 0.58), "interval")
        for end, anchor, shift in zip(interval, ("end", "start"), (-6, 6), strict=True):
            chart.text(end, 0.5, as_years(end, 0), "tick", anchor, (shift, 4))
    chart.line((age, age), (0.22, 0.78), "own")
    chart.text(age, 0.22, f"age {as_years(age)}", "label", "middle", (0, 14))
    chart.dots([predicted], [0.5], "person", size=7)
    chart.text(predicted, 0.78, f"predicted {as_years(predicted)}", "strong", "middle", (0, -2))
    return chart.to_markup(alt)


def draw_gap_chart(
    gap: float,
    age: float,
    control_gaps: np.ndarray,
    control_ages: np.ndarray,
    placement: GapPlacement,
    alt: str,
) -> Markup:
    """Draw the gaps of controls by age, the band that holds most of them, and the person."""
    ages, gaps = np.append(control_ages, age), np.append(control_gaps, gap)
    x = _ends(ages, 0.04)
    y = _ends(np.append(gaps, 0.0), 0.1)
    chart = Chart(x, y, height=330)
    if placement.method == "window":
        near = np.clip([age - placement.window, age + placement.window], *x)
        chart.area(near, (y[0], y[0]), (y[1], y[1]), "window")
    chart.axes("chronological age (years)", "gap (years)", y_text=lambda value: as_signed(value, 0))
    chart.line(x, (0, 0), "zero")
    if len(control_ages) >= FEWEST_FOR_LINE:
        line = ControlLine.fit(control_ages, control_gaps)
        places = np.linspace(control_ages.min(), control_ages.max(), 41)
        middle, half = line.expected(places), line.half_width(places, BAND)
        low, high = np.clip([middle - half, middle + half], *y)
        chart.area(places, low, high, "range")
    chart.dots(control_ages, control_gaps, "control")
    chart.dots([age], [gap], "person", size=7)
    up = gap >= 0
    chart.text(
        age, gap, f"this person {as_signed(gap)}", "strong", "middle", (0, -13 if up else 22)
    )
    return chart.to_markup(alt)


def _ends(values: np.ndarray, room: float) -> tuple[float, float]:
    """Return ends of a scale with some room beside the values."""
    low, high = float(values.min()), float(values.max())
    more = room * max(high - low, 1.0)
    return low - more, high + more
