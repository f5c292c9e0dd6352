"""The picture of conversion over time, with the number of people that it still rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .._plot_style import HUES, LINE, STYLE

if TYPE_CHECKING:
    from ._conversion_curves import ConversionCurves

__all__ = ["draw_curves"]

DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
BELOW, ROW = 40, 11  # points below the axes: first line of the numbers, and each further one


def draw_curves(curves: ConversionCurves, ax: Axes | None = None) -> Figure:
    """Draw the picture; see :meth:`ConversionCurves.plot`."""
    with rc_context(STYLE):
        if ax is None:
            ax = Figure(figsize=(6, 4.4), layout="constrained").subplots()
        groups = list(dict.fromkeys(curves.table.group))
        for position, group in enumerate(groups):
            part = curves.table[curves.table.group == group]
            _draw_group(ax, part, HUES[position], DASHES[position], f"{group}")
        ax.set_xlim(0, float(curves.table.time.max()) * 1.02)
        top = float(np.nanmax(curves.table[["converted", "high"]].to_numpy()))
        ax.set_ylim(0, max(min(1.0, top * 1.1), 0.05))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.set_xlabel("time since start")
        ax.set_ylabel("share converted")
        ax.grid(axis="y", color=LINE, linewidth=0.6)
        ax.set_axisbelow(True)
        ax.legend(title=curves.by, title_fontsize=8, loc="upper left")
        _write_at_risk(ax, curves.table, groups)
    return ax.figure.figure


def _draw_group(ax: Axes, part: pd.DataFrame, hue: str, dash: object, label: str) -> None:
    """One step curve with its band; a tick where somebody left without converting."""
    bounds = part[["low", "high"]].fillna({"low": 0.0, "high": 0.0}).where(part.converted < 1)
    ax.fill_between(
        part.time, bounds.low, bounds.high, step="post", color=hue, alpha=0.13, linewidth=0
    )
    ax.step(
        part.time, part.converted, where="post", color=hue, linestyle=dash, linewidth=1.8,
        label=label,
    )  # fmt: skip
    left = part.n_at_risk - part.n_at_risk.shift(-1, fill_value=0) - part.n_events
    gone = part[left > 0]
    ax.plot(
        gone.time, gone.converted, linestyle="none", marker="|", color=hue, markersize=6,
        clip_on=False,
    )  # fmt: skip


def _write_at_risk(ax: Axes, table: pd.DataFrame, groups: list[str]) -> None:
    """Write below each tick how many people of each group are still followed."""
    last = float(table.time.max())
    ticks = [tick for tick in ax.get_xticks() if 0 <= tick <= last]
    place = ax.get_xaxis_transform()
    words: dict[str, Any] = {
        "xycoords": place,
        "textcoords": "offset points",
        "va": "center",
        "fontsize": 8,
    }
    ax.annotate("at risk", (0, 0), (0, -BELOW), ha="left", **words)
    for position, group in enumerate(groups):
        part = table[table.group == group]
        for tick in ticks:
            later = part[part.time >= tick]
            number = int(later.n_at_risk.iloc[0]) if len(later) else 0
            ax.annotate(
                str(number), (tick, 0), (0, -BELOW - ROW * (position + 1)), ha="center",
                color=HUES[position], fontweight="bold", annotation_clip=False, **words,
            )  # fmt: skip
