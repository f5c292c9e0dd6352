"""Where the regions of a report lie: the label image with the regions of the columns alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage

from ..maps import MapArray
from ..maps._grid import Grid
from ..maps._region_labels import as_identifier, read_labels

__all__ = ["place_regions"]


def place_regions(
    region_names: Sequence[str], labels: Any, names: Any, regions: Any
) -> tuple[list[np.ndarray], Grid]:
    """Find the voxels of each region.

    Parameters
    ----------
    region_names : sequence of str
        The regions wanted.
    labels : path, nibabel image or nilearn atlas
        The label image.
    names : dict, DataFrame, path or None
        Label -> name.
    regions : dict or None
        Name -> labels or names that make a region; regions that it lacks are looked up by name.

    Returns
    -------
    voxels : list of ndarray
        Flat indices of the voxels of each region, on the grid of the label image in RAS+ order.
    grid : Grid
        That grid.

    Raises
    ------
    ValueError
        If the image cannot be read, or has no region of that name.
    """
    grid = _grid_of(labels)
    nobody = MapArray.from_array(np.empty((0, 1, *(grid.shape if grid else (1, 1, 1))), np.float32))
    nobody.grid = grid  # as if for maps of the image's own grid
    volume = read_labels(labels, names, nobody)
    parts = {as_identifier(name): part for name, part in dict(_items(regions)).items()}
    voxels = []
    for name in region_names:
        members = volume.labels_of(parts.get(as_identifier(name), name))
        voxels.append(np.flatnonzero(volume.mask_of(members)))
    assert grid is not None  # else reading has failed
    return voxels, grid


def _items(regions: Any) -> list[tuple[Any, Any]]:
    return list(regions.items()) if isinstance(regions, Mapping) else []


def _grid_of(labels: Any) -> Grid | None:
    """Return the grid of the image; None where it cannot be read, which `read_labels` explains."""
    image = labels.maps if hasattr(labels, "maps") else labels
    try:
        return Grid.of_image(image if isinstance(image, SpatialImage) else nib.load(image))
    except (ImageFileError, OSError, TypeError, ValueError):
        return None
