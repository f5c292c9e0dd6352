"""The four pictures of a report: design, overlap, images, and what a model can or does carry."""

from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.figure import Figure

from ._report_panels.association import draw_association
from ._report_panels.effects import draw_effects, draw_probes
from ._report_panels.overlap import draw_overlap
from ._report_panels.sites import draw_parts_or_errors, draw_transfer

__all__ = ["draw_report"]

HEIGHT_PER_SITE = 0.155
SITES_WITHOUT_MORE_HEIGHT = 12


@dataclass(frozen=True)
class Colours:
    """Ink of a picture, in hues that colour-blind readers tell apart (Wong 2011)."""

    ink: str = "#1f2430"
    faint: str = "#8a92a3"
    line: str = "#d5d9e2"
    main: str = "#0072b2"
    warn: str = "#d55e00"
    other: str = "#009e73"
    scale: str = "Blues"
    paper: str = "white"

    @classmethod
    def for_dark(cls):
        """Return ink for a dark page."""
        return cls(
            ink="#e6e9f0",
            faint="#8f98aa",
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
    n_sites = 0 if report.site_column is None else report.variables_[report.site_column].n_levels
    more = max(0, min(n_sites, 30) - SITES_WITHOUT_MORE_HEIGHT) * HEIGHT_PER_SITE
    with rc_context(_style(colours)):
        figure = Figure(figsize=(11, 7.6 + 2 * more), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.02, hspace=0.02)
        top, bottom = figure.subfigures(2, 1)
        association, overlap = top.subplots(1, 2, width_ratios=[1, 1.25])
        effects, probes, transfer, errors = bottom.subplots(1, 4, width_ratios=[1.1, 1.1, 1, 1])
        draw_association(report, association, colours)
        draw_overlap(report, overlap, colours)
        draw_effects(report, effects, colours)
        draw_probes(report, probes, colours)
        draw_transfer(report, transfer, colours)
        draw_parts_or_errors(report, errors, colours)
        for axes, letter in zip(
            (association, overlap, effects, probes, transfer, errors), "ABCCDD", strict=True
        ):
            first = axes in (association, overlap, effects, transfer)
            title = axes.get_title(loc="left")
            axes.set_title(f"{letter}   {title}" if first else title, loc="left", weight="bold")
    return figure


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
