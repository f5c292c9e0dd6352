"""BrainMask: maps without their values, only where they are brain."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import _check_feature_names_in

from ..maps import MapArray
from ..maps._map_array import inside
from ..maps._map_transformer import TableTransformer
from ..maps._validation import check_maps

__all__ = ["BrainMask"]


class BrainMask(TableTransformer):
    """Reduce each person's maps to 1 in the brain and 0 outside, to see what coverage gives away.

    No tissue property is left. What still predicts the study, or seems to predict age, does so
    through field of view, masking and head shape.

    Attributes
    ----------
    voxels_ : ndarray of shape (x, y, z) or (features,), bool
        Voxels that lie in the brain of at least one training person: the columns of the output.
    sample_shape_ : tuple of int
        Shape of one person's input.
    n_features_in_ : int
        Number of channels (maps) or columns (2-D features).

    See Also
    --------
    BrainCoverage : Shares of blocks or regions: fewer columns.
    MaskOnlyRegressor : The prediction from masks.

    Notes
    -----
    The table has shape (n, voxels): 1 where the person has brain, else 0. Background is exactly 0
    in loaded maps; a voxel is brain where any channel differs from 0. In 2-D features, every value
    other than 0 counts as brain.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.baselines import BrainMask
    >>> maps = np.zeros((2, 1, 2, 2, 2))
    >>> maps[:, 0, 0, 0, 0] = 2.5, 3.0               # a voxel that both people have
    >>> maps[1, 0, 1, 1, 1] = 2.0                    # one that only the second has
    >>> BrainMask().fit_transform(maps)
    array([[1., 0.],
           [1., 1.]], dtype=float32)
    """

    _parameter_constraints: dict = {}

    def _learn(self, X: Any) -> None:
        """Find the voxels that are brain in anybody."""
        maps = check_maps(self, X, reset=True)
        if isinstance(maps, MapArray):
            self.voxels_ = np.zeros(maps.shape[2:], bool)
            for sample in maps:
                self.voxels_ |= inside(sample)
        else:
            self.voxels_ = np.any(maps != 0, axis=0)

    def _convert(self, X: Any) -> np.ndarray:
        """Return the mask of each person."""
        maps = check_maps(self, X, reset=False)
        if not isinstance(maps, MapArray):
            return (maps[:, self.voxels_] != 0).astype(np.float32)
        masks = np.empty((len(maps), int(self.voxels_.sum())), np.float32)
        for row, sample in zip(masks, maps, strict=True):
            row[:] = inside(sample)[self.voxels_]
        return masks

    def _column_names(self, input_features: Any) -> list[str]:
        if self.voxels_.ndim == 1:
            return list(_check_feature_names_in(self, input_features)[self.voxels_])
        return ["voxel" + "_".join(map(str, index)) for index in np.argwhere(self.voxels_)]
