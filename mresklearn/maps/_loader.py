"""MapLoader: files to a lazy array of maps on one grid, in kPa, masked."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._cache import MapCache, default_cache_folder
from ._grid import Grid
from ._kinds import PASCAL_PER_UNIT, kind_of, mask_kind
from ._map_array import MapArray
from ._opening import FileTable, as_file_table, holds_files
from ._reading import MapReader, open_image
from ._row_reading import read_rows, refuse_mixed_units, summarise_units
from ._sources import FileSource
from ._validation import check_maps


class MapLoader(TransformerMixin, BaseEstimator):
    """Load map files onto one grid, in one unit and masked, reading each file once.

    Stiffness comes out in kPa, damping ratio without unit, both clipped to their physical range
    (0.1-10 kPa, 0-1). The brain is where the stiffness map is finite and positive; the other maps
    are cut to it, and background is exactly zero. Axes are brought to RAS+ order, and resampling
    is normalised by the mask, so that background never mixes into the brain. Nothing is learned
    from the test rows; what is learned from the training rows is the grid and the columns.

    Parameters
    ----------
    maps : list of str or None, default=None
        Columns of the input frame that become channels, in this order. None takes every column
        that is not in `metadata`.
    voxel_size : float or None, default=None
        Edge of the output voxels in mm. None keeps the voxels of `grid`.
    grid : path, nibabel image or None, default=None
        Image that defines the output grid, and thereby declares that all maps are registered to
        its space. None takes the grid of the first training map and refuses maps whose field of
        view differs.
    units : dict or "auto", default="auto"
        Unit on disk by column, ``{"stiffness": "Pa"}``; columns not named are detected file by
        file from the median of their positive voxels (over 50: Pa; 0.3 to 20: kPa; else an error).
    mixed_units : {"raise", "convert"}, default="raise"
        What to do if some training files of a column are in Pa and others in kPa: that is often a
        mistake, so the default refuses and lists them; "convert" brings each to kPa.
    mask : str or None, default=None
        Column whose finite positive voxels are the brain. None takes the stiffness map, or else
        the first column.
    metadata : sequence of str, default=()
        Columns of the input frame, such as ``["site"]``, that ride along with the rows.
    cache : path, "auto" or None, default="auto"
        Folder that keeps loaded samples for later folds, processes and runs; "auto" means
        ``$MRESKLEARN_CACHE`` or else the user's cache folder, None reads files at every access.
    n_jobs : int or None, default=None
        Threads that read files; None means 1, -1 all cores.
    verbose : int, default=0
        1 shows a progress bar while files are read.

    Attributes
    ----------
    maps_ : list of str
        Map columns that become channels.
    grid_ : Grid
        Voxel grid of the output: shape and affine.
    units_ : dict
        Unit found on disk for each column: "Pa", "kPa", or "mixed".
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of str
        Columns seen in `fit`, if X was a DataFrame.

    Raises
    ------
    DataError
        If files are missing, corrupt, empty, of unclear or mixed unit, or on another grid; the
        message lists all of them.
    MissingMetadataError
        If a column of `metadata` is not in X.

    See Also
    --------
    MapScaler : Standardise the maps over brain voxels of the training people.
    MapMasker : Turn the maps into a table of voxels for linear models.

    Notes
    -----
    A 2-D array of numbers holds features already; it passes through as float32. A 4-D or 5-D array
    becomes a :class:`MapArray` unchanged.

    Examples
    --------
    >>> import nibabel, numpy, pandas
    >>> from mresklearn.maps import MapLoader
    >>> affine = numpy.diag([2.0, 2.0, 2.0, 1.0])
    >>> images = [nibabel.Nifti1Image(numpy.full((8, 8, 8), pascal, "float32"), affine)
    ...           for pascal in (2500.0, 3100.0)]
    >>> loaded = MapLoader(voxel_size=4).fit_transform(pandas.DataFrame({"stiffness": images}))
    >>> loaded
    MapArray of 2 x 1 x 4x4x4 (stiffness, 4 mm)
    >>> print(f"{loaded[1].mean():.1f} kPa")
    3.1 kPa
    """

    _parameter_constraints: dict = {
        "maps": [list, None],
        "voxel_size": [Interval(Real, 0, None, closed="neither"), None],
        "grid": "no_validation",
        "units": [dict, StrOptions({"auto"})],
        "mixed_units": [StrOptions({"raise", "convert"})],
        "mask": [str, None],
        "metadata": [list, tuple],
        "cache": "no_validation",
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        maps: list[str] | None = None,
        voxel_size: float | None = None,
        grid: Any = None,
        units: Any = "auto",
        mixed_units: str = "raise",
        mask: str | None = None,
        metadata: Sequence[str] = (),
        cache: Any = "auto",
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.maps = maps
        self.voxel_size = voxel_size
        self.grid = grid
        self.units = units
        self.mixed_units = mixed_units
        self.mask = mask
        self.metadata = metadata
        self.cache = cache
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> MapLoader:
        """Learn the grid and the columns, and read every training file once into the cache.

        Parameters
        ----------
        X : DataFrame of paths, list of paths or images, or array
            One row per participant.
        y : ignored
            Present for scikit-learn.

        Returns
        -------
        self : MapLoader
            The fitted loader.
        """
        self._fit_transform(X)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit, and return the training maps without reading them a second time.

        Parameters
        ----------
        X : DataFrame of paths, list of paths or images, or array
            One row per participant.
        y : ignored
            Present for scikit-learn.

        Returns
        -------
        maps : MapArray of shape (n, channels, x, y, z), or ndarray for 2-D numbers
            The loaded maps.
        """
        return self._fit_transform(X)

    def transform(self, X: Any) -> Any:
        """Load maps onto the grid that `fit` learned.

        Parameters
        ----------
        X : DataFrame of paths, list of paths or images, or array
            One row per participant, with the map columns seen in `fit`.

        Returns
        -------
        maps : MapArray of shape (n, channels, x, y, z), or ndarray for 2-D numbers
            The loaded maps.
        """
        check_is_fitted(self)
        if not holds_files(X):
            return check_maps(self, X, reset=False)
        columns = None if self._reader is None else list(self._reader.columns)
        return self._load(as_file_table(X, columns, self.metadata))[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _fit_transform(self, X: Any) -> Any:
        self._reader: MapReader | None = None
        if not holds_files(X):
            return check_maps(self, X, reset=True)
        table = as_file_table(X, None if self.maps is None else self._columns(X), self.metadata)
        self._check_units_parameter(table)
        self._set_input_attributes(X)
        self.maps_ = list(table.files.columns) if self.maps is None else list(self.maps)
        self.grid_ = self._target_grid(table)
        columns = tuple(table.files.columns)
        self._reader = MapReader(
            columns=columns,
            channels=tuple(self.maps_),
            mask_column=self.mask or mask_kind(list(columns)),
            grid=self.grid_,
            accept=self._accepted_files(),
            units=tuple(sorted(self.units.items())) if self.units != "auto" else (),
        )
        maps, units = self._load(table)
        self.units_ = summarise_units(units)
        if self.mixed_units == "raise":
            refuse_mixed_units(table.files, units)
        return maps

    def _accepted_files(self) -> str:
        if self.grid is not None:
            return "any"
        return "grid" if self.voxel_size is None else "space"

    def _columns(self, X: Any) -> list[str]:
        """Return the columns to read: the channels, and the mask column where it is another one."""
        wanted = list(self.maps or [])
        available = list(X.columns) if isinstance(X, pd.DataFrame) else wanted
        mask = self.mask or mask_kind([*available, *wanted])
        return wanted if mask in wanted else [*wanted, mask]

    def _set_input_attributes(self, X: Any) -> None:
        self.n_features_in_ = X.shape[1] if isinstance(X, pd.DataFrame) else 1
        if isinstance(X, pd.DataFrame):
            self.feature_names_in_ = X.columns.to_numpy(dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _target_grid(self, table: FileTable) -> Grid:
        grid = Grid.of_image(open_image(table.files.iloc[0, 0] if self.grid is None else self.grid))
        if self.voxel_size is not None:
            return grid.with_voxel_size(self.voxel_size)
        return grid if grid.axis_aligned else grid.with_voxel_size(float(grid.voxel_size.min()))

    def _check_units_parameter(self, table: FileTable) -> None:
        if self.units == "auto":
            return
        for column, unit in self.units.items():
            if column not in table.files.columns:
                raise ValueError(
                    f"units names column '{column}', but the map columns are "
                    f"{list(table.files.columns)}."
                )
            if kind_of(column).unit != "kPa" or unit not in PASCAL_PER_UNIT:
                raise ValueError(
                    f"units={{'{column}': '{unit}'}} is not possible: moduli such as 'stiffness' "
                    "can be 'Pa' or 'kPa'; other kinds are not converted."
                )

    def _load(self, table: FileTable) -> tuple[MapArray, list[dict[str, str]]]:
        reader = self._reader
        if reader is None:
            raise ValueError("This MapLoader was fitted on numbers; it cannot load files.")
        rows = tuple(table.files.itertuples(index=False, name=None))
        cache = self._open_cache()
        keys, units = read_rows(rows, reader, cache, n_jobs=self.n_jobs, verbose=self.verbose)
        maps = MapArray(
            FileSource(rows, reader, cache, keys),
            channels=reader.channels,
            grid=reader.grid,
            participants=table.files.index,
            metadata=table.metadata,
        )
        return maps, units

    def _open_cache(self) -> MapCache | None:
        if self.cache is None:
            return None
        return MapCache(default_cache_folder() if self.cache == "auto" else self.cache)
