"""The picture of a brain map, over the MNI template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from ._brain_map import BrainMap

__all__ = ["draw_brain_map"]

INK = "#1f2430"
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,
}
SHOWN = 0.2  # share of the brain that is drawn where no threshold is given
LABELS = {
    "magnitude": "mean size of {}",
    "standard_error": "standard error of {}",
    "t": "t of {}",
    "n_people": "people",
}


def draw_brain_map(
    result: BrainMap,
    what: str | int,
    kind: str,
    threshold: float | None,
    cuts: Sequence[float] | int,
    title: str | None,
) -> Figure:
    """Draw the picture; see :meth:`BrainMap.plot`."""
    from nilearn import plotting

    if kind not in ("slices", "glass"):
        raise ValueError(f"kind must be 'slices' or 'glass', got {kind!r}.")
    image = result.to_image(what)
    volume = result.volume(what)
    size = np.abs(volume[np.isfinite(volume)])
    signed = result.signed and (what in ("group", "t") or not isinstance(what, str))
    if threshold is None:
        everything = what in ("standard_error", "n_people") or not size.size
        threshold = 0.0 if everything else float(np.quantile(size, 1 - SHOWN))
    least = float(np.finfo(np.float32).tiny)
    highest = float(np.quantile(size, 0.999)) if size.size else 1.0
    top = max(highest, threshold * 1.01, least)
    colours = {
        "cmap": "RdBu_r" if signed else "plasma",  # one way darker, the other way darker
        "vmin": -top if signed else threshold,
        "vmax": top,
        "threshold": max(threshold, least),
        "colorbar": True,
    }
    with rc_context(STYLE):
        size = (10, 2.25) if kind == "slices" else (9, 3.1)
        figure = Figure(figsize=size)
        figure.set_layout_engine("none")  # axes are placed here
        axes = (0.01, 0.0, 0.96, 0.86)
        if kind == "glass":
            plotting.plot_glass_brain(
                image, figure=figure, axes=axes, plot_abs=False, display_mode="lyrz", **colours
            )
        else:
            heights = _heights(result, cuts)
            plotting.plot_stat_map(
                image, figure=figure, axes=axes, display_mode="z", cut_coords=heights,
                draw_cross=False, annotate=True, black_bg=False, **colours,
            )  # fmt: skip
        text = _title(result, what, title)
        figure.text(0.012, 0.97, text, va="top", weight="bold", fontsize=10)
        figure.text(0.98, 0.97, _label(result, what, threshold), va="top", ha="right")
    return figure


def _heights(result: BrainMap, cuts: Sequence[float] | int) -> list[float]:
    """Return z of the slices in mm: the same for all maps of a grid, and not at its rim."""
    assert result.grid is not None
    if not isinstance(cuts, int | np.integer):
        return list(cuts)
    height = nib.affines.apply_affine(result.grid.matrix, np.argwhere(result.n_people_map > 0))
    low, high = height[:, 2].min(), height[:, 2].max()
    shares = np.linspace(0.15, 0.85, int(cuts)) if cuts > 1 else [0.5]
    return [float(round(low + share * (high - low))) for share in shares]


def _title(result: BrainMap, what: str | int, title: str | None) -> str:
    """Return what stands above the picture."""
    if title is not None:
        return title
    if isinstance(what, int | np.integer):
        return f"Participant {result.participants[int(what)]}"
    return f"{int(result.n_people_map.max())} people"


def _label(result: BrainMap, what: str | int, threshold: float) -> str:
    """Return what a colour says, and what is left out."""
    if what == "group":
        label = f"mean {result.unit}"
    else:
        label = result.unit if not isinstance(what, str) else LABELS[what].format(result.unit)
    return f"{label}; below {threshold:.2g} not drawn" if threshold else label
