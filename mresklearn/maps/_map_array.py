"""MapArray: a lazy array of brain maps that scikit-learn can slice without reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from ._grid import Grid
from ._sources import ArraySource, Source

Step = Callable[[np.ndarray], np.ndarray]


class MapArray:
    """A lazy (n, channels, x, y, z) float32 array of brain maps, one row per participant.

    Slicing rows reads nothing and copies nothing, so cross-validation over thousands of maps costs
    no memory; ``maps[3]`` reads one participant and ``numpy.asarray(maps)`` reads all. Background
    voxels are exactly zero. :class:`~mresklearn.maps.MapLoader` makes these; :meth:`from_array`
    wraps an array.

    Parameters
    ----------
    source : object
        Reads one (channels, x, y, z) sample by its row number.
    rows : ndarray of int or None, default=None
        Rows of the source that this array shows; None means all.
    channels : sequence of str
        Map kind of each channel, such as ``("stiffness", "damping_ratio")``.
    grid : Grid or None, default=None
        Voxel grid in millimetres; None for arrays without one.
    participants : sequence or None, default=None
        Participant id of each source row; None numbers them.
    metadata : DataFrame or None, default=None
        One line per source row, such as site and sex. It rides along with every slice.
    steps : tuple of callable, default=()
        Functions of one sample, applied after reading.
    spatial_shape : tuple of three int or None, default=None
        x, y and z of a sample after all steps, if they crop it; None means those of the source.

    Attributes
    ----------
    shape : tuple of five int
        (n, channels, x, y, z).

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.maps import MapArray
    >>> array = np.ones((4, 2, 3, 3, 3))
    >>> maps = MapArray.from_array(array, channels=["stiffness", "damping_ratio"])
    >>> maps
    MapArray of 4 x 2 x 3x3x3 (stiffness, damping_ratio)
    >>> maps[[0, 2]].shape
    (2, 2, 3, 3, 3)
    >>> np.asarray(maps).dtype
    dtype('float32')
    """

    ndim = 5
    dtype = np.dtype(np.float32)

    def __init__(
        self,
        source: Source,
        rows: np.ndarray | None = None,
        *,
        channels: tuple[str, ...],
        grid: Grid | None = None,
        participants: Any = None,
        metadata: pd.DataFrame | None = None,
        steps: tuple[Step, ...] = (),
        spatial_shape: tuple[int, ...] | None = None,
    ) -> None:
        n_rows = source.shape[0]
        if len(channels) != source.shape[1]:
            raise ValueError(
                f"{len(channels)} channel names were given for maps of {source.shape[1]} channels."
            )
        for name, given in (("participants", participants), ("metadata", metadata)):
            if given is not None and len(given) != n_rows:
                raise ValueError(
                    f"{name} has {len(given)} entries, but there are {n_rows} maps. Give one for "
                    "each, in their order."
                )
        self._source = source
        self._rows = np.arange(n_rows) if rows is None else rows
        self.channels = tuple(channels)
        self.grid = grid
        self._participants = (
            pd.RangeIndex(n_rows) if participants is None else pd.Index(participants)
        )
        self._metadata = metadata
        self._steps = steps
        self._spatial_shape = source.shape[2:] if spatial_shape is None else tuple(spatial_shape)

    @classmethod
    def from_array(
        cls,
        array: Any,
        *,
        channels: Any = None,
        participants: Any = None,
        metadata: pd.DataFrame | None = None,
    ) -> MapArray:
        """Wrap an array in memory or on disk; nothing is copied.

        Parameters
        ----------
        array : array-like of shape (n, x, y, z) or (n, channels, x, y, z)
            Maps with a background of zeros.
        channels : sequence of str or None, default=None
            Map kinds; None names them ``map0``, ``map1`` and so on.
        participants : sequence or None, default=None
            Participant ids; None numbers the rows.
        metadata : DataFrame or None, default=None
            One line per row.

        Returns
        -------
        maps : MapArray
            The same rows, read lazily.

        Raises
        ------
        ValueError
            If the shape is not that of maps, or channels, participants or metadata differ from it
            in number.
        """
        array = array if isinstance(array, np.ndarray) else np.asarray(array)
        if array.ndim == 4:
            array = array[:, None]
        if array.ndim != 5:
            raise ValueError(
                f"Maps must have shape (n, x, y, z) or (n, channels, x, y, z), got {array.shape}."
            )
        if channels is None:
            channels = [f"map{number}" for number in range(array.shape[1])]
        return cls(
            ArraySource(array),
            channels=tuple(channels),
            participants=participants,
            metadata=metadata,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, channels, x, y, z)."""
        return (len(self._rows), len(self.channels), *self._spatial_shape)

    @property
    def size(self) -> int:
        """Number of values in all rows."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes that ``numpy.asarray`` would take."""
        return self.size * self.dtype.itemsize

    @property
    def participants(self) -> pd.Index:
        """Participant id of each row."""
        return self._participants[self._rows]

    @property
    def metadata(self) -> pd.DataFrame | None:
        """Metadata of each row, or None."""
        return None if self._metadata is None else self._metadata.iloc[self._rows]

    def with_step(
        self,
        step: Step,
        *,
        spatial_shape: tuple[int, ...] | None = None,
        grid: Grid | None = None,
    ) -> MapArray:
        """Return the same rows with one more function applied to each sample on reading.

        Parameters
        ----------
        step : callable
            Takes and returns a (channels, x, y, z) float32 array; background must stay zero.
        spatial_shape : tuple of three int or None, default=None
            x, y and z of what the step returns, if it differs from what it takes.
        grid : Grid or None, default=None
            Grid of what the step returns, where `spatial_shape` is given.

        Returns
        -------
        maps : MapArray
            A new array; this one is unchanged.
        """
        maps = self._like(self._rows)
        maps._steps = (*self._steps, step)
        if spatial_shape is not None:
            maps._spatial_shape, maps.grid = tuple(spatial_shape), grid
        return maps

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            if len(key) != 2 or key[1] is not Ellipsis:
                raise IndexError(
                    "MapArray is indexed by row only. Use numpy.asarray(maps)[...] for the rest."
                )
            key = key[0]
        if isinstance(key, int | np.integer):
            return self._read(int(self._rows[key]))
        if not isinstance(key, slice):
            key = np.asarray(key)
            if key.size == 0:
                key = key.astype(int)
        return self._like(self._rows[key])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._read(int(row)) for row in self._rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("Reading a MapArray always makes a new array.")
        result = np.empty(self.shape, dtype=self.dtype if dtype is None else dtype)
        for position, sample in enumerate(self):
            result[position] = sample
        return result

    def __repr__(self) -> str:
        n, channels, *spatial = self.shape
        size = "x".join(map(str, spatial))
        where = "" if self.grid is None else f", {self.grid.voxel_size.mean():g} mm"
        return f"MapArray of {n} x {channels} x {size} ({', '.join(self.channels)}{where})"

    def __getstate__(self) -> dict[str, Any]:
        # a fold sent to a worker must not carry the other rows
        state = self.__dict__.copy()
        if len(self._rows) < self._source.shape[0]:
            state["_source"] = self._source.take(self._rows)
            state["_participants"] = self.participants
            state["_metadata"] = self.metadata
            state["_rows"] = np.arange(len(self._rows))
        return state

    def _read(self, row: int) -> np.ndarray:
        sample = self._source.read(row)
        for step in self._steps:
            sample = step(sample)
        return sample

    def _like(self, rows: np.ndarray) -> MapArray:
        return MapArray(
            self._source,
            rows,
            channels=self.channels,
            grid=self.grid,
            participants=self._participants,
            metadata=self._metadata,
            steps=self._steps,
            spatial_shape=self._spatial_shape,
        )


def inside(sample: np.ndarray) -> np.ndarray:
    """Return the brain mask of a sample: voxels where any channel differs from zero.

    Parameters
    ----------
    sample : ndarray of shape (channels, x, y, z)
        One participant's maps.

    Returns
    -------
    mask : ndarray of shape (x, y, z), bool
        True inside the brain.
    """
    return np.any(sample != 0, axis=0)
