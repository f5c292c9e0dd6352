"""A trained network as plain values and arrays, and back."""

from __future__ import annotations

from typing import Any

import torch
from skorch.history import History

from ._net import TrainingNet

_MODULE = "module__"


def network_state(net: TrainingNet) -> dict[str, Any]:
    """Return what a trained network needs to predict, and to train on as if it had never stopped.

    Parameters
    ----------
    net : TrainingNet
        A trained network.

    Returns
    -------
    state : dict
        Plain values and arrays: the numbers that build the module, its weights, the state of its
        optimizer, history and device.
    """
    optimizer = net.optimizer_.state_dict()
    return {
        "module": {
            key.removeprefix(_MODULE): value
            for key, value in vars(net).items()
            if key.startswith(_MODULE)
        },
        "weights": {key: value.cpu().numpy() for key, value in net.module_.state_dict().items()},
        "moments": {
            index: {key: value.cpu().numpy() for key, value in entry.items()}
            for index, entry in optimizer["state"].items()
        },
        "history": [dict(epoch) for epoch in net.history],
        "device": str(net.device),
    }


def restore_network(net: TrainingNet, state: dict[str, Any]) -> None:
    """Put the weights, optimizer state and history of a trained network into a new one.

    Parameters
    ----------
    net : TrainingNet
        Initialised, with the module of `state`.
    state : dict
        As :func:`network_state` returned it.
    """
    weights = {key: torch.from_numpy(value.copy()) for key, value in state["weights"].items()}
    net.module_.load_state_dict(weights)
    optimizer = net.optimizer_.state_dict()
    optimizer["state"] = {
        index: {key: torch.from_numpy(value.copy()) for key, value in entry.items()}
        for index, entry in state["moments"].items()
    }
    net.optimizer_.load_state_dict(optimizer)
    net.history = History(state["history"])
