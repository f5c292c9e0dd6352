"""Numbers that a network is trained in."""

from __future__ import annotations

import torch

PRECISIONS = ("auto", "float32", "bfloat16")


def resolve_precision(precision: str, device: str) -> torch.dtype:
    """Return what "auto" stands for: bfloat16 on a GPU that computes in it, else float32.

    bfloat16 has the range of float32, so that gradients need no scaling; weights, losses and
    embeddings of `transform` stay in float32.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        Precision of convolutions and matrix products in training.
    device : str
        Device trained on.

    Returns
    -------
    dtype : torch.dtype
        float32 or bfloat16.
    """
    if precision == "auto":
        is_cuda = torch.device(device).type == "cuda"
        fast = is_cuda and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bfloat16" if fast else "float32"
    return getattr(torch, precision)
