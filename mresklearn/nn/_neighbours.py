"""Dynamic localised repulsion: how many neighbours repel at an epoch, and which they are."""

from __future__ import annotations

import torch
from torch import Tensor

NORMS = {"l1": 1.0, "l2": 2.0, "linf": float("inf")}
SELECTIONS = ("similarity", *NORMS)


def neighbour_count(
    epoch: int, max_epochs: int, batch_size: int, *, step: int = 1, end: int = 14
) -> int:
    r"""Return how many neighbours repel an anchor at an epoch: from everyone down to `end`.

    With :math:`S = \lfloor E/s \rfloor - 1` steps of s epochs out of E, at epoch e

    .. math:: \max\left(\left\lfloor B - (B - m) \lfloor e/s \rfloor / S \right\rfloor, m\right)

    for a batch of B people and m = `end`, as in the public code of dynamic localised repulsion
    (Träuble et al., arXiv 2408.00527), which divides by zero where S = 0 and leaves batches under
    32 people alone. Here S is at least 1, and a batch smaller than `end` counts all its people.

    Parameters
    ----------
    epoch : int
        From 1 to `max_epochs`.
    max_epochs : int
        Epochs of the training, E.
    batch_size : int
        People in this batch, B; the last batch may be smaller than the others.
    step : int, default=1
        Epochs between changes, s; 0 switches the schedule off (everyone, always).
    end : int, default=14
        Neighbours at the end of training, m.

    Returns
    -------
    count : int
        Between 1 and `batch_size`: people, whose views all count.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> from mresklearn.nn.losses import neighbour_count
    >>> [neighbour_count(epoch, 50, batch_size=32) for epoch in (1, 10, 20, 30, 45, 50)]
    [31, 28, 24, 20, 15, 14]
    >>> neighbour_count(50, 50, batch_size=9)
    9
    """
    for name, value, least in (
        ("epoch", epoch, 0),
        ("max_epochs", max_epochs, 1),
        ("batch_size", batch_size, 1),
        ("step", step, 0),
        ("end", end, 1),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")
    if step == 0:
        return batch_size
    steps = max(max_epochs // step - 1, 1)
    # whole numbers throughout: a floor of floats would be off by one at exact steps
    scheduled = (batch_size * steps - (batch_size - end) * (epoch // step)) // steps
    return min(max(scheduled, end), batch_size)


def nearest(
    points: Tensor, similarity: Tensor, count: int, selection: str, *, include_anchor: bool
) -> Tensor:
    """Return which points are among the nearest of each, by place in the embedding.

    Parameters
    ----------
    points : Tensor of shape (n, d)
        The embedding that the loss compares.
    similarity : Tensor of shape (n, n)
        Its similarities.
    count : int
        How many; points as near as the last of them are kept too.
    selection : {"similarity", "l1", "l2", "linf"}
        Nearness: largest similarity, or smallest distance.
    include_anchor : bool
        Whether the anchor takes one of the places, as in the public code.

    Returns
    -------
    neighbours : Tensor of bool, shape (n, n)
        The diagonal has no meaning.
    """
    with torch.no_grad():
        if selection == "similarity":
            nearness = similarity.detach().clone()
        else:
            nearness = -torch.cdist(points, points, p=NORMS[selection])
        if not include_anchor:
            nearness.fill_diagonal_(-torch.inf)
        # n = 1: without the anchor no place is left, yet topk needs one
        places = max(min(count, len(points) - (not include_anchor)), 1)
        last = nearness.topk(places, dim=1).values[:, -1:]
        # "not farther" keeps NaN in, so that a diverged network shows in the loss
        return ~(nearness < last)
