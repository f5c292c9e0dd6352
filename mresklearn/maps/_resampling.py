"""Mask-normalised resampling: background never leaks into the brain."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import affine_transform

from ._grid import Grid


def resample_inside_mask(
    values: np.ndarray, mask: np.ndarray, source: Grid, target: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate `values` over mask voxels only.

    With w the interpolation weights and m the mask, a target voxel gets
    sum(w m v) / sum(w m), and belongs to the brain where sum(w m) >= 1/2. A constant map stays
    constant up to its edge, which plain interpolation does not give.

    Parameters
    ----------
    values, mask : ndarray of shape `source.shape`
        The map in float32 and the voxels that count.
    source, target : Grid
        Where the map lies, and where it should.

    Returns
    -------
    resampled : ndarray of shape `target.shape`, float32
        Zero outside the resampled mask.
    inside : ndarray of shape `target.shape`, bool
        The resampled mask.
    """
    if source.same_as(target):
        return np.where(mask, values, np.float32(0)), mask.copy()
    weight = mask.astype(np.float32)
    weighted = np.where(mask, values, np.float32(0))
    if not source.axis_aligned:
        weighted, weight, source = _straighten(weighted, weight, source)
    total = _separable(weighted, source, target)
    coverage = _separable(weight, source, target)
    inside = coverage >= 0.5
    resampled = np.zeros(target.shape, np.float32)
    np.divide(total, coverage, out=resampled, where=inside)
    return resampled, inside


def _separable(volume: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Apply one weight matrix along each axis."""
    for axis in range(3):
        weights = _axis_weights(
            source.shape[axis],
            target.shape[axis],
            source.affine[axis][axis],
            source.affine[axis][3],
            target.affine[axis][axis],
            target.affine[axis][3],
        )
        volume = np.moveaxis(np.tensordot(weights, volume, axes=(1, axis)), 0, axis)
    return volume


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


def _straighten(
    weighted: np.ndarray, weight: np.ndarray, source: Grid
) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Bring an oblique volume to an axis-aligned grid of its own voxel size."""
    straight = source.with_voxel_size(float(source.voxel_size.min()))
    to_source = np.linalg.inv(source.matrix) @ straight.matrix
    weighted, weight = (
        affine_transform(array, to_source, output_shape=straight.shape, order=1)
        for array in (weighted, weight)
    )
    return weighted, weight, straight
