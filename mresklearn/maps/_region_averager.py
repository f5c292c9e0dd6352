"""RegionAverager: maps to a table of brain regions, which is small, readable and robust."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in

from .._metadata import name_rows
from ..exceptions import DataError
from ._keep import split_kept, with_kept
from ._map_array import MapArray
from ._map_transformer import TableTransformer
from ._region_labels import find_regions, read_labels
from ._region_statistics import RegionVoxels
from ._validation import check_maps

_STATISTICS = ("mean", "median", "std", "coverage")


class RegionAverager(TableTransformer):
    """Average maps over the regions of an atlas, to compare studies that cover the brain unequally.

    Only voxels in the person's own brain count. Where too little of a region was covered, its
    value is missing, rather than a mean of whatever is left.

    Parameters
    ----------
    labels : path, nibabel image, nilearn atlas or None, default=None
        Image with one whole number per region and 0 as background, in the space of the maps. It is
        brought to their grid by the nearest voxel. A nilearn atlas has such an image in ``maps``
        and the names in ``lut`` or ``labels``. Maps need it; None serves 2-D features alone.
    names : dict, DataFrame, path or None, default=None
        Label -> name; tables have the columns ``index`` and ``name``. None takes the names of the
        atlas, else ``region<label>``.
    regions : dict, list of str or None, default=None
        Name -> labels (or names) to merge, such as ``{"thalamus": [10, 49]}`` or
        ``FREESURFER_STRUCTURES``; or names of the regions to keep, which without `names` may also
        be those of ``FREESURFER_STRUCTURES``. Regions may overlap. None takes every label.
    statistics : sequence of {"mean", "median", "std", "coverage"}, default=("mean",)
        What to compute: mean, median and standard deviation over the brain voxels of each channel,
        in its unit; coverage is the share of the region that lies in the person's brain (0 to 1).
    min_coverage : float, default=0.3
        Coverage below which the other statistics of a region count as missing.
    missing : {"impute", "nan", "raise"}, default="impute"
        A missing value becomes the mean of that column over the training people who have it, or
        NaN; "raise" refuses and names regions and participants.
    keep : sequence of str, default=()
        Metadata columns, such as ``("site", "sex")``, to hand on after the features for steps that
        need them. The output is then a DataFrame.

    Attributes
    ----------
    regions_ : list of str
        Name of each region, in lower case with underscores.
    labels_ : ndarray of shape (x, y, z), int
        Label image on the grid of the maps.
    n_voxels_ : ndarray of shape (regions,), int
        Voxels of each region on this grid.
    fill_ : ndarray of shape (features,), float32
        Training mean of each feature; with ``missing="impute"`` it replaces missing values.
    channels_ : tuple of str
        Map kinds seen in `fit`.
    grid_ : Grid or None
        Grid of the maps seen in `fit`.
    sample_shape_ : tuple of int
        Shape of one person's input.
    n_features_in_ : int
        Number of channels (maps) or columns (2-D features).

    Raises
    ------
    DataError
        If the label image cannot be used, a region has no voxel on the grid of the maps, or a
        value is missing with ``missing="raise"``.
    MissingMetadataError
        If a column of `keep` does not come with the rows.

    Warns
    -----
    UserWarning
        If `regions` is None and labels have no voxel on the grid of the maps: they are left out.

    See Also
    --------
    MapMasker : Voxels instead of regions.
    RegionCropper : The voxels of one region as a smaller map.

    Notes
    -----
    The table has a column per channel, region and statistic, channel by channel, then region by
    region, with coverage at the end. With `keep` it is a DataFrame, indexed by participant, with
    the kept columns after these. 2-D features pass through as float32: they may be regional values
    already. Columns are called ``stiffness_thalamus``, with several statistics
    ``stiffness_thalamus_mean``; coverage, which is the same for all channels,
    ``thalamus_coverage``.

    Maps without a grid (plain arrays) need a label image of their shape in RAS+ order.

    Examples
    --------
    >>> import nibabel
    >>> import numpy as np
    >>> from mresklearn.maps import RegionAverager
    >>> labels = np.zeros((4, 4, 4), "int16")
    >>> labels[:2], labels[2:] = 1, 2
    >>> atlas = nibabel.Nifti1Image(labels, np.eye(4))
    >>> maps = np.full((3, 1, 4, 4, 4), 2.5)
    >>> maps[:, :, 2:] = 3.0                          # kPa
    >>> maps[0, :, 2:] = 0                            # the first scan did not cover region 2
    >>> averager = RegionAverager(labels=atlas, names={1: "Left", 2: "Right"}, missing="nan")
    >>> averager.fit_transform(maps)
    array([[2.5, nan],
           [2.5, 3. ],
           [2.5, 3. ]], dtype=float32)
    >>> averager.get_feature_names_out()
    array(['map0_left', 'map0_right'], dtype=object)
    """

    _parameter_constraints: dict = {
        "labels": "no_validation",
        "names": "no_validation",
        "regions": [dict, list, tuple, None],
        "statistics": [list, tuple],
        "min_coverage": [Interval(Real, 0, 1, closed="both")],
        "missing": [StrOptions({"impute", "nan", "raise"})],
        "keep": [list, tuple],
    }

    def __init__(
        self,
        *,
        labels: Any = None,
        names: Any = None,
        regions: Any = None,
        statistics: Sequence[str] = ("mean",),
        min_coverage: float = 0.3,
        missing: str = "impute",
        keep: Sequence[str] = (),
    ) -> None:
        self.labels = labels
        self.names = names
        self.regions = regions
        self.statistics = statistics
        self.min_coverage = min_coverage
        self.missing = missing
        self.keep = keep

    def _learn(self, X: Any) -> None:
        """Find the regions on the grid of the maps, and the training mean of each."""
        self._fit_transform(X)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit, and return what `transform` would, without reading the maps a second time.

        Parameters
        ----------
        X, y : object
            As for `fit`.

        Returns
        -------
        table : ndarray of shape (n, features), float32, or DataFrame with `keep`
            As from `transform`.
        """
        return self._fit_transform(X)

    def _convert(self, X: Any) -> Any:
        """Return the regional values of each person."""
        X, kept = split_kept(X, self.keep)
        maps = check_maps(self, X, reset=False)
        if not isinstance(maps, MapArray):
            return with_kept(maps.astype(np.float32), self.get_feature_names_out, kept)
        table = self._without_missing(self._measure(maps), maps.participants)
        return with_kept(table, self.get_feature_names_out, kept)

    def _column_names(self, input_features: Any) -> list[str]:
        if len(self.sample_shape_) == 1:
            return [*_check_feature_names_in(self, input_features), *self.keep]
        return [*self._feature_names(), *self.keep]

    def _fit_transform(self, X: Any) -> Any:
        self._check_statistics()
        X, kept = split_kept(X, self.keep)
        maps = check_maps(self, X, reset=True)
        if not isinstance(maps, MapArray):
            return with_kept(maps.astype(np.float32), self.get_feature_names_out, kept)
        self._find_regions(maps)
        table = self._measure(maps)
        present = ~np.isnan(table)
        counts = present.sum(axis=0)
        totals = np.where(present, table, 0).sum(axis=0)
        fill = np.divide(totals, counts, out=np.full(len(counts), np.nan), where=counts > 0)
        self.fill_ = fill.astype(np.float32)
        if self.missing == "impute":
            self._check_fill()
        table = self._without_missing(table, maps.participants)
        return with_kept(table, self.get_feature_names_out, kept)

    def _find_regions(self, maps: MapArray) -> None:
        if self.labels is None:
            raise ValueError(
                "RegionAverager needs a label image to average maps: give labels=, a path, an "
                "image or an atlas from nilearn.datasets."
            )
        volume = read_labels(self.labels, self.names, maps)
        found = find_regions(volume, self.regions)
        self._voxels = RegionVoxels.of_masks([volume.mask_of(found[name]) for name in found])
        self.regions_ = list(found)
        self.labels_ = volume.data
        self.n_voxels_ = self._voxels.sizes
        self.channels_ = maps.channels

    def _measure(self, maps: MapArray) -> np.ndarray:
        """Return the table in float64, one person at a time, with NaN where values are missing."""
        statistics = self._map_statistics()
        rows = np.empty((len(maps), len(self._feature_names())))
        for row, sample in zip(rows, maps, strict=True):
            values, coverage = self._voxels.statistics(sample, statistics)
            values[:, coverage < self.min_coverage] = np.nan
            row[: values.size] = values.ravel()
            if "coverage" in self.statistics:
                row[values.size :] = coverage
        return rows

    def _without_missing(self, table: np.ndarray, participants: pd.Index) -> np.ndarray:
        lost = np.isnan(table)
        if self.missing == "raise" and lost.any():
            people = pd.Series(0, index=participants)
            raise DataError(
                f"{self._regions_of(lost.any(axis=0))} lie(s) by less than {self.min_coverage:.0%} "
                f"in the brain of participant(s) {name_rows(lost.any(axis=1), people)}. Leave "
                "these regions out with regions=, lower min_coverage=, or give missing='impute'."
            )
        if self.missing == "impute":
            table = np.where(lost, self.fill_, table)
        return table.astype(np.float32)

    def _check_fill(self) -> None:
        lost = np.isnan(self.fill_)
        if lost.any():
            raise DataError(
                f"{self._regions_of(lost)} lie(s) by less than {self.min_coverage:.0%} in the "
                "brain of every training person, so there is no mean to impute. Leave these "
                "regions out with regions=, lower min_coverage=, or give missing='nan'."
            )

    def _check_statistics(self) -> None:
        unknown = [name for name in self.statistics if name not in _STATISTICS]
        if unknown or not self.statistics or len(set(self.statistics)) < len(self.statistics):
            raise ValueError(
                f"statistics must name some of {list(_STATISTICS)}, each once, got "
                f"{list(self.statistics)}."
            )

    def _map_statistics(self) -> list[str]:
        return [name for name in self.statistics if name != "coverage"]

    def _feature_names(self) -> list[str]:
        several = len(self.statistics) > 1
        names = [
            f"{channel}_{region}" + (f"_{statistic}" if several else "")
            for channel in self.channels_
            for region in self.regions_
            for statistic in self._map_statistics()
        ]
        if "coverage" in self.statistics:
            names += [f"{region}_coverage" for region in self.regions_]
        return names

    def _regions_of(self, columns: np.ndarray) -> str:
        """Name the regions behind columns, for messages."""
        per_channel = len(self.regions_) * len(self._map_statistics())
        values = columns[: len(self.channels_) * per_channel]
        lost = values.reshape(len(self.channels_), len(self.regions_), -1).any(axis=(0, 2))
        return f"Region(s) {name_rows(lost, pd.Series(0, index=self.regions_), limit=10)}"
