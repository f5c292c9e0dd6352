"""Where the weights of ``init_from`` come from, and what their network was shown."""

from __future__ import annotations

from os import PathLike
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from torch import nn

from ..persistence import load


def find_network(source: str | PathLike[str] | BaseEstimator) -> nn.Module:
    """Return the trained network of a saved or fitted encoder, or of the pipeline that holds it.

    Parameters
    ----------
    source : path-like or estimator
        A folder that :func:`mresklearn.save` wrote, or an estimator.

    Returns
    -------
    module : Module
        Its network.

    Raises
    ------
    ValueError
        If it holds no network, or an estimator is not fitted.
    """
    _, holder = _before_and_holder(source)
    if holder is not None:
        return getattr(holder, "encoder_", holder).net_.module_
    raise ValueError(
        f"init_from={type(source).__name__} holds no trained network. Give a fitted encoder, "
        "wrapped in sklearn.frozen.FrozenEstimator because Pipeline and cross-validation clone "
        "their steps and a clone is not fitted, or the folder of a saved one."
    )


def find_preparation(source: BaseEstimator) -> list[Any]:
    """Return the fitted transformers that stand between the data and a trained network.

    Weights that go on to learn must be shown what they were trained on: scaled maps, say, and maps
    without the directions of sites.

    Parameters
    ----------
    source : estimator
        A fitted encoder, :class:`DomainInvariantRegressor`, or pipeline that holds one.

    Returns
    -------
    transformers : list
        In order.
    """
    before, holder = _before_and_holder(source)
    projects = getattr(holder, "projection", None) == "input" and holder.projector_ is not None
    return [*before, holder.projector_] if projects else before


def _before_and_holder(source: Any) -> tuple[list[Any], Any]:
    """Return the steps before the one that holds a network, and that one, None without any."""
    model: Any = source if isinstance(source, BaseEstimator) else load(source)
    while isinstance(model, FrozenEstimator):
        model = model.estimator
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    steps = [step.estimator if isinstance(step, FrozenEstimator) else step for step in steps]
    for position in reversed(range(len(steps))):
        # a DomainInvariantRegressor has its network in an encoder
        if hasattr(getattr(steps[position], "encoder_", steps[position]), "net_"):
            return [step for step in steps[:position] if step != "passthrough"], steps[position]
    return [], None
