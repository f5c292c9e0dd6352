"""The grid of contrastive losses: each method is a choice on a few axes, and one sum for all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ._denominators import log_denominators

AXES = {
    "weights": ("kernel", "uniform", "bins", "views"),
    "denominator": ("all", "farther", "not_nearer", "pooled"),
    "exponent": ("1", "1 - w"),
    "similarity": ("cosine", "neg_l2"),
    "normaliser": ("anchor", "global"),
}


@dataclass(frozen=True)
class Recipe:
    r"""A point of the grid of contrastive losses.

    With weights w (zero for the anchor itself), similarities s over the temperature and an
    exponent a, the loss is the normalised sum over pairs (i, j) of

    .. math:: -w_{ij} \left( s_{ij} - \log \sum_{t \in D_{ij}} e^{s_{it} a_{it}} \right) .

    Parameters
    ----------
    weights : {"kernel", "uniform", "bins", "views"}, default="kernel"
        w: K(y_i - y_j), 1, same bin of y, or same person.
    denominator : {"all", "farther", "not_nearer", "pooled"}, default="all"
        The set D: all others, those with :math:`w_{it} < w_{ij}`, those with
        :math:`d_{it} \ge d_{ij}`, or the public code's pooling of the second over all j.
    exponent : {"1", "1 - w"}, default="1"
        a.
    similarity : {"cosine", "neg_l2"}, default="cosine"
        Cosine, or minus the Euclidean distance.
    normaliser : {"anchor", "global"}, default="anchor"
        Divide by the sum of w over j and average over anchors, or divide the sum over all pairs
        by the sum of w over all pairs, by which anchors with many people of their age count more.
    row_maximum : bool, default=False
        Subtract :math:`\max_j s_{ij}`, the anchor's 1/temperature with itself included, from s
        first. It cancels where a = 1, and does not where a = 1 - w.
    anchor_is_neighbour : bool, default=False
        The anchor takes one of its own places among neighbours.
    base_temperature : float or None, default=None
        Multiply the loss by temperature / base_temperature.

    Raises
    ------
    ValueError
        If an axis has no such choice.

    Examples
    --------
    A loss that nobody has published: uniform weights, and denominators as in the threshold loss.

    >>> import torch
    >>> from mresklearn.nn.losses import Recipe, contrastive_loss
    >>> mine = Recipe(weights="uniform", denominator="farther")
    >>> z = torch.eye(3)[:, None]
    >>> contrastive_loss(z, torch.tensor([20.0, 30.0, 50.0]), method=mine)
    tensor(0.)
    """

    weights: str = "kernel"
    denominator: str = "all"
    exponent: str = "1"
    similarity: str = "cosine"
    normaliser: str = "anchor"
    row_maximum: bool = False
    anchor_is_neighbour: bool = False
    base_temperature: float | None = None

    def __post_init__(self) -> None:
        for axis, choices in AXES.items():
            if getattr(self, axis) not in choices:
                raise ValueError(f"{axis} must be one of {choices}, got {getattr(self, axis)!r}.")


EXACT = {
    "simclr": Recipe(weights="views"),
    "supcon": Recipe(weights="bins"),
    "y_aware": Recipe(),
    "threshold": Recipe(denominator="farther"),
    "exponential": Recipe(exponent="1 - w"),
    "dynamic": Recipe(exponent="1 - w"),  # over the neighbours that the caller asks for
    "rank_n_contrast": Recipe(weights="uniform", denominator="not_nearer", similarity="neg_l2"),
}

# What the public code computes; all but Rank-N-Contrast share one class with tau_0 = 0.07.
PUBLISHED = {
    name: recipe if name == "rank_n_contrast" else replace(recipe, base_temperature=0.07)
    for name, recipe in EXACT.items()
}
PUBLISHED["threshold"] = replace(PUBLISHED["threshold"], denominator="pooled")
PUBLISHED["exponential"] = replace(PUBLISHED["exponential"], row_maximum=True)
PUBLISHED["dynamic"] = replace(
    PUBLISHED["dynamic"], row_maximum=True, normaliser="global", anchor_is_neighbour=True
)


def loss_of_similarities(
    similarity: Tensor,
    weights: Tensor,
    method: str | Recipe,
    *,
    formula: str = "exact",
    positives: Tensor | None = None,
    candidates: Tensor | None = None,
    distance: Tensor | None = None,
    tolerance: float | Tensor = 0.0,
) -> Tensor:
    """Return the loss as a function of the similarities s and weights w alone.

    Parameters
    ----------
    similarity : Tensor of shape (n, n)
        s, already divided by the temperature; the diagonal is ignored, but for the row maximum.
    weights : Tensor of shape (n, n)
        w; the diagonal is ignored.
    method : str or Recipe
        As for :func:`contrastive_loss`; its choice of weights and of similarity is the caller's.
    formula : {"exact", "published"}, default="exact"
        As for :func:`contrastive_loss`.
    positives : Tensor of bool, shape (n, n), or None, default=None
        Who may be attracted by the anchor of a row; None means all others.
    candidates : Tensor of bool, shape (n, n), or None, default=None
        Who may be repelled by the anchor of a row; None means all others.
    distance : Tensor of shape (n, n) or (people, people), or None, default=None
        Label distances that rank the denominators; None ranks by falling weight.
    tolerance : float or Tensor, default=0.0
        Distances that differ by no more are ties.

    Returns
    -------
    loss : Tensor, scalar
        Mean over the anchors that have a pair with a denominator; 0 where there is none.
    """
    recipe = find_recipe(method, formula)
    others = ~torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    positives = others if positives is None else positives & others
    candidates = others if candidates is None else candidates & others
    if recipe.row_maximum:
        similarity = similarity - similarity.detach().amax(dim=1, keepdim=True)
    repulsion = similarity * (1 - weights) if recipe.exponent == "1 - w" else similarity
    log_denominator, present = log_denominators(
        recipe.denominator,
        repulsion,
        candidates,
        -weights if distance is None else distance,
        tolerance,
    )
    attraction = weights.masked_fill(~positives, 0.0)
    contributes = present & (attraction > 0)
    of_all = recipe.normaliser == "global"
    total = attraction.sum() if of_all else attraction.sum(dim=1, keepdim=True)
    # shares first: the gradient of a later division by weights near underflow would overflow
    share = attraction / _nonzero(total)
    loss = torch.where(contributes, share * (log_denominator - similarity), 0.0).sum()
    return loss if of_all else loss / contributes.any(dim=1).sum().clamp_min(1)


def find_recipe(method: str | Recipe, formula: str) -> Recipe:
    """Return the recipe of a method's name; a recipe is returned as it is.

    Parameters
    ----------
    method : str or Recipe
        A name of the tables above.
    formula : {"exact", "published"}
        Which table.

    Returns
    -------
    recipe : Recipe
        The point of the grid.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    if formula not in ("exact", "published"):
        raise ValueError(f"formula must be 'exact' or 'published', got {formula!r}.")
    if isinstance(method, Recipe):
        return method
    if method not in EXACT:
        raise ValueError(f"method must be one of {tuple(EXACT)} or a Recipe, got {method!r}.")
    return (PUBLISHED if formula == "published" else EXACT)[method]


def _nonzero(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, torch.ones_like(total))
