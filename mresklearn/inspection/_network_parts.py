"""The network inside a fitted model: what comes before it, and what is done with its output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from ..estimators import ContrastiveEncoder, DomainInvariantRegressor
from ..maps import MapArray

__all__ = ["NetworkParts", "affine_readout", "encoders_of", "split_at_network"]

Readout = Callable[[np.ndarray], np.ndarray]

NO_NETWORK = (
    "The model holds no ContrastiveEncoder or DomainInvariantRegressor that sees maps, so there is "
    "no gradient in the voxels. Use occlusion_map or region_importance, which ask any model."
)


@dataclass(frozen=True, eq=False)
class NetworkParts:
    """A model taken apart.

    Parameters
    ----------
    maps : MapArray
        What the network sees.
    encoder : ContrastiveEncoder
        The network.
    readout : callable or None
        Embedding (n, d) to prediction; None where nothing follows.
    own_head : bool
        Whether the prediction is that of the network's own head.
    """

    maps: MapArray
    encoder: ContrastiveEncoder
    readout: Readout | None
    own_head: bool


def encoders_of(model: Any) -> Iterator[ContrastiveEncoder]:
    """Return the fitted networks inside a model."""
    if isinstance(model, Pipeline):
        for _, step in model.steps:
            yield from encoders_of(step)
    elif isinstance(model, DomainInvariantRegressor):
        yield model.encoder_
    elif isinstance(model, ContrastiveEncoder):
        yield model


def split_at_network(model: Any, maps: MapArray) -> NetworkParts:
    """Run the steps before the network, and collect those after it."""
    before, encoder, after = _split(model)
    X: Any = maps
    for transform in before:
        X = transform(X)
    if not isinstance(X, MapArray):
        raise ValueError(NO_NETWORK)
    own_head = not after and hasattr(encoder, "predict")
    return NetworkParts(X, encoder, _chain(after) if after else None, own_head)


def affine_readout(
    readout: Readout, embedding: np.ndarray, column: int | None
) -> tuple[np.ndarray, float]:
    """Return weights and intercept of a readout, asked for at zero and at the unit vectors.

    Whatever is affine as a whole is found so: scaling, projections, ridge, support vectors.

    Raises
    ------
    ValueError
        If the readout is not affine at the embedding of these people, or has several outputs and
        no `column` is given.
    """
    d = embedding.shape[1]
    probes = np.vstack([np.zeros((1, d)), np.eye(d), embedding.astype(np.float64)])
    values = np.asarray(readout(probes), dtype=np.float64).reshape(len(probes), -1)
    if values.shape[1] > 1 and column is None:
        raise ValueError(
            f"The model gives {values.shape[1]} numbers a person: say which with target=."
        )
    told = values[:, check_column(column or 0, values.shape[1])]
    intercept, weights = told[0], told[1 : d + 1] - told[0]
    guess = intercept + embedding @ weights
    scale = np.ptp(told[d + 1 :]) + np.abs(weights).max() * 1e-2 + 1e-12
    if np.abs(guess - told[d + 1 :]).max() > 1e-3 * scale:
        raise ValueError(
            "What follows the network is not linear in the embedding, so that gradients cannot be "
            "carried through it. Use a linear readout such as Ridge, or occlusion_map."
        )
    return weights, float(intercept)


def check_column(column: int, n_columns: int) -> int:
    """Return the position of an output, or say how many there are."""
    if not -n_columns <= column < n_columns:
        raise ValueError(f"target={column}, but the model gives {n_columns} number(s) a person.")
    return column


def _split(model: Any) -> tuple[list[Callable], ContrastiveEncoder, list[Callable]]:
    """Return functions before the network, the network, and functions after it."""
    if isinstance(model, ContrastiveEncoder):
        return [], model, []
    if isinstance(model, DomainInvariantRegressor):
        projector: list[Callable] = [] if model.projector_ is None else [model.projector_.transform]
        at_input = model.projection == "input"
        after = [*([] if at_input else projector), model.readout_.predict]
        return (projector if at_input else []), model.encoder_, after
    if not isinstance(model, Pipeline):
        raise ValueError(NO_NETWORK)
    steps = [step for _, step in model.steps if step not in (None, "passthrough")]
    for number, step in enumerate(steps):
        if any(True for _ in encoders_of(step)):
            before, encoder, after = _split(step)
            rest = steps[number + 1 :]
            if rest and isinstance(step, DomainInvariantRegressor):
                after = after[:-1]  # in the middle it embeds
            ahead = [earlier.transform for earlier in steps[:number]]
            return [*ahead, *before], encoder, [*after, *_functions(rest)]
    raise ValueError(NO_NETWORK)


def _functions(steps: list[Any]) -> list[Callable]:
    """Return what a pipeline calls of its steps; of a classifier, what is linear."""
    functions = []
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        wanted = ("decision_function", "predict", "transform") if last else ("transform",)
        functions.append(getattr(step, next(name for name in wanted if hasattr(step, name))))
    return functions


def _chain(functions: list[Callable]) -> Readout:
    def readout(embedding: np.ndarray) -> np.ndarray:
        for function in functions:
            embedding = function(embedding)
        return embedding

    return readout
