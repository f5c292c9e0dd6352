"""Kernels between embeddings, and their quadratic forms, exact or through random features."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["BANDWIDTHS", "Gram"]

BANDWIDTHS = (0.5, 1.0, 2.0)
ROWS_FOR_MEDIAN = 512


class Gram:
    r"""Matrix of :math:`k(z_i, z_j)`, a mean of Gaussian kernels, used through quadratic forms.

    The widths are multiples of the median distance, which is a constant for the gradient: else an
    embedding could shrink its penalty by shrinking.

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Embeddings.
    n_features : int or None, default=None
        Random Fourier features (Rahimi & Recht, NeurIPS 2007) instead of the exact matrix: time and
        memory grow with n rather than its square.
    generator : torch.Generator or None, default=None
        Draws the features.
    """

    def __init__(
        self, z: Tensor, *, n_features: int | None = None, generator: torch.Generator | None = None
    ) -> None:
        width = _median_distance(z.detach())
        widths = [factor * width for factor in BANDWIDTHS]
        self.matrix: Tensor | None = None
        if n_features is None:
            squared = _squared_distances(z)
            self.matrix = torch.stack([torch.exp(-squared / (2 * w**2)) for w in widths]).mean(0)
            return
        per_width = max(1, n_features // (2 * len(widths)))
        drawn = torch.randn((z.shape[1], per_width), generator=generator).to(z)
        parts = [part for w in widths for part in ((z @ drawn / w).cos(), (z @ drawn / w).sin())]
        self.features = torch.cat(parts, dim=1) / math.sqrt(per_width * len(widths))

    @classmethod
    def of_moments(cls, z: Tensor) -> Gram:
        r"""Return the kernel :math:`u + u^2`, :math:`u` the product of centred rows.

        Its feature map is a row and all products of its entries, so that contrasts compare means
        and second moments.
        """
        centred = z - z.mean(dim=0)
        product = centred @ centred.T / centred.square().sum(dim=1).mean().clamp_min(1e-12)
        gram = cls.__new__(cls)
        gram.matrix = product + product.square()
        return gram

    @property
    def dtype(self) -> torch.dtype:
        """Type of the kernel."""
        return self.features.dtype if self.matrix is None else self.matrix.dtype

    def diagonal(self, pool: Tensor) -> Tensor:
        """Return the mean of k(z_i, z_i) under the squared weights of each column of `pool`."""
        weight = pool.to(self.dtype).square()
        if self.matrix is None:
            return torch.ones_like(weight[0])
        return self.matrix.diagonal() @ weight / weight.sum(dim=0)

    def quadratic(self, V: Tensor) -> Tensor:
        """Return v' K v of each column of V, (n, r) -> (r,)."""
        V = V.to(self.dtype)
        if self.matrix is not None:
            return (V * (self.matrix @ V)).sum(dim=0)
        return (self.features.T @ V).square().sum(dim=0)


def _squared_distances(z: Tensor) -> Tensor:
    norm = z.square().sum(dim=1)
    return (norm[:, None] + norm[None, :] - 2 * z @ z.T).clamp_min(0)


def _median_distance(z: Tensor) -> Tensor:
    """Return the median distance of distinct rows, over evenly spaced rows where there are many."""
    step = -(-len(z) // ROWS_FOR_MEDIAN)
    squared = _squared_distances(z[::step])
    rows, columns = torch.triu_indices(len(squared), len(squared), offset=1)
    median = squared[rows, columns].median().sqrt() if len(rows) else squared.new_tensor(1.0)
    return median.clamp_min(1e-6)
