"""MapLoader: files to a lazy array of maps on one grid, in kPa, masked."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from ._cache import MapCache, default_cache_folder
from ._map_array import MapArray
from ._map_output import MapOutputMixin
from ._opening import FileTable, as_file_table, holds_files
from ._reader_setup import build_reader, columns_to_read
from ._reading import MapReader
from ._row_reading import Found, quality_table, read_rows, refuse_mixed_units, summarise_units
from ._sources import FileSource
from ._validation import check_maps


class MapLoader(MapOutputMixin, BaseEstimator):
    """Load map files onto one grid, in one unit and masked, reading each file once.

    Moduli come out in kPa, damping ratio without unit, both clipped to their physical range
    (0.1-10 kPa, 0-1). The brain is where the stiffness map holds tissue, however its background
    was stored; the other maps are cut to it, and background is exactly zero. Axes are brought to
    RAS+ order, and resampling is normalised by the mask, so that background never mixes into the
    brain. Nothing is learned from test rows; what is learned from training rows is the grid and
    the columns.

    Parameters
    ----------
    maps : list of str or None, default=None
        Channels, in this order: columns of the input frame, or kinds that follow from two of them
        (``shear_stiffness``, ``complex_modulus``, ``storage_modulus``, ``loss_modulus``,
        ``damping_ratio``, ``phase_angle``). None takes every column that is not in `metadata`.
    voxel_size : float or None, default=None
        Edge of the output voxels in mm. None keeps the voxels of `grid`.
    grid : path, nibabel image, Grid or None, default=None
        What defines the output grid, and thereby declares that all maps are registered to its
        space. None takes the grid of the first training map and refuses maps whose grid (with
        `voxel_size`: whose field of view) differs.
    units : dict or "auto", default="auto"
        Unit on disk by column, ``{"stiffness": "Pa"}``; columns not named are detected file by
        file from the median of their brain voxels (over 50: Pa; 0.3 to 20: kPa; else an error).
    mixed_units : {"raise", "convert"}, default="raise"
        What to do if some training files of a column are in Pa and others in kPa: that is often a
        mistake, so the default refuses and lists them; "convert" brings each to kPa.
    limits : dict or None, default=None
        Physical range by channel, ``{"stiffness": (0.1, 12)}``, where it differs from the usual
        one: 0.1-10 kPa for stiffness, 0-1 for damping ratio, none for T1.
    outliers : {"clip", "refuse", "keep"}, default="clip"
        What becomes of brain voxels outside that range; "refuse" raises if they are over 1 %.
    interpolation : {"linear", "nearest"} or dict, default="linear"
        Method, or methods by channel: ``{"lesions": "nearest"}``.
    mask : str or None, default=None
        Column whose tissue is the brain. None takes the stiffness map, or else the first column.
    metadata : sequence of str, default=()
        Columns of the input frame, such as ``["site"]``, that ride along with the rows.
    cache : path, "auto" or None, default="auto"
        Folder that keeps loaded samples for later folds, processes and runs; "auto" means
        ``$MRESKLEARN_CACHE`` or else the user's cache folder, None reads files at every access.
    n_jobs : int or None, default=-1
        Threads that read files; -1 means all cores.
    verbose : int, default=0
        1 shows a progress bar while files are read.

    Attributes
    ----------
    maps_ : list of str
        Channels.
    grid_ : Grid
        Voxel grid of the output: shape and affine.
    units_ : dict
        Unit found on disk for each column: "Pa", "kPa", or "mixed".
    quality_ : DataFrame
        :meth:`quality_report` of the training rows.
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
    becomes a :class:`MapArray` unchanged. `set_output` concerns 2-D features alone: maps are no
    table.

    Maps that lie oblique, all on one grid, stay on it. With `voxel_size` or `grid` the output is
    straight.

    A brain voxel that is zero in all channels, as a damping ratio clipped to 0 is alone, would be
    background: its first channel is the smallest normal float32 instead, about 1e-38.

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
        "limits": [dict, None],
        "outliers": [StrOptions({"clip", "refuse", "keep"})],
        "interpolation": [dict, StrOptions({"linear", "nearest"})],
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
        limits: dict[str, tuple[float, float]] | None = None,
        outliers: str = "clip",
        interpolation: Any = "linear",
        mask: str | None = None,
        metadata: Sequence[str] = (),
        cache: Any = "auto",
        n_jobs: int | None = -1,
        verbose: int = 0,
    ) -> None:
        self.maps = maps
        self.voxel_size = voxel_size
        self.grid = grid
        self.units = units
        self.mixed_units = mixed_units
        self.limits = limits
        self.outliers = outliers
        self.interpolation = interpolation
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
            if self._reader is not None:
                raise ValueError(
                    "This MapLoader was fitted on files, and X holds no path or image. Give those "
                    f"of {', '.join(self._reader.columns)}, or fit on what you have."
                )
            return check_maps(self, X, reset=False)
        return self._load(self._table(X))[0]

    def quality_report(self, X: Any) -> pd.DataFrame:
        """Report what was found in each row, so that odd maps are seen before a model sees them.

        Parameters
        ----------
        X : DataFrame of paths, or list of paths or images
            One row per participant.

        Returns
        -------
        report : DataFrame
            A row per participant: ``brain_ml`` (volume of the brain mask on disk), and per channel
            ``outliers_*`` (share of brain voxels outside the physical range), ``missing_*`` (share
            without a value) and ``unit_*``.
        """
        check_is_fitted(self)
        table = self._table(X)
        return quality_table(table.files.index, self._load(table)[1])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the output: channels of maps, or columns of 2-D features.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of 2-D features; None takes those seen in `fit`.

        Returns
        -------
        names : ndarray of str
            One for each channel or column.
        """
        check_is_fitted(self)
        if self._reader is not None:
            return np.array(self.maps_, dtype=object)
        return _check_feature_names_in(self, input_features)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _fit_transform(self, X: Any) -> Any:
        self._reader: MapReader | None = None
        if not holds_files(X):
            return check_maps(self, X, reset=True)
        table = as_file_table(X, columns_to_read(self.maps, self.mask, X), self.metadata)
        self._reader = build_reader(self, table)
        self._set_input_attributes(X)
        self.maps_ = list(self._reader.channels)
        self.grid_ = self._reader.grid
        maps, found = self._load(table)
        self.units_ = summarise_units(found)
        self.quality_ = quality_table(table.files.index, found)
        if self.mixed_units == "raise":
            refuse_mixed_units(table.files, found)
        return maps

    def _set_input_attributes(self, X: Any) -> None:
        self.n_features_in_ = X.shape[1] if isinstance(X, pd.DataFrame) else 1
        if isinstance(X, pd.DataFrame):
            self.feature_names_in_ = X.columns.to_numpy(dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _table(self, X: Any) -> FileTable:
        if self._reader is None:
            raise ValueError("This MapLoader was fitted on numbers; it cannot load files.")
        return as_file_table(X, list(self._reader.columns), self.metadata)

    def _load(self, table: FileTable) -> tuple[MapArray, list[Found]]:
        reader = self._reader
        if reader is None:
            raise ValueError("This MapLoader was fitted on numbers; it cannot load files.")
        rows = tuple(table.files.itertuples(index=False, name=None))
        cache = None
        if self.cache is not None:
            cache = MapCache(default_cache_folder() if self.cache == "auto" else self.cache)
        found = read_rows(rows, reader, cache, n_jobs=self.n_jobs, verbose=self.verbose)
        maps = MapArray(
            FileSource(rows, reader, cache, tuple(row.key for row in found)),
            channels=reader.channels,
            grid=reader.grid,
            participants=table.files.index,
            metadata=table.metadata,
        )
        return maps, found
