"""The picture of hazard ratios with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from .._plot_style import FAINT, HUES, STYLE

if TYPE_CHECKING:
    from ._conversion_model import ConversionModel

__all__ = ["draw_ratios"]

WIDEST = 50.0  # ratio at which an interval leaves the picture, as an arrow


def draw_ratios(model: ConversionModel, ax: Axes | None = None) -> Figure:
    """Draw the picture; see :meth:`ConversionModel.plot`."""
    table = model.table
    with rc_context(STYLE):
        if ax is None:
            ax = Figure(figsize=(5, 1.2 + 0.4 * len(table)), layout="constrained").subplots()
        by_sd = table.sd.notna().to_numpy()
        ends = [
            np.where(by_sd, table[f"{name}_sd"], table[name])
            for name in ("hazard_ratio", "low", "high")
        ]
        ratio, low, high = ends
        at = np.arange(len(table))[::-1]
        shown_low, shown_high = np.maximum(low, 1 / WIDEST), np.minimum(high, WIDEST)
        ax.axvline(1, color=FAINT, linewidth=0.9)
        ax.hlines(at, shown_low, shown_high, color=HUES[0], linewidth=1.6)
        ax.plot(ratio, at, linestyle="none", marker="o", color=HUES[0])
        for mark, cut, edge in (("<", low < 1 / WIDEST, 1 / WIDEST), (">", high > WIDEST, WIDEST)):
            ax.plot(np.full(cut.sum(), edge), at[cut], linestyle="none", marker=mark, color=HUES[0])
        ax.set_xscale("log")
        low_edge, high_edge = min(shown_low.min(), 0.5), max(shown_high.max(), 2.0)
        ticks = [t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
                 if low_edge <= t <= high_edge]  # fmt: skip
        ax.set_xticks(ticks)
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
        names = [
            f"{name} (per {sd:.3g})" if known else name
            for name, sd, known in zip(table.index, table.sd, by_sd, strict=True)
        ]
        ax.set_yticks(at, names)
        ax.set_ylim(-0.6, len(table) - 0.4)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel(f"hazard ratio ({model.n_events} of {model.n_people} converted)")
    return ax.figure.figure
