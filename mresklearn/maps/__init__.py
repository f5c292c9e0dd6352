"""Brain maps as data: loading, one grid, one unit, one mask, and lazy arrays of them."""

from ._loader import MapLoader
from ._map_array import MapArray
from ._masker import MapMasker
from ._scaler import MapScaler

__all__ = ["MapArray", "MapLoader", "MapMasker", "MapScaler"]
