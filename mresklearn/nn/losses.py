"""Contrastive losses for a continuous target.

Notation, for a batch of n people with v views each, N = n v anchors: s_ij is the cosine similarity
of embeddings i and j divided by the temperature, w_ij = K(y_i - y_j) the kernel of their ages;
every sum leaves out the anchor itself.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .kernels import Kernel, pairwise_weights

METHODS = ("y_aware", "exponential")


def contrastive_loss(
    embeddings: Tensor,
    y: Tensor,
    *,
    method: str = "exponential",
    kernel: str | Kernel = "rbf",
    sigma: float = 2.0,
    temperature: float = 0.1,
) -> Tensor:
    r"""Pull together people of similar age and push apart the others.

    With alignment weights :math:`\tilde w_{ij} = w_{ij} / \sum_k w_{ik}`, each anchor i contributes

    .. math:: -\sum_j \tilde w_{ij} \, (s_{ij} - \log D_i)

    where ``method`` chooses the denominator:

    - ``"y_aware"``: :math:`D_i = \sum_t e^{s_{it}}` (Dufumier et al., MICCAI 2021);
    - ``"exponential"``: :math:`D_i = \sum_t e^{s_{it} (1 - w_{it})}` (Barbano et al., ISBI 2023,
      :math:`\mathcal{L}^{exp}`): the nearer in age, the weaker the repulsion; none at equal age.

    The exponential form is not invariant to a shift of the similarities, so the row maximum must
    be taken of :math:`s (1 - w)` and never of s alone.

    Parameters
    ----------
    embeddings : Tensor of shape (n, views, d)
        Embeddings of each person; they need not be normalised, cosine similarity does that.
    y : Tensor of shape (n,)
        Target of each person, in years for age.
    method : {"y_aware", "exponential"}, default="exponential"
        Which loss.
    kernel : {"rbf"} or callable, default="rbf"
        How positiveness falls with the difference of y; a callable takes (difference, sigma).
    sigma : float, default=2.0
        Width of the kernel, in units of y.
    temperature : float, default=0.1
        Divides the similarities.

    Returns
    -------
    loss : Tensor, scalar
        Mean over anchors. An anchor whose weights are all zero (alone in its age, with one view)
        contributes nothing and is not counted; without any pair the loss is 0 with zero gradient.

    Raises
    ------
    ValueError
        If shapes do not fit or the method is unknown.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import contrastive_loss
    >>> ages = torch.tensor([20.0, 21.0, 70.0])
    >>> ordered = torch.tensor([[[1.0, 0.0]], [[0.9, 0.1]], [[0.0, 1.0]]])
    >>> contrastive_loss(ordered, ages) < contrastive_loss(ordered[[0, 2, 1]], ages)
    tensor(True)
    """
    if embeddings.ndim != 3 or y.shape != embeddings.shape[:1]:
        raise ValueError(
            "embeddings must have shape (n, views, d) and y shape (n,), got "
            f"{tuple(embeddings.shape)} and {tuple(y.shape)}."
        )
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}.")
    n, views, _ = embeddings.shape
    anchors = normalize(embeddings.reshape(n * views, -1), dim=1)
    similarity = anchors @ anchors.T / temperature
    target = y.to(similarity.dtype).repeat_interleave(views)
    weights = pairwise_weights(target, kernel, sigma)
    return loss_of_similarities(similarity, weights, method)


def loss_of_similarities(similarity: Tensor, weights: Tensor, method: str) -> Tensor:
    """Return the loss as a function of the similarities s and weights w alone.

    Parameters
    ----------
    similarity : Tensor of shape (N, N)
        s, already divided by the temperature; the diagonal is ignored.
    weights : Tensor of shape (N, N)
        w; the diagonal is ignored.
    method : str
        As for :func:`contrastive_loss`.

    Returns
    -------
    loss : Tensor, scalar
        Mean over the anchors that have a pair.
    """
    itself = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    weights = weights.masked_fill(itself, 0.0)
    repulsion = similarity if method == "y_aware" else similarity * (1 - weights)
    lowest = torch.finfo(similarity.dtype).min  # finite, so that a lone anchor has no NaN gradient
    log_denominator = repulsion.masked_fill(itself, lowest).logsumexp(dim=1)
    total = weights.sum(dim=1)
    paired = total > 0
    alignment = (weights * similarity).sum(dim=1) / total.clamp_min(torch.finfo(total.dtype).tiny)
    per_anchor = torch.where(paired, log_denominator - alignment, torch.zeros_like(total))
    return per_anchor.sum() / paired.sum().clamp_min(1)
