"""BrainCoverage: how much of each part of the field of view is brain."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from ..maps import MapArray, RegionAverager
from ..maps._map_array import inside
from ..maps._map_transformer import TableTransformer
from ..maps._validation import check_maps

__all__ = ["BrainCoverage"]


class BrainCoverage(TableTransformer):
    """Reduce each person's maps to the share of each region, or coarse block, that is brain.

    Says what the field of view gives away in a few columns that can be looked at: which lobe a
    study cuts off, or how generously it masks.

    Parameters
    ----------
    labels : path, nibabel image, nilearn atlas or None, default=None
        Label image of :class:`~mresklearn.maps.RegionAverager`. None divides the grid into blocks.
    regions : dict, list of str or None, default=None
        Regions of `labels`, as for :class:`~mresklearn.maps.RegionAverager`.
    n_blocks : int, default=5
        Blocks along each axis where there are no `labels`: 5 x 5 x 5.

    Attributes
    ----------
    sample_shape_ : tuple of int
        Shape of one person's input.
    n_features_in_ : int
        Number of channels (maps) or columns (2-D features).

    See Also
    --------
    BrainMask : Every voxel.
    CoverageRegressor : The prediction from coverage.

    Notes
    -----
    The table has shape (n, regions or blocks): the share of each that lies in the person's brain,
    from 0 to 1. 2-D features have no place, so that neighbouring columns form a block, and every
    value other than 0 counts as brain.

    Examples
    --------
    Two people, of whom the second lacks a quarter of the first half:

    >>> import numpy as np
    >>> from mresklearn.baselines import BrainCoverage
    >>> maps = np.ones((2, 1, 4, 4, 4))
    >>> maps[1, 0, :2, :2, :2] = 0
    >>> BrainCoverage(n_blocks=2).fit_transform(maps)[:, :3]
    array([[1., 1., 1.],
           [0., 1., 1.]], dtype=float32)
    """

    _parameter_constraints: dict = {
        "labels": "no_validation",
        "regions": [dict, list, tuple, None],
        "n_blocks": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, labels: Any = None, regions: Any = None, n_blocks: int = 5) -> None:
        self.labels = labels
        self.regions = regions
        self.n_blocks = n_blocks

    def _learn(self, X: Any) -> None:
        """Find the regions or blocks on the grid of the maps; nothing is learned from people."""
        maps = check_maps(self, X, reset=True)
        self._averager: RegionAverager | None = None
        if isinstance(maps, MapArray) and self.labels is not None:
            self._averager = RegionAverager(
                labels=self.labels, regions=self.regions, statistics=("coverage",), missing="nan"
            ).fit(maps[:1])
        else:
            self._divide(maps.shape[2:] if maps.ndim == 5 else maps.shape[1:])

    def _convert(self, X: Any) -> np.ndarray:
        """Return the coverage of each person."""
        maps = check_maps(self, X, reset=False)
        if self._averager is not None:
            return self._averager.transform(maps)
        coverage = np.empty((len(maps), len(self._sizes)), np.float32)
        for row, sample in zip(coverage, maps, strict=True):
            brain = inside(sample).ravel() if maps.ndim == 5 else sample != 0
            row[:] = np.bincount(self._blocks[brain], minlength=len(self._sizes)) / self._sizes
        return coverage

    def _column_names(self, input_features: Any) -> list[str]:
        if self._averager is not None:
            return list(self._averager.get_feature_names_out())
        return ["block" + "_".join(map(str, place)) for place in np.ndindex(*self._counts)]

    def _divide(self, shape: tuple[int, ...]) -> None:
        """Give each voxel, or each column, the number of its block."""
        wanted = (self.n_blocks,) * 3 if len(shape) == 3 else (self.n_blocks**3,)
        self._counts = tuple(map(min, wanted, shape))
        sides = zip(shape, self._counts, strict=True)
        along = [np.arange(size) * count // size for size, count in sides]
        place = np.meshgrid(*along, indexing="ij")
        self._blocks = np.ravel_multi_index(place, self._counts).ravel()
        self._sizes = np.bincount(self._blocks)
