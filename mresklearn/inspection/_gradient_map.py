"""gradient_map: which voxels a network's answer follows, from its gradients."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from tqdm.auto import tqdm

from ..maps import MapArray
from ..metrics._checks import check_people
from ._brain_map import BrainMap
from ._fill import cohort_fill
from ._group_maps import group_maps
from ._physical_maps import as_maps, model_and_maps

__all__ = ["METHODS", "GradientMap", "gradient_map"]

METHODS = ("integrated_gradients", "saliency", "smoothgrad", "input_x_gradient")
SIGNED = ("integrated_gradients", "input_x_gradient")


class GradientMap(BrainMap):
    """Attribution of each voxel, by person and on the mean; :func:`gradient_map` makes it.

    It is a :class:`BrainMap`: `group_map`, `subject_maps`, `t_map`, `to_nifti`, `plot` and more.
    Its grid is that of the maps that the network sees.

    Attributes
    ----------
    responses : ndarray of shape (n,)
        What the model says of each person.
    baseline_responses : ndarray of shape (n,) or None
        What it says of the baseline in each person's brain, for integrated gradients.
    completeness_error : ndarray of shape (n,) or None
        Sum of a person's attributions, minus the difference of the two; small if `n_steps` are
        enough.
    method : str
        Which gradients.
    """

    def __init__(
        self,
        maps: MapArray,
        subject_maps: np.ndarray,
        responses: np.ndarray,
        baseline_responses: np.ndarray | None,
        method: str,
        person: np.ndarray,
        coverage: float,
    ) -> None:
        self.method = method
        self.responses = responses
        self.baseline_responses = baseline_responses
        self._subject_maps = subject_maps
        self.completeness_error = None
        if baseline_responses is not None:
            total = np.nansum(subject_maps, axis=(1, 2, 3), dtype=np.float64)
            self.completeness_error = total - (responses - baseline_responses)
        group = group_maps(self.subject_map, person, coverage)
        unit = method.replace("_", " ") + " of the prediction"
        super().__init__(group, maps.participants, maps.grid, unit, method in SIGNED)

    def subject_map(self, row: int) -> np.ndarray:
        """Return the map of one row.

        Parameters
        ----------
        row : int
            Position of the row.

        Returns
        -------
        volume : ndarray of shape (x, y, z), float32
            NaN outside the person's brain.
        """
        return self._subject_maps[row]


@validate_params(
    {
        "estimator": [HasMethods("predict"), HasMethods("transform")],
        "method": [StrOptions(set(METHODS))],
        "target": [Integral, None],
        "baseline": [StrOptions({"mean", "zero"})],
        "reference": "no_validation",
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="neither")],
        "groups": ["array-like", None],
        "coverage": [Interval(Real, 0, 1, closed="both")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def gradient_map(
    estimator: Any,
    X: Any,
    *,
    method: str = "integrated_gradients",
    target: int | None = None,
    baseline: str = "mean",
    reference: Any = None,
    n_steps: int = 32,
    n_samples: int = 16,
    noise: float = 0.1,
    groups: Any = None,
    coverage: float = 0.5,
    batch_size: int = 32,
    random_state: Any = 0,
    verbose: int = 0,
) -> GradientMap:
    r"""Map which voxels a network's prediction follows, from gradients through the whole model.

    Needs captum, as ``pip install "mresklearn[inspection]"`` brings it. Run
    :func:`randomization_test` before you believe such a map.

    Parameters
    ----------
    estimator : estimator
        Fitted :class:`~mresklearn.ContrastiveEncoder` or
        :class:`~mresklearn.DomainInvariantRegressor`, or a pipeline with one that sees maps. What
        follows it must be linear as a whole, such as a StandardScaler and Ridge.
    X : MapArray, array of shape (n, [channels,] x, y, z), or paths
        People to look at, one row each; read a few at a time.
    method : str, default="integrated_gradients"
        "integrated_gradients", "saliency", "smoothgrad" or "input_x_gradient".
        See Notes.
    target : int or None, default=None
        Column of the prediction, or of the embedding where nothing follows the network; None for
        models with one number a person. Of a classifier the decision function is taken.
    baseline : {"mean", "zero"}, default="mean"
        Where integrated gradients begin: the mean of `reference`, or zeros.
    reference : MapArray, array, or None, default=None
        People whose mean is meant, in the unit of X; None takes `X`.
    n_steps : int, default=32
        Points on the way from the baseline; look at `completeness_error`.
    n_samples : int, default=16
        Noisy copies of "smoothgrad".
    noise : float, default=0.1
        SD of their noise, in the unit that the network sees (SDs after MapScaler).
    groups : array-like of shape (n,) or None, default=None
        Person of each row; rows of one person count once.
    coverage : float, default=0.5
        Share of persons in whose brain a voxel must lie to appear in the maps of the group.
    batch_size : int, default=32
        Maps in one pass of the network.
    random_state : int, RandomState instance or None, default=0
        Seed of that noise.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    result : GradientMap
        Maps by person, summed over channels, and for the group. All of them are kept in memory.

    Raises
    ------
    ImportError
        If captum is not installed.
    ValueError
        If no network sees maps, or what follows it is not linear.

    See Also
    --------
    occlusion_map : For any model, in years, in the unit of the maps.
    randomization_test : Whether a map depends on what the network learned.

    Notes
    -----
    With f from *the maps that the network sees* (scaled, harmonised or cropped by the steps before
    it) to the prediction, :math:`m` the baseline, and sums over channels,

    =========================  ============================================================
    ``integrated_gradients``   :math:`(x_v - m_v) \int_0^1 \partial_v f(m + a(x - m)) da` [1]_
    ``saliency``               :math:`|\partial_v f(x)|` [2]_
    ``smoothgrad``             the mean of that over noisy copies of x [3]_
    ``input_x_gradient``       :math:`x_v \, \partial_v f(x)`
    =========================  ============================================================

    Integrated gradients of a person sum to :math:`f(x) - f(m)`, in years. Voxels outside the
    person's brain are held at zero throughout. Signed maps cancel over people, as occlusions do:
    look at `magnitude_map` beside `group_map`.

    References
    ----------
    .. [1] Sundararajan, M., Taly, A., Yan, Q. (2017). Axiomatic attribution for deep networks.
       ICML, PMLR 70, 3319-3328, eq. 1.
    .. [2] Simonyan, K., Vedaldi, A., Zisserman, A. (2014). Deep inside convolutional networks.
       ICLR workshop.
    .. [3] Smilkov, D. et al. (2017). SmoothGrad: removing noise by adding noise. arXiv:1706.03825.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from mresklearn import ContrastiveEncoder, MapScaler
    >>> from mresklearn.inspection import gradient_map
    >>> rng = np.random.default_rng(0)
    >>> age = rng.uniform(20, 80, 12)
    >>> maps = rng.normal(3, 0.1, (12, 1, 6, 6, 6)) - age[:, None, None, None, None] / 100
    >>> encoder = ContrastiveEncoder(network="mlp", width=2, max_epochs=2, random_state=0)
    >>> model = make_pipeline(MapScaler(), encoder, Ridge()).fit(maps, age)
    >>> result = gradient_map(model, maps, n_steps=64)
    >>> result.subject_maps.shape
    (12, 6, 6, 6)
    >>> bool(np.abs(result.completeness_error).max() < 0.5)                # years
    True
    """
    try:
        from ._gradient_methods import GradientRequest
    except ImportError as error:
        raise ImportError(
            "gradient_map needs captum. Install it with: pip install 'mresklearn[inspection]'."
        ) from error
    from ._network_parts import split_at_network

    model, maps = model_and_maps(estimator, X)
    person = check_people(groups, len(maps))
    parts = split_at_network(model, maps)
    start = None
    if method == "integrated_gradients" and baseline == "mean":
        seen = parts.maps
        if reference is not None:
            seen = split_at_network(model, as_maps(reference, "reference")).maps
        start = cohort_fill(seen)
    request = GradientRequest(method, n_steps, n_samples, noise, batch_size)
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    found, responses, at_baseline = _of_people(parts, target, start, request, seed, verbose)
    kept = at_baseline if method == "integrated_gradients" else None
    return GradientMap(parts.maps, found, responses, kept, method, person, coverage)


def _of_people(
    parts: Any, target: int | None, start: np.ndarray | None, request: Any, seed: int, verbose: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return maps summed over channels, and the answers to people and to their baselines."""
    import torch

    from ..training._randomness import private_stream
    from ._gradient_methods import attribute
    from ._network_function import NetworkFunction

    function = NetworkFunction(parts, target)
    people = parts.maps
    found = np.full((len(people), *people.shape[2:]), np.nan, np.float32)
    answers = np.empty((2, len(people)))
    size = request.people_at_once
    bar = tqdm(total=len(people), desc="Gradients", unit="person", disable=not verbose)
    with private_stream(str(function.device), seed), bar:
        for first in range(0, len(people), size):
            rows = np.arange(first, min(first + size, len(people)))
            samples = np.asarray(people[rows])
            brain = (samples != 0).any(axis=1, keepdims=True)
            base = np.zeros_like(samples) if start is None else start * brain
            x, inner, begin = (
                torch.from_numpy(np.asarray(part, np.float32)).to(function.device)
                for part in (samples, brain, base)
            )
            values = attribute(function, x, inner, begin, request).sum(dim=1).cpu().numpy()
            found[rows] = np.where(brain[:, 0], values, np.nan)
            with torch.no_grad():
                answers[0, rows] = function(x, inner).cpu().numpy()
                answers[1, rows] = function(begin, inner).cpu().numpy()
            bar.update(len(rows))
    return found, answers[0], answers[1]
