"""Read one participant's files into one (channels, x, y, z) sample."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from ..exceptions import DataError
from ._grid import Grid, to_canonical
from ._kinds import PASCAL_PER_UNIT, detect_unit, kind_of
from ._resampling import resample_inside_mask

# Raise this when the meaning of a loaded sample changes: cached samples of older code are ignored.
READING_VERSION = 1


@dataclass(frozen=True)
class Sample:
    """One participant's maps on the target grid.

    Parameters
    ----------
    data : ndarray of shape (channels, x, y, z), float32
        Background is exactly zero.
    units : dict
        Unit found on disk for each column that has one to detect.
    """

    data: np.ndarray
    units: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MapReader:
    """All that decides what a row of files becomes; plain values, so that it can key a cache.

    Parameters
    ----------
    columns : tuple of str
        Map kinds read from each row, in this order.
    channels : tuple of str
        Those of `columns` that become channels; the others only serve the mask.
    mask_column : str
        The column whose finite positive voxels are the brain.
    grid : Grid
        Target grid.
    accept : {"grid", "space", "any"}
        Which files to accept: those on the very target grid, those whose field of view ends where
        that of the target does, or all (the user vouches for their space).
    units : tuple of (str, str)
        Column and unit on disk, for columns whose unit is given rather than detected.
    """

    columns: tuple[str, ...]
    channels: tuple[str, ...]
    mask_column: str
    grid: Grid
    accept: str = "any"
    units: tuple[tuple[str, str], ...] = ()

    def fingerprint(self) -> str:
        """Return a text that differs whenever the loaded sample could."""
        return json.dumps({"version": READING_VERSION, **asdict(self)}, sort_keys=True)

    def read(self, row: tuple[Any, ...]) -> Sample:
        """Read, check, convert, mask and resample the files of one row."""
        volumes = dict(zip(self.columns, map(load_volume, row), strict=True))
        names = dict(zip(self.columns, map(describe, row), strict=True))
        for column, (_, grid) in volumes.items():
            self._check_space(grid, names[column])
        units: dict[str, str] = {}
        brain, brain_grid = self._brain(*volumes[self.mask_column], names[self.mask_column])
        planes = []
        inside: np.ndarray | None = None
        for column in sorted(self.columns, key=lambda name: name != self.mask_column):
            values, grid = volumes[column]
            valid = np.isfinite(values)
            valid &= brain if grid.same_as(brain_grid) else values != 0
            values = self._to_unit(values, column, names[column], units)
            resampled, covered = resample_inside_mask(values, valid, grid, self.grid)
            if inside is None:  # the mask column comes first
                inside = covered
            planes.append((column, _fill(resampled, covered, inside, names[column])))
        by_name = dict(planes)
        return Sample(np.stack([by_name[channel] for channel in self.channels]), units)

    def _brain(self, values: np.ndarray, grid: Grid, name: str) -> tuple[np.ndarray, Grid]:
        positive = _positive(values)
        if not positive.any():
            raise DataError(
                f"{name} has no positive voxel (all zeros or NaN), so it shows no brain. "
                "Leave this row out or replace the file."
            )
        return positive, grid

    def _to_unit(
        self, values: np.ndarray, column: str, name: str, found: dict[str, str]
    ) -> np.ndarray:
        kind = kind_of(column)
        if kind.unit == "kPa":
            unit = dict(self.units).get(column)
            if unit is None:
                unit = detect_unit(values[_positive(values)], name, column)
            found[column] = unit
            values = values * np.float32(PASCAL_PER_UNIT[unit] / PASCAL_PER_UNIT["kPa"])
        if kind.limits is not None:
            values = np.clip(values, *kind.limits)
        return values

    def _check_space(self, grid: Grid, name: str) -> None:
        # one voxel of either grid: resampled copies of one template differ by up to that
        tolerance = float(max(grid.voxel_size.max(), self.grid.voxel_size.max()))
        if self.accept == "grid" and not grid.same_as(self.grid):
            raise DataError(
                f"{name} lies on another grid ({grid}) than the first map ({self.grid}). If all "
                "maps are registered to one template, give MapLoader(voxel_size=...) or "
                "MapLoader(grid=template) to resample them; else register them first."
            )
        if self.accept == "space" and not grid.same_space_as(self.grid, tolerance):
            raise DataError(
                f"{name} covers another field of view ({grid}) than the first map, resampled to "
                f"{self.grid}. Register all maps to one template; if they already are, declare it "
                "with MapLoader(grid=template)."
            )


def load_volume(source: Any) -> tuple[np.ndarray, Grid]:
    """Return the values of an image in RAS+ order as float32, and its grid."""
    image = open_image(source)
    try:
        data = np.asanyarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(
            f"{describe(source)} is truncated or corrupt ({error}). Copy or convert it again."
        ) from error
    return to_canonical(data.reshape(image.shape[:3]), image.affine), Grid.of_image(image)


def open_image(source: Any) -> Any:
    """Return a nibabel image for a path or an image, header checked, values not yet read."""
    image: Any = source
    if not isinstance(source, nib.spatialimages.SpatialImage):
        try:
            image = nib.load(source)
        except FileNotFoundError as error:
            raise DataError(
                f"There is no file {source}. Correct the path, or leave this row out."
            ) from error
        except (ImageFileError, OSError, EOFError, zlib.error) as error:
            raise DataError(
                f"{source} cannot be opened as an image ({error}). Give NIfTI files, whole ones."
            ) from error
    if int(np.prod(image.shape[3:])) != 1 or len(image.shape) < 3:
        raise DataError(
            f"{describe(source)} has shape {image.shape}; a map is one 3-D volume. "
            "Split series into one file per volume."
        )
    return image


def describe(source: Any) -> str:
    """Return the name under which errors speak of a path or an image in memory."""
    if isinstance(source, str | PathLike):
        return str(source)
    return source.get_filename() or "an image in memory"


def _positive(values: np.ndarray) -> np.ndarray:
    """Return where values are finite and positive."""
    return (values > 0) & np.isfinite(values)


def _fill(resampled: np.ndarray, covered: np.ndarray, inside: np.ndarray, name: str) -> np.ndarray:
    """Restrict a channel to the brain; voxels that it lacks get its mean, which says nothing."""
    both = covered & inside
    if not both.any():
        raise DataError(
            f"{name} has no value inside the brain mask of the same row. "
            "Check that both files are of one person and in one space."
        )
    channel = np.where(both, resampled, np.float32(0))
    missing = inside & ~covered
    if missing.any():
        channel[missing] = resampled[both].mean(dtype=np.float64)
    return channel
