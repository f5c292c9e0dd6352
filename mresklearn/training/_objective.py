"""What a batch is trained for: a function of its embeddings, targets and sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..nn.kernels import Kernel
from ..nn.losses import contrastive_loss


class Objective(Protocol):
    """Loss of one batch."""

    def __call__(self, embeddings: Tensor, y: Tensor, site: Tensor) -> Tensor:
        """Return a scalar from embeddings (n, views, d), y (n,) and site codes (n,)."""


@dataclass(frozen=True)
class ContrastiveObjective:
    """The contrastive loss alone; it does not look at site."""

    method: str
    kernel: str | Kernel
    sigma: float
    temperature: float

    def __call__(self, embeddings: Tensor, y: Tensor, site: Tensor) -> Tensor:
        return contrastive_loss(
            embeddings,
            y,
            method=self.method,
            kernel=self.kernel,
            sigma=self.sigma,
            temperature=self.temperature,
        )
