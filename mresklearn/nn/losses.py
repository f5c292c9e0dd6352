"""Contrastive losses for a continuous target.

Notation, for a batch of n people with v views each, N = n v anchors: s_ij is the similarity of
embeddings i and j divided by the temperature, w_ij = K(y_i - y_j) the kernel of their ages, d_ij
the absolute difference of their ages; every sum leaves out the anchor itself.

One function, :func:`contrastive_loss`; its methods are the rows of a table in `_recipes.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ._neighbours import SELECTIONS, nearest, neighbour_count
from ._pairs import SITE_MASKS, pair_weights, site_masks
from ._recipes import EXACT, Recipe, find_recipe, loss_of_similarities
from .kernels import Kernel, find_kernel

__all__ = ["METHODS", "Recipe", "contrastive_loss", "loss_of_similarities", "neighbour_count"]

METHODS = tuple(EXACT)


def contrastive_loss(
    embeddings: Tensor,
    y: Tensor,
    *,
    method: str | Recipe = "exponential",
    kernel: str | Kernel = "rbf",
    sigma: float = 2.0,
    temperature: float = 0.1,
    formula: str = "exact",
    similarity: str = "auto",
    bin_width: float = 2.0,
    n_neighbours: int | None = None,
    selection: str = "similarity",
    site: Tensor | None = None,
    site_mask: str = "none",
) -> Tensor:
    r"""Pull together people of similar age and push apart the others.

    With alignment weights :math:`\tilde w_{ij} = w_{ij} / \sum_k w_{ik}`, each anchor i contributes

    .. math:: -\sum_j \tilde w_{ij} \, (s_{ij} - \log D_{ij})

    and the loss is the mean over anchors. The method chooses w and D:

    =================== ============================= ========================================
    method              :math:`w_{ij}`                :math:`D_{ij}`
    =================== ============================= ========================================
    ``simclr``          1 for views of one person     :math:`\sum_t e^{s_{it}}`
    ``supcon``          1 in the same bin of age      :math:`\sum_t e^{s_{it}}`
    ``y_aware``         :math:`K(y_i - y_j)`          :math:`\sum_t e^{s_{it}}`
    ``threshold``       :math:`K(y_i - y_j)`          :math:`\sum_{t: w_{it} < w_{ij}} e^{s_{it}}`
    ``exponential``     :math:`K(y_i - y_j)`          :math:`\sum_t e^{s_{it} (1 - w_{it})}`
    ``dynamic``         :math:`K(y_i - y_j)`          as exponential, over the `n_neighbours`
                                                      nearest in the embedding
    ``rank_n_contrast`` 1                             :math:`\sum_{t: d_{it} \ge d_{ij}} e^{s_{it}}`
    =================== ============================= ========================================

    ``rank_n_contrast`` takes :math:`s_{ij} = -\lVert z_i - z_j \rVert / \tau`, the others the
    cosine.

    Parameters
    ----------
    embeddings : Tensor of shape (n, views, d)
        Embeddings of each person; cosine similarity normalises them, "neg_l2" takes them as they
        are.
    y : Tensor of shape (n,)
        Target of each person, in years for age.
    method : str or Recipe, default="exponential"
        A row of the table, or another point of its grid.
    kernel : {"rbf", "cauchy", "laplace"} or callable, default="rbf"
        How positiveness falls with the difference of y; a callable takes (difference, sigma).
    sigma : float, default=2.0
        Width of the kernel, in units of y.
    temperature : float, default=0.1
        Divides the similarities.
    formula : {"exact", "published"}, default="exact"
        "exact" is the table; "published" computes what the public code does, see Notes.
    similarity : {"auto", "cosine", "neg_l2"}, default="auto"
        "auto" takes the method's own.
    bin_width : float, default=2.0
        Width of the bins of ``supcon``, in units of y, with edges at its multiples; 0 means equal
        y.
    n_neighbours : int or None, default=None
        People whose views may repel an anchor: as many as are nearest in the embedding, besides
        the anchor. None means all. Alignment is not restricted. It works with every method; see
        :func:`neighbour_count` for the schedule of ``dynamic``.
    selection : {"similarity", "l1", "l2", "linf"}, default="similarity"
        Nearness of neighbours ("similarity", "manhattan", "euclidean", "chebyshev" in the public
        code); always in the embedding, never in age.
    site : Tensor of shape (n,) or None, default=None
        Site codes, for `site_mask`.
    site_mask : str, default="none"
        "none", "cross_site_positives", "within_site_negatives", or "cross_site" for both:
        Attract people of other sites only, or repel people of the same site only, so that site
        cannot tell positives from negatives.

    Returns
    -------
    loss : Tensor, scalar
        An anchor whose weights are all zero (alone in its age, with one view) contributes nothing
        and is not counted; a pair whose denominator has no term contributes nothing, while its
        weight stays in the sum that normalises the others. Without any pair the loss is 0 with
        zero gradient.

    Raises
    ------
    ValueError
        If shapes do not fit, a name is unknown, a number is out of its range, or positives must
        cross sites and all people are from one.

    See Also
    --------
    mresklearn.nn.losses.neighbour_count : The schedule of ``dynamic``.

    Notes
    -----
    ``formula="published"`` differs from the table in these points:

    - *all but* ``rank_n_contrast``: the loss is multiplied by temperature / 0.07; and the Cauchy
      kernel is :math:`1 / (\sigma d^2 + 1)`;
    - ``exponential`` and ``dynamic``: the row maximum of s, which is the anchor's similarity with
      itself, is subtracted *before* s is multiplied by 1 - w. This does not cancel: people of the
      anchor's age enter D as 1 and the others as :math:`e^{(s_{it} - 1/\tau)(1 - w_{it})}`, so
      that in effect only those repel that are already near in the embedding;
    - ``threshold``: one denominator for all j, :math:`\sum_t c_{it} e^{s_{it}}`, where
      :math:`c_{it}` counts the m with :math:`w_{tm} < w_{ti}` (weights that underflow to 0 are
      equal: nobody that far in age repels);
    - ``dynamic``: the sum over all pairs is divided by the sum of w over all pairs, and the anchor
      takes one of the neighbours' places (of views times `n_neighbours`).

    The public code gives NaN for anchors and infinity for denominators without a term; here both
    contribute nothing. It also ignores neighbours in batches of fewer than 32 people.

    The exponential form is not invariant to a shift of the similarities. Ages that differ from an
    anchor's by the same amount, up to rounding, are ties in ranked denominators; for a callable
    kernel they are ranked by weight.

    References
    ----------
    ``simclr``: Chen et al. (2020), A simple framework for contrastive learning of visual
    representations, ICML. ``supcon``: Khosla et al. (2020), Supervised contrastive learning,
    NeurIPS. ``y_aware``: Dufumier et al. (2021), Contrastive learning with continuous proxy
    meta-data for 3D MRI classification, MICCAI. ``threshold`` and ``exponential``: Barbano et al.
    (2023), Contrastive learning for regression in multi-site brain age prediction, ISBI.
    ``dynamic``: Träuble et al. (2024), Contrastive learning with adaptive neighborhoods for brain
    age prediction on 3D stiffness maps, arXiv 2408.00527. ``rank_n_contrast``: Zha et al. (2023),
    Rank-N-Contrast: learning continuous representations for regression, NeurIPS.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import contrastive_loss
    >>> ages = torch.tensor([20.0, 21.0, 70.0])
    >>> ordered = torch.tensor([[[1.0, 0.0]], [[0.9, 0.1]], [[0.0, 1.0]]])
    >>> contrastive_loss(ordered, ages) < contrastive_loss(ordered[[0, 2, 1]], ages)
    tensor(True)
    >>> contrastive_loss(ordered, ages, method="rank_n_contrast", temperature=2.0)
    tensor(0.2555)
    """
    recipe = find_recipe(method, formula)
    kind = recipe.similarity if similarity == "auto" else similarity
    _check_data(embeddings, y, site, site_mask)
    _check_options(kind, sigma, temperature, bin_width, n_neighbours, selection)
    views = embeddings.shape[1]
    points, closeness = _similarities(embeddings, kind)
    target = y if y.is_floating_point() else y.to(closeness.dtype)
    weights = pair_weights(recipe.weights, target, find_kernel(kernel, formula), sigma, bin_width)
    distance, tolerance = _label_distances(target, weights, recipe, isinstance(kernel, str))
    positives, candidates = (
        None if mask is None else _to_anchors(mask, views) for mask in site_masks(site_mask, site)
    )
    if n_neighbours is not None:
        places, include = views * n_neighbours, recipe.anchor_is_neighbour
        near = nearest(points, closeness, places, selection, include_anchor=include)
        candidates = near if candidates is None else candidates & near
    loss = loss_of_similarities(
        closeness / temperature,
        _to_anchors(weights.to(closeness.dtype), views),
        recipe,
        positives=positives,
        candidates=candidates,
        distance=distance,
        tolerance=tolerance,
    )
    if recipe.base_temperature is None:
        return loss
    return loss * (temperature / recipe.base_temperature)


def _similarities(embeddings: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Return the points that are compared, (n views, d), and their similarities."""
    points = embeddings.flatten(0, 1)
    if points.dtype in (torch.float16, torch.bfloat16):
        points = points.float()  # e^(s / 0.1) of half precision would be noise
    if kind == "cosine":
        points = normalize(points, dim=1)
        return points, points @ points.T
    # differences, not products: equal views are at distance 0, where the gradient is 0
    exactly = "donot_use_mm_for_euclid_dist"
    return points, -torch.cdist(points, points, compute_mode=exactly)


def _to_anchors(of_people: Tensor, views: int) -> Tensor:
    """Return (n views, n views) from (n, n), each entry for all views of its two people."""
    return of_people.repeat_interleave(views, dim=0).repeat_interleave(views, dim=1)


def _label_distances(
    target: Tensor, weights: Tensor, recipe: Recipe, kernel_is_named: bool
) -> tuple[Tensor | None, float | Tensor]:
    """Return what ranks the denominators, and up to which difference it is a tie."""
    if recipe.denominator == "all":
        return None, 0.0
    by_weight = recipe.weights == "kernel" and not kernel_is_named
    if recipe.denominator == "pooled" or (recipe.denominator == "farther" and by_weight):
        # the public code compares weights, underflow to 0 included; a callable need not fall with
        # the difference of age
        return -weights, 0.0
    rounding = 4 * torch.finfo(target.dtype).eps * target.abs().amax()
    return (target[:, None] - target[None, :]).abs(), rounding


def _check_data(embeddings: Tensor, y: Tensor, site: Tensor | None, site_mask: str) -> None:
    if embeddings.ndim != 3 or y.shape != embeddings.shape[:1]:
        raise ValueError(
            "embeddings must have shape (n, views, d) and y shape (n,), got "
            f"{tuple(embeddings.shape)} and {tuple(y.shape)}."
        )
    if site_mask not in SITE_MASKS:
        raise ValueError(f"site_mask must be one of {SITE_MASKS}, got {site_mask!r}.")
    if site is None and site_mask != "none":
        raise ValueError(f"site_mask={site_mask!r} needs site: pass the site code of each person.")
    if site is not None and site.shape != y.shape:
        raise ValueError(f"site must have shape {tuple(y.shape)}, got {tuple(site.shape)}.")


def _check_options(
    similarity: str,
    sigma: float,
    temperature: float,
    bin_width: float,
    n_neighbours: int | None,
    selection: str,
) -> None:
    if similarity not in ("cosine", "neg_l2"):
        raise ValueError(f"similarity must be 'auto', 'cosine' or 'neg_l2', got {similarity!r}.")
    if selection not in SELECTIONS:
        raise ValueError(f"selection must be one of {SELECTIONS}, got {selection!r}.")
    if sigma <= 0 or temperature <= 0:
        raise ValueError(
            f"sigma and temperature must be above 0, got {sigma} and {temperature}; "
            "method='simclr' is the limit of a narrow kernel."
        )
    if bin_width < 0:
        raise ValueError(f"bin_width must be 0 (equal y) or more, got {bin_width}.")
    if n_neighbours is not None and n_neighbours < 1:
        raise ValueError(f"n_neighbours must be at least 1, or None for all, got {n_neighbours}.")
