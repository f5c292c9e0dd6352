"""What the pictures share: dots with intervals, empty panels, names of levels."""

import numpy as np
from matplotlib.transforms import ScaledTranslation

__all__ = [
    "MOST_SITES",
    "below",
    "dots",
    "empty",
    "level_name",
    "of_sites",
    "short",
    "site_names",
    "site_order",
]

MOST_SITES = 30
MOST_LETTERS = 18
POINTS_TO_LEGEND = 36


def short(name):
    """Shorten a name that would take the place of the picture."""
    name = str(name)
    if len(name) <= MOST_LETTERS:
        return name
    return f"{name[: MOST_LETTERS // 2]}…{name[1 - MOST_LETTERS // 2 :]}"


def level_name(variable):
    """Return ``Utah`` for ``site[Utah]``."""
    return variable[variable.index("[") + 1 : -1]


def empty(axes, title, reason, colours):
    """Say why there is no picture."""
    axes.set_title(title, loc="left")
    axes.set_axis_off()
    axes.text(
        0.5,
        0.5,
        reason,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=colours.faint,
        wrap=True,
    )


def dots(axes, places, rows, colour, *, column="value_adj", shift=None, **style):
    """Draw estimates with their intervals, one a line."""
    value = rows[column].to_numpy(float)
    shift = np.zeros(len(rows)) if shift is None else shift
    low, high = (rows[name].to_numpy(float) + shift for name in ("ci_low", "ci_high"))
    axes.hlines(places, low, high, color=colour, linewidth=1.3)
    axes.plot(value, places, "o", color=colour, markersize=4.5, **style)


def site_order(report):
    """Return the codes of the sites to show, by median of the target; the largest if too many."""
    site, target = report.variables_[report.site_column], report.variables_[report.target]
    both = site.present & target.present
    codes, values = site.values[both].astype(int), target.values[both]
    found = np.unique(codes)
    if len(found) > MOST_SITES:
        counts = np.bincount(codes)
        found = found[np.argsort(-counts[found], kind="stable")[:MOST_SITES]]
    medians = [np.median(values[codes == code]) for code in found]
    return found[np.argsort(medians, kind="stable")]


def site_names(report):
    """Return the names of the rows of these sites, as in ``site[Utah]``."""
    site = report.variables_[report.site_column]
    return [f"{site.name}[{site.levels[code]}]" for code in site_order(report)]


def of_sites(report, **wanted):
    """Return rows of single sites that have a number, in the order of :func:`site_order`."""
    table = report.table_
    kept = table.status != "not_estimable"
    for column, value in wanted.items():
        kept &= table[column] == value
    names = site_names(report)
    found = table[kept & table.variable.isin(names)]
    return found.set_index("variable").reindex([n for n in names if n in set(found.variable)])


def below(axes, *, columns):
    """Put the legend under the picture, where it hides nothing."""
    down = ScaledTranslation(0, -POINTS_TO_LEGEND / 72, axes.figure.dpi_scale_trans)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + down,
        ncols=columns,
        columnspacing=1,
        handletextpad=0.3,
        handlelength=1.2,
    )
