"""Where the weights of ``init_from`` come from: a saved folder or a fitted estimator."""

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
    model: Any = source if isinstance(source, BaseEstimator) else load(source)
    while isinstance(model, FrozenEstimator):
        model = model.estimator
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    steps = [step.estimator if isinstance(step, FrozenEstimator) else step for step in steps]
    for step in reversed(steps):
        step = getattr(step, "encoder_", step)  # of a DomainInvariantRegressor
        if hasattr(step, "net_"):
            return step.net_.module_
    raise ValueError(
        f"init_from={type(source).__name__} holds no trained network. Give a fitted encoder, "
        "wrapped in sklearn.frozen.FrozenEstimator because Pipeline and cross-validation clone "
        "their steps and a clone is not fitted, or the folder of a saved one."
    )
