"""Picture B: the target at every site, and who has counterparts elsewhere."""

import numpy as np
from matplotlib.transforms import ScaledTranslation

from .._report_rows.study import FEWEST_MATCHED
from .parts import MOST_SITES, empty, of_sites, short, site_order

__all__ = ["draw_overlap"]

# right edges, in points beyond the picture
COLUMNS = {"overlap": 36, "matched": 78}


def draw_overlap(report, axes, colours):
    """Draw everybody's target by site, with the median, overlap and effective counterparts."""
    title = f"{report.target.capitalize()} by site, and its overlap with the other sites"
    if report.site_column is None:
        empty(axes, title, "No site column was named.", colours)
        return
    site, target = report.variables_[report.site_column], report.variables_[report.target]
    order = site_order(report)
    if len(order) == 0:
        empty(axes, title, "Nobody has both site and target.", colours)
        return
    rows = of_sites(report, against=report.target, measure="overlap_coefficient")
    jitter = np.random.default_rng(0)
    for place, code in enumerate(order):
        values = target.values[(site.values == code) & target.present]
        name = f"{site.name}[{site.levels[code]}]"
        row = rows.loc[name] if name in rows.index else None
        few = row is None or row.status == "low_overlap"
        colour = colours.warn if few else colours.main
        spread = jitter.uniform(-0.28, 0.28, len(values))
        axes.plot(
            values, place + spread, ".", color=colour, markersize=5, alpha=0.55, markeredgewidth=0
        )
        axes.plot([np.median(values)] * 2, [place - 0.36, place + 0.36], color=colour, linewidth=2)
        numbers = ("-", "-")
        if row is not None:
            digits = 1 if row.overlap_ess < FEWEST_MATCHED else 0
            numbers = f"{row.value_adj:.2f}", f"{row.overlap_ess:.{digits}f}"
        for points, text in zip(COLUMNS.values(), numbers, strict=True):
            _beside(axes, points, place, text, va="center", color=colour)
    axes.set_yticks(
        range(len(order)),
        [f"{short(site.levels[code])} ({np.sum(site.values == code)})" for code in order],
    )
    axes.set_ylim(len(order) - 0.4, -0.6)
    for name, points in COLUMNS.items():
        _beside(axes, points, -0.65, name, va="bottom", fontsize=7, color=colours.faint)
    axes.grid(axis="x", color=colours.line, linewidth=0.6)
    axes.set_axisbelow(True)
    note = f"the {MOST_SITES} largest sites; " if site.n_levels > MOST_SITES else ""
    axes.set_xlabel(f"{report.target}   ({note}orange: fewer than ten matched people)")
    axes.set_title(title, loc="left")


def _beside(axes, points, place, text, **style):
    """Write a number to the right of the picture."""
    right = ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)
    transform = axes.get_yaxis_transform() + right
    axes.text(1, place, text, transform=transform, ha="right", **style)
