"""The penalties of a published comparison on MRE and T1, as its public code computes them.

Two are turned into plain numbers before they reach the loss, so that they have no gradient, and
the adversary raises its own error together with the encoder. Embeddings are unit vectors averaged
over views there; here each view is penalised, which changes none of that.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

BANDWIDTHS = (0.2, 0.5, 0.9, 1.3)


def mmd(z: Tensor, site: Tensor, y: Tensor) -> Tensor:
    """Mean over pairs of sites of the squared MMD, as a number."""
    squared = torch.cdist(z, z).square()
    kernel = torch.stack([torch.exp(-gamma * squared) for gamma in BANDWIDTHS]).sum(dim=0)
    members = one_hot(torch.unique(site, return_inverse=True)[1]).to(z.dtype)
    shares = members / members.sum(dim=0)
    means = shares.T @ kernel @ shares
    own = means.diagonal()
    return _mean_of_pairs(own[:, None] + own - 2 * means)


def coral(z: Tensor, site: Tensor, y: Tensor) -> Tensor:
    """Mean over pairs of sites of the squared difference of covariances, as a number."""
    groups = [z[site == code] for code in torch.unique(site)]
    covariances = [group.T.cov().flatten() for group in groups if len(group) > 1]
    if len(covariances) < 2:
        return z.new_zeros(())
    stacked = torch.stack(covariances)
    # the mean over entries, over 4 d^2: the dimension counts twice
    squared = torch.cdist(stacked, stacked).square() / z.shape[1] ** 2
    return _mean_of_pairs(squared / (4 * z.shape[1] ** 2))


def _mean_of_pairs(table: Tensor) -> Tensor:
    """Return the mean over pairs of sites as a number without gradient."""
    first, second = torch.triu_indices(len(table), len(table), offset=1)
    return torch.tensor(table[first, second].mean().item() if len(first) else 0.0)


def hsic(z: Tensor, site: Tensor, y: Tensor) -> Tensor:
    """HSIC of unit embeddings and site indicators, Gaussian kernels of width 1."""
    n = len(z)
    indicators = one_hot(torch.unique(site, return_inverse=True)[1]).to(z.dtype)
    centring = torch.eye(n, device=z.device, dtype=z.dtype) - 1 / n
    of_z, of_site = (
        torch.exp(-(rows[:, None] - rows).square().sum(dim=2) / 2) for rows in (z, indicators)
    )
    return (of_z @ centring * (of_site @ centring).T).sum() / (n - 1) ** 2


class Adversary:
    """Minus the cross-entropy of a classifier that takes the same step as the encoder.

    One optimiser lowers this, so that the classifier learns to be wrong rather than to find the
    site, and the loss has no lower bound.
    """

    def __init__(self, lr: float = 1e-3, most_sites: int = 64) -> None:
        self.lr, self.most_sites = lr, most_sites
        self.classifier: nn.Module | None = None

    def __call__(self, z: Tensor, site: Tensor, y: Tensor) -> Tensor:
        if self.classifier is None:
            sizes = (z.shape[1], 512, 256, 128)
            layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
            self.classifier = nn.Sequential(*layers, nn.Linear(128, self.most_sites)).to(z)
            self.optimizer = torch.optim.Adam(self.classifier.parameters(), lr=self.lr)
        elif torch.is_grad_enabled():
            self.optimizer.step()  # with the gradient of the last batch
        self.optimizer.zero_grad()
        return -cross_entropy(self.classifier(z), site)


PUBLISHED: dict[str, Callable] = {
    "adversarial": Adversary(),
    "mmd": mmd,
    "coral": coral,
    "hsic": hsic,
}
