"""Picture D without a prediction: whose the variance of the images is."""

import numpy as np

from .parts import below, empty, short

__all__ = ["draw_variance"]


def draw_variance(report, axes, colours):
    """Draw what is unique to the target, unique to each technical variable, and shared."""
    table = report.table_[report.table_.against == "features"]
    shared = table[(table.measure == "shared") & (table.status != "not_estimable")]
    title = "Whose variance is it"
    if shared.empty:
        empty(axes, title, "No images were given,\nor nothing can be estimated.", colours)
        return
    names = list(shared.variable)
    places = np.arange(len(names))
    start = np.zeros(len(names))
    own = names[0] if len(names) == 1 else "technical"
    for label, colour, measures in (
        (f"{report.target} only", colours.other, [f"unique_{report.target}"] * len(names)),
        ("either", colours.faint, ["shared"] * len(names)),
        (f"{own} only", colours.warn, [f"unique_{name}" for name in names]),
    ):
        sizes = [_size(table, *key) for key in zip(names, measures, strict=True)]
        axes.barh(places, sizes, left=start, height=0.5, color=colour, label=label)
        start = start + sizes
    axes.set_yticks(places, [short(name) for name in names])
    axes.set_ylim(len(names) - 0.3, -0.7)
    axes.set_xlabel("share of the variance of images")
    below(axes, columns=2)
    axes.set_title(title, loc="left")


def _size(table, variable, measure):
    """Return a corrected share, none where chance gives as much."""
    found = table[(table.variable == variable) & (table.measure == measure)]
    return max(0.0, found.value_adj.iloc[0])
