"""Age from a confound alone: one ridge regression over masks, head size or coverage."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, _fit_context
from sklearn.linear_model import RidgeCV
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from .._target import check_target
from ._brain_coverage import BrainCoverage
from ._brain_mask import BrainMask
from ._brain_volume import BrainVolume

__all__ = ["CoverageRegressor", "HeadSizeRegressor", "MaskOnlyRegressor"]

# relative to the mean squared length of a row: from almost none to almost only the mean
_PENALTIES = np.logspace(-3, 3, 13)


class _ConfoundRegressor(RegressorMixin, BaseEstimator, metaclass=ABCMeta):
    """Ridge regression over what a transformer leaves of the maps."""

    _parameter_constraints: dict = {}

    @abstractmethod
    def _confound(self) -> TransformerMixin:
        """Return the unfitted transformer that keeps the confound and nothing else."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> Any:
        """Fit the ridge regression; its penalty is chosen by leaving out one training row.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            Training people.
        y : array-like of shape (n,)
            Age in years.

        Returns
        -------
        self : estimator
            The fitted baseline.
        """
        y = check_target(y)
        self.confound_ = self._confound().fit(X)
        table = self.confound_.transform(X)
        check_consistent_length(table, y)
        if len(y) < 2:
            raise ValueError(f"Got n_samples={len(y)}: a regression needs two people.")
        self._fit_ridge(table, y)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict age from the confound.

        Parameters
        ----------
        X : MapArray, array, paths, or features
            People, with samples of the shape seen in `fit`.

        Returns
        -------
        predicted : ndarray of shape (n,), float32
            Age in years.
        """
        check_is_fitted(self)
        table = self.confound_.transform(X)
        return (table @ self.coef_ + self.intercept_).astype(np.float32)

    def _fit_ridge(self, table: np.ndarray, y: np.ndarray) -> None:
        mean = table.mean(axis=0, dtype=np.float64)
        # columns that do not differ between people carry nothing, and most voxels are such
        moving = np.ptp(table, axis=0) > 0
        centred = table[:, moving] - mean[moving]
        length = np.sqrt(np.mean(np.sum(centred**2, axis=1)))
        self.coef_ = np.zeros(table.shape[1])
        self.alpha_ = np.inf
        if length > 0:
            ridge = RidgeCV(alphas=_PENALTIES).fit(centred / length, y)
            self.coef_[moving] = ridge.coef_ / length
            self.alpha_ = float(ridge.alpha_)
        self.intercept_ = float(y.mean() - mean @ self.coef_)

    @property
    def n_features_in_(self) -> int:
        """Number of channels (maps) or columns (2-D features)."""
        return self.confound_.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Columns seen in `fit`, if X was a DataFrame of features."""
        return self.confound_.feature_names_in_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # values are ignored on purpose
        return tags


class MaskOnlyRegressor(_ConfoundRegressor):
    """Predict age from which voxels are brain, and from nothing that was measured in them.

    A model of stiffness that is no better than this has learned coverage. In pooled studies a mask
    tells the study, and the study tells the age.

    Attributes
    ----------
    confound_ : BrainMask
        Turns maps into masks.
    coef_ : ndarray of shape (voxels,)
        Years per voxel; 0 where all training people agree.
    intercept_ : float
        Years.
    alpha_ : float
        Penalty chosen, relative to the mean squared distance of a mask from the mean mask; infinite
        if all masks are the same.

    See Also
    --------
    SiteMeanRegressor : What the study alone says of age.
    CoverageRegressor : The same in a few coarse blocks.

    Examples
    --------
    People of the older study miss a part of the field of view:

    >>> import numpy as np
    >>> from mresklearn.baselines import MaskOnlyRegressor
    >>> maps = np.random.default_rng(0).uniform(2, 4, size=(40, 1, 6, 6, 6))
    >>> age = np.repeat([30.0, 70.0], 20)
    >>> maps[20:, :, 0] = 0
    >>> MaskOnlyRegressor().fit(maps, age).predict(maps[[0, -1]]).round(1)
    array([30., 70.], dtype=float32)
    """

    def _confound(self) -> BrainMask:
        return BrainMask()


class HeadSizeRegressor(_ConfoundRegressor):
    """Predict age from the size of the head alone.

    Head size differs by sex and, through birth cohort and recruitment, by site and age; brain
    volume in native space also falls with age.

    Parameters
    ----------
    column : str or None, default=None
        Column with the size of the head, such as ``"eTIV"``, of the DataFrame X or of X.metadata.
        None counts the brain voxels.

    Attributes
    ----------
    confound_ : BrainVolume
        Turns rows into sizes.
    coef_ : ndarray of shape (1,)
        Years per voxel, or per unit of `column`.
    intercept_ : float
        Years.
    alpha_ : float
        Penalty chosen, relative to the variance of the size; infinite if all sizes are the same.

    See Also
    --------
    MaskOnlyRegressor : Where the brain is, not only how much of it.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from mresklearn.baselines import HeadSizeRegressor
    >>> people = pd.DataFrame({"eTIV": np.linspace(1300, 1700, 30)})
    >>> age = 80 - people.eTIV / 40
    >>> float(HeadSizeRegressor(column="eTIV").fit(people, age).predict(people)[0].round(1))
    47.5
    """

    _parameter_constraints: dict = {"column": [str, None]}

    def __init__(self, *, column: str | None = None) -> None:
        self.column = column

    def _confound(self) -> BrainVolume:
        return BrainVolume(column=self.column)


class CoverageRegressor(_ConfoundRegressor):
    """Predict age from how much of each region, or coarse block, is covered by the maps.

    Parameters
    ----------
    labels : path, nibabel image, nilearn atlas or None, default=None
        Label image, as for :class:`~mresklearn.maps.RegionAverager`; None divides the grid into
        blocks.
    regions : dict, list of str or None, default=None
        Regions of `labels`.
    n_blocks : int, default=5
        Blocks along each axis where there are no `labels`.

    Attributes
    ----------
    confound_ : BrainCoverage
        Turns maps into shares.
    coef_ : ndarray of shape (regions or blocks,)
        Years for full instead of no coverage.
    intercept_ : float
        Years.
    alpha_ : float
        Penalty chosen, relative to the mean squared distance of a row from the mean row; infinite
        if all people are covered alike.

    See Also
    --------
    MaskOnlyRegressor : The same by voxel.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.baselines import CoverageRegressor
    >>> maps = np.ones((40, 1, 6, 6, 6))
    >>> age = np.linspace(20, 80, 40)
    >>> for person in range(40):                # the older, the less of the top is covered
    ...     maps[person, 0, :, :, 5 - person // 14:] = 0
    >>> predicted = CoverageRegressor(n_blocks=3).fit(maps, age).predict(maps)
    >>> bool(predicted[0] < 40 < 60 < predicted[-1])
    True
    """

    _parameter_constraints: dict = BrainCoverage._parameter_constraints

    def __init__(self, *, labels: Any = None, regions: Any = None, n_blocks: int = 5) -> None:
        self.labels = labels
        self.regions = regions
        self.n_blocks = n_blocks

    def _confound(self) -> BrainCoverage:
        return BrainCoverage(labels=self.labels, regions=self.regions, n_blocks=self.n_blocks)
