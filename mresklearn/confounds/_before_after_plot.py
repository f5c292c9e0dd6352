"""One figure of a comparison before and after harmonising."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from ._before_after import HarmonizationReport

__all__ = ["draw_comparison"]

# hues that colour-blind readers tell apart (Wong 2011)
COLOURS = ("#6b7385", "#0072b2", "#c04f00", "#007a5a", "#8a4f9e", "#b58900")
MARKERS = "osD^vP"
INK, LINE = "#1f2430", "#d5d9e2"
SITE_LINES = {
    "rda_partial_r2": "all features",
    "partial_r2_median": "median feature",
    "partial_r2_p95": "95th percentile",
    "dispersion_epsilon_squared": "spread",
}
PROBE_LINES = {"balanced_accuracy_linear": "linear", "balanced_accuracy_rbf": "Gaussian"}
TARGET_LINES = {
    "partial_r2": "variance beyond site",
    "r2": "predicted",
    "r2_within_sites": "predicted within sites",
}
STYLE = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.titlesize": 9,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.labelcolor": INK,
    "text.color": INK,
    "svg.fonttype": "none",
    "text.parse_math": False,  # names may hold dollar signs
}


def draw_comparison(report: HarmonizationReport) -> Figure:
    """Draw the figure; see :meth:`HarmonizationReport.plot`."""
    some = report.reports_[report.names_[0]]
    found = report.table_.set_index(["measure", "table"])
    with rc_context(STYLE):
        height = 2.6 + 0.24 * len(report.names_)
        figure = Figure(figsize=(11, height), layout="constrained")
        site, probes, target = figure.subplots(1, 3, width_ratios=[1.1, 1, 1.1])
        _lines(site, found, SITE_LINES, report.names_)
        site.axvline(0, color=INK, linewidth=0.8, zorder=0)
        site.set_title(f"A   What {some.site_column} explains", loc="left", weight="bold")
        site.set_xlabel(f"share of variance beyond {some.target}, less chance")
        _lines(probes, found, PROBE_LINES, report.names_)
        _floors(probes, found, report.names_[0], some)
        probes.set_title(f"B   How well {some.site_column} is read", loc="left", weight="bold")
        probes.set_xlabel("balanced accuracy")
        _lines(target, found, TARGET_LINES, report.names_)
        target.axvline(0, color=INK, linewidth=0.8, zorder=0)
        target.set_title(f"C   Signal of {some.target} that is left", loc="left", weight="bold")
        target.set_xlabel("share of variance")
        handles, _ = site.get_legend_handles_labels()
        labels = [
            f"{name}  (mean error of {some.target} {found.loc[('mae', name)].value:.2f})"
            for name in report.names_
        ]
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(3, len(labels)),
            handletextpad=0.3,
        )  # fmt: skip
    return figure


def _lines(axes: Axes, found: pd.DataFrame, lines: dict[str, str], names: list[str]) -> None:
    """Draw each measure as one group of dots with intervals, a colour for each table."""
    offsets = np.linspace(-0.26, 0.26, len(names)) if len(names) > 1 else [0.0]
    for k, (name, offset) in enumerate(zip(names, offsets, strict=True)):
        colour = COLOURS[k % len(COLOURS)]
        places, values, below, above = [], [], [], []
        for place, measure in enumerate(lines):
            row = found.loc[(measure, name)]
            places.append(place + offset)
            values.append(row.value)
            below.append(max(0.0, np.nan_to_num(row.value - row.ci_low)))
            above.append(max(0.0, np.nan_to_num(row.ci_high - row.value)))
        axes.errorbar(
            values, places, xerr=[below, above], fmt=MARKERS[k % len(MARKERS)], color=colour,
            markersize=4.5, elinewidth=1.4, label=name,
        )  # fmt: skip
    axes.set_yticks(range(len(lines)), lines.values())
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)


def _floors(axes: Axes, found: pd.DataFrame, name: str, some: object) -> None:
    """Mark what the target alone says of the site at each probe, and what guessing gives."""
    for place, measure in enumerate(PROBE_LINES):
        floor = found.loc[(measure, name)].reference
        if np.isfinite(floor):
            axes.plot([floor] * 2, [place - 0.42, place + 0.42], color=INK, linewidth=1.2)
            if place == 0:
                axes.annotate(
                    f"{some.target} alone", (floor, place - 0.42), (3, 0),
                    textcoords="offset points", va="top", fontsize=7,
                )  # fmt: skip
    chance = 1 / some.variables_[some.site_column].n_levels
    axes.axvline(chance, color=INK, linewidth=0.8, linestyle=":", zorder=0)
    axes.annotate(
        "guessing", (chance, len(PROBE_LINES) - 0.5), (-3, 2), textcoords="offset points",
        ha="right", va="bottom", fontsize=7,
    )  # fmt: skip
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, chance - 0.12 * (high - chance)), high)
