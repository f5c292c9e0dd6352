"""Log-denominators of contrastive losses: over all others, or over those farther in age.

Ranked denominators differ for each pair (i, j), which written down plainly takes O(n^3) time and
memory. Here each row is sorted by age difference, farthest first; the denominator of a pair is
then a prefix of the sorted row, read off one cumulative log-sum-exp: O(n^2 log n) and O(n^2).
Views of a person share their age, so that people are sorted, not views.
"""

from __future__ import annotations

import torch
from torch import Tensor

# exp(-1000) is 0 in float32 and float64, while finfo.min would poison logcumsumexp's gradient
_OUT_OF_REACH = 1000.0
# exp(-600) is far from underflow in float64, also when a gradient divides by it
_SAFE_SPREAD = 600.0


def log_denominators(
    kind: str,
    repulsion: Tensor,
    candidates: Tensor,
    distance: Tensor,
    tolerance: float | Tensor = 0.0,
) -> tuple[Tensor, Tensor]:
    r"""Return log D and where D has any term.

    Parameters
    ----------
    kind : {"all", "farther", "not_nearer", "pooled"}
        Who is in the denominator of the pair (i, j), among the candidates t of i:

        - "all": every t, so that D depends on i only;
        - "farther": :math:`d_{it} > d_{ij}` (threshold loss);
        - "not_nearer": :math:`d_{it} \ge d_{ij}` (Rank-N-Contrast);
        - "pooled": every t, counted as often as there are people m (t itself included) with
          :math:`d_{tm} > d_{ti}`: one denominator for all j (the threshold loss as coded).
    repulsion : Tensor of shape (n, n)
        Exponents r: :math:`D_{ij} = \sum_t e^{r_{it}}`.
    candidates : Tensor of bool, shape (n, n)
        Who may be repelled by the anchor of a row; never the anchor itself.
    distance : Tensor of shape (n, n), or (people, people)
        Label distances d, or anything that grows with them. Fewer people than rows have n / people
        consecutive anchors each.
    tolerance : float or Tensor, default=0.0
        Distances that differ by no more are ties; 30.1 - 29.0 and 31.2 - 30.1 should be one.

    Returns
    -------
    log_denominator : Tensor of shape (n, n) or (n, 1)
        Finite everywhere; without meaning where there is no term.
    present : Tensor of bool, of the same shape
        Whether the denominator has a term.
    """
    if kind == "pooled":
        counts = _rank(distance, len(repulsion), True, tolerance)[1].T
        candidates = candidates & (counts > 0)
        repulsion = repulsion + counts.clamp_min(1).to(repulsion.dtype).log()
    lowest = repulsion.detach().amin()
    masked = torch.where(candidates, repulsion, lowest - _OUT_OF_REACH)
    if kind in ("all", "pooled"):
        return masked.logsumexp(dim=1, keepdim=True), candidates.any(dim=1, keepdim=True)
    order, reach = _rank(distance, len(repulsion), kind == "farther", tolerance)
    last = (reach - 1).clamp_min(0)
    highest = masked.detach().amax(dim=1, keepdim=True)  # taken out: the gradient rounds less
    ranked = (masked - highest).gather(1, order)
    logs = _prefix_logsumexp(ranked, last, highest.amax() - lowest) + highest
    first = candidates.gather(1, order).to(torch.uint8).argmax(dim=1, keepdim=True)
    return logs, (reach > first) & candidates.any(dim=1, keepdim=True)


def _rank(
    distance: Tensor, n: int, strict: bool, tolerance: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Return the order of each row, farthest first, and for each (i, j) how many t come before.

    That is how many t, the anchor included, have d_it > d_ij, or >= where not strict.
    """
    ranked, order = torch.sort(-distance, dim=1)
    edge = -distance - tolerance if strict else tolerance - distance
    reach = torch.searchsorted(ranked, edge, side="left" if strict else "right")
    views = n // max(len(distance), 1)
    if views > 1:
        each = torch.arange(views, device=order.device)
        order = (order[:, :, None] * views + each).flatten(1).repeat_interleave(views, dim=0)
        reach = (reach * views).repeat_interleave(views, dim=1).repeat_interleave(views, dim=0)
    return order, reach


def _prefix_logsumexp(ranked: Tensor, last: Tensor, spread: Tensor) -> Tensor:
    """Return the log-sum-exp of each row, whose maximum is 0, up to and including `last`."""
    if not ranked.is_cpu or not spread < _SAFE_SPREAD:
        return ranked.logcumsumexp(dim=1).gather(1, last)
    # the same sums, plainly in float64: several times faster on a CPU, where it has the range
    sums = ranked.double().exp().cumsum(dim=1).gather(1, last)
    return sums.clamp_min(torch.finfo(sums.dtype).tiny).log().to(ranked.dtype)
