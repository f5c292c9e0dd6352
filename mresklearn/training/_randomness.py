"""Randomness of a fit: one seed, one stream that can be resumed, global streams untouched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

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
    cuda = torch.device(device) if torch.device(device).type == "cuda" else None
    state: StreamState = {}
    with torch.random.fork_rng(devices=[] if cuda is None else [cuda]):
        if isinstance(start, int):
            torch.manual_seed(start)
        else:
            torch.set_rng_state(torch.from_numpy(start["cpu"]))
            if cuda is not None and "cuda" in start:
                torch.cuda.set_rng_state(torch.from_numpy(start["cuda"]), cuda)
        yield state
        state["cpu"] = torch.get_rng_state().numpy()
        if cuda is not None:
            state["cuda"] = torch.cuda.get_rng_state(cuda).numpy()
