"""Kernels that turn a difference of ages into a degree of positiveness."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Kernel = Callable[[Tensor, float], Tensor]


def rbf(difference: Tensor, sigma: float) -> Tensor:
    """Return exp(-d^2 / (2 sigma^2)): 1 for equal ages, 0.61 at a difference of sigma.

    Parameters
    ----------
    difference : Tensor
        Differences of the target, in its unit (years).
    sigma : float
        Width, in the same unit.

    Returns
    -------
    weight : Tensor
        Between 0 and 1, of the shape of `difference`.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn.kernels import rbf
    >>> rbf(torch.tensor([0.0, 2.0]), sigma=2.0)
    tensor([1.0000, 0.6065])
    """
    return torch.exp(-difference.square() / (2 * sigma**2))


KERNELS: dict[str, Kernel] = {"rbf": rbf}


def pairwise_weights(y: Tensor, kernel: str | Kernel, sigma: float) -> Tensor:
    """Return w_ij = K(y_i - y_j), shape (n, n).

    Parameters
    ----------
    y : Tensor of shape (n,)
        Target of each person.
    kernel : str or callable
        A name of `KERNELS`, or ``f(difference, sigma)``.
    sigma : float
        Width, in units of y.

    Returns
    -------
    weights : Tensor of shape (n, n)
        Degree of positiveness of each pair.

    Raises
    ------
    ValueError
        If the kernel has no such name.
    """
    if isinstance(kernel, str):
        if kernel not in KERNELS:
            raise ValueError(
                f"kernel must be one of {sorted(KERNELS)} or callable, got {kernel!r}."
            )
        kernel = KERNELS[kernel]
    return kernel(y[:, None] - y[None, :], sigma)
