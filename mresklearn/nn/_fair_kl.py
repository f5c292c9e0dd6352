"""A penalty on the distances of people of similar age, within a site and across sites."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["fair_kl"]


def fair_kl(z: Tensor, site: Tensor, y: Tensor, *, bandwidth: float) -> Tensor:
    r"""Compare distances of people of similar age within a site with those across sites.

    Both are taken as normal; the value is the divergence
    :math:`\log(\sigma_c / \sigma_a) + (\sigma_a^2 + (\mu_a - \mu_c)^2) / (2 \sigma_c^2) - 1/2` of
    those within (a) from those across (c), with pairs weighted by a Gaussian of the difference in
    age.
    """
    distance = (1 - z @ z.T).clamp_min(0)
    weight = torch.exp(-((y[:, None] - y) ** 2) / (2 * bandwidth**2))
    weight = weight * (1 - torch.eye(len(y), device=y.device, dtype=y.dtype))
    same = (site[:, None] == site).to(weight.dtype)
    within, across = weight * same, weight * (1 - same)
    if within.sum() < 1 or across.sum() < 1:
        return z.sum() * 0.0
    (mean_a, var_a), (mean_c, var_c) = (_weighted(distance, part) for part in (within, across))
    return torch.log(var_c / var_a) / 2 + (var_a + (mean_a - mean_c).square()) / (2 * var_c) - 0.5


def _weighted(values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    mean = (values * weight).sum() / weight.sum()
    variance = ((values - mean).square() * weight).sum() / weight.sum()
    return mean, variance + 1e-6
