"""Patches of voxels that are occluded together: cubes, or the regions of a label image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import sparse

from ..exceptions import DataError
from ..maps import MapArray
from ..maps._grid import Grid
from ..maps._region_labels import find_regions, read_labels

__all__ = ["Patches", "cubes", "regions_of"]


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of a grid, which may overlap.

    Parameters
    ----------
    members : sparse array of shape (patches, voxels), float32
        1 where a voxel, counted as in ``ndarray.ravel``, belongs to a patch.
    shape : tuple of three int
        Voxels along x, y and z.
    table : DataFrame
        A row per patch, as users see it.
    """

    members: sparse.csr_array
    shape: tuple[int, int, int]
    table: pd.DataFrame

    def __len__(self) -> int:
        return self.members.shape[0]

    def voxels(self, patch: int) -> np.ndarray:
        """Return the flat voxel numbers of one patch."""
        start, stop = self.members.indptr[patch : patch + 2]
        return self.members.indices[start:stop]

    def present(self, brain: np.ndarray) -> np.ndarray:
        """Return which patches hold a voxel of a brain mask."""
        return self.members @ brain.ravel().astype(np.float32) > 0

    def spread(self, effects: np.ndarray, brain: np.ndarray) -> np.ndarray:
        """Return the mean effect of the patches that cover each voxel; NaN outside the brain."""
        total = self.members.T @ np.nan_to_num(effects)
        cover = self.members.sum(axis=0)
        seen = (cover > 0) & brain.ravel()
        volume = np.divide(total, cover, out=np.full(len(total), np.nan), where=seen)
        return volume.reshape(self.shape).astype(np.float32)


def cubes(size: int, stride: int | None, brain: np.ndarray, grid: Grid | None) -> Patches:
    """Return cubes of `size` voxels, `stride` apart, that touch the brain.

    They start at the corner of the grid, so that they do not depend on who is looked at; those at
    its far end are cut off.
    """
    stride = size if stride is None else stride
    if stride > size:
        raise ValueError(
            f"stride={stride} is larger than size={size}, so that voxels between the cubes would "
            "never be occluded. Give a stride of at most the size."
        )
    along = [_intervals(edge, size, stride) for edge in brain.shape]
    members = sparse.kron(sparse.kron(along[0], along[1]), along[2], format="csr")
    members.eliminate_zeros()  # the product of dense blocks stores zeros, which are no members
    members = sparse.csr_array(members[members @ brain.ravel().astype(np.float32) > 0])
    return _described(members, brain.shape, None, grid)


def regions_of(labels: Any, names: Any, maps: MapArray) -> Patches:
    """Return the regions of a label image on the grid of the maps."""
    volume = read_labels(_as_image(labels, maps), names, maps)
    found = find_regions(volume, None)
    masks = [sparse.csr_array(volume.mask_of(found[name]).reshape(1, -1)) for name in found]
    members = sparse.csr_array(sparse.vstack(masks, format="csr", dtype=np.float32))
    return _described(members, volume.data.shape, list(found), maps.grid)


def _intervals(edge: int, size: int, stride: int) -> sparse.csr_array:
    """Return which voxels of one axis each interval holds."""
    starts = np.arange(0, edge, stride)
    # the last ones would repeat parts of the one that reaches the end first
    starts = starts[: np.argmax(starts + size >= edge) + 1]
    voxels = np.arange(edge)
    inside = (voxels >= starts[:, None]) & (voxels < starts[:, None] + size)
    return sparse.csr_array(inside.astype(np.float32))


def _as_image(labels: Any, maps: MapArray) -> Any:
    """Return labels in memory as an image on the grid of the maps; all else as it is."""
    if not isinstance(labels, np.ndarray):
        return labels
    shape = tuple(maps.shape[2:])
    if labels.shape != shape:
        raise DataError(
            f"regions has shape {labels.shape}, but the maps have {shape}. An array must lie on "
            "the grid of the maps; give an image or a path, which knows its grid."
        )
    if labels.dtype.kind not in "iub":
        raise DataError(f"regions must hold whole numbers, got an array of {labels.dtype}.")
    matrix = np.eye(4) if maps.grid is None else maps.grid.matrix
    return nib.Nifti1Image(labels.astype(np.int32), matrix)


def _described(
    members: sparse.csr_array, shape: Any, names: list[str] | None, grid: Grid | None
) -> Patches:
    """Add size and centre of each patch, in ml and mm where the grid is known."""
    sizes = np.asarray(members.sum(axis=1), dtype=np.float64)
    index = np.indices(shape).reshape(3, -1).T
    centres = (members @ index.astype(np.float64)) / sizes[:, None]
    volume = np.full(len(sizes), np.nan)
    if grid is not None:
        volume = sizes * float(np.prod(grid.voxel_size)) / 1000
        centres = nib.affines.apply_affine(grid.matrix, centres)
    table = pd.DataFrame(centres, columns=["x", "y", "z"])
    table.insert(0, "n_voxels", sizes.astype(int))
    table.insert(1, "volume_ml", volume)
    table.index = pd.RangeIndex(len(table)) if names is None else pd.Index(names)
    table.index.name = "cube" if names is None else "region"
    return Patches(members, tuple(shape), table)
