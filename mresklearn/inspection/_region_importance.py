"""region_importance: how much worse a model predicts without each region."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params

from ..metrics import bootstrap_ci
from ..metrics._adjusted_p_values import adjust_p_values
from ..metrics._checks import check_people
from ._fill import Fill, OthersFill, SameFill, cohort_fill
from ._occlude import Occlusion
from ._occlusion_map import channels_of, find_fill, person_means
from ._patches import regions_of
from ._physical_maps import model_and_maps
from ._response import find_response
from ._sign_flips import sign_flip_p

__all__ = ["region_importance"]


@validate_params(
    {
        "estimator": [HasMethods("predict")],
        "regions": "no_validation",
        "region_names": "no_validation",
        "kind": [StrOptions({"occlusion", "permutation"})],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "reference": "no_validation",
        "channels": [list, tuple, None],
        "response": [StrOptions({"auto", "predict", "predict_proba"})],
        "groups": ["array-like", None],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "correction": [StrOptions({"holm", "fdr_bh"})],
        "n_resamples": [Interval(Integral, 100, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def region_importance(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    regions: Any,
    region_names: Any = None,
    kind: str = "occlusion",
    n_repeats: int = 5,
    reference: Any = None,
    channels: Sequence[str] | None = None,
    response: str = "auto",
    groups: Any = None,
    confidence: float = 0.95,
    correction: str = "holm",
    n_resamples: int = 5000,
    batch_size: int = 64,
    random_state: Any = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    r"""Measure how much the error of a fitted model rises without each region of the brain.

    Give people whom the model was not fitted on: on training people the numbers say what the model
    leans on, not what helps it.

    Parameters
    ----------
    estimator : estimator
        Fitted predictor; a MapLoader at the front loads X.
    X : MapArray, array of shape (n, [channels,] x, y, z), or paths
        People to look at; read a few at a time.
    y : array-like of shape (n,)
        Their ages in years, or classes.
    regions : path, nibabel image, nilearn atlas, or ndarray of int
        Label image, 0 is background. It is brought to the grid of the maps; an array must be on it.
    region_names : dict, DataFrame, path or None, default=None
        Label -> name, as for :class:`~mresklearn.RegionAverager`.
    kind : {"occlusion", "permutation"}, default="occlusion"
        Replace the region by the mean of `reference`, or swap it between people [1]_, which keeps
        it as textured as a real one, and combines regions as nobody has them.
    n_repeats : int, default=5
        Permutations over which an effect is averaged.
    reference : MapArray, array, or None, default=None
        People whose mean fills; None takes `X`.
    channels : sequence of str or None, default=None
        Map kinds that are replaced; None replaces all together.
    response : {"auto", "predict", "predict_proba"}, default="auto"
        What is compared with y: predictions, or the probability of the true class.
    groups : array-like of shape (n,) or None, default=None
        Person of each row; rows of one person count once, and are swapped with another person's.
    confidence : float, default=0.95
        Coverage of the intervals, one by one.
    correction : {"holm", "fdr_bh"}, default="holm"
        How `p_adjusted` allows for the number of regions: the chance of any false one [2]_, or the
        expected share of false ones [3]_.
    n_resamples : int, default=5000
        Bootstrap samples of an interval, and sign flips of the tests. No p is below
        1 / (1 + n_resamples), and Holm multiplies the smallest by the number of regions.
    batch_size : int, default=64
        Changed copies that the model gets in one call.
    random_state : int, RandomState instance or None, default=0
        Seed of permutations, bootstrap and tests.
    n_jobs : int or None, default=None
        Blocks of people at the same time, as in joblib.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    table : DataFrame
        A row per region, the most important first, with the columns

        n_voxels, volume_ml : int, float
            Size of the region; ml are NaN for maps without a grid.
        n_people : int
            Persons with a brain voxel in it; the others count nowhere in its row.
        importance : float
            Mean over persons of the absolute error without the region, minus that with it: years
            for an age, probability for a class.
        ci_low, ci_high : float
            Its interval over persons (:func:`~mresklearn.bootstrap_ci`); NaN for fewer than two.
        p : float
            Of a mean of 0, two-sided, by flipping the signs of persons.
        p_adjusted : float
            The same, adjusted for the number of regions.

    Raises
    ------
    ValueError
        If X holds no maps, y is missing or of another length, or there are fewer than two persons.
    DataError
        If the regions do not fit the grid of the maps.

    Warns
    -----
    UnanswerableWarning
        If there are fewer than six persons: no p can be small then.

    See Also
    --------
    occlusion_map : Voxel by voxel, and for single persons.

    Notes
    -----
    The interval and p speak of other people and this one fitted model, not of a model fitted again.
    Regions that carry the same signal stand in for each other, so that each may look unimportant;
    and a large region has more to lose than a small one. An importance below 0 means that the model
    did better without.

    References
    ----------
    .. [1] Breiman, L. (2001). Random forests. Machine Learning 45, 5-32.
    .. [2] Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian
       Journal of Statistics 6, 65-70.
    .. [3] Benjamini, Y., Hochberg, Y. (1995). Controlling the false discovery rate. Journal of the
       Royal Statistical Society B 57, 289-300.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from mresklearn import MapMasker
    >>> from mresklearn.inspection import region_importance
    >>> rng = np.random.default_rng(0)
    >>> age = rng.uniform(20, 80, 30)
    >>> maps = rng.normal(3, 0.1, (30, 1, 4, 4, 4))
    >>> maps[:, :, :, :, 2:] -= age[:, None, None, None, None] / 100       # kPa
    >>> labels = np.ones((4, 4, 4), int)
    >>> labels[:, :, 2:] = 2
    >>> model = make_pipeline(MapMasker(), Ridge()).fit(maps, age)
    >>> table = region_importance(
    ...     model, maps, age, regions=labels, region_names={1: "lower", 2: "upper"}
    ... )
    >>> list(table.index)
    ['upper', 'lower']
    """
    model, maps = model_and_maps(estimator, X)
    asked = find_response(model, response)
    if y is None:
        raise ValueError("region_importance compares predictions with the truth: give y.")
    target = asked.target(y, len(maps))
    person = check_people(groups, len(maps))
    if person.max() < 1:
        raise ValueError("An interval over people needs at least 2 persons, got 1.")
    random = check_random_state(random_state)
    patches = regions_of(regions, region_names, maps)
    fill: Fill = SameFill(find_fill("mean", reference, maps, channels))
    if kind == "permutation":
        mean = cohort_fill(maps) if reference is None else fill(0)[0]
        fill = OthersFill(maps, draw_donors(person, n_repeats, random), mean)
    n_fills = n_repeats if kind == "permutation" else 1
    occlusion = Occlusion(
        asked, "absolute_error", patches, fill, n_fills, channels_of(channels, maps), batch_size
    )
    effects, _ = occlusion.effects(maps, target, n_jobs, verbose)
    values = person_means(effects.mean(axis=1), person).to_numpy()
    return _table(patches.table, values, confidence, correction, n_resamples, random)


def draw_donors(person: np.ndarray, n_repeats: int, random: np.random.RandomState) -> np.ndarray:
    """Draw who gives voxels to whom: persons in a circle a repeat, and a row of each.

    In a circle nobody gets voxels of their own, which would say that a region does not matter.
    """
    rows_of = [np.flatnonzero(person == code) for code in range(int(person.max()) + 1)]
    donors = np.empty((n_repeats, len(person)), int)
    for repeat in donors:
        circle = random.permutation(len(rows_of))
        for code, giver in zip(circle, np.roll(circle, 1), strict=True):
            rows = rows_of[code]
            repeat[rows] = random.choice(rows_of[giver], size=len(rows))
    return donors


def _table(
    described: pd.DataFrame,
    values: np.ndarray,
    confidence: float,
    correction: str,
    n_resamples: int,
    random: np.random.RandomState,
) -> pd.DataFrame:
    """Return mean, interval and test of each region, from one value a person."""
    bounds = np.full((values.shape[1], 3), np.nan)
    for row, column in zip(bounds, values.T, strict=True):
        known = column[~np.isnan(column)]
        seed = int(random.randint(2**31 - 1))
        if len(known) > 1:
            found = bootstrap_ci(
                np.mean, known, confidence=confidence, n_resamples=n_resamples, random_state=seed
            )
            row[:] = found.estimate, found.low, found.high
        elif len(known):
            row[0] = known[0]
    count = (~np.isnan(values)).sum(axis=0)
    p = np.where(count > 1, sign_flip_p(values, n_resamples, random), np.nan)
    table = described[["n_voxels", "volume_ml"]].assign(
        n_people=count,
        importance=bounds[:, 0],
        ci_low=bounds[:, 1],
        ci_high=bounds[:, 2],
        p=p,
        p_adjusted=adjust_p_values(p, correction),
    )
    return table.sort_values("importance", ascending=False, kind="stable", na_position="last")
