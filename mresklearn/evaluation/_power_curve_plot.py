"""The picture of a power curve: power over the number of patients, false alarms beneath."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .._plot_style import FAINT, HUES, INK, LINE, STYLE

if TYPE_CHECKING:
    from ._power_curve import PowerCurve

__all__ = ["draw_power"]


def draw_power(curve: PowerCurve, ax: Axes | None = None) -> Figure:
    """Draw the picture; see :meth:`PowerCurve.plot`."""
    with rc_context(STYLE):
        own = ax is None
        if ax is None:
            ax = Figure(figsize=(6, 4), layout="constrained").subplots()
        groups = list(dict.fromkeys(curve.table.index.get_level_values("group")))
        for number, group in enumerate(groups):
            needed = curve.needed.loc[(group, "difference"), "n"]
            _draw_group(ax, curve.table.loc[group], group, needed, HUES[number % len(HUES)])
        _draw_lines(ax, curve)
        sizes = np.unique(curve.table.index.get_level_values("n_patients"))
        ax.set_xscale("log")
        ax.set_xticks(sizes, [f"{size:d}" for size in sizes])
        ax.minorticks_off()
        ax.set_xlabel("patients in the study")
        ax.set_ylim(0, 1.02)
        ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        ax.set_ylabel("studies that find a difference")
        ax.grid(axis="y", color=LINE, linewidth=0.6)
        ax.set_axisbelow(True)
        drawn = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        labels = sorted(drawn, key=lambda label: groups.index(label.rsplit(": ", 1)[0]))
        entries = {"handles": [drawn[label] for label in labels], "labels": labels}
        if own:
            ax.figure.legend(loc="outside lower center", ncols=min(len(groups), 3), **entries)
        else:
            ax.legend(loc="best", **entries)
    return ax.figure.figure


def _draw_group(ax: Axes, table: pd.DataFrame, group: str, needed: float, hue: str) -> None:
    """Draw power, what the people at hand leave possible, and false alarms of one group."""
    sizes = table.index.to_numpy(float)
    ax.fill_between(
        sizes, table.power_weakest, table.power_strongest, color=hue, alpha=0.13, linewidth=0,
        label=f"{group}: range that the people at hand leave",
    )  # fmt: skip
    reach = f"{needed:.0f}" if np.isfinite(needed) else f"over {sizes[-1]:.0f}"
    _draw_share(
        ax, table, "power", hue, marker="o", label=f"{group}: power (target at {reach} patients)"
    )
    _draw_share(
        ax, table, "level", hue, marker="s", markersize=3.5, linestyle=":", linewidth=1, alpha=0.8,
        label=f"{group}: false alarms, had they no difference",
    )  # fmt: skip


def _draw_share(ax: Axes, table: pd.DataFrame, name: str, hue: str, **style: object) -> None:
    """Draw a share with its Monte Carlo interval."""
    share = table[name]
    bars = np.abs([share - table[f"{name}_low"], table[f"{name}_high"] - share])
    options: dict = {"linewidth": 1.5, "markersize": 5, "elinewidth": 1, "capsize": 2} | style
    ax.errorbar(table.index.to_numpy(float), share, yerr=bars, color=hue, **options)


def _draw_lines(ax: Axes, curve: PowerCurve) -> None:
    """Mark the power asked for and the level."""
    ax.axhline(curve.target, color=INK, linewidth=0.9, linestyle="--", zorder=1)
    ax.axhline(curve.alpha, color=FAINT, linewidth=0.9, zorder=1)
    for height, text in ((curve.target, "target"), (curve.alpha, "level")):
        ax.annotate(
            text, (1, height), (3, 0), xycoords=ax.get_yaxis_transform(),
            textcoords="offset points", ha="left", va="center", fontsize=8,
        )  # fmt: skip
