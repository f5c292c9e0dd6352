"""Which device to train on."""

from __future__ import annotations

import os
import warnings

import torch

from ..exceptions import DeviceWarning


def resolve_device(device: str, distributed: bool = False) -> str:
    """Return the device that "auto" stands for: a CUDA GPU where there is one, else the CPU.

    Parameters
    ----------
    device : str
        "auto" or a torch device name.
    distributed : bool, default=False
        Whether processes were started together; then "auto" and "cuda" mean the GPU of this one.

    Returns
    -------
    device : str
        A torch device name.

    Raises
    ------
    ValueError
        If the device named is not on this machine.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if not distributed:
            return device
    if device == "cuda" and distributed:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} is not available here ({error}). Use device='auto' or 'cpu'."
        ) from error
    return device


def warn_of_device(trained_on: str, device: str) -> None:
    """Warn that a model runs on another device than it was trained on."""
    warnings.warn(
        f"This model was trained on device '{trained_on}', which this machine does not have; it "
        f"now runs on '{device}'. Predictions agree to rounding.",
        DeviceWarning,
        stacklevel=3,
    )
