"""Which pairs attract, and how much; which sites may meet."""

from __future__ import annotations

import torch
from torch import Tensor

from .kernels import Kernel

SITE_MASKS = ("none", "cross_site_positives", "within_site_negatives", "cross_site")


def pair_weights(kind: str, y: Tensor, kernel: Kernel, sigma: float, bin_width: float) -> Tensor:
    """Return the degree of positiveness of each pair of people, whose views share it.

    Parameters
    ----------
    kind : {"kernel", "uniform", "bins", "views"}
        K(y_i - y_j); 1; 1 in the same bin of y; or 1 for views of the same person. Else 0.
    y : Tensor of shape (n,)
        Target of each person.
    kernel : callable
        Takes (difference, sigma).
    sigma : float
        Its width.
    bin_width : float
        Width of bins, whose edges are its multiples; 0 means equal y.

    Returns
    -------
    weights : Tensor of shape (n, n)
        Of the dtype of y.
    """
    if kind == "kernel":
        return kernel(y[:, None] - y[None, :], sigma)
    if kind == "uniform":
        return y.new_ones(len(y), len(y))
    if kind == "views":
        return torch.eye(len(y), dtype=y.dtype, device=y.device)
    label = torch.floor(y / bin_width) if bin_width > 0 else y
    return (label[:, None] == label[None, :]).to(y.dtype)


def site_masks(site_mask: str, site: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Let positives come from other sites only, or negatives from the same site only, or both.

    Parameters
    ----------
    site_mask : {"none", "cross_site_positives", "within_site_negatives", "cross_site"}
        Which; the last is both.
    site : Tensor of shape (n,) or None
        Site code of each person.

    Returns
    -------
    positives : Tensor of bool, shape (n, n), or None
        Which people may attract; None is everyone.
    candidates : Tensor of bool, shape (n, n), or None
        Which people may repel; None is everyone.

    Raises
    ------
    ValueError
        If positives must cross sites and there is one site.
    """
    if site_mask == "none" or site is None:
        return None, None
    same = site[:, None] == site[None, :]
    if site_mask == "within_site_negatives":
        return None, same
    if bool(same.all()):
        raise ValueError(
            "There is no cross-site positive: all people of the batch are from one site. Draw "
            "batches that mix sites, or use site_mask='none'."
        )
    return ~same, same if site_mask == "cross_site" else None
