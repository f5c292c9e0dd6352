"""Read one participant's files into one (channels, x, y, z) sample."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ..exceptions import DataError
from ._grid import Grid
from ._image_files import describe, load_volume
from ._kinds import PASCAL_PER_UNIT, detect_unit, kind_of
from ._moduli import derive
from ._resampling import resample_inside_mask, resample_mask
from ._tissue import tissue

# Raise this when the meaning of a loaded sample changes: cached samples of older code are ignored.
READING_VERSION = 2
# The same, for samples in which no channel alone shows the brain.
BRAIN_KEPT_VERSION = 3
# Stands for a zero inside the brain, since zero in all channels would be background.
_NEXT_TO_ZERO = np.finfo(np.float32).tiny

# More brain voxels than this outside the physical range is no noise but another unit or quantity.
_MOST_OUTLIERS = 0.01


@dataclass(frozen=True)
class Sample:
    """One participant's maps on the target grid.

    Parameters
    ----------
    data : ndarray of shape (channels, x, y, z), float32
        Background is exactly zero.
    units : dict
        Unit found on disk for each column that has one.
    quality : dict
        Brain volume in ml, and per channel the share of brain voxels outside its physical range
        and the share without a value.
    """

    data: np.ndarray
    units: dict[str, str] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class MapReader:
    """All that decides what a row of files becomes; plain values, so that it can key a cache.

    Parameters
    ----------
    columns : tuple of str
        Map kinds read from each row, in this order.
    channels : tuple of str
        What the sample holds: columns, or kinds derived from two of them.
    mask_column : str
        The column whose tissue is the brain.
    grid : Grid
        Target grid.
    derived : tuple of (str, (str, str))
        Channel and the two columns that it is derived from.
    accept : {"grid", "space", "any"}
        Which files to accept: those on the very target grid, those whose field of view ends where
        that of the target does, or all (the user vouches for their space).
    units : tuple of (str, str)
        Column and unit on disk, for columns whose unit is given rather than detected.
    limits : tuple of (str, float, float)
        Channel and physical range, for channels whose range differs from the usual one.
    outliers : {"clip", "refuse", "keep"}
        What becomes of brain voxels outside the range.
    interpolation : tuple of (str, str)
        Channel and method, for channels that are not interpolated linearly.
    """

    columns: tuple[str, ...]
    channels: tuple[str, ...]
    mask_column: str
    grid: Grid
    derived: tuple[tuple[str, tuple[str, str]], ...] = ()
    accept: str = "any"
    units: tuple[tuple[str, str], ...] = ()
    limits: tuple[tuple[str, float, float], ...] = ()
    outliers: str = "clip"
    interpolation: tuple[tuple[str, str], ...] = ()

    @lru_cache(maxsize=8)  # noqa: B019  asked for once per row; readers are small
    def fingerprint(self) -> str:
        """Return a text that differs whenever the loaded sample could."""
        version = READING_VERSION if self._shows_brain() else BRAIN_KEPT_VERSION
        return json.dumps({"version": version, **asdict(self)}, sort_keys=True)

    def _shows_brain(self) -> bool:
        """Whether some channel is positive wherever the brain is: tissue, or clipped to it."""
        ranges = {channel: (low, high) for channel, low, high in self.limits}
        for channel in self.channels:
            low, high = ranges.get(channel, kind_of(channel).limits) or (-np.inf, np.inf)
            clipped = self.outliers != "keep"
            if clipped and low > 0:
                return True
            if channel == self.mask_column and (high > 0 or not clipped):
                return True
        return False

    def read(self, row: tuple[Any, ...]) -> Sample:
        """Read, check, convert, mask and resample the files of one row."""
        names = dict(zip(self.columns, map(describe, row), strict=True))
        volumes = dict(zip(self.columns, map(load_volume, row), strict=True))
        for column, (_, grid) in volumes.items():
            self._check_space(grid, names[column])
        brain, brain_grid = tissue(volumes[self.mask_column][0]), volumes[self.mask_column][1]
        coverage, inside = resample_mask(brain, brain_grid, self.grid)
        if not inside.any():
            raise DataError(
                f"{names[self.mask_column]} has no positive voxel (all zeros or NaN), so it shows "
                "no brain. Leave this row out or replace the file."
            )
        units: dict[str, str] = {}
        quality = {"brain_ml": float(brain.sum() * brain_grid.voxel_size.prod() / 1000)}
        data = np.zeros((len(self.channels), *self.grid.shape), np.float32)
        for plane, channel in zip(data, self.channels, strict=True):
            name = names.get(channel, channel)
            sources = dict(self.derived).get(channel, (channel,))
            grid = self._common_grid(channel, sources, volumes, names)
            mask = brain if grid.same_as(brain_grid) else tissue(volumes[sources[0]][0])
            voxels = self._voxels(channel, sources, volumes, mask, names, units)
            finite = np.isfinite(voxels)
            if not finite.all():
                mask, voxels = _keep(mask, finite), voxels[finite]
            voxels, quality[f"outliers_{channel}"] = self._limit(voxels, channel, name)
            if grid.same_as(self.grid):
                plane[mask], covered = voxels, mask
            else:
                values = np.zeros(grid.shape, np.float32)
                values[mask] = voxels
                plane[:], covered = resample_inside_mask(
                    values, mask, grid, self.grid,
                    method=dict(self.interpolation).get(channel, "linear"),
                    coverage=coverage if mask is brain else None,
                )  # fmt: skip
            quality[f"missing_{channel}"] = _fill(plane, covered, inside, name)
        if not self._shows_brain():
            data[0][inside & ~data.any(axis=0)] = _NEXT_TO_ZERO
        return Sample(data, units, quality)

    def _common_grid(
        self,
        channel: str,
        sources: tuple[str, ...],
        volumes: dict[str, tuple[np.ndarray, Grid]],
        names: dict[str, str],
    ) -> Grid:
        grids = [volumes[column][1] for column in sources]
        if not grids[0].same_as(grids[-1]):
            raise DataError(
                f"'{channel}' cannot be derived from {names[sources[0]]} and {names[sources[1]]}, "
                f"which lie on different grids ({grids[0]}; {grids[1]}). Resample one first."
            )
        return grids[0]

    def _voxels(
        self,
        channel: str,
        sources: tuple[str, ...],
        volumes: dict[str, tuple[np.ndarray, Grid]],
        mask: np.ndarray,
        names: dict[str, str],
        units: dict[str, str],
    ) -> np.ndarray:
        """Return a channel at the mask voxels, in its unit after loading; note the units found."""
        values = []
        for column in sources:
            voxels = volumes[column][0][mask]
            if kind_of(column).unit == "kPa":
                unit = dict(self.units).get(column) or detect_unit(voxels, names[column], column)
                units[column] = unit
                voxels *= np.float32(PASCAL_PER_UNIT[unit] / PASCAL_PER_UNIT["kPa"])
            values.append(voxels)
        if len(sources) == 1:
            return values[0]
        return derive(channel, (sources[0], sources[1]), (values[0], values[1]))

    def _limit(self, voxels: np.ndarray, channel: str, name: str) -> tuple[np.ndarray, float]:
        """Return voxels within the physical range, and the share that was outside it."""
        given = {column: (low, high) for column, low, high in self.limits}
        limits = given.get(channel, kind_of(channel).limits)
        if limits is None or not voxels.size:
            return voxels, 0.0
        low, high = limits
        share = float(((voxels < low) | (voxels > high)).mean())
        if self.outliers == "refuse" and share > _MOST_OUTLIERS:
            raise DataError(
                f"{name} ('{channel}') has {share:.1%} of its brain voxels outside {low:g} to "
                f"{high:g} {kind_of(channel).unit}. Check unit and quantity, widen "
                "MapLoader(limits=...), or accept clipping with outliers='clip'."
            )
        if share and self.outliers != "keep":
            voxels = np.clip(voxels, low, high)
        return voxels, share

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


def _keep(mask: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return a mask without those of its voxels that are not kept."""
    result = mask.copy()
    result[mask] = kept
    return result


def _fill(plane: np.ndarray, covered: np.ndarray, inside: np.ndarray, name: str) -> float:
    """Cut a channel to the brain in place; brain voxels without a value get its mean.

    Returns the share of brain voxels without a value. The mean says least about them.
    """
    if covered is inside or np.array_equal(covered, inside):
        return 0.0
    missing = inside & ~covered
    n_missing, n_inside = int(missing.sum()), int(inside.sum())
    if n_missing == n_inside:
        raise DataError(
            f"{name} has no value inside the brain mask of the same row. "
            "Check that both files are of one person and in one space."
        )
    plane[~inside] = 0
    if n_missing:
        plane[missing] = plane[inside & covered].mean(dtype=np.float64)
    return n_missing / n_inside
