"""MapMasker: maps to a table of voxels, inside a mask learned from the training people."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_feature_names_in

from ._keep import split_kept, with_kept
from ._map_array import MapArray, inside
from ._map_transformer import TableTransformer
from ._validation import check_maps


class MapMasker(TableTransformer):
    """Flatten maps to voxels that most training people have, for linear models.

    Parameters
    ----------
    coverage : float, default=0.8
        Share of training people in whose brain a voxel must lie, from 0 (exclusive) to 1. People
        who lack such a voxel get `fill` there.
    fill : {"mean"} or float, default="mean"
        Value of voxels outside a person's own brain: the mean of that voxel over the training
        people who have it, or a constant. With zeros, coverage itself becomes a feature, which on
        pooled studies predicts the study.
    keep : sequence of str, default=()
        Metadata columns, such as ``("site", "sex")``, to hand on after the voxels for steps that
        need them. The output is then a DataFrame.

    Attributes
    ----------
    mask_ : ndarray of shape (x, y, z), bool
        Voxels that become columns; absent for 2-D features.
    fill_ : ndarray of shape (channels * voxels,), float32
        Value used where a person has no brain.
    grid_ : Grid or None
        Grid of the maps seen in `fit`; None for maps that do not know theirs, absent for features.
    sample_shape_ : tuple of int
        Shape of one person's input.
    n_features_in_ : int
        Number of channels (maps) or columns (2-D features).

    Raises
    ------
    MissingMetadataError
        If a column of `keep` does not come with the rows.
    DataError
        If voxels lie elsewhere than those of `fit`, where maps know their grid.

    See Also
    --------
    MapScaler : Standardise maps over brain voxels first.
    RegionAverager : Brain regions instead of voxels.

    Notes
    -----
    The table has shape (n, channels * voxels): all voxels of the first channel, then of the next.
    With `keep` it is a DataFrame, indexed by participant, with the kept columns after the voxels.
    2-D features pass through as float32: their columns are chosen already.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.maps import MapMasker
    >>> maps = np.zeros((3, 1, 2, 2, 2))
    >>> maps[:, 0, 0, 0, 0] = 2.5, 3.0, 3.5          # one voxel that everybody has
    >>> maps[0, 0, 1, 1, 1] = 2.0                    # one that a single person has
    >>> MapMasker().fit_transform(maps)
    array([[2.5],
           [3. ],
           [3.5]], dtype=float32)
    """

    _parameter_constraints: dict = {
        "coverage": [Interval(Real, 0, 1, closed="right")],
        "fill": [Real, str],
        "keep": [list, tuple],
    }

    def __init__(
        self, *, coverage: float = 0.8, fill: Any = "mean", keep: Sequence[str] = ()
    ) -> None:
        self.coverage = coverage
        self.fill = fill
        self.keep = keep

    def _learn(self, X: Any) -> None:
        """Learn the mask and the mean of each voxel."""
        if isinstance(self.fill, str) and self.fill != "mean":
            raise ValueError(f"fill must be 'mean' or a number, got {self.fill!r}.")
        X, _ = split_kept(X, self.keep)
        maps = check_maps(self, X, reset=True)
        self._n_columns = self.n_features_in_
        if not isinstance(maps, MapArray):
            return
        counts = np.zeros(maps.shape[2:], np.int64)
        totals = np.zeros(maps.shape[1:])
        for sample in maps:
            counts += inside(sample)
            totals += sample
        self.mask_ = counts >= self.coverage * len(maps)
        if not self.mask_.any():
            raise ValueError(
                f"No voxel lies in the brain of {self.coverage:.0%} of the {len(maps)} training "
                "people. Lower coverage=, or check that the maps are registered to one template."
            )
        means = totals[:, self.mask_] / counts[self.mask_]
        self.fill_ = (
            means.ravel() if self.fill == "mean" else np.full(means.size, float(self.fill))
        ).astype(np.float32)
        self._n_columns = self.fill_.size

    def _convert(self, X: Any) -> Any:
        """Return the voxels of each person."""
        X, kept = split_kept(X, self.keep)
        maps = check_maps(self, X, reset=False)
        if not isinstance(maps, MapArray):
            return with_kept(maps.astype(np.float32), self.get_feature_names_out, kept)
        voxels = np.empty((len(maps), self._n_columns), np.float32)
        for row, sample in zip(voxels, maps, strict=True):
            present = np.tile(inside(sample)[self.mask_], sample.shape[0])
            np.copyto(row, np.where(present, sample[:, self.mask_].ravel(), self.fill_))
        return with_kept(voxels, self.get_feature_names_out, kept)

    def _column_names(self, input_features: Any) -> list[str]:
        if len(self.sample_shape_) == 1:
            return [*_check_feature_names_in(self, input_features), *self.keep]
        voxels = ["_".join(map(str, index)) for index in np.argwhere(self.mask_)]
        names = [
            f"map{channel}_voxel{voxel}"
            for channel in range(self.n_features_in_)
            for voxel in voxels
        ]
        return [*names, *self.keep]
