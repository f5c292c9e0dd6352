"""Random views of a sample, drawn in batches on the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GaussianNoise:
    """Draw views of each sample by adding independent Gaussian noise to its brain voxels.

    Background (exactly zero in every channel) stays zero, so that noise never tells the mask from
    the brain. For 2-D features every column gets noise.

    Parameters
    ----------
    scale : float
        SD of the noise, in the unit of the input (standard deviations after `MapScaler`).
    n_views : int
        Views drawn of each sample.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import GaussianNoise
    >>> brain = torch.zeros(5, 1, 4, 4, 4)
    >>> brain[:, :, 1:3] = 1.0
    >>> views = GaussianNoise(scale=0.1, n_views=2)(brain)
    >>> views.shape, bool((views[:, :, :, 0] == 0).all())
    (torch.Size([5, 2, 1, 4, 4, 4]), True)
    """

    scale: float
    n_views: int

    def __call__(self, batch: Tensor) -> Tensor:
        """Return views of shape (n, n_views, ...) of a batch of shape (n, ...)."""
        views = batch.unsqueeze(1).repeat(1, self.n_views, *(1,) * (batch.ndim - 1))
        if self.scale == 0:
            return views
        noise = torch.randn_like(views).mul_(self.scale)
        if batch.ndim == 5:
            noise.mul_((batch != 0).any(dim=1, keepdim=True).unsqueeze(1))
        return views.add_(noise)
