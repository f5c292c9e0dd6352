"""Picture A: which columns of metadata go together."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from .parts import empty, short

__all__ = ["draw_association"]

PAIRS = ("cramers_v", "spearman", "epsilon_squared", "epsilon_squared_of_ranks")
TITLE = "Metadata: what goes together"


def draw_association(report, axes, colours):
    """Draw a triangle of associations, all on the scale of a correlation."""
    names = [v.name for v in report.variables_.values() if v.role != "id"]
    if len(names) < 2:
        empty(axes, TITLE, "One column only.", colours)
        return
    strength, status = _matrix(report, names)
    scale = colours.scale
    if scale == "dark":
        scale = LinearSegmentedColormap.from_list("dark", ["#20242e", "#1f5f8b", "#9ad1f5"])
    image = axes.imshow(strength[1:, :-1], cmap=scale, vmin=0, vmax=1, aspect="auto")
    for i in range(1, len(names)):
        for j in range(i):
            _annotate(axes, j, i - 1, strength[i, j], status[i][j], colours)
    roles = {name: report.variables_[name].role for name in names}
    axes.set_xticks(range(len(names) - 1), [short(n) for n in names[:-1]], rotation=30, ha="right")
    axes.set_yticks(range(len(names) - 1), [f"{short(n)}\n({roles[n]})" for n in names[1:]])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.6, pad=0.01, aspect=25)
    bar.outline.set_visible(False)
    bar.set_label("strength, corrected for chance")
    axes.set_title(TITLE, loc="left")
    if any("nested" in line for line in status):
        axes.set_xlabel("framed: one determines the other")


def _matrix(report, names):
    """Return Cramer's V, the root of epsilon squared or |Spearman|, and the status of each pair."""
    strength = np.full((len(names), len(names)), np.nan)
    status = [[""] * len(names) for _ in names]
    table = report.table_[report.table_.measure.isin(PAIRS)]
    for row in table.itertuples():
        i, j = sorted((names.index(row.variable), names.index(row.against)), reverse=True)
        size = abs(row.value_adj) if row.measure in PAIRS[:2] else np.sqrt(max(0, row.value_adj))
        strength[i, j], status[i][j] = size, row.status
    return strength, status


def _annotate(axes, x, y, size, status, colours):
    if np.isnan(size):
        axes.text(x, y, "-", ha="center", va="center", color=colours.faint)
        return
    ink = _readable_on(axes.images[0].cmap(size))
    axes.text(x, y, f"{size:.2f}", ha="center", va="center", color=ink)
    if status == "nested":
        frame = Rectangle(
            (x - 0.47, y - 0.47), 0.94, 0.94, fill=False, edgecolor=colours.warn, linewidth=1.5
        )
        axes.add_patch(frame)


def _readable_on(colour):
    """Return black or white, whichever has more contrast: WCAG 2.1, relative luminance."""
    channels = np.array(colour[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"
