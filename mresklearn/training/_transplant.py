"""Weights of one network into another, where their inputs differ in channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def transplant(source: nn.Module, target: nn.Module) -> list[str]:
    """Start a network from the weights of a trained one.

    The trunk must be of the same kind and width. Where the first convolution sees other channels,
    each new channel starts from the mean over the old ones, scaled so that the layer's response
    keeps its size. The projection is taken over where its size is the same; a head never is, as it
    belongs to its target.

    Parameters
    ----------
    source : Module
        Trained.
    target : Module
        Initialised; its weights are replaced in place.

    Returns
    -------
    taken : list of str
        Names of the weights that were taken over.

    Raises
    ------
    ValueError
        If a layer of the trunk has no counterpart of its size.
    """
    old, new = source.state_dict(), target.state_dict()
    missing = sorted(_of_trunk(new) ^ _of_trunk(old))
    if missing:
        raise ValueError(
            f"init_from holds another network: {missing[0]} is in one of the two only. Give the "
            "network and width that it was trained with."
        )
    taken = {}
    for name, weight in new.items():
        if name.startswith("head.") or name not in old:
            continue
        if old[name].shape == weight.shape:
            taken[name] = old[name]
        elif name.startswith("trunk."):
            taken[name] = _adapt_channels(name, old[name], weight)
    target.load_state_dict({**new, **taken})
    return list(taken)


def _of_trunk(state: dict[str, Tensor]) -> set[str]:
    return {name for name in state if name.startswith("trunk.")}


def _adapt_channels(name: str, old: Tensor, new: Tensor) -> Tensor:
    """Return convolution weights for another number of input channels."""
    is_convolution = old.ndim == new.ndim == 5
    if not is_convolution or old.shape[:1] + old.shape[2:] != new.shape[:1] + new.shape[2:]:
        raise ValueError(
            f"init_from does not fit: {name} has shape {tuple(old.shape)} there and "
            f"{tuple(new.shape)} here. Give the network and width that it was trained with, and "
            "samples of the same number of features; only channels of maps may differ."
        )
    mean = old.mean(dim=1, keepdim=True) * (old.shape[1] / new.shape[1])
    return mean.expand_as(new).contiguous().to(torch.float32)
