"""Kernels that turn a difference of ages into a degree of positiveness."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Kernel = Callable[[Tensor, float], Tensor]


def rbf(difference: Tensor, sigma: float) -> Tensor:
    r"""Return exp(-d^2 / (2 sigma^2)): 1 for equal ages, 0.61 at a difference of sigma.

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

    Notes
    -----
    The public code also has a "gaussian" kernel, this one divided by
    :math:`\sqrt{2 \pi} \sigma`. The constant cancels in the alignment weights but not in the
    repulsion 1 - w of the exponential loss; pass a callable to reproduce it.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn.kernels import rbf
    >>> rbf(torch.tensor([0.0, 2.0]), sigma=2.0)
    tensor([1.0000, 0.6065])
    """
    return torch.exp(-difference.square() / (2 * sigma**2))


def cauchy(difference: Tensor, sigma: float) -> Tensor:
    """Return 1 / (1 + d^2 / sigma^2): 1 for equal ages, 1/2 at sigma, and a long tail.

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

    Notes
    -----
    The public code writes 1 / (sigma d^2 + 1), in which a larger sigma is a *narrower* kernel
    and the unit of age matters; see :func:`published_cauchy`.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn.kernels import cauchy
    >>> cauchy(torch.tensor([0.0, 2.0, 4.0]), sigma=2.0)
    tensor([1.0000, 0.5000, 0.2000])
    """
    return 1 / (1 + (difference / sigma).square())


def laplace(difference: Tensor, sigma: float) -> Tensor:
    """Return exp(-abs(d) / sigma): 1 for equal ages, with a cusp there, and 0.37 at sigma.

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
    >>> from mresklearn.nn.kernels import laplace
    >>> laplace(torch.tensor([0.0, 2.0]), sigma=2.0)
    tensor([1.0000, 0.3679])
    """
    return torch.exp(-difference.abs() / sigma)


def published_cauchy(difference: Tensor, sigma: float) -> Tensor:
    """Return 1 / (sigma d^2 + 1), the Cauchy kernel as the public code of the losses writes it.

    Parameters
    ----------
    difference : Tensor
        Differences of the target, in its unit (years).
    sigma : float
        Not a width but an inverse squared width: ``cauchy(d, sigma**-0.5)`` is the same kernel.

    Returns
    -------
    weight : Tensor
        Between 0 and 1, of the shape of `difference`.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn.kernels import published_cauchy
    >>> published_cauchy(torch.tensor([0.0, 1.0]), sigma=2.0)
    tensor([1.0000, 0.3333])
    """
    return 1 / (sigma * difference.square() + 1)


# Each of them falls strictly with abs(d), so that ranks of weights are ranks of differences.
KERNELS: dict[str, Kernel] = {"rbf": rbf, "cauchy": cauchy, "laplace": laplace}
PUBLISHED_KERNELS: dict[str, Kernel] = {**KERNELS, "cauchy": published_cauchy}


def find_kernel(kernel: str | Kernel, formula: str = "exact") -> Kernel:
    """Return the kernel of a name, as defined here or as in the public code.

    Parameters
    ----------
    kernel : str or callable
        A name of `KERNELS`, or ``f(difference, sigma)``, which is returned as it is.
    formula : {"exact", "published"}, default="exact"
        Whose convention a name follows; they differ for "cauchy".

    Returns
    -------
    kernel : callable
        Takes (difference, sigma).

    Raises
    ------
    ValueError
        If the kernel has no such name.
    """
    if not isinstance(kernel, str):
        return kernel
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {sorted(KERNELS)} or callable, got {kernel!r}.")
    return (PUBLISHED_KERNELS if formula == "published" else KERNELS)[kernel]


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

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn.kernels import pairwise_weights
    >>> pairwise_weights(torch.tensor([30.0, 32.0]), "cauchy", sigma=2.0)
    tensor([[1.0000, 0.5000],
            [0.5000, 1.0000]])
    """
    return find_kernel(kernel)(y[:, None] - y[None, :], sigma)
