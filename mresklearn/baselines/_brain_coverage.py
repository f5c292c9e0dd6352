"""BrainCoverage: how much of each part of the field of view is brain."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ..maps import MapArray, RegionAverager
from ..maps._map_array import inside
from ..maps._validation import check_maps

__all__ = ["BrainCoverage"]


class BrainCoverage(TransformerMixin, BaseEstimator):
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
    2-D features have no place, so that neighbouring columns form a block, and every value other
    than 0 counts as brain.

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

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> BrainCoverage:
        """Find the regions or blocks on the grid of the maps; nothing is learned from people.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            Training people.
        y : ignored
            Present for scikit-learn.

        Returns
        -------
        self : BrainCoverage
            The fitted transformer.
        """
        maps = check_maps(self, X, reset=True)
        self._averager: RegionAverager | None = None
        if isinstance(maps, MapArray) and self.labels is not None:
            self._averager = RegionAverager(
                labels=self.labels, regions=self.regions, statistics=("coverage",), missing="nan"
            ).fit(maps[:1])
        else:
            self._divide(maps.shape[2:] if maps.ndim == 5 else maps.shape[1:])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the coverage of each person.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`.

        Returns
        -------
        coverage : ndarray of shape (n, regions or blocks), float32
            Share of each that lies in the person's brain, from 0 to 1.
        """
        check_is_fitted(self)
        maps = check_maps(self, X, reset=False)
        if self._averager is not None:
            return self._averager.transform(maps)
        coverage = np.empty((len(maps), len(self._sizes)), np.float32)
        for row, sample in zip(coverage, maps, strict=True):
            brain = inside(sample).ravel() if maps.ndim == 5 else sample != 0
            row[:] = np.bincount(self._blocks[brain], minlength=len(self._sizes)) / self._sizes
        return coverage

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return a name for each column.

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn.

        Returns
        -------
        names : ndarray of str
            Such as ``left_thalamus_coverage``, or ``block2_0_4`` along x, y and z.
        """
        check_is_fitted(self)
        if self._averager is not None:
            return self._averager.get_feature_names_out()
        places = np.ndindex(*self._counts)
        return np.array(["block" + "_".join(map(str, place)) for place in places], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _divide(self, shape: tuple[int, ...]) -> None:
        """Give each voxel, or each column, the number of its block."""
        wanted = (self.n_blocks,) * 3 if len(shape) == 3 else (self.n_blocks**3,)
        self._counts = tuple(map(min, wanted, shape))
        sides = zip(shape, self._counts, strict=True)
        along = [np.arange(size) * count // size for size, count in sides]
        place = np.meshgrid(*along, indexing="ij")
        self._blocks = np.ravel_multi_index(place, self._counts).ravel()
        self._sizes = np.bincount(self._blocks)
