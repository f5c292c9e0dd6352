"""Axial slices of a map over anatomy, as pictures inside the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import nibabel as nib
import numpy as np
from scipy.ndimage import map_coordinates

from ..exceptions import DataError
from ..maps._image_files import load_volume
from ._numbers import MINUS, as_years

__all__ = ["BrainSlices", "Slice", "draw_slices"]

SHOWN = 0.2  # share of the map that is drawn where no threshold is given
LEAST_OVERLAP = 0.5  # share of the map that must lie in the anatomy
PIXEL = 1.0  # mm
MARGIN = 4.0  # mm around the brain
GREYS = (0.18, 0.80)  # darkest and lightest anatomy, so that colours stand out on it
STEPS = 9  # colours that make up the bar


@dataclass(frozen=True)
class Slice:
    """One slice: its height in mm, the picture as a data URI, and words in its place."""

    z: float
    source: str
    alt: str


@dataclass(frozen=True)
class BrainSlices:
    """Slices of one map, with the scale of its colours.

    Attributes
    ----------
    slices : tuple of Slice
        From bottom to top.
    peak : float
        Value that is largest in size.
    peak_at : tuple of float
        Where it lies, x, y and z in mm, of positive to the right, front and top.
    threshold : float
        Values below it in size are not drawn.
    low, high : float
        Ends of the colour bar.
    bar : str
        Its colours, as CSS.
    """

    slices: tuple[Slice, ...]
    peak: float
    peak_at: tuple[float, float, float]
    threshold: float
    low: float
    high: float
    bar: str


def draw_slices(
    saliency: Any, anatomy: Any = "mni152", *, threshold: float | None = None, n_slices: int = 8
) -> BrainSlices:
    """Draw a map on evenly spaced axial slices; see :func:`person_report` for the parameters."""
    values, grid = load_volume(saliency)
    values = np.where(np.isfinite(values), values, 0.0)
    size = np.abs(values[values != 0])
    if not size.size:
        raise DataError(
            "The saliency map is zero or NaN everywhere, so there is nothing to draw. Leave it "
            "out, or check the map that was passed."
        )
    if threshold is None:
        threshold = float(np.quantile(size, 1 - SHOWN))
    top = max(float(np.quantile(size, 0.999)), 1.001 * threshold, float(np.finfo(np.float32).tiny))
    ground, ground_matrix = _load_anatomy(anatomy, values, grid.matrix)
    box = _bounding_box(ground, ground_matrix)
    bottom, top_of_head = box[2] + np.array([0.2, -0.12]) * np.ptp(box[2])
    heights = np.linspace(bottom, top_of_head, n_slices)
    colours = _Colours(bool((values < 0).any()), threshold, top)
    slices = []
    for height in np.round(heights):
        plane = _plane(box, height)
        shown = _sample(values, grid.matrix, plane, order=0)
        picture = colours.blend(shown, _sample(ground, ground_matrix, plane, order=1))
        slices.append(Slice(float(height), _encode(picture), _describe(height, shown, threshold)))
    place = np.unravel_index(np.abs(values).argmax(), values.shape)
    at = nib.affines.apply_affine(grid.matrix, place)
    return BrainSlices(
        tuple(slices), float(values[place]), (float(at[0]), float(at[1]), float(at[2])), threshold,
        -top if colours.signed else threshold, top, colours.bar(),
    )  # fmt: skip


def _load_anatomy(
    anatomy: Any, values: np.ndarray, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return grey values of 0 to 1, 0 outside the brain, and where they lie."""
    if anatomy is None:
        return (values != 0) * 0.5, matrix
    if isinstance(anatomy, str) and anatomy == "mni152":
        from nilearn.datasets import load_mni152_template

        anatomy = load_mni152_template(resolution=2)
    ground, grid = load_volume(anatomy)
    ground = np.where(np.isfinite(ground), ground, 0.0)
    inside = ground > 0.05 * ground.max()
    if not inside.any():
        raise DataError("The anatomy has no positive voxel: pass another image, or None.")
    points = nib.affines.apply_affine(matrix, np.argwhere(values != 0))
    share = _at(inside.astype(np.float32), grid.matrix, points.T, order=0).mean()
    if share < LEAST_OVERLAP:
        raise DataError(
            f"Only {share:.0%} of the saliency map lies in the brain of the anatomy, so they are "
            "not in one space. Pass the person's own image in the space of the map as anatomy, or "
            "None for a plain outline."
        )
    low, high = np.quantile(ground[inside], [0.02, 0.98])
    scaled = np.clip((ground - low) / max(high - low, 1e-9), 0.02, 1) * inside
    return scaled, grid.matrix


def _bounding_box(ground: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the ends of the brain in mm, by axis."""
    points = nib.affines.apply_affine(matrix, np.argwhere(ground > 0))
    return np.column_stack([points.min(axis=0) - MARGIN, points.max(axis=0) + MARGIN])


def _plane(box: np.ndarray, height: float) -> np.ndarray:
    """Return the points of a slice, (3, rows, columns): front on top, left on the left."""
    x = np.arange(box[0, 0], box[0, 1], PIXEL)
    y = np.arange(box[1, 1], box[1, 0], -PIXEL)
    columns, rows = np.meshgrid(x, y)
    return np.stack([columns, rows, np.full_like(rows, height)])


def _sample(volume: np.ndarray, matrix: np.ndarray, plane: np.ndarray, order: int) -> np.ndarray:
    return _at(volume, matrix, plane.reshape(3, -1), order).reshape(plane.shape[1:])


def _at(volume: np.ndarray, matrix: np.ndarray, points: np.ndarray, order: int) -> np.ndarray:
    """Read a volume at points in mm; 0 outside."""
    places = nib.affines.apply_affine(np.linalg.inv(matrix), points.T).T
    return map_coordinates(volume, places, order=order, mode="constant", cval=0.0)


class _Colours:
    """Colours of values, over grey anatomy on a transparent ground."""

    def __init__(self, signed: bool, threshold: float, top: float) -> None:
        from matplotlib import colormaps

        self.signed, self.threshold, self.top = signed, threshold, top
        self._map = colormaps["RdBu_r" if signed else "plasma"]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return red, green and blue: more of the value, further from grey."""
        span = max(self.top - self.threshold, 1e-12)
        share = np.clip((np.abs(values) - self.threshold) / span, 0, 1)
        place = 0.5 + np.sign(values) * (0.2 + 0.24 * share) if self.signed else 0.35 + 0.62 * share
        return self._map(place)[..., :3]

    def blend(self, values: np.ndarray, anatomy: np.ndarray) -> np.ndarray:
        """Return the picture, with transparency."""
        grey = GREYS[0] + (GREYS[1] - GREYS[0]) * np.clip(anatomy, 0, 1)
        drawn = (np.abs(values) >= self.threshold) & (values != 0)
        picture = np.repeat(grey[..., np.newaxis], 4, axis=-1)
        picture[drawn, :3] = 0.12 * picture[drawn, :3] + 0.88 * self(values[drawn])
        picture[..., 3] = np.where(drawn, 1.0, np.clip(anatomy / 0.02, 0, 1))
        return picture

    def bar(self) -> str:
        """Return the colours of the bar as CSS, with nothing where nothing is drawn."""
        values = np.linspace(self.threshold, self.top, STEPS)
        stops = [self._css(value) for value in values]
        if not self.signed:
            return f"linear-gradient(to right, {', '.join(stops)})"
        share = 50 * (1 - self.threshold / self.top)
        left = ", ".join(
            f"{self._css(-value)} {place:.1f}%"
            for value, place in zip(values[::-1], np.linspace(0, share, STEPS), strict=True)
        )
        right = ", ".join(
            f"{stop} {place:.1f}%"
            for stop, place in zip(stops, np.linspace(100 - share, 100, STEPS), strict=True)
        )
        gap = f"transparent {share:.1f}%, transparent {100 - share:.1f}%"
        return f"linear-gradient(to right, {left}, {gap}, {right})"

    def _css(self, value: float) -> str:
        red, green, blue = np.round(255 * self(np.array([value]))[0]).astype(int)
        return f"rgb({red},{green},{blue})"


def _describe(height: float, shown: np.ndarray, threshold: float) -> str:
    """Say what a slice shows."""
    where = f"Axial slice at z = {as_years(height, 0)} mm"
    peak = shown.flat[np.abs(shown).argmax()]
    if abs(peak) < threshold or peak == 0:
        return f"{where}: nothing above the threshold."
    return f"{where}: largest value {_digits(peak)}."


def _digits(value: float) -> str:
    return f"{value:.2g}".replace("-", MINUS)


def _encode(picture: np.ndarray) -> str:
    """Return a picture as a data URI."""
    from matplotlib.image import imsave

    held = BytesIO()
    imsave(held, (255 * np.clip(picture, 0, 1)).round().astype(np.uint8), format="png")
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode('ascii')}"
