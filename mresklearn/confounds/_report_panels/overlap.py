"""Picture B: the target at every site, and who has counterparts elsewhere."""

import numpy as np

from .._report_rows.study import FEWEST_MATCHED
from .parts import MOST_SITES, empty, of_sites, short, site_order

__all__ = ["draw_overlap"]

# right edges, in widths of the picture
COLUMNS = {"overlap": 1.10, "matched": 1.22}


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
            values, place + spread, ".", color=colour, markersize=4, alpha=0.45, markeredgewidth=0
        )
        axes.plot([np.median(values)] * 2, [place - 0.36, place + 0.36], color=colour, linewidth=2)
        numbers = ("-", "-")
        if row is not None:
            digits = 1 if row.overlap_ess < FEWEST_MATCHED else 0
            numbers = f"{row.value_adj:.2f}", f"{row.overlap_ess:.{digits}f}"
        for right, text in zip(COLUMNS.values(), numbers, strict=True):
            axes.text(
                right,
                place,
                text,
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                color=colour,
            )
    axes.set_yticks(
        range(len(order)),
        [f"{short(site.levels[code])} ({np.sum(site.values == code)})" for code in order],
    )
    axes.set_ylim(len(order) - 0.4, -0.6)
    for name, right in COLUMNS.items():
        axes.text(
            right,
            -0.65,
            name,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="bottom",
            fontsize=7,
            color=colours.faint,
        )
    axes.grid(axis="x", color=colours.line, linewidth=0.6)
    axes.set_axisbelow(True)
    note = f"the {MOST_SITES} largest sites; " if site.n_levels > MOST_SITES else ""
    axes.set_xlabel(f"{report.target}   ({note}orange: fewer than ten matched people)")
    axes.set_title(title, loc="left")
