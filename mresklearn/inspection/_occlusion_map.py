"""occlusion_map: what a model loses when a piece of the brain is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params

from ..exceptions import DataError
from ..maps import MapArray
from ..maps._map_array import inside
from ..metrics._checks import check_people
from ._brain_map import BrainMap
from ._fill import SameFill, cohort_fill, count_brains
from ._group_maps import group_maps
from ._occlude import Occlusion
from ._patches import Patches, cubes, regions_of
from ._physical_maps import as_maps, model_and_maps
from ._response import RESPONSES, find_response
from ._scores import SCORES, SIGNED, find_score

__all__ = ["OcclusionMap", "occlusion_map"]

MODEL = [HasMethods("predict"), HasMethods("transform")]
UNITS = {
    "absolute_error": "rise of the absolute error where occluded",
    "absolute_change": "size of the change of the prediction where occluded",
    "change": "change of the prediction where occluded",
    "cosine": "distance (1 - cosine) that the embedding moves where occluded",
    "l2": "distance that the embedding moves where occluded",
}


class OcclusionMap(BrainMap):
    """Effect of occluding each patch, by person and on the mean; :func:`occlusion_map` makes it.

    It is a :class:`BrainMap`: `group_map`, `subject_maps`, `t_map`, `to_nifti`, `plot` and more,
    where the value of a voxel is the mean effect of the patches that cover it.

    Attributes
    ----------
    effects : ndarray of shape (n, patches), float64
        Effect on each person; NaN where the person has no brain in the patch.
    patches : DataFrame
        A row per patch: ``n_voxels``, ``volume_ml``, centre ``x``, ``y``, ``z`` (mm; voxel numbers
        for maps without a grid), ``mean`` over persons, ``standard_error`` and ``n_people``.
    responses : ndarray of shape (n,) or (n, d)
        What the model says of the maps as they are.
    score : str
        What an effect is.
    """

    def __init__(
        self,
        maps: MapArray,
        patches: Patches,
        effects: np.ndarray,
        responses: np.ndarray,
        score: str,
        unit: str,
        person: np.ndarray,
        coverage: float,
    ) -> None:
        self.effects = effects
        self.responses = responses
        self.score = score
        self._patches = patches
        # one bit a voxel: maps of thousands of people are made from effects when asked for
        self._brains = np.stack([np.packbits(inside(sample)) for sample in maps])
        group = group_maps(self.subject_map, person, coverage)
        super().__init__(group, maps.participants, maps.grid, unit, score in SIGNED)
        self.patches = _with_means(patches.table, effects, person)

    def subject_map(self, row: int) -> np.ndarray:
        """Return the map of one row.

        Parameters
        ----------
        row : int
            Position of the row.

        Returns
        -------
        volume : ndarray of shape (x, y, z), float32
            NaN outside the person's brain, and where no patch lies.
        """
        shape = self._patches.shape
        brain = np.unpackbits(self._brains[row], count=int(np.prod(shape))).astype(bool)
        return self._patches.spread(self.effects[row], brain.reshape(shape))


@validate_params(
    {
        "estimator": MODEL,
        "size": [Interval(Integral, 1, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left"), None],
        "regions": "no_validation",
        "region_names": "no_validation",
        "fill": [StrOptions({"mean", "zero"})],
        "reference": "no_validation",
        "channels": [list, tuple, None],
        "score": [StrOptions(set(SCORES)), callable, None],
        "response": [StrOptions({"auto", *RESPONSES})],
        "groups": ["array-like", None],
        "coverage": [Interval(Real, 0, 1, closed="both")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def occlusion_map(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    size: int = 3,
    stride: int | None = None,
    regions: Any = None,
    region_names: Any = None,
    fill: str = "mean",
    reference: Any = None,
    channels: Sequence[str] | None = None,
    score: Any = None,
    response: str = "auto",
    groups: Any = None,
    coverage: float = 0.5,
    batch_size: int = 64,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> OcclusionMap:
    r"""Map what a fitted model says when a cube or region of the brain is replaced by the mean.

    Maps are changed in their physical unit, before the first step of a pipeline, so that scaling,
    masking and embedding treat them as any map. Give people whom the model was not fitted on: on
    training people it shows what was memorised as well.

    Parameters
    ----------
    estimator : estimator
        Fitted predictor or encoder, such as ``make_pipeline(MapScaler(), MapMasker(), Ridge())``
        or one with a :class:`~mresklearn.ContrastiveEncoder`. A MapLoader at the front loads X.
    X : MapArray, array of shape (n, [channels,] x, y, z), or paths
        People to look at, one row each; read a few at a time.
    y : array-like of shape (n,), default=None
        Their ages in years, or classes; for ``score="absolute_error"``.
    size : int, default=3
        Edge of the cubes in voxels.
    stride : int or None, default=None
        Voxels between the corners of neighbouring cubes; None takes `size`, so that cubes tile the
        brain. A voxel in several cubes gets their mean.
    regions : path, nibabel image, nilearn atlas, ndarray of int or None, default=None
        Label image, whose regions are occluded instead of cubes; 0 is background. It is brought to
        the grid of the maps; an array must be on it.
    region_names : dict, DataFrame, path or None, default=None
        Label -> name, as for :class:`~mresklearn.RegionAverager`.
    fill : {"mean", "zero"}, default="mean"
        What stands in the place: the mean of `reference` over the people who have the voxel, or
        zero, which is background, as if the scan had not covered it.
    reference : MapArray, array, or None, default=None
        People whose mean fills, such as the training people; None takes `X`.
    channels : sequence of str or None, default=None
        Map kinds that are occluded, such as ``["stiffness"]``; None occludes all together.
    score : str, callable or None, default=None
        "absolute_error", "absolute_change", "change", "cosine" or "l2".
        What an effect is, see Notes. None takes ``"absolute_error"`` for predictors with `y`,
        ``"absolute_change"`` without, and ``"cosine"`` for encoders. A callable takes the responses
        before and after, of shape (k,) or (k, d), and y (k,), and returns (k,) numbers.
    response : str, default="auto"
        "auto", "predict", "predict_proba", "decision_function" or "transform".
        What the model is asked: "auto" takes probabilities of classifiers (of the second class,
        where there are two), else predictions, else the embedding.
    groups : array-like of shape (n,) or None, default=None
        Person of each row; rows of one person count once in the mean and its standard error.
    coverage : float, default=0.5
        Share of persons in whose brain a voxel must lie to appear in the maps of the group.
    batch_size : int, default=64
        Occluded copies that the model gets in one call. The result does not depend on it.
    n_jobs : int or None, default=None
        Blocks of people at the same time, as in joblib. The result does not depend on it.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    result : OcclusionMap
        Effects by person and patch, and their maps by person and for the group.

    Raises
    ------
    ValueError
        If X holds no maps, the estimator is not fitted (NotFittedError), or the score does not suit
        what the model says.
    DataError
        If the regions do not fit the grid of the maps.

    See Also
    --------
    region_importance : A table of regions with intervals and tests.
    gradient_map : From gradients of a network, in a few passes.

    Notes
    -----
    With :math:`x` the maps of a person, :math:`m` the mean map, and :math:`x_P` the maps whose
    brain voxels in patch P come from m, the effect of P is [1]_

    ======================  ==============================================================
    ``"absolute_error"``    :math:`|f(x_P) - y| - |f(x) - y|`; above 0, P was needed
    ``"absolute_change"``   :math:`|f(x_P) - f(x)|`
    ``"change"``            :math:`f(x_P) - f(x)`
    ``"cosine"``            :math:`1 - \cos(z(x_P), z(x))`, for embeddings z
    ``"l2"``                :math:`\|z(x_P) - z(x)\|`
    ======================  ==============================================================

    For a linear model with weights w the change is :math:`\sum_{v \in P} w_v (m_v - x_v)`, whose
    mean over the very people that m is the mean of is 0. So ``"change"`` speaks of persons, and
    the other scores of groups. For probabilities, the error is 1 minus that of the true class.

    Zeros instead of the mean, as in [1]_, are no brain that anybody has, and a model's answer to
    them speaks of that as well. A mean map is smoother than any person's too: small effects of
    every patch of a network may come from its texture. Patches that carry the same signal stand in
    for each other: each may have a small effect, though the model needs one of them.

    References
    ----------
    .. [1] Zeiler, M. D., Fergus, R. (2014). Visualizing and understanding convolutional networks.
       ECCV, LNCS 8689, 818-833.

    Examples
    --------
    Two halves of a brain, of which the upper one alone carries age:

    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from mresklearn import MapMasker
    >>> from mresklearn.inspection import occlusion_map
    >>> rng = np.random.default_rng(0)
    >>> age = rng.uniform(20, 80, 30)
    >>> maps = rng.normal(3, 0.1, (30, 1, 4, 4, 4))
    >>> maps[:, :, :, :, 2:] -= age[:, None, None, None, None] / 100       # kPa
    >>> model = make_pipeline(MapMasker(), Ridge()).fit(maps, age)
    >>> result = occlusion_map(model, maps, age, size=2)
    >>> upper = result.patches.z > 2
    >>> bool(result.patches["mean"][upper].min() > 2)                      # years
    True
    >>> bool(result.patches["mean"][~upper].max() < 0.5)
    True
    """
    model, maps = model_and_maps(estimator, X)
    asked = find_response(model, response)
    score = find_score(score, asked, y)
    target = None if y is None or score != "absolute_error" else asked.target(y, len(maps))
    if callable(score) and y is not None:
        target = np.asarray(y)
    person = check_people(groups, len(maps))
    if regions is None:
        patches = cubes(size, stride, count_brains(maps) > 0, maps.grid)
    else:
        patches = regions_of(regions, region_names, maps)
    occlusion = Occlusion(
        asked,
        score,
        patches,
        SameFill(find_fill(fill, reference, maps, channels)),
        1,
        channels_of(channels, maps),
        batch_size,
    )
    effects, responses = occlusion.effects(maps, target, n_jobs, verbose)
    name = score if isinstance(score, str) else getattr(score, "__name__", "score")
    unit = UNITS.get(name, f"{name} where occluded")
    return OcclusionMap(maps, patches, effects[:, 0], responses, name, unit, person, coverage)


def find_fill(
    fill: str, reference: Any, maps: MapArray, channels: Sequence[str] | None
) -> np.ndarray:
    """Return the map that stands in occluded places."""
    if fill == "zero":
        if channels is not None and set(channels) != set(maps.channels):
            raise ValueError(
                "fill='zero' makes a voxel background, for all channels together. Leave channels "
                "out, or give fill='mean'."
            )
        return np.zeros(maps.shape[1:], np.float32)
    if reference is None:
        return cohort_fill(maps)
    reference = as_maps(reference, "reference")
    if reference.shape[1:] != maps.shape[1:]:
        raise DataError(
            f"The reference has maps of shape {reference.shape[1:]} per person, but X has "
            f"{maps.shape[1:]}. Load both with one MapLoader."
        )
    both = reference.grid is not None and maps.grid is not None
    if both and not reference.grid.same_as(maps.grid):
        raise DataError(
            f"The reference lies on {reference.grid}, but X on {maps.grid}. Load both with one "
            "MapLoader."
        )
    return cohort_fill(reference)


def channels_of(channels: Sequence[str] | None, maps: MapArray) -> np.ndarray:
    """Return the positions of map kinds."""
    names = list(maps.channels if channels is None else channels)
    unknown = [name for name in names if name not in maps.channels]
    if unknown or not names:
        raise ValueError(f"channels must be some of {list(maps.channels)}, got {names}.")
    return np.array([maps.channels.index(name) for name in names])


def _with_means(table: pd.DataFrame, effects: np.ndarray, person: np.ndarray) -> pd.DataFrame:
    """Add mean and standard error over persons to the table of patches."""
    values = person_means(effects, person)
    count = values.notna().sum()
    spread = values.std(ddof=1) / np.sqrt(count.where(count > 0))
    return table.assign(
        mean=values.mean().to_numpy(),
        standard_error=spread.to_numpy(),
        n_people=count.to_numpy(),
    )


def person_means(effects: np.ndarray, person: np.ndarray) -> pd.DataFrame:
    """Average the rows of each person, where they are not NaN."""
    return pd.DataFrame(effects).groupby(person).mean()
