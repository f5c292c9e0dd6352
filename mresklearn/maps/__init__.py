"""Brain maps as data: loading, one grid, one unit, one mask, and lazy arrays of them."""

from ._loader import MapLoader
from ._map_array import MapArray
from ._masker import MapMasker
from ._region_averager import RegionAverager
from ._region_cropper import RegionCropper
from ._scaler import MapScaler
from ._structures import FREESURFER_STRUCTURES
from ._writing import write_maps

__all__ = [
    "FREESURFER_STRUCTURES",
    "MapArray",
    "MapLoader",
    "MapMasker",
    "MapScaler",
    "RegionAverager",
    "RegionCropper",
    "write_maps",
]
