"""An adversary that guesses the site from an embedding, and two ways to learn against it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

__all__ = ["SiteAdversary", "confusion_loss", "reverse_gradient"]


class _Reversed(torch.autograd.Function):
    """Identity whose gradient is turned round."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(values: Tensor, strength: float = 1.0) -> Tensor:
    """Return `values`, with a gradient of `-strength` times what comes back.

    What lies behind learns to lower its loss, what lies before to raise it: both players of the
    game take their step in one (Ganin et al. 2016, JMLR 17, eq. 13-18).

    Parameters
    ----------
    values : Tensor
        An embedding.
    strength : float, default=1.0
        Factor of the reversed gradient.

    Returns
    -------
    values : Tensor
        The same values.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn.adversary import reverse_gradient
    >>> z = torch.ones(2, requires_grad=True)
    >>> reverse_gradient(z, 0.5).sum().backward()
    >>> z.grad
    tensor([-0.5000, -0.5000])
    """
    return _Reversed.apply(values, strength)


class SiteAdversary(nn.Module):
    """A perceptron that guesses the site from an embedding and, if told, the age.

    Told the age, it gains nothing from an embedding that says of the site only what age says, so
    that the encoder is asked for independence given age, and not for forgetting it.

    Parameters
    ----------
    embedding_dim : int
        Columns of the embedding.
    n_sites : int
        Sites.
    knows_age : bool, default=True
        Whether age enters beside the embedding.
    hidden : int, default=64
        Units of the hidden layer.
    age_centre, age_scale : float
        Mean and SD of the training ages.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn.adversary import SiteAdversary
    >>> SiteAdversary(8, 3)(torch.zeros(5, 8), torch.full((5,), 60.0)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        embedding_dim: int,
        n_sites: int,
        *,
        knows_age: bool = True,
        hidden: int = 64,
        age_centre: float = 0.0,
        age_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.knows_age = knows_age
        self.age_centre, self.age_scale = age_centre, age_scale
        self.layers = nn.Sequential(
            nn.Linear(embedding_dim + 3 * knows_age, hidden), nn.ReLU(), nn.Linear(hidden, n_sites)
        )

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return a score for each site.

        Parameters
        ----------
        z : Tensor of shape (n, d)
            Embedding.
        y : Tensor of shape (n,)
            Ages in years; without a say where ``knows_age=False``.

        Returns
        -------
        scores : Tensor of shape (n, n_sites)
            Logits.
        """
        if self.knows_age:
            age = (y.to(z.dtype) - self.age_centre) / self.age_scale
            # powers, so that a site of middle age can be told without hidden units
            z = torch.cat([z, torch.stack([age, age**2, age**3], dim=1)], dim=1)
        return self.layers(z)

    def loss(self, z: Tensor, site: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the cross-entropy of the guess, each site of the batch with equal weight.

        Parameters
        ----------
        z : Tensor of shape (n, d)
            Embedding.
        site : Tensor of shape (n,), int
            Number of the site.
        y : Tensor of shape (n,)
            Ages in years.
        weight : Tensor of shape (n,) or None, default=None
            What each person counts beside others of the site; None is the same.

        Returns
        -------
        loss : Tensor
            A scalar.
        """
        scores = self(z, y)
        counts = scores.new_ones(len(site)) if weight is None else weight.to(scores.dtype)
        of_site = scores.new_zeros(scores.shape[1]).index_add(0, site, counts)
        share = counts / of_site[site].clamp_min(1e-12)
        wrong = cross_entropy(scores, site, reduction="none")
        return (wrong * share).sum() / share.sum().clamp_min(1e-12)


def confusion_loss(scores: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Return how far a guess is from indifference: 0 where all sites are equally likely.

    :math:`-\frac1K \sum_k \log p_k - \log K`, averaged over people, from logarithms of the softmax:
    the softmax itself underflows just where the adversary is sure (Dinsdale, Jenkinson & Namburete
    2021, NeuroImage 228, eq. 3).

    Parameters
    ----------
    scores : Tensor of shape (n, n_sites)
        Output of the adversary.
    weight : Tensor of shape (n,) or None, default=None
        What each person counts; None is the same.

    Returns
    -------
    loss : Tensor, scalar
        Zero or more.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn.adversary import confusion_loss
    >>> confusion_loss(torch.zeros(4, 3)).abs() < 1e-6
    tensor(True)
    """
    n_sites = scores.shape[1]
    of_people = -log_softmax(scores, dim=1).mean(dim=1)
    counts = torch.ones_like(of_people) if weight is None else weight.to(of_people.dtype)
    mean = (of_people * counts).sum() / counts.sum().clamp_min(1e-12)
    return mean - torch.log(scores.new_tensor(float(n_sites)))
