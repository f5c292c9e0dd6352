"""Randomness of a fit: one seed, one stream that can be resumed, global streams untouched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

StreamState = dict[str, np.ndarray]


@contextmanager
def private_stream(device: str, start: int | StreamState) -> Iterator[StreamState]:
    """Run torch on a stream of its own, and leave its final state behind.

    Parameters
    ----------
    device : str
        Device that draws random numbers beside the CPU.
    start : int or dict
        A seed, or the state that an earlier stream left.

    Yields
    ------
    state : dict of ndarray
        Filled on leaving with the state from which the stream can go on. Arrays rather than
        tensors, so that every pickler and skops can store it.
    """
    state: StreamState = {}
    with torch.random.fork_rng(devices=_cuda_devices(device)):
        if isinstance(start, int):
            torch.manual_seed(start)
        else:
            tensors = {name: torch.from_numpy(value) for name, value in start.items()}
            restore_streams(device, tensors)
        yield state
        final = stream_states(device)
        state.update({name: value.numpy() for name, value in final.items()})


def stream_states(device: str) -> dict[str, Tensor]:
    """Return where the streams of the CPU and of the device stand."""
    states = {"cpu": torch.get_rng_state()}
    for cuda in _cuda_devices(device):
        states["cuda"] = torch.cuda.get_rng_state(cuda)
    return states


def restore_streams(device: str, states: dict[str, Tensor]) -> None:
    """Put the streams where they stood."""
    torch.set_rng_state(states["cpu"])
    for cuda in _cuda_devices(device):
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], cuda)


def _cuda_devices(device: str) -> list[torch.device]:
    return [torch.device(device)] if torch.device(device).type == "cuda" else []
