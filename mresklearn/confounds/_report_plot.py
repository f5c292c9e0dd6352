"""The pictures of a report: design, overlap, images, and what a model makes of the sites."""

from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.figure import Figure

from ._report_panels.association import draw_association
from ._report_panels.effects import SOURCES, draw_effects, draw_probes
from ._report_panels.overlap import draw_overlap
from ._report_panels.sites import draw_bias, draw_errors, draw_transfer, sites_with_errors
from ._report_panels.variance import draw_variance

__all__ = ["draw_picture", "draw_report", "list_pictures"]

HEIGHT_PER_SITE = 0.155
SITES_WITHOUT_MORE_HEIGHT = 12
MOST_SITES_OF_HEIGHT = 30
# inches of a picture by itself, and of what it has beside its lines
WIDTH, FRAME, HEIGHT_PER_LINE = 4.4, 1.5, 0.24


@dataclass(frozen=True)
class Colours:
    """Ink of a picture, in hues that colour-blind readers tell apart (Wong 2011)."""

    ink: str = "#1f2430"
    faint: str = "#6b7385"
    line: str = "#d5d9e2"
    main: str = "#0072b2"
    warn: str = "#c04f00"
    other: str = "#007a5a"
    scale: str = "Blues"
    paper: str = "white"

    @classmethod
    def for_dark(cls):
        """Return ink for a dark page."""
        return cls(
            ink="#e6e9f0",
            faint="#9aa3b5",
            line="#3b4252",
            main="#56b4e9",
            warn="#e69f00",
            other="#2ec4a0",
            scale="dark",
            paper="none",
        )


def draw_report(report, *, dark=False):
    """Draw the figure of a fitted report; see :meth:`ConfoundReport.plot`."""
    colours = Colours.for_dark() if dark else Colours()
    more = max(0, _n_sites(report) - SITES_WITHOUT_MORE_HEIGHT) * HEIGHT_PER_SITE
    below = ["effects", "probes", "transfer", *(_of_errors(report) or ["variance"])]
    with rc_context(_style(colours)):
        figure = Figure(figsize=(11, 7.6 + 2 * more), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.02, hspace=0.02)
        top, bottom = figure.subfigures(2, 1)
        axes = dict(
            zip(
                ("association", "overlap", *below),
                (
                    *top.subplots(1, 2, width_ratios=[1, 1.25]),
                    *bottom.subplots(
                        1, len(below), width_ratios=[1.1, 1.1, *[1] * (len(below) - 2)]
                    ),
                ),
                strict=True,
            )
        )
        for name, place in axes.items():
            beside = {"names": "bias" not in axes} if name == "errors" else {}
            DRAW[name](report, place, colours, **beside)
        letters = {"association": "A", "overlap": "B", "effects": "C", "transfer": "D"}
        for name, place in axes.items():
            title = place.get_title(loc="left")
            letter = f"{letters[name]}   " if name in letters else ""
            place.set_title(f"{letter}{title}", loc="left", weight="bold")
    return figure


def list_pictures(report):
    """Name the pictures of what was asked: not of images where none were given."""
    table = report.table_
    asked = {
        "overlap": table.measure == "overlap_coefficient",
        "effects": (table.measure == "rda_partial_r2") & (table.against == "features"),
        "probes": table.measure.str.startswith("balanced_accuracy") & table.against.isin(SOURCES),
        "transfer": (table.measure == "shift_transfer_ratio") & (table.against == "features"),
        "variance": (table.measure == "shared") & (table.against == "features"),
    }
    return [
        "association",
        *(name for name, rows in asked.items() if rows.any()),
        *_of_errors(report),
    ]


def _of_errors(report):
    """Name the pictures of a model's errors by site that can be drawn."""
    table = report.table_[report.table_.status != "not_estimable"]
    if not sites_with_errors(report):
        return []
    measures = {"bias": "mean_gap", "errors": "unseen_site_error"}
    return [name for name, measure in measures.items() if (table.measure == measure).any()]


def draw_picture(report, name, *, dark=False):
    """Draw one of :func:`list_pictures` by itself, for a narrow page; its title is left to that."""
    colours = Colours.for_dark() if dark else Colours()
    lines = {
        "association": len(report.variables_),
        "effects": 1.5 * len(report.variables_),
        "probes": 8,
        "variance": 3,
    }.get(name, _n_sites(report) + 2)
    with rc_context(_style(colours)):
        height = FRAME + HEIGHT_PER_LINE * max(5, lines)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots()
        DRAW[name](report, axes, colours)
        axes.set_title("")
        axes.set_title("", loc="left")
    return figure


DRAW = {
    "association": draw_association,
    "overlap": draw_overlap,
    "effects": draw_effects,
    "probes": draw_probes,
    "transfer": draw_transfer,
    "variance": draw_variance,
    "bias": draw_bias,
    "errors": draw_errors,
}


def _n_sites(report):
    """Count the sites that a picture shows."""
    if report.site_column is None:
        return 0
    return min(MOST_SITES_OF_HEIGHT, report.variables_[report.site_column].n_levels)


def _style(colours):
    return {
        "font.family": "sans-serif",
        "font.size": 8,
        "axes.titlesize": 9,
        "axes.labelsize": 8,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": colours.faint,
        "axes.labelcolor": colours.ink,
        "axes.titlecolor": colours.ink,
        "text.color": colours.ink,
        "xtick.color": colours.ink,
        "ytick.color": colours.ink,
        "axes.facecolor": "none",
        "figure.facecolor": colours.paper,
        "savefig.facecolor": colours.paper,
        "svg.fonttype": "none",
        "text.parse_math": False,  # names may hold dollar signs
    }
