"""Picture D: whether a new site can be helped, and what a model carries of the known ones."""

from textwrap import fill

import numpy as np

from .parts import below, dots, empty, level_name, of_sites, short

__all__ = ["draw_parts_or_errors", "draw_transfer"]


def draw_transfer(report, axes, colours):
    """Draw the share of every site's shift that the others span, and the pooled share."""
    title = "Shift within reach"
    if report.site_column is None:
        empty(axes, title, "No site column was named.", colours)
        return
    wanted = {"against": "features", "measure": "shift_transfer_ratio"}
    table = report.table_
    pooled = table[
        (table.variable == report.site_column)
        & (table.against == "features")
        & (table.measure == wanted["measure"])
    ]
    if pooled.empty or pooled.status.iloc[0] == "not_estimable":
        reason = "No images were given." if pooled.empty else fill(pooled.reason.iloc[0], 30)
        empty(axes, title, reason, colours)
        return
    rows = of_sites(report, **wanted)
    dots(axes, np.zeros(1), pooled, colours.ink, column="value")
    places = np.arange(len(rows)) + 1.5
    dots(axes, places, rows, colours.main, column="value")
    for place, chance in [(0, pooled.null_mean.iloc[0]), *zip(places, rows.null_mean, strict=True)]:
        axes.plot([chance] * 2, [place - 0.35, place + 0.35], color=colours.warn, linewidth=1.5)
    axes.plot([], [], color=colours.warn, linewidth=1.5, label="by chance")
    axes.axvline(0.5, color=colours.line, linewidth=0.8, zorder=0)
    axes.set_yticks([0, *places], ["all sites", *(short(level_name(n)) for n in rows.index)])
    axes.set_ylim(len(rows) + 1.2, -0.7)
    axes.set_xlim(-0.05, 1.05)
    axes.set_xlabel("shift-transfer ratio")
    below(axes, columns=1)
    axes.set_title(title, loc="left")


def draw_parts_or_errors(report, axes, colours):
    """Draw the bias of every site where there is a prediction, else the parts of the variance."""
    if report.site_column is not None:
        rows = of_sites(report, against="gap", measure="mean_gap")
        if len(rows):
            _errors(report, rows, axes, colours)
            return
    _parts(report, axes, colours)


def _errors(report, rows, axes, colours):
    places = np.arange(len(rows))
    clear = ((rows.ci_low > 0) | (rows.ci_high < 0)).to_numpy()
    for group, colour in ((clear, colours.warn), (~clear, colours.main)):
        dots(axes, places[group], rows[group], colour)
    axes.plot(
        rows.value, places, "o", mfc="none", mec=colours.faint, markersize=4.5, label="mean gap"
    )
    axes.axvline(0, color=colours.faint, linewidth=0.8)
    axes.set_yticks(places, [short(level_name(name)) for name in rows.index])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"gap beyond other sites\nat equal {report.target}")
    below(axes, columns=2)
    axes.set_title("Bias by site", loc="left")


def _parts(report, axes, colours):
    table = report.table_
    shared = table[(table.measure == "shared") & (table.against == "features")]
    shared = shared[shared.status != "not_estimable"]
    title = "Whose variance is it"
    if shared.empty:
        empty(axes, title, "No images and no prediction\nwere given.", colours)
        return
    names = list(shared.variable)
    places = np.arange(len(names))
    start = np.zeros(len(names))
    for label, colour, measure in (
        (f"{report.target} only", colours.other, lambda name: f"unique_{report.target}"),
        ("either", colours.faint, lambda name: "shared"),
        (
            f"{names[0] if len(names) == 1 else 'technical'} only",
            colours.warn,
            lambda name: f"unique_{name}",
        ),
    ):
        size = np.array(
            [
                max(0.0, table[(table.variable == n) & (table.against == "features")
                    & (table.measure == measure(n))].value_adj.iloc[0])
                for n in names
            ]
        )  # fmt: skip
        axes.barh(places, size, left=start, height=0.5, color=colour, label=label)
        start = start + size
    axes.set_yticks(places, [short(name) for name in names])
    axes.set_ylim(len(names) - 0.3, -0.7)
    axes.set_xlabel("share of the variance of images")
    below(axes, columns=2)
    axes.set_title(title, loc="left")
