"""randomization_test: whether a map shows what a network learned, or its architecture alone."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from tqdm.auto import tqdm

from ._brain_map import BrainMap
from ._gradient_map import METHODS, gradient_map
from ._occlusion_map import occlusion_map
from ._physical_maps import model_and_maps

__all__ = ["randomization_test"]


@validate_params(
    {
        "estimator": [HasMethods("predict"), HasMethods("transform")],
        "explain": [StrOptions({"occlusion", *METHODS}), callable],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def randomization_test(
    estimator: Any,
    X: Any,
    *,
    explain: str | Callable[[Any, Any], BrainMap] = "integrated_gradients",
    n_repeats: int = 3,
    random_state: Any = 0,
    verbose: int = 0,
) -> Bunch:
    r"""Compare a map with those of the same network with fresh random weights.

    A map that random weights give as well shows the maps themselves, or the architecture, and not
    what was learned: its correlation with theirs should be low.

    Parameters
    ----------
    estimator : estimator
        Fitted model with a network of this package in it. It is not changed.
    X : MapArray, array of shape (n, [channels,] x, y, z), or paths
        People to look at; a few are enough.
    explain : str or callable, default="integrated_gradients"
        What makes the map: a method of :func:`gradient_map`, "occlusion" for
        :func:`occlusion_map`, or a function of a fitted model and maps, such as
        ``functools.partial(occlusion_map, size=5)``, that returns either's result.
    n_repeats : int, default=3
        Networks with random weights.
    random_state : int, RandomState instance or None, default=0
        Seed of their weights.
    verbose : int, default=0
        1 shows a progress bar over the networks.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        With the attributes:

        correlation : float
            Mean over networks and rows of the rank correlation over voxels.
        absolute_correlation : float
            The same for the sizes of values, without their signs.
        subject_correlations : ndarray of shape (n_repeats, n)
            Rank correlation of each row.
        subject_absolute_correlations : ndarray of shape (n_repeats, n)
            The same for sizes.
        group_correlations : ndarray of shape (n_repeats,)
            Rank correlation of the means over people, of the sizes for signed maps.

        NaN where a map is the same in all voxels.

    Raises
    ------
    ValueError
        If the model holds no network.

    Notes
    -----
    This is the model parameter randomisation test of [1]_, with all layers at once: the weights are
    drawn as before the first epoch, and what follows the network stays as it was fitted. Methods
    that multiply by the map, as integrated gradients do, share that factor whatever the weights:
    their sizes correlate somewhat. There is no threshold: compare with a network trained from
    another seed, whose map says how much two maps could agree. Rank correlation counts all voxels
    alike, those that hardly matter too, so that even two trained networks may agree little by
    person, and more in `group_correlations`.

    References
    ----------
    .. [1] Adebayo, J. et al. (2018). Sanity checks for saliency maps. NeurIPS 31, 9505-9515,
       section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from mresklearn import ContrastiveEncoder, MapScaler
    >>> from mresklearn.inspection import randomization_test
    >>> rng = np.random.default_rng(0)
    >>> age = rng.uniform(20, 80, 12)
    >>> maps = rng.normal(3, 0.1, (12, 1, 6, 6, 6)) - age[:, None, None, None, None] / 100
    >>> encoder = ContrastiveEncoder(network="mlp", width=2, max_epochs=2, random_state=0)
    >>> model = make_pipeline(MapScaler(), encoder, Ridge()).fit(maps, age)
    >>> result = randomization_test(model, maps, explain="saliency", n_repeats=2)
    >>> result.subject_correlations.shape
    (2, 12)
    """
    from ._network_parts import encoders_of

    model, maps = model_and_maps(estimator, X)
    if not any(True for _ in encoders_of(model)):
        raise ValueError(
            "The model holds no ContrastiveEncoder or DomainInvariantRegressor, so there are no "
            "weights to draw again."
        )
    draw = _explainer(explain)
    trained = draw(model, maps)
    random = check_random_state(random_state)
    shape = (n_repeats, len(maps))
    plain, sizes, groups = np.empty(shape), np.empty(shape), np.empty(n_repeats)
    for repeat in tqdm(range(n_repeats), desc="Random networks", disable=not verbose):
        untrained = draw(with_random_weights(model, int(random.randint(2**31 - 1))), maps)
        for row in range(len(maps)):
            pair = trained.subject_map(row), untrained.subject_map(row)
            plain[repeat, row] = rank_correlation(*pair)
            sizes[repeat, row] = rank_correlation(*map(np.abs, pair))
        level = "magnitude" if trained.signed else "group"
        groups[repeat] = rank_correlation(trained.volume(level), untrained.volume(level))
    return Bunch(
        correlation=_mean(plain),
        absolute_correlation=_mean(sizes),
        subject_correlations=plain,
        subject_absolute_correlations=sizes,
        group_correlations=groups,
    )


def with_random_weights(model: Any, seed: int) -> Any:
    """Return a copy of a model whose networks have the weights of the start of a fit."""
    from ..training._randomness import private_stream
    from ._network_parts import encoders_of

    copy = deepcopy(model)
    for number, encoder in enumerate(encoders_of(copy)):
        with private_stream(encoder.device_, (seed + number) % 2**31):
            encoder.net_ = encoder._new_net(encoder._module_settings()).initialize()
    return copy


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's correlation over the voxels that both maps have; NaN if one is constant."""
    both = np.isfinite(one) & np.isfinite(other)
    first, second = one[both], other[both]
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    return float(spearmanr(first, second).statistic)


def _explainer(explain: Any) -> Callable[[Any, Any], BrainMap]:
    """Return the function that makes maps."""
    if callable(explain):
        return explain
    return occlusion_map if explain == "occlusion" else partial(gradient_map, method=explain)


def _mean(values: np.ndarray) -> float:
    """Average what is there; NaN if nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan
