"""Picture C: what moves the images, and how well the site can be read from them."""

import numpy as np

from .._severity import limits_of
from .parts import below, dots, empty, short

__all__ = ["SOURCES", "draw_effects", "draw_probes"]

SOURCES = {"features": "images", "embedding": "embedding", "prediction": "prediction"}
PROBES = {"linear": "linear", "rbf": "curved"}
SPREAD = {
    "partial_r2_median": ("|", "median feature"),
    "partial_r2_p95": ("d", "95th percentile"),
}


def draw_effects(report, axes, colours):
    """Draw the share of images that each variable explains, with the sizes that count as large."""
    title = "What moves the images"
    table = report.table_
    rows = table[(table.measure == "rda_partial_r2") & (table.against == "features")]
    rows = rows[rows.status != "not_estimable"]
    if rows.empty:
        empty(axes, title, "No images were given,\nor nothing can be estimated.", colours)
        return
    places = np.arange(len(rows))
    shown = table[table.measure.isin(list(SPREAD)) & (table.against == "features")]
    shown = np.r_[rows.value_adj, rows.ci_high, shown.value_adj.astype(float)]
    high = max(0.06, float(np.nanmax(shown)) * 1.08)
    _bands(axes, high, colours)
    technical = (rows.role == "technical").to_numpy()
    for group, colour, label in (
        (technical, colours.warn, "technical"),
        (~technical, colours.other, "target, biology"),
    ):
        if group.any():
            dots(axes, places[group], rows[group], colour, label=label)
    _spread(axes, table, rows, places, colours)
    axes.set_yticks(places, [short(name) for name in rows.variable])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(min(-0.03 * high, 1.1 * float(rows.value_adj.min())), high)
    axes.set_xlabel("adjusted partial R²")
    below(axes, columns=2)
    axes.set_title(title, loc="left")


def _bands(axes, high, colours):
    """Mark where small, medium and large begin."""
    for limit, name in zip(limits_of("rda_partial_r2"), ("small", "medium", "large"), strict=True):
        if limit < high:
            axes.axvline(limit, color=colours.line, linewidth=0.8, zorder=0)
            axes.text(
                limit,
                1.0,
                f" {name}",
                transform=axes.get_xaxis_transform(),
                va="top",
                fontsize=6.5,
                rotation=90,
                color=colours.faint,
            )


def _spread(axes, table, rows, places, colours):
    """Add the median and the 95th percentile feature as open marks."""
    for measure, (mark, label) in SPREAD.items():
        found = table[(table.measure == measure) & (table.against == "features")]
        found = found.set_index("variable").value_adj
        values = [found.get(name, np.nan) for name in rows.variable]
        axes.plot(
            values,
            places + 0.22,
            mark,
            color=colours.faint,
            markersize=5,
            linestyle="none",
            label=label,
        )


def draw_probes(report, axes, colours):
    """Draw balanced accuracy of the probes beside what age alone gives."""
    title = "Site, read by probes"
    table = report.table_
    rows = table[
        table.measure.str.startswith("balanced_accuracy") & table.against.isin(list(SOURCES))
    ]
    rows = rows[rows.status != "not_estimable"]
    if rows.empty:
        empty(axes, title, "Nothing to read the site from,\nor too few people.", colours)
        return
    places = np.arange(len(rows))
    dots(
        axes,
        places,
        rows,
        colours.main,
        column="value",
        shift=rows.null_mean.to_numpy(float),
        label="balanced accuracy",
    )
    axes.plot(
        rows.null_mean, places, "|", color=colours.warn, markersize=11, markeredgewidth=1.8,
        label=f"through {report.target} alone",
    )  # fmt: skip
    chance = 1 / report.variables_[report.site_column].n_levels
    axes.axvline(chance, color=colours.faint, linewidth=0.8, linestyle=":", label="guessing")
    names = [
        f"{SOURCES[row.against]},\n{PROBES[row.measure.rsplit('_', 1)[1]]}"
        for row in rows.itertuples()
    ]
    axes.set_yticks(places, names)
    axes.set_ylim(len(rows) - 0.2, -0.6)
    axes.set_xlim(-0.02, 1.04)
    axes.set_xlabel("balanced accuracy")
    below(axes, columns=2)
    axes.set_title(title, loc="left")
