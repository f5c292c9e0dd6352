"""The voxel grid of a map: shape and affine, in the nearest RAS+ orientation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from nibabel.affines import apply_affine
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

# Share of a voxel within which two places are one: affines are rounded on disk.
_TOLERANCE = 0.1


@dataclass(frozen=True)
class Grid:
    """Shape and affine of a voxel grid in RAS+ order (x to the right, y forward, z up).

    Parameters
    ----------
    shape : tuple of three int
        Number of voxels along x, y and z.
    affine : tuple of four tuples of float
        Voxel index to millimetres; hashable, so that grids can key a cache.
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]

    @classmethod
    def from_arrays(cls, shape: Any, affine: Any) -> Grid:
        """Build a grid from any sequence of three sizes and any 4 x 4 matrix."""
        matrix = np.asarray(affine, dtype=float)
        x, y, z = (int(size) for size in shape)
        return cls((x, y, z), tuple(tuple(float(value) for value in row) for row in matrix))

    @classmethod
    def of_image(cls, image: Any) -> Grid:
        """Return the grid that an image has after reorientation to RAS+."""
        orientation = io_orientation(image.affine)
        shape = image.shape[:3]
        affine = image.affine @ inv_ornt_aff(orientation, shape)
        axes = np.argsort(orientation[:, 0])
        return cls.from_arrays([shape[axis] for axis in axes], affine)

    @property
    def matrix(self) -> np.ndarray:
        """The affine as a 4 x 4 array."""
        return np.array(self.affine)

    @property
    def voxel_size(self) -> np.ndarray:
        """Edge lengths of a voxel in millimetres."""
        return np.linalg.norm(self.matrix[:3, :3], axis=0)

    @property
    def axis_aligned(self) -> bool:
        """Whether the voxel axes are parallel to x, y and z."""
        linear = self.matrix[:3, :3]
        return bool(np.allclose(linear, np.diag(np.diag(linear)), atol=1e-5))

    @property
    def box(self) -> np.ndarray:
        """Lower and upper corner of the field of view in millimetres, shape (2, 3)."""
        corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        edges = apply_affine(self.matrix, corners * np.array(self.shape) - 0.5)
        return np.stack([edges.min(axis=0), edges.max(axis=0)])

    def same_as(self, other: Grid) -> bool:
        """Whether both grids put every voxel at the same place, within a tenth of a voxel.

        No voxel lies further off than the worst of the eight at the corners.
        """
        if self.shape != other.shape:
            return False
        corners = np.array(list(product(*((0, size - 1) for size in self.shape))))
        apart = apply_affine(self.matrix, corners) - apply_affine(other.matrix, corners)
        edge = min(self.voxel_size.min(), other.voxel_size.min())
        return bool(np.linalg.norm(apart, axis=1).max() <= _TOLERANCE * edge)

    def same_space_as(self, other: Grid, tolerance: float) -> bool:
        """Whether both fields of view end at the same place, within `tolerance` millimetres."""
        return bool(np.abs(self.box - other.box).max() <= tolerance)

    def with_voxel_size(self, voxel_size: float) -> Grid:
        """Return the axis-aligned grid of `voxel_size` mm centred on this field of view.

        The count of voxels is rounded down, so that no voxel lies outside the field of view:
        the MNI grid of 91 x 109 x 91 voxels of 2 mm becomes 45 x 54 x 45 voxels of 4 mm.
        """
        low, high = self.box
        shape = np.maximum(1, np.floor((high - low) / voxel_size + 1e-6)).astype(int)
        first_centre = (low + high) / 2 - (shape - 1) / 2 * voxel_size
        matrix = np.diag([voxel_size] * 3 + [1.0])
        matrix[:3, 3] = first_centre
        return Grid.from_arrays(shape, matrix)

    def __str__(self) -> str:
        size = "x".join(f"{edge:g}" for edge in np.round(self.voxel_size, 3))
        origin = ", ".join(f"{value:g}" for value in np.round(self.matrix[:3, 3], 2))
        return f"{'x'.join(map(str, self.shape))} voxels of {size} mm from ({origin})"


def to_canonical(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Flip and permute the axes of `data` to RAS+ order; no value changes."""
    return apply_orientation(data, io_orientation(affine))
