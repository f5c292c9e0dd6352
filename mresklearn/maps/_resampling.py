"""Mask-normalised resampling: background never leaks into the brain."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import affine_transform

from ._grid import Grid


def resample_mask(mask: np.ndarray, source: Grid, target: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return how much of each target voxel lies in a mask, and whether at least half does.

    Parameters
    ----------
    mask : ndarray of shape `source.shape`, bool
        Voxels that count.
    source, target : Grid
        Where the mask lies, and where it should.

    Returns
    -------
    coverage : ndarray of shape `target.shape`
        Interpolated mask, from 0 to 1; the mask itself on the same grid.
    inside : ndarray of shape `target.shape`, bool
        The resampled mask.
    """
    if source.same_as(target):
        return mask, mask
    coverage = _interpolate(mask.astype(np.float32), source, target)
    return coverage, coverage >= 0.5


def resample_inside_mask(
    values: np.ndarray,
    mask: np.ndarray,
    source: Grid,
    target: Grid,
    method: str = "linear",
    coverage: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate `values` over mask voxels only.

    With w the interpolation weights and m the mask, a target voxel gets
    sum(w m v) / sum(w m), and belongs to the brain where sum(w m) >= 1/2. A constant map stays
    constant up to its edge, which plain interpolation does not give.

    Parameters
    ----------
    values : ndarray of shape `source.shape`, float32
        The map, zero outside the mask.
    mask : ndarray of shape `source.shape`, bool
        The voxels that count.
    source, target : Grid
        Where the map lies, and where it should.
    method : {"linear", "nearest"}, default="linear"
        "nearest" takes the value of the nearest voxel, for labels; its mask is the same.
    coverage : ndarray of shape `target.shape` or None, default=None
        That of :func:`resample_mask`, where it is known already.

    Returns
    -------
    resampled : ndarray of shape `target.shape`, float32
        Zero outside the resampled mask.
    inside : ndarray of shape `target.shape`, bool
        The resampled mask.
    """
    if source.same_as(target):
        return values, mask
    if coverage is None:
        coverage, _ = resample_mask(mask, source, target)
    inside = coverage >= 0.5
    if method == "nearest":
        present = _nearest(mask.astype(np.float32), source, target) > 0
        return _nearest(values, source, target) * inside, inside & present
    resampled = np.zeros(target.shape, np.float32)
    np.divide(_interpolate(values, source, target), coverage, out=resampled, where=inside)
    return resampled, inside


def _interpolate(volume: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Apply one weight matrix along each axis, after straightening an oblique volume."""
    if source.same_as(target):
        return volume
    if not source.axis_aligned:
        volume, source = _straighten(volume, source)
    along_x, along_y, along_z = (
        _axis_weights(
            source.shape[axis],
            target.shape[axis],
            source.affine[axis][axis],
            source.affine[axis][3],
            target.affine[axis][axis],
            target.affine[axis][3],
        )
        for axis in range(3)
    )
    volume = np.matmul(along_y, np.matmul(volume, along_z.T))  # contiguous: no transposed copies
    rows = along_x @ volume.reshape(source.shape[0], -1)
    return rows.reshape(target.shape)


@lru_cache(maxsize=64)
def _axis_weights(
    n_source: int,
    n_target: int,
    source_step: float,
    source_start: float,
    target_step: float,
    target_start: float,
) -> np.ndarray:
    """Antialiased linear interpolation along one axis, shape (n_target, n_source).

    A triangle of half-width max(1, target step / source step) source voxels: linear interpolation
    for equal or finer targets, a weighted mean of all covered voxels for coarser ones. Each row
    sums to one over the infinite line, so what lies outside the field of view counts as background.
    """
    ratio = max(1.0, target_step / source_step)
    centres = (target_start + target_step * np.arange(n_target) - source_start) / source_step
    margin = int(np.ceil(ratio)) + 1
    line = np.arange(-margin, n_source + margin)
    # a target outside the source has an empty row, hence the guard on its sum
    weights = np.clip(1 - np.abs(line[None, :] - centres[:, None]) / ratio, 0, None)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    result = np.ascontiguousarray(weights[:, margin : margin + n_source], dtype=np.float32)
    result.flags.writeable = False
    return result


def _straighten(volume: np.ndarray, source: Grid) -> tuple[np.ndarray, Grid]:
    """Bring an oblique volume to an axis-aligned grid of its own voxel size."""
    straight = source.with_voxel_size(float(source.voxel_size.min()))
    to_source = np.linalg.inv(source.matrix) @ straight.matrix
    return affine_transform(volume, to_source, output_shape=straight.shape, order=1), straight


def _nearest(volume: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Take the value of the nearest source voxel; zero outside the field of view."""
    to_source = np.linalg.inv(source.matrix) @ target.matrix
    return affine_transform(volume, to_source, output_shape=target.shape, order=0)
