"""The picture of a path: error at left-out sites against excess site predictability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from scipy.optimize import isotonic_regression

from .._plot_style import FAINT, HUES, INK, LINE, STYLE
from ._path_table import largest_excess

if TYPE_CHECKING:
    from ._invariance_path import InvariancePath

__all__ = ["draw_path"]

MAIN, RING = HUES[:2]
LEAST_SHOWN = 0.1  # of excess: smaller differences are luck and must not fill the picture
ABOVE, APART = 9, 4  # points between an error bar and its label, and between labels


def draw_path(path: InvariancePath, ax: Axes | None = None) -> Figure:
    """Draw the picture; see :meth:`InvariancePath.plot`."""
    with rc_context(STYLE):
        own = ax is None
        if ax is None:
            ax = Figure(figsize=(6, 4), layout="constrained").subplots()
        table = path.table
        excess = largest_excess(table).to_numpy()
        _draw_left_out(ax, excess, table)
        _draw_known(ax, excess, table.error_known.to_numpy())
        _draw_floor(ax)
        ax.set_xlabel("excess site predictability (balanced accuracy beyond age)")
        ax.set_ylabel("mean absolute error (years)")
        ax.grid(axis="y", color=LINE, linewidth=0.6)
        ax.set_axisbelow(True)
        ax.margins(0.1, 0.16)
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, -LEAST_SHOWN / 5), max(high, LEAST_SHOWN))
        name = path.parameter.rsplit("__", 1)[-1].replace("_", " ")
        named = {"title": f"numbers: {name}", "title_fontsize": 8, "handletextpad": 0.5}
        if own:
            ax.figure.legend(loc="outside lower center", ncols=2, **named)
        else:
            ax.legend(loc="best", **named)
        _label(ax, excess, table)
    return ax.figure.figure


def _draw_left_out(ax: Axes, excess: np.ndarray, table: Any) -> None:
    """Draw the main series: filled where no other setting is better, and the choice ringed."""
    error = table.error_left_out.to_numpy()
    ax.plot(excess, error, color=MAIN, linewidth=1.2, zorder=3)
    ax.errorbar(
        excess, error, yerr=table.error_left_out_se, fmt="none", ecolor=MAIN, elinewidth=1,
        capsize=2, alpha=0.6, zorder=3,
    )  # fmt: skip
    pareto, chosen = table.pareto.to_numpy(), table.chosen.to_numpy()
    kinds = [
        (pareto, MAIN, 5, "left-out sites ± standard error: Pareto set"),
        (~pareto, "white", 4, "left-out sites, outside the Pareto set"),
    ]
    for marked, fill, zorder, label in kinds:
        ax.plot(
            excess[marked], error[marked], linestyle="none", marker="o", markersize=6.5,
            markerfacecolor=fill, markeredgecolor=MAIN, markeredgewidth=1.3, zorder=zorder,
            label=label,
        )  # fmt: skip
    ax.plot(
        excess[chosen], error[chosen], linestyle="none", marker="o", markersize=13,
        markerfacecolor="none", markeredgecolor=RING, markeredgewidth=1.8, zorder=6,
        label="chosen by the one-standard-error rule",
    )  # fmt: skip


def _draw_known(ax: Axes, excess: np.ndarray, error: np.ndarray) -> None:
    ax.plot(
        excess, error, color=FAINT, linewidth=1, linestyle="--", marker="s", markersize=4,
        zorder=2, label="known sites, trained on half of the people",
    )  # fmt: skip


def _draw_floor(ax: Axes) -> None:
    """Mark where the embedding tells no more of the site than age does."""
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    ax.annotate(
        "what age alone tells", (0, 1), (0, 2), xycoords=ax.get_xaxis_transform(),
        textcoords="offset points", ha="center", va="bottom", fontsize=8,
    )  # fmt: skip


def _label(ax: Axes, excess: np.ndarray, table: Any) -> None:
    """Write each value over its error bar, in the order of the points however close these are."""
    figure = ax.figure.figure  # the whole one, where `ax` is of a part
    figure.draw_without_rendering()  # settles limits and size, which widths of labels depend on
    tops = (table.error_left_out + table.error_left_out_se).to_numpy()
    order = np.argsort(excess, kind="stable")
    labels = [
        ax.annotate(
            f"{table.index[k]:g}", (excess[k], tops[k]), (0, ABOVE), textcoords="offset points",
            ha="center", va="bottom", fontsize=8, zorder=7, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.6, "shrinkA": 0},
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )
        for k in order
    ]  # fmt: skip
    points = 72 / figure.dpi
    at = points * ax.transData.transform(np.column_stack([excess[order], tops[order]]))[:, 0]
    # of the text, since the label's own extent includes its line
    widths = np.array([points * Text.get_window_extent(label).width for label in labels])
    gaps = np.concatenate([[0], np.cumsum((widths[:-1] + widths[1:]) / 2 + APART)])
    # the least squares move that keeps labels apart: what is left after the gaps must not fall
    shifted = isotonic_regression(at - gaps).x + gaps
    for label, move in zip(labels, shifted - at, strict=True):
        label.xyann = (move, ABOVE)
