"""RegionalBrainAge: the age that each region of a brain looks like, by a model of its own."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context, clone
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.parallel import Parallel, delayed  # hand metadata routing on to the workers
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from .._metadata import site_of_rows
from .._target import check_target
from ..exceptions import DataError, MissingMetadataError
from ..maps import MapArray, MapMasker, RegionCropper
from ..maps._region_labels import find_regions, read_labels
from ..maps._validation import check_maps
from ..model_selection._fold_fitting import requested_keywords
from ._inputs import resolve_site
from ._region_columns import find_columns


class RegionalBrainAge(TransformerMixin, BaseEstimator):
    """Predict an age from each region alone, to see where in the brain age and disease show.

    A clone of one estimator is trained for each region, which sees the voxels of that region only.
    `predict` gives the ages, a column a region, and so do scikit-learn's tools that predict out of
    fold; `transform` is the same for pipelines.

    Parameters
    ----------
    estimator : regressor or None, default=None
        Prototype of the models; takes the maps of a region (or the columns of a group), and may be
        a pipeline or a network such as :class:`DomainInvariantRegressor`. None takes all voxels of
        the region, standardised, and ridge regression whose strength is chosen by leave-one-out
        error in the training rows. For people with several scans give an estimator with a fixed
        strength, since that error then has the same person on both sides.
    labels : path, nibabel image, nilearn atlas or None, default=None
        Image with one whole number per region and 0 as background, in the space of the maps; it is
        brought to their grid by the nearest voxel. Maps need it; 2-D features do not. Give a path
        for models that are to be saved.
    names : dict, DataFrame, path or None, default=None
        Label -> name; tables have the columns ``index`` and ``name``. None takes the names of the
        atlas, else ``region<label>``.
    regions : dict, list or None, default=None
        Name -> labels or names to take together, such as lobes or ``FREESURFER_STRUCTURES``; or
        names of the regions to keep, which without `names` may also be those of
        ``FREESURFER_STRUCTURES``. Regions may overlap. None takes every label.

        With 2-D features: name -> columns, or a list of columns that are regions by themselves;
        columns are named where X names them, and numbered from 0 where not. None makes every column
        a region.
    margin : int, default=0
        Voxels to add on each side of the box around a region, up to the edge of the maps.
    mask : bool, default=True
        Set voxels outside the region to zero, which is background. False keeps all of the brain in
        the box, so that the model sees the surroundings too.
    n_jobs : int or None, default=None
        Regions fitted, or predicted, at the same time, as in joblib.
    verbose : int, default=0
        1 shows a progress bar over the regions.

    Attributes
    ----------
    models_ : dict of str to estimator
        Fitted model of each region: for maps a pipeline of :class:`~mresklearn.maps.RegionCropper`
        and the clone, which predicts from whole maps; for 2-D features the clone, which takes the
        columns of the region.
    region_names_ : list of str
        Name of each region, in the order of the columns; from a label image in lower case with
        underscores.
    members_ : dict of str to tuple of int
        Labels of each region; for 2-D features, positions of its columns.
    n_voxels_ : ndarray of shape (regions,), int
        Voxels of each region on the grid of the maps; for 2-D features, its number of columns.
    sites_ : ndarray of str
        Sites seen in `fit`.
    grid_ : Grid or None
        Grid of the maps seen in `fit`.
    sample_shape_ : tuple of int
        Shape of one person's input.
    n_features_in_ : int
        Number of channels (maps) or columns (2-D features).

    Raises
    ------
    DataError
        If the label image cannot be used, or a named region has no voxel on the grid of the maps.
    ValueError
        If a region is unknown, or the model of a region cannot be fitted; the message names it.

    Warns
    -----
    UserWarning
        If `regions` is None and labels have no voxel on the grid of the maps: they are left out.

    See Also
    --------
    mresklearn.evaluation.regional_report : Age sensitivity and separation of diagnoses by region.
    mresklearn.maps.RegionAverager : One number per region, for one model of all of them.

    Notes
    -----
    **Training people need out-of-fold ages.** A model has seen the people it was trained on, and
    its ages of them are too close to their true ages. What is compared with patients comes from
    :func:`~sklearn.model_selection.cross_val_predict`, as below; so do the features of a second
    model that is trained on the same people.

    **Brain that was not scanned.** The default model gives a voxel that a person lacks its training
    mean. Somebody whose scan missed most of a region is so predicted the mean age from it, and gets
    a gap that is no finding: ``RegionAverager(statistics=("coverage",))`` tells who.

    **No one age.** The mean over regions is a poor brain age: regions that know little of age
    predict little but the mean age, and draw all to it. So this is no regressor with a score.

    `site` and `groups` go to clones whose `fit` has these keywords, and, with metadata routing on,
    to pipelines with such a step; metadata that ride with the rows of maps reach every clone.

    References
    ----------
    .. [1] Kaufmann, T., et al. (2019). Common brain disorders are associated with heritable
       patterns of apparent aging of the brain. Nature Neuroscience 22, 1617-1623.

    Examples
    --------
    A thalamus that softens with age, and a putamen that does not:

    >>> import nibabel
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_predict
    >>> from mresklearn.estimators import RegionalBrainAge
    >>> rng = np.random.default_rng(0)
    >>> labels = np.zeros((8, 8, 8), "int16")
    >>> labels[1:3, 2:6, 2:6], labels[5:7, 2:6, 2:6] = 10, 12     # numbers of FreeSurfer
    >>> atlas = nibabel.Nifti1Image(labels, np.eye(4))
    >>> age = rng.uniform(20, 80, 40)
    >>> maps = rng.normal(3.0, 0.1, (40, 8, 8, 8)).astype("float32") * (labels > 0)
    >>> maps -= 0.01 * age[:, None, None, None] * (labels == 10)
    >>> regions = {"thalamus": [10], "putamen": [12]}
    >>> model = RegionalBrainAge(labels=atlas, regions=regions)
    >>> ages = cross_val_predict(model, maps, age, cv=5)
    >>> ages.shape
    (40, 2)
    >>> gap = ages - age[:, None]
    >>> np.abs(gap).mean(axis=0).round(0)
    array([ 2., 15.])

    For new people the model of all training people:

    >>> model.fit(maps, age).get_feature_names_out()
    array(['thalamus', 'putamen'], dtype=object)
    >>> model.predict(maps[:3]).shape
    (3, 2)
    """

    __metadata_request__fit = {"site": True, "groups": True}

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "labels": "no_validation",
        "names": "no_validation",
        "regions": [dict, list, tuple, None],
        "margin": [Interval(Integral, 0, None, closed="left")],
        "mask": ["boolean"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        estimator: Any = None,
        labels: Any = None,
        names: Any = None,
        regions: Any = None,
        margin: int = 0,
        mask: bool = True,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.labels = labels
        self.names = names
        self.regions = regions
        self.margin = margin
        self.mask = mask
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, *, site: Any = None, groups: Any = None) -> RegionalBrainAge:
        """Train the model of each region.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            Training people.
        y : array-like of shape (n,)
            Their ages in years.
        site : array-like of shape (n,), DataFrame of shape (n, m) or None, default=None
            Their sites, for clones that ask; None takes the column ``site`` that came with the
            rows, if any.
        groups : array-like of shape (n,) or None, default=None
            Person of each row, for clones that ask.

        Returns
        -------
        self : RegionalBrainAge
            The fitted models.
        """
        maps = check_maps(self, X, reset=True)
        age = check_target(y)
        check_consistent_length(maps, age)
        self.sites_ = resolve_site(site, maps)[1]
        given = {"site": site_of_rows(maps, "site") if site is None else site, "groups": groups}
        metadata = {name: values for name, values in given.items() if values is not None}
        self.members_ = self._find_members(maps)
        self.region_names_ = list(self.members_)
        croppers = {name: self._cropper(maps, labels) for name, labels in self.members_.items()}
        prototype = _voxels_and_ridge() if self.estimator is None else self.estimator
        keywords = requested_keywords(prototype, "fit", metadata)
        fitted = self._in_parallel(
            delayed(_fit_region)(name, prototype, croppers[name], part, age, keywords)
            for name, part in self._parts(maps)
        )
        self.models_ = dict(zip(self.region_names_, fitted, strict=True))
        if isinstance(maps, MapArray):
            masks = [self.models_[name][0].mask_ for name in self.region_names_]
            self.n_voxels_ = np.array([int(mask.sum()) for mask in masks])
        else:
            self.n_voxels_ = np.array([len(columns) for columns in self.members_.values()])
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict the age of each person from each region.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`; any site.

        Returns
        -------
        age : ndarray of shape (n, regions), float32
            In years; columns as in `region_names_`.
        """
        check_is_fitted(self)
        maps = check_maps(self, X, reset=False)
        predicted = self._in_parallel(
            delayed(_predict_region)(name, self.models_[name], part)
            for name, part in self._parts(maps)
        )
        return np.column_stack(predicted).astype(np.float32)

    def transform(self, X: Any) -> np.ndarray:
        """Return the ages of `predict`, for pipelines.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`; any site.

        Returns
        -------
        age : ndarray of shape (n, regions), float32, or as `set_output` says
            In years; columns as in `region_names_`.
        """
        return self.predict(X)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the name of each region.

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn.

        Returns
        -------
        names : ndarray of str
            In the order of the columns of `predict`.
        """
        check_is_fitted(self)
        return np.array(self.region_names_, dtype=object)

    def _find_members(self, maps: np.ndarray | MapArray) -> dict[str, tuple[int, ...]]:
        """Settle which labels or columns make a region, before anything is fitted."""
        if not isinstance(maps, MapArray):
            return find_columns(self.regions, getattr(self, "feature_names_in_", maps.shape[1]))
        if self.labels is None:
            raise ValueError(
                "RegionalBrainAge needs a label image to tell the regions of maps: give labels=, a "
                "path, an image or an atlas from nilearn.datasets."
            )
        found = find_regions(read_labels(self.labels, self.names, maps), self.regions)
        if not found:
            raise ValueError("regions= names no region: give some, or None for every label.")
        return found

    def _cropper(self, maps: np.ndarray | MapArray, labels: tuple[int, ...]) -> Any:
        if not isinstance(maps, MapArray):
            return None
        return RegionCropper(
            labels=self.labels, region=list(labels), margin=self.margin, mask=self.mask
        )

    def _parts(self, maps: np.ndarray | MapArray) -> Any:
        """Yield each region with the data of its model: whole maps, or its columns."""
        for name, columns in self.members_.items():
            yield name, maps if isinstance(maps, MapArray) else maps[:, list(columns)]

    def _in_parallel(self, tasks: Any) -> list:
        results = Parallel(n_jobs=self.n_jobs, return_as="generator")(tasks)
        total = len(self.region_names_)
        return list(tqdm(results, total=total, desc="Regions", disable=not self.verbose))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _voxels_and_ridge() -> Pipeline:
    """Return the default model: closed form, so that many regions and folds are cheap."""
    # standardised, so that kPa and damping ratio count alike; weak for one column, strong for 1e4
    return make_pipeline(MapMasker(), StandardScaler(), RidgeCV(alphas=np.logspace(-1, 6, 15)))


def _fit_region(
    name: str, prototype: Any, cropper: Any, X: Any, age: np.ndarray, keywords: dict
) -> Any:
    """Fit one clone, on maps behind its cropper."""
    try:
        if cropper is None:
            return clone(prototype).fit(X, age, **keywords)
        crops = cropper.fit(X).transform(X)
        model = clone(prototype).fit(crops, age, **keywords)
    except ValueError as error:
        raise _named(name, "fitted", error) from error
    return Pipeline([("crop", cropper), ("model", model)])


def _predict_region(name: str, model: Any, X: Any) -> np.ndarray:
    try:
        return column_or_1d(np.asarray(model.predict(X)))
    except ValueError as error:
        raise _named(name, "applied", error) from error


def _named(name: str, done: str, error: ValueError) -> ValueError:
    """Return the error with the region in its message."""
    kind = type(error) if isinstance(error, DataError | MissingMetadataError) else ValueError
    return kind(f"The model of region '{name}' cannot be {done}: {error}")
