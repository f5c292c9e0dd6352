"""Picture D: whether a new site can be helped, and what a model makes of the sites."""

from textwrap import fill

import numpy as np

from .parts import below, dots, empty, level_name, of_sites, short, site_names

__all__ = ["draw_bias", "draw_errors", "draw_transfer", "sites_with_errors"]

EVERYBODY = 1.5  # rows that the line on all sites takes


def draw_transfer(report, axes, colours):
    """Draw the share of every site's shift that the others span, and the pooled share."""
    title = "Shift within reach"
    if report.site_column is None:
        empty(axes, title, "No site column was named.", colours)
        return
    wanted = {"against": "features", "measure": "shift_transfer_ratio"}
    pooled = _on_all_sites(report, **wanted)
    if pooled.empty or pooled.status.iloc[0] == "not_estimable":
        reason = "No images were given." if pooled.empty else fill(pooled.reason.iloc[0], 30)
        empty(axes, title, reason, colours)
        return
    rows = of_sites(report, **wanted)
    dots(axes, np.zeros(1), pooled, colours.ink, column="value")
    places = np.arange(len(rows)) + EVERYBODY
    dots(axes, places, rows, colours.main, column="value")
    axes.plot(
        [pooled.null_mean.iloc[0], *rows.null_mean],
        [0, *places],
        "|",
        color=colours.warn,
        markersize=9,
        markeredgewidth=1.6,
        label="by chance",
    )
    axes.axvline(0.5, color=colours.line, linewidth=0.8, zorder=0)
    axes.set_yticks([0, *places], ["all sites", *(short(level_name(n)) for n in rows.index)])
    axes.set_ylim(len(rows) + 1.2, -0.7)
    axes.set_xlim(-0.05, 1.05)
    axes.set_xlabel("shift-transfer ratio")
    below(axes, columns=1)
    axes.set_title(title, loc="left")


def sites_with_errors(report):
    """Return the names of the sites that have a bias or an error, in one order for both."""
    if report.site_column is None:
        return []
    found = set()
    for measure in ("mean_gap", "unseen_site_error"):
        found |= set(of_sites(report, against="gap", measure=measure).index)
    return [name for name in site_names(report) if name in found]


def draw_bias(report, axes, colours):
    """Draw the mean gap of every site beyond that of people of like age elsewhere."""
    names = sites_with_errors(report)
    rows = of_sites(report, against="gap", measure="mean_gap").reindex(names)
    places = np.arange(len(rows)) + EVERYBODY
    clear = ((rows.ci_low > 0) | (rows.ci_high < 0)).to_numpy()
    for group, colour, label in (
        (clear, colours.warn, "interval without 0"),
        (~clear, colours.main, None),
    ):
        if group.any():
            dots(axes, places[group], rows[group], colour, label=label)
    axes.plot(
        rows.value, places, "o", mfc="none", mec=colours.faint, markersize=4.5, label="mean gap"
    )
    axes.axvline(0, color=colours.faint, linewidth=0.8)
    axes.set_yticks(places, [short(level_name(name)) for name in names])
    axes.set_ylim(len(names) + 1.2, -0.7)
    axes.set_xlabel("gap beyond other sites")
    below(axes, columns=1)
    axes.set_title("Bias by site", loc="left")


def draw_errors(report, axes, colours, *, names=True):
    """Draw the error of every site where it is known, and where it is left out of training."""
    sites = sites_with_errors(report)
    rows = of_sites(report, against="gap", measure="unseen_site_error").reindex(sites)
    pooled = _on_all_sites(report, against="gap", measure="unseen_site_error")
    places = np.r_[0, np.arange(len(rows)) + EVERYBODY]
    known = np.r_[pooled.null_mean.to_numpy(float), rows.null_mean.to_numpy(float)]
    unseen = np.r_[pooled.value.to_numpy(float), rows.value.to_numpy(float)]
    axes.hlines(places, known, unseen, color=colours.faint, linewidth=1.3)
    axes.plot(known, places, "o", color=colours.main, markersize=4.5, label="known site")
    axes.plot(unseen, places, "D", color=colours.warn, markersize=4.5, label="left out")
    labels = ["all sites", *(short(level_name(name)) for name in sites)]
    axes.set_yticks(places, labels if names else [labels[0], *[""] * len(sites)])
    axes.set_ylim(len(sites) + 1.2, -0.7)
    axes.set_xlim(0, 1.06 * np.nanmax([known, unseen]))
    axes.set_xlabel("mean absolute error")
    below(axes, columns=1)
    axes.set_title("Error by site", loc="left")


def _on_all_sites(report, **wanted):
    table = report.table_
    kept = table.variable == report.site_column
    for column, value in wanted.items():
        kept &= table[column] == value
    return table[kept]
