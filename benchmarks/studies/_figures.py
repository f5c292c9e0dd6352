"""Pictures of a study, drawn from its stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mresklearn._plot_style import FAINT, HUES, INK, LINE, STYLE

from ._protocols import Persons, Sites
from ._results import POOLED

TITLES = {protocol.name: protocol.title for protocol in (Persons, Sites)}
SIMULATED = (
    "Simulated maps: every effect was put in. "
    "They show that methods work, never that MRE beats MRI."
)


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the score of every condition, and below it the main test where there is one.

    Parameters
    ----------
    results : dict
        Of :func:`results_of`, or read from its JSON.
    path : Path
        PNG to write.
    """
    summary, tests = pd.DataFrame(results["summary"]), pd.DataFrame(results["tests"])
    main = tests[tests["family"] == "main"] if len(tests) else tests
    methods = list(dict.fromkeys(summary["method"]))
    protocols = [name for name in TITLES if name in set(summary["protocol"])]
    rows, heights = [], []
    for dataset in dict.fromkeys(summary["dataset"]):
        rows.append((dataset, _scores, summary))
        heights.append(0.6 + 0.36 * len(methods))
        if len(main) and dataset in set(main["dataset"]):
            rows.append((dataset, _differences, main))
            heights.append(0.5 + 0.3 * main["inputs"].nunique())
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(
            len(rows), len(protocols), height_ratios=heights, squeeze=False, sharex="row",
            layout="constrained", figsize=(2.4 + 3.2 * len(protocols), sum(heights) + 1.2),
        )  # fmt: skip
        for line, (dataset, draw_on, table) in zip(axes, rows, strict=True):
            for number, (axis, protocol) in enumerate(zip(line, protocols, strict=True)):
                here = table[(table["dataset"] == dataset) & (table["protocol"] == protocol)]
                if len(here):
                    draw_on(axis, here, methods, results, number == 0)
                else:
                    axis.set_visible(False)
                if draw_on is _scores:
                    axis.set_title(f"{dataset}: {TITLES[protocol]}", fontsize=9)
        handles = {
            label: handle
            for axis in axes.ravel()
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        if len(handles) > 1:
            columns = min(len(handles), 3)
            figure.legend(
                list(handles.values()), list(handles), loc="outside upper center", ncols=columns
            )
        note = SIMULATED if results["simulated"] else ""
        figure.supxlabel(note, fontsize=8, color=INK, style="italic")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
        plt.close(figure)


def _scores(
    axis: Any, summary: pd.DataFrame, methods: list[str], results: dict[str, Any], first: bool
) -> None:
    """Draw means with their SD over folds; methods from above, inputs by hue."""
    inputs = list(dict.fromkeys(summary["inputs"]))
    spread = np.linspace(-0.26, 0.26, len(inputs)) if len(inputs) > 1 else [0.0]
    # an input has one hue in all panels, whichever of them it is in
    hues = dict(
        zip(dict.fromkeys(row["inputs"] for row in results["summary"]), HUES * 3, strict=False)
    )
    for name, offset in zip(inputs, spread, strict=True):
        rows = summary[summary["inputs"] == name].set_index("method")
        y = np.array([methods.index(method) for method in rows.index]) + offset
        axis.errorbar(
            rows["score"].astype(float), y, xerr=rows["sd_over_folds"].astype(float), fmt="o",
            color=hues[name], markersize=4, elinewidth=1, label=name,
        )  # fmt: skip
    for row in range(1, len(methods)):
        axis.axhline(row - 0.5, color=LINE, linewidth=0.6, zorder=0)
    axis.set_ylim(len(methods) - 0.5, -0.5)
    axis.set_yticks(range(len(methods)), methods if first else [""] * len(methods))
    axis.set_xlabel(f"{results['score']}, mean and SD over folds")


def _differences(
    axis: Any, main: pd.DataFrame, methods: list[str], results: dict[str, Any], first: bool
) -> None:
    """Draw the difference from the reference, averaged over methods, with its interval."""
    rows = main.drop_duplicates("inputs")
    y = np.arange(len(rows))
    middle = rows["difference"].astype(float).to_numpy()
    low, high = rows["low"].astype(float).to_numpy(), rows["high"].astype(float).to_numpy()
    axis.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    axis.errorbar(middle, y, xerr=[middle - low, high - middle], fmt="D", color=INK, markersize=4)
    for place, p in zip(y, rows["p_holm"], strict=True):
        shown = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
        axis.text(1.01, place, shown, transform=axis.get_yaxis_transform(), va="center",
                  fontsize=7)  # fmt: skip
    axis.set_ylim(len(rows) - 0.5, -0.6)
    axis.set_yticks(y, rows["inputs"] if first else [""] * len(rows))
    axis.set_xlabel(
        f"difference from {results['reference']}, {POOLED} (years);\n95 % interval, p by Holm"
    )
