"""RegionCropper: maps to the box around one region, for networks of that region alone."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils._param_validation import Interval

from ..exceptions import DataError
from ._grid import Grid
from ._map_array import MapArray
from ._map_transformer import MapTransformer
from ._region_labels import read_labels
from ._validation import check_maps


class RegionCropper(OneToOneFeatureMixin, MapTransformer):
    """Cut maps to the box around one region, to train a network on that region alone.

    The box is the same for everybody, so all crops have one shape. Cropping is done on reading:
    nothing is read or copied before.

    Parameters
    ----------
    labels : path, nibabel image, nilearn atlas or None, default=None
        Image with one whole number per region and 0 as background, in the space of the maps; it is
        brought to their grid by the nearest voxel. Maps need it; None serves 2-D features alone.
    names : dict, DataFrame, path or None, default=None
        Label -> name; tables have the columns ``index`` and ``name``. None takes the names of the
        atlas, if it has any.
    region : str, list or None, default=None
        Name of the region, its label numbers, or several names to take together. Without names,
        ``"thalamus"`` and the other names of ``FREESURFER_STRUCTURES`` mean FreeSurfer's labels.
        Maps need it.
    margin : int, default=0
        Voxels to add on each side of the box, up to the edge of the maps.
    mask : bool, default=True
        Set voxels outside the region to zero, which is background. False keeps all of the brain
        in the box.

    Attributes
    ----------
    box_ : tuple of three (int, int)
        First voxel of the box along x, y and z, and the one behind its last.
    mask_ : ndarray of shape (x, y, z) of the box, bool
        The region inside the box.
    grid_ : Grid or None
        Grid of the maps seen in `fit`.
    sample_shape_ : tuple of int
        Shape of one person's input.
    n_features_in_ : int
        Number of channels (maps) or columns (2-D features).

    Raises
    ------
    DataError
        If the label image cannot be used, or the region has no voxel on the grid of the maps.

    See Also
    --------
    RegionAverager : One number per region instead of its voxels.

    Notes
    -----
    The crops are a MapArray of shape (n, channels, x, y, z) of the box, on the part of the grid
    that it cuts out; nothing is read before their values are needed. 2-D features pass through as
    float32. A person whose scan did not cover the region gets a crop of zeros;
    ``RegionAverager(statistics=("coverage",))`` tells who.

    Examples
    --------
    >>> import nibabel
    >>> import numpy as np
    >>> from mresklearn.maps import RegionCropper
    >>> labels = np.zeros((8, 8, 8), "int16")
    >>> labels[2:5, 3:5, 4:6] = 10                    # FreeSurfer's left thalamus
    >>> labels[5:7, 3:5, 4:6] = 49                    # and the right one
    >>> atlas = nibabel.Nifti1Image(labels, np.eye(4))
    >>> cropper = RegionCropper(labels=atlas, region="thalamus")
    >>> cropper.fit_transform(np.ones((3, 1, 8, 8, 8)))
    MapArray of 3 x 1 x 5x2x2 (map0)
    >>> cropper.box_
    ((2, 7), (3, 5), (4, 6))
    """

    _parameter_constraints: dict = {
        "labels": "no_validation",
        "names": "no_validation",
        "region": [str, list, tuple, None],
        "margin": [Interval(Integral, 0, None, closed="left")],
        "mask": ["boolean"],
    }

    def __init__(
        self,
        *,
        labels: Any = None,
        names: Any = None,
        region: Any = None,
        margin: int = 0,
        mask: bool = True,
    ) -> None:
        self.labels = labels
        self.names = names
        self.region = region
        self.margin = margin
        self.mask = mask

    def _learn(self, X: Any) -> None:
        """Find the box of the region on the grid of the maps; no map is read."""
        maps = check_maps(self, X, reset=True)
        if not isinstance(maps, MapArray):
            return
        if self.labels is None or self.region is None:
            raise ValueError(
                "RegionCropper needs a label image and a region to crop maps: give labels=, a "
                "path, an image or an atlas from nilearn.datasets, and region=, such as 'thalamus'."
            )
        volume = read_labels(self.labels, self.names, maps)
        region = volume.mask_of(volume.labels_of(self.region))
        if not region.any():
            raise DataError(
                f"{volume.source} has no voxel of region {self.region!r} on the grid of the maps: "
                "outside their field of view, or smaller than a voxel. Load the maps with smaller "
                "voxels, or check that both are in one space."
            )
        self.box_ = _bounding_box(region, self.margin)
        self.mask_ = region[_slices(self.box_)].copy()

    def _convert(self, X: Any) -> Any:
        """Crop maps on reading."""
        maps = check_maps(self, X, reset=False)
        if not isinstance(maps, MapArray):
            return maps.astype(np.float32)
        return maps.with_step(
            Crop(self.box_, self.mask_ if self.mask else None),
            spatial_shape=self.mask_.shape,
            grid=None if maps.grid is None else _cut(maps.grid, self.box_),
        )


Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Crop:
    """Cut one sample to a box, and to a mask in it; picklable, so that folds can carry it."""

    box: Box
    mask: np.ndarray | None

    def __call__(self, sample: np.ndarray) -> np.ndarray:
        crop = sample[(slice(None), *_slices(self.box))]
        # a copy either way: a view would keep the whole map in memory
        return crop.copy() if self.mask is None else np.where(self.mask, crop, np.float32(0))


def _bounding_box(region: np.ndarray, margin: int) -> Box:
    voxels = np.argwhere(region)
    first = np.maximum(voxels.min(axis=0) - margin, 0)
    last = np.minimum(voxels.max(axis=0) + 1 + margin, region.shape)
    return tuple((int(start), int(stop)) for start, stop in zip(first, last, strict=True))


def _slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(start, stop) for start, stop in box)


def _cut(grid: Grid, box: Box) -> Grid:
    """Return the part of a grid in a box; its voxels stay where they are in millimetres."""
    matrix = grid.matrix
    matrix[:3, 3] += matrix[:3, :3] @ [start for start, _ in box]
    return Grid.from_arrays([stop - start for start, stop in box], matrix)
