"""MapScaler: standardise maps over brain voxels, with the statistics of the training people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import OneToOneFeatureMixin

from ._map_array import MapArray, inside
from ._map_transformer import MapTransformer
from ._validation import check_maps


class MapScaler(OneToOneFeatureMixin, MapTransformer):
    """Standardise each channel by the mean and SD of the training people's brain voxels.

    Every voxel of a channel is shifted and scaled alike, so that absolute stiffness still differs
    between people; the background stays exactly zero. Nothing is learned from test rows.

    Parameters
    ----------
    with_mean : bool, default=True
        Subtract the mean.
    with_std : bool, default=True
        Divide by the standard deviation.

    Attributes
    ----------
    mean_ : ndarray of shape (channels,), float64
        Mean over all brain voxels of all training people, in the unit of the channel.
    scale_ : ndarray of shape (channels,), float64
        Standard deviation of the same; 1 for a constant channel.
    n_voxels_ : int
        Number of brain voxels behind the statistics.
    grid_ : Grid or None
        Grid of the maps seen in `fit`; None for maps that do not know theirs, absent for features.
    sample_shape_ : tuple of int
        Shape of one person's input.
    n_features_in_ : int
        Number of channels (maps) or columns (2-D features).

    Raises
    ------
    DataError
        If voxels lie elsewhere than those of `fit`, where maps know their grid.

    See Also
    --------
    MapLoader : Makes the maps.

    Notes
    -----
    The scaled maps are a MapArray of the same shape, in standard deviations; nothing is read before
    their values are needed. For 2-D features each column is a channel without voxels, so the result
    is that of :class:`sklearn.preprocessing.StandardScaler`.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.maps import MapScaler
    >>> maps = np.zeros((2, 1, 2, 2, 2))
    >>> maps[0, 0, 0], maps[1, 0, 0] = 2.0, 4.0      # half of the voxels are brain
    >>> scaled = np.asarray(MapScaler().fit_transform(maps))
    >>> print(scaled[0, 0, 0].max(), scaled[1, 0, 0].max(), scaled[0, 0, 1].max())
    -1.0 1.0 0.0
    """

    _parameter_constraints: dict = {"with_mean": ["boolean"], "with_std": ["boolean"]}

    def __init__(self, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = with_mean
        self.with_std = with_std

    def _learn(self, X: Any) -> None:
        """Learn mean and standard deviation."""
        maps = check_maps(self, X, reset=True)
        moments = _Moments(self.n_features_in_)
        if isinstance(maps, MapArray):
            for sample in maps:
                moments.add(sample[:, inside(sample)])
        else:
            moments.add(maps.T)
        if moments.count == 0:
            raise ValueError(
                "X has no brain voxel: every value is zero. Check that maps were loaded, and that "
                "background alone is zero."
            )
        self.n_voxels_ = moments.count
        self.mean_ = moments.mean if self.with_mean else np.zeros(self.n_features_in_)
        deviation = np.sqrt(moments.sum_of_squares / moments.count)
        constant = deviation <= 10 * np.finfo(np.float64).eps * np.abs(moments.mean)
        self.scale_ = (
            np.where(constant, 1.0, deviation) if self.with_std else np.ones(self.n_features_in_)
        )

    def _convert(self, X: Any) -> Any:
        """Standardise maps on reading."""
        maps = check_maps(self, X, reset=False)
        if isinstance(maps, MapArray):
            return maps.with_step(Standardise(tuple(self.mean_), tuple(self.scale_)))
        return ((maps - self.mean_) / self.scale_).astype(np.float32)


@dataclass(frozen=True)
class Standardise:
    """Shift and scale the brain voxels of one sample; picklable, so that folds can carry it."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    def __call__(self, sample: np.ndarray) -> np.ndarray:
        brain = inside(sample)
        scaled = np.zeros_like(sample)
        for channel, mean, scale, out in zip(sample, self.mean, self.scale, scaled, strict=True):
            np.subtract(channel, np.float32(mean), out=out, where=brain)
            np.multiply(out, np.float32(1 / scale), out=out, where=brain)
        return scaled


class _Moments:
    """Running count, mean and sum of squared deviations, merged block by block in float64.

    Chan, Golub & LeVeque (1983), The American Statistician 37(3), eq. 1.5: no cancellation, and
    one person in memory at a time.
    """

    def __init__(self, n_channels: int) -> None:
        self.count = 0
        self.mean = np.zeros(n_channels)
        self.sum_of_squares = np.zeros(n_channels)

    def add(self, values: np.ndarray) -> None:
        """Merge `values` of shape (channels, k)."""
        k = values.shape[1]
        if k == 0:
            return
        mean = values.mean(axis=1, dtype=np.float64)
        squares = ((values - mean[:, None]) ** 2).sum(axis=1, dtype=np.float64)
        total = self.count + k
        delta = mean - self.mean
        self.sum_of_squares += squares + delta**2 * (self.count * k / total)
        self.mean = self.mean + delta * (k / total)
        self.count = total
