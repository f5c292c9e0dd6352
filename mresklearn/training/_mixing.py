"""Mixtures of people of similar age from different sites, as new training people."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["SiteMixing"]


@dataclass(frozen=True)
class SiteMixing:
    r"""Mix each person of a batch with one of similar age from another site.

    Samples and ages become :math:`\lambda x_i + (1 - \lambda) x_j`, with :math:`\lambda` from a
    Beta distribution, turned round where it is below one half, so that a mixture keeps the site of
    its larger part. The partner j is drawn by C-Mixup's rule (Yao et al. 2022, NeurIPS, eq. 6),
    with probability proportional to :math:`\exp(-(y_i - y_j)^2 / 2 h^2)`, among people of other
    sites, as LISA's within-label mixing (Yao et al. 2022, ICML). What sites add is then no longer
    constant within a site. Whoever has no partner within three bandwidths stays alone.

    Parameters
    ----------
    concentration : float
        Both parameters of the Beta distribution; small values leave most people nearly unmixed.
    age_bandwidth : float
        h, in years.
    """

    concentration: float
    age_bandwidth: float

    def __call__(self, samples: Tensor, site: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return mixed samples (n, views, ...) and ages (n,); all views of a person mix alike."""
        distance = (y[:, None] - y) / self.age_bandwidth
        chance = torch.exp(-(distance**2) / 2) * (site[:, None] != site) * (distance.abs() <= 3)
        alone = chance.sum(dim=1) == 0
        chance = torch.where(alone[:, None], torch.eye(len(y), device=y.device), chance)
        partner = torch.multinomial(chance, 1).squeeze(1)
        both = torch.full((len(y),), self.concentration, device=y.device)
        share = torch.distributions.Beta(both, both).sample()
        share = torch.maximum(share, 1 - share)
        of_samples = share.view(-1, *[1] * (samples.ndim - 1)).to(samples.dtype)
        mixed = of_samples * samples + (1 - of_samples) * samples[partner]
        return mixed, share * y + (1 - share) * y[partner]
