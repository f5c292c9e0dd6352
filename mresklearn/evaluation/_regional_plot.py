"""The picture of a regional report: brains coloured by region, and every region's interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .._plot_style import FAINT, HUES, INK, LINE, STYLE

if TYPE_CHECKING:
    from ._regional_report import RegionalReport

__all__ = ["draw_report"]

AGE = HUES[0]
GROUPS = ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MISSING = (0.6, 0.6, 0.6, 1.0)
N_SLICES = 6
WIDTH, BRAIN_HEIGHT, ROW_HEIGHT = 11.0, 1.75, 0.24  # inches


def draw_report(report: RegionalReport, background: Any, alpha: float) -> Figure:
    """Draw the picture; see :meth:`RegionalReport.plot`."""
    with rc_context(STYLE):
        n_brains = 0 if report.image is None else 1 + len(report.groups)
        brains = n_brains * BRAIN_HEIGHT
        dots = ROW_HEIGHT * max(len(report.table), 3) * max(1, len(report.groups) * 0.7) + 1.2
        figure = Figure(figsize=(WIDTH, brains + dots))
        figure.set_layout_engine("none")  # axes are placed here
        height = brains + dots
        for row in range(n_brains):
            bottom = 1 - (row + 1) * BRAIN_HEIGHT / height
            box = (bottom, BRAIN_HEIGHT / height)
            _draw_brain(figure, box, report, row, background, alpha)
        _draw_dots(figure, dots / height, report, alpha)
    return figure


def _draw_brain(
    figure: Figure,
    box: tuple[float, float],
    report: RegionalReport,
    row: int,
    background: Any,
    alpha: float,
) -> None:
    """Draw one row of slices: age sensitivity first, then each diagnosis."""
    from nilearn import plotting

    bottom, height = box
    if row == 0:
        values, marked = report.table.r, None
        title, norm, colours = "age sensitivity: r", Normalize(0, 1), colormaps["viridis"]
    else:
        group = report.groups[row - 1]
        values = report.table[f"auc_{group}"]
        marked = report.table[f"p_corrected_{group}"] < alpha
        # one scale for all diagnoses, or the colours of rows could not be compared
        areas = report.table[[f"auc_{name}" for name in report.groups]].to_numpy()
        spread = max(0.1, float(np.nanmax(np.abs(areas - 0.5), initial=0)))
        title = f"{group}: AUC of the gap\n(outlined: p < {alpha:g})"
        norm = Normalize(0.5 - spread, 0.5 + spread)
        colours = colormaps["RdBu_r"]
    figure.text(
        0.012,
        bottom + height / 2,
        title,
        rotation=90,
        va="center",
        ha="left",
        ma="center",
        fontsize=8,
    )
    ax = figure.add_axes((0.035, bottom, 0.875, height * 0.97))
    display = plotting.plot_anat(
        **({} if background is None else {"anat_img": background}),
        display_mode="z",
        cut_coords=_cuts(report.image),
        axes=ax,
        figure=figure,
        annotate=False,
        draw_cross=False,
        black_bg=False,
        colorbar=False,
        dim=-0.3,
    )
    table = ListedColormap(
        [MISSING if np.isnan(value) else colours(norm(value)) for value in values]
    )
    n_regions = len(values)
    display.add_overlay(
        report.image,
        cmap=table,
        vmin=0.5,
        vmax=n_regions + 0.5,
        threshold=0.5,
        colorbar=False,
        resampling_interpolation="nearest",
    )
    if marked is not None and marked.any():
        _outline(display, report.image, np.flatnonzero(marked.to_numpy()) + 1)
    display.annotate(size=7, positions=True, left_right=row == 0)
    scale = figure.add_axes((0.925, bottom + 0.15 * height, 0.012, 0.7 * height))
    figure.colorbar(ScalarMappable(norm, colours), cax=scale)
    scale.tick_params(labelsize=7)


def _outline(display: Any, image: Any, rows: np.ndarray) -> None:
    """Draw a line around the marked regions; colours tell them apart from each other."""
    from nilearn.image import new_img_like

    marked = np.isin(np.asarray(image.dataobj), rows).astype(np.float32)
    # dark on light, to be seen on every colour
    for colour, width in (("white", 2.6), (INK, 1.1)):
        display.add_contours(
            new_img_like(image, marked), levels=[0.5], colors=[colour], linewidths=width
        )


def _cuts(image: Any) -> list[float]:
    """Choose heights, in mm, that between them show as much of every region as slices can.

    Greedy: each slice is the one that adds most to the largest section seen of each region, as a
    share of the largest that there is, so that small regions count like large ones.
    """
    data = np.asarray(image.dataobj)
    rows = np.unique(data[data > 0])
    areas = np.stack([(data == row).sum(axis=(0, 1)) for row in rows])
    shares = areas / areas.max(axis=1, keepdims=True)
    seen = np.zeros(len(rows))
    chosen: list[int] = []
    thickness = abs(image.affine[2, 2])
    free = np.ones(shares.shape[1], dtype=bool)
    while len(chosen) < N_SLICES and free.any():
        gain = np.where(free, np.maximum(shares, seen[:, None]).sum(axis=0) - seen.sum(), -1)
        # where all has been seen, the slices with most of everything
        best = int(np.argmax(gain + 1e-3 * np.where(free, shares.sum(axis=0), -1)))
        chosen.append(best)
        seen = np.maximum(seen, shares[:, best])
        near = np.abs(np.arange(len(free)) - best) * thickness < 6  # mm: neighbours look alike
        free &= ~near
    centre = np.array([(size - 1) / 2 for size in data.shape[:2]])
    heights = [(image.affine @ [*centre, cut, 1])[2] for cut in sorted(chosen)]
    return [float(height) for height in heights]


def _draw_dots(figure: Figure, top: float, report: RegionalReport, alpha: float) -> None:
    """Draw the intervals of age sensitivity, and of separation beside them."""
    n_panels = 2 if report.groups else 1
    bottom = 0.75 / figure.get_figheight()
    grid = figure.add_gridspec(
        1, n_panels, left=0.17, right=0.97, bottom=bottom, top=top - 0.25 / figure.get_figheight(),
        wspace=0.06,
    )  # fmt: skip
    rows = np.arange(len(report.table))
    first = figure.add_subplot(grid[0])
    _draw_series(first, rows, report, "r", AGE, np.ones(len(rows), bool), 0.0)
    reference = next(iter(report.n_people))
    first.set_xlabel(f"correlation with age ({_count(report, reference)})")
    first.axvline(0, color=FAINT, linewidth=0.8)
    first.set_yticks(rows, [_readable(name) for name in report.table.index])
    axes = [first]
    if report.groups:
        second = figure.add_subplot(grid[1], sharey=first)
        second.tick_params(labelleft=False)
        _draw_separation(second, rows, report, alpha)
        axes.append(second)
    for ax in axes:
        ax.grid(axis="y", color=LINE, linewidth=0.6)
        ax.set_axisbelow(True)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
    first.set_ylim(len(rows) - 0.5, -0.5)


def _draw_separation(ax: Axes, rows: np.ndarray, report: RegionalReport, alpha: float) -> None:
    n_groups = len(report.groups)
    handles = []
    for k, group in enumerate(report.groups):
        colour = GROUPS[k % len(GROUPS)]
        significant = (report.table[f"p_corrected_{group}"] < alpha).to_numpy()
        offset = (k - (n_groups - 1) / 2) * 0.6 / n_groups
        _draw_series(ax, rows, report, f"auc|_{group}", colour, significant, offset)
        handles.append(
            Line2D([], [], color=colour, marker="o", markersize=5, label=_count(report, group))
        )
    ax.axvline(0.5, color=FAINT, linewidth=0.8)
    held = ", ".join(report.held_fixed)
    ax.set_xlabel(f"area under the curve of the gap{f' ({held} held fixed)' if held else ''}")
    method = "uncorrected" if report.correction is None else f"corrected ({report.correction})"
    for fill, label in ((INK, f"p < {alpha:g}, {method}"), ("white", "others")):
        handles.append(
            Line2D(
                [], [], linestyle="none", marker="o", markersize=5, color=INK,
                markerfacecolor=fill, label=label,
            )
        )  # fmt: skip
    ax.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(handles),
        columnspacing=1.2, handletextpad=0.4, borderaxespad=0.1,
    )  # fmt: skip


def _draw_series(
    ax: Axes,
    rows: np.ndarray,
    report: RegionalReport,
    column: str,
    colour: str,
    filled: np.ndarray,
    offset: float,
) -> None:
    """Draw a dot and an interval a region; the bar of `column` stands where low and high go."""
    name, _, group = column.partition("|")
    values, low, high = (report.table[f"{name}{end}{group}"] for end in ("", "_low", "_high"))
    ax.hlines(rows + offset, low, high, color=colour, linewidth=1.4)
    for kind, face in ((filled, colour), (~filled, "white")):
        ax.plot(
            values[kind], rows[kind] + offset, linestyle="none", marker="o", markersize=5,
            color=colour, markerfacecolor=face, markeredgewidth=1.2,
        )  # fmt: skip


def _count(report: RegionalReport, group: str) -> str:
    return f"{group}, n = {report.n_people[group]}"


def _readable(name: str) -> str:
    return str(name).replace("_", " ")
