"""How pictures look: hues that colour-blind readers tell apart (Wong 2011), quiet frames."""

from __future__ import annotations

from typing import Any

__all__ = ["FAINT", "HUES", "INK", "LINE", "STYLE"]

INK, FAINT, LINE = "#1f2430", "#8b93a5", "#d5d9e2"
HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "svg.fonttype": "none",
    "text.parse_math": False,  # names may hold dollar signs
}
