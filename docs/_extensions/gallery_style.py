"""How the pictures of the gallery look: the hues and quiet frames of the package's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.figure import Figure

from mresklearn._plot_style import HUES, STYLE

TOPICS = (
    "maps",
    "confounds",
    "harmonisation",
    "contrastive",
    "invariance",
    "evaluation",
    "disease",
    "inspection",
)


def reset(gallery_conf: dict, fname: Any) -> None:
    """Give every example the same style, whatever the one before it set."""
    plt.rcdefaults()
    plt.rcParams.update(STYLE)
    plt.rcParams.update(
        {
            "font.size": 10,
            "legend.fontsize": 9,
            "axes.prop_cycle": cycler(color=HUES),
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "figure.dpi": 100,
        }
    )


def topic_order(folder: str) -> int:
    """Order the folders as a study goes: from maps to disease and inspection."""
    return TOPICS.index(Path(folder).name)


def scrape(block: Any, block_vars: dict, gallery_conf: dict) -> str:
    """Save the figures that reports return: pyplot does not know them, so no other scraper does."""
    from sphinx_gallery.scrapers import figure_rst

    names = block_vars["example_globals"]
    shown = names.setdefault("_shown_figures", [])
    managed = [plt.figure(number) for number in plt.get_fignums()]
    figures = [value for value in names.values() if isinstance(value, Figure)]
    paths = []
    for figure in figures:
        if figure not in shown and figure not in managed:
            shown.append(figure)
            paths.append(next(block_vars["image_path_iterator"]))
            figure.savefig(paths[-1], dpi=160, bbox_inches="tight")
    return figure_rst(paths, gallery_conf["src_dir"])
