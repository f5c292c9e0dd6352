"""Label images: read, brought to the grid of the maps, and asked for regions by name."""

from __future__ import annotations

import re
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage

from ..exceptions import DataError
from ._grid import Grid, to_canonical
from ._map_array import MapArray
from ._structures import FREESURFER_STRUCTURES

# float noise must not decide where a target voxel lies midway between two labels
_TIE = 1e-4


@dataclass(frozen=True, eq=False)
class LabelVolume:
    """Labels on the grid of the maps, and what their names are.

    Parameters
    ----------
    data : ndarray of shape (x, y, z), int
        Label of each voxel; 0 is background.
    on_file : frozenset of int
        Labels of the image before resampling, without 0.
    names : dict
        Label -> name; empty if no names were given.
    source : str
        Name of the image in messages.
    """

    data: np.ndarray
    on_file: frozenset[int]
    names: dict[int, str]
    source: str

    def name_of(self, label: int) -> str:
        """Return the name of a label as it appears in columns."""
        return as_identifier(self.names.get(label, f"region{label}"))

    def labels_of(self, region: Any) -> tuple[int, ...]:
        """Return the labels of one region.

        Parameters
        ----------
        region : str, int, or sequence of those
            Names from the table of names or, where there is none, ``region<label>`` and those of
            FREESURFER_STRUCTURES.

        Raises
        ------
        ValueError
            If a name is unknown, or a label is not in the image.
        """
        if isinstance(region, str):
            labels = self._named(region)
        elif isinstance(region, Sequence | np.ndarray):
            labels = tuple(label for part in region for label in self.labels_of(part))
        else:
            labels = (int(region),)
        absent = [label for label in labels if label not in self.on_file]
        if absent or not labels:
            raise ValueError(
                f"Region {region!r}: label(s) {absent} do not occur in {self.source}. Give labels "
                f"that it holds: {_some(sorted(self.on_file))}."
            )
        return tuple(dict.fromkeys(labels))

    def mask_of(self, labels: Sequence[int]) -> np.ndarray:
        """Return where the image has one of the labels."""
        return np.isin(self.data, labels)

    def _named(self, region: str) -> tuple[int, ...]:
        wanted = as_identifier(region)
        labels = tuple(label for label in sorted(self.on_file) if self.name_of(label) == wanted)
        if not labels and not self.names:
            labels = FREESURFER_STRUCTURES.get(wanted, ())
        if labels:
            return labels
        known = [self.names.get(label, f"region{label}") for label in sorted(self.on_file)]
        raise ValueError(
            f"{self.source} has no region {region!r}; its regions are {_some(known)}. Give one of "
            "these, or the label numbers, such as FREESURFER_STRUCTURES['thalamus']."
        )


def read_labels(labels: Any, names: Any, maps: MapArray) -> LabelVolume:
    """Read a label image onto the grid of the maps.

    Parameters
    ----------
    labels : path, nibabel image, or nilearn atlas
        The label image.
    names : dict, DataFrame, path or None
        Names of the labels; None takes those of the atlas.
    maps : MapArray
        Maps with the grid to match; without one, the image must have their shape.

    Returns
    -------
    volume : LabelVolume
        Axes in RAS+ order, like the maps.

    Raises
    ------
    ValueError
        If the image cannot be read, holds no labels, or does not fit maps without a grid.
    """
    table = read_names(names if names is not None else _names_of_atlas(labels))
    image = labels.maps if hasattr(labels, "maps") else labels
    name = _name_of_image(image)
    data, source, oriented = _read_image(image, name)
    on_file = frozenset(int(label) for label in np.unique(data)) - {0}
    if not on_file:
        raise DataError(f"{name} holds no label: all voxels are 0.")
    if maps.grid is None:
        _check_without_grid(data, maps, name, oriented)
    else:
        data = nearest_labels(data, source, maps.grid)
    return LabelVolume(data, on_file, table, name)


def read_names(names: Any) -> dict[int, str]:
    """Return label -> name from a dict, a DataFrame, or a CSV or TSV file.

    Parameters
    ----------
    names : dict, DataFrame, path or None
        Tables have the columns ``index`` and ``name``; None means no names.
    """
    if names is None:
        return {}
    if isinstance(names, str | PathLike):
        separator = "\t" if fspath(names).endswith(".tsv") else ","
        try:
            names = pd.read_csv(names, sep=separator)
        except OSError as error:
            raise DataError(f"The table of region names cannot be read: {error}.") from error
    if isinstance(names, pd.DataFrame):
        if not {"index", "name"} <= set(names.columns):
            raise DataError(
                f"A table of region names needs the columns 'index' and 'name', got "
                f"{list(names.columns)}. Rename them, or give names={{label: name}}."
            )
        names = dict(zip(names["index"], names["name"], strict=True))
    if not isinstance(names, Mapping):
        raise ValueError(
            "names must be a dict label -> name, a DataFrame or a path, got "
            f"{type(names).__name__}."
        )
    return {int(label): str(name) for label, name in names.items()}


def find_regions(volume: LabelVolume, regions: Any) -> dict[str, tuple[int, ...]]:
    """Return the labels of each region that becomes a feature.

    Parameters
    ----------
    volume : LabelVolume
        Labels on the grid of the maps.
    regions : dict, sequence or None
        Name -> labels, or names to keep; None takes every label of the image.

    Returns
    -------
    found : dict
        Name as it appears in columns -> labels.

    Raises
    ------
    ValueError
        If a region is unknown, named twice, or has no voxel on the grid of the maps.

    Warns
    -----
    UserWarning
        If `regions` is None and labels were lost on the grid of the maps: they are left out.
    """
    if regions is None:
        items: list[tuple[Any, Any]] = [
            (volume.name_of(label), label) for label in sorted(volume.on_file)
        ]
    elif isinstance(regions, Mapping):
        items = list(regions.items())
    else:
        items = [
            (item if isinstance(item, str) else volume.name_of(item), item) for item in regions
        ]
    found: dict[str, tuple[int, ...]] = {}
    for name, region in items:
        identifier = as_identifier(name)
        if identifier in found:
            raise ValueError(
                f"Two regions are called '{identifier}'. Name each once; "
                "regions={name: [label, label]} merges labels."
            )
        found[identifier] = volume.labels_of(region)
    return _without_lost(volume, found, named=regions is not None)


def nearest_labels(data: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Return the label at the centre of each target voxel; 0 outside the field of view.

    Where a centre lies midway between two voxels, the lower index is taken.
    """
    if source.same_as(target):
        return data
    to_source = np.linalg.inv(source.matrix) @ target.matrix
    result = np.zeros(target.shape, data.dtype)
    j, k = np.meshgrid(*map(np.arange, target.shape[1:]), indexing="ij")
    for i in range(target.shape[0]):  # plane by plane: coordinates take three times the memory
        centres = np.stack([np.full_like(j, i), j, k, np.ones_like(j)])
        index = np.tensordot(to_source[:3], centres, axes=1)
        index = np.floor(index + 0.5 - _TIE).astype(int)
        size = np.array(data.shape)[:, None, None]
        seen = ((index >= 0) & (index < size)).all(axis=0)
        result[i][seen] = data[tuple(index[:, seen])]
    return result


def check_same_grid(estimator: Any, maps: MapArray) -> None:
    """Refuse maps whose voxels lie elsewhere than those seen in fit, though the shape agrees."""
    seen = getattr(estimator, "grid_", None)  # saved models of older versions may lack it
    if seen is not None and maps.grid is not None and not seen.same_as(maps.grid):
        raise DataError(
            f"{type(estimator).__name__} was fitted on maps of {seen}, but got {maps.grid}. Load "
            "the new maps with the fitted MapLoader, which resamples them to the grid seen in fit."
        )


def as_identifier(name: Any) -> str:
    """Return a name as it appears in columns: ``Left-Thalamus-Proper`` as left_thalamus_proper."""
    return re.sub(r"\W+", "_", str(name).strip().lower()).strip("_")


def _without_lost(
    volume: LabelVolume, found: dict[str, tuple[int, ...]], *, named: bool
) -> dict[str, tuple[int, ...]]:
    present = set(np.unique(volume.data).tolist())
    lost = [name for name, labels in found.items() if present.isdisjoint(labels)]
    if not lost:
        return found
    text = (
        f"{volume.source} has no voxel of {_some(lost)} on the grid of the maps: outside their "
        "field of view, or smaller than a voxel."
    )
    if named or len(lost) == len(found):
        raise DataError(f"{text} Leave these regions out, or load the maps with smaller voxels.")
    warnings.warn(f"{text} They are left out.", UserWarning, stacklevel=2)
    return {name: labels for name, labels in found.items() if name not in lost}


def _names_of_atlas(atlas: Any) -> Any:
    """Return the names that a nilearn atlas brings along."""
    if not hasattr(atlas, "maps"):
        return None
    if isinstance(getattr(atlas, "lut", None), pd.DataFrame):
        return atlas.lut
    names = [
        name.decode() if isinstance(name, bytes) else str(name)
        for name in getattr(atlas, "labels", ())
    ]
    indices = [int(label) for label in getattr(atlas, "indices", ())]
    if names and len(indices) == len(names):
        return dict(zip(indices, names, strict=True))
    first = 0 if names and names[0].lower() == "background" else 1
    return dict(enumerate(names, start=first))


def _read_image(labels: Any, name: str) -> tuple[np.ndarray, Grid, bool]:
    """Return labels in RAS+ order, their grid, and whether they are in this order on disk."""
    try:
        image: Any = labels if isinstance(labels, SpatialImage) else nib.load(labels)
        raw = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, EOFError, zlib.error, TypeError, ValueError) as error:
        raise DataError(
            f"{name} cannot be read ({error}). Give labels= the path of a whole NIfTI file, a "
            "nibabel image, or an atlas from nilearn.datasets."
        ) from error
    if raw.ndim < 3 or int(np.prod(raw.shape[3:])) != 1:
        raise DataError(
            f"{name} has shape {raw.shape}; give one 3-D volume with a number per region, not "
            "one map of probabilities per region."
        )
    raw = raw.reshape(raw.shape[:3])
    data = raw if raw.dtype.kind in "iu" else np.rint(raw)
    if not np.array_equal(data, raw):
        raise DataError(
            f"{name} holds values that are not whole numbers. Give an image with one number per "
            "region, not a map of probabilities or statistics."
        )
    grid = Grid.of_image(image)
    oriented = bool(np.allclose(grid.matrix, image.affine))
    return to_canonical(data.astype(np.int64), image.affine), grid, oriented


def _name_of_image(labels: Any) -> str:
    if isinstance(labels, SpatialImage):
        labels = labels.get_filename()
    return f"The label image ({labels or 'in memory'})"


def _check_without_grid(data: np.ndarray, maps: MapArray, name: str, oriented: bool) -> None:
    shape = tuple(maps.shape[2:])
    if data.shape != shape:
        raise DataError(
            f"{name} has shape {data.shape} but the maps have shape {shape} and carry no grid, so "
            "it cannot be resampled to them. Load the maps with MapLoader, which keeps their grid."
        )
    if not oriented:  # silence here would swap left and right
        raise DataError(
            f"{name} is not stored in RAS+ order and the maps carry no grid, so left and right "
            "cannot be told. Load the maps with MapLoader; or, for arrays in RAS+ order, give "
            "labels=nibabel.as_closest_canonical(image)."
        )


def _some(values: Sequence[Any], limit: int = 12) -> str:
    more = f" and {len(values) - limit} more" if len(values) > limit else ""
    return ", ".join(map(str, values[:limit])) + more
