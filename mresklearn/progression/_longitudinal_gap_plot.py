"""The picture of gaps over time: everybody's visits, and the line of each group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .._plot_style import HUES, LINE, STYLE

if TYPE_CHECKING:
    from ._longitudinal_gap import LongitudinalGap

__all__ = ["draw_lines"]

MARKS = ("o", "s", "^", "D", "v", "P")


def draw_lines(growth: LongitudinalGap, ax: Axes | None = None) -> Figure:
    """Draw the picture; see :meth:`LongitudinalGap.plot`."""
    with rc_context(STYLE):
        if ax is None:
            ax = Figure(figsize=(6, 4), layout="constrained").subplots()
        estimate = growth.table.estimate
        n_groups = len(growth.slopes)
        covariates = estimate.iloc[2 * n_groups :] @ growth._centre.iloc[2 * n_groups :]
        for code, (label, row) in enumerate(growth.slopes.iterrows()):
            hue, mark = HUES[code % len(HUES)], MARKS[code % len(MARKS)]
            part = growth._visits[growth._visits.group == code]
            for _, own in part.sort_values("time").groupby("person"):
                ax.plot(
                    own.time, own.gap, color=hue, alpha=0.25, linewidth=0.7, marker=mark,
                    markersize=2.5,
                )  # fmt: skip
            level = estimate.iloc[0] + covariates
            level += estimate.iloc[2 * code] if code else 0.0
            span = np.array([part.time.min(), part.time.max()])
            text = f"{label}: {row.slope:.2g} a year ({row.low:.2g} to {row.high:.2g})"
            ax.plot(
                span, level + row.slope * span, color=hue, linewidth=2.4, marker=mark, markersize=5,
                label=text, zorder=3,
            )  # fmt: skip
        ax.set_xlabel("time (years)")
        ax.set_ylabel("gap")
        ax.grid(axis="y", color=LINE, linewidth=0.6)
        ax.set_axisbelow(True)
        ax.legend(loc="best")
    return ax.figure.figure
