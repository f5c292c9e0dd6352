"""Which rows a penalty compares: one site with the others, at any age or at similar ages."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ROUNDING = 1e-9

__all__ = [
    "Contrasts",
    "age_basis",
    "age_residual_maker",
    "excess_f_ratio",
    "marginal",
    "one_hot",
    "site_shares",
    "within_ages",
]


class Contrasts(NamedTuple):
    """Columns that sum to zero, and the people among whom each is drawn.

    Parameters
    ----------
    columns : Tensor of shape (n, r)
        Positive in one site, negative in the others.
    pool : Tensor of shape (n, r)
        Weight of each person in the comparison, whatever the site.
    """

    columns: Tensor
    pool: Tensor


def one_hot(site: Tensor) -> Tensor:
    """Return an indicator column for each site of the batch, as float32."""
    codes = torch.unique(site, return_inverse=True)[1]
    return torch.nn.functional.one_hot(codes).float()


def marginal(site: Tensor, weight: Tensor) -> Contrasts:
    """Contrast each site with all others: the mean of one less the mean of the rest."""
    return _contrast(one_hot(site).to(weight.dtype), weight[:, None], fewest=1.0)


def site_shares(site: Tensor, weight: Tensor) -> Contrasts:
    """Contrast each site with everybody, so that HSIC with equal weight to each site results."""
    members = one_hot(site).to(weight.dtype) * weight[:, None]
    size = members.sum(dim=0)
    columns = (members - weight[:, None] * (size / weight.sum())) / size.clamp_min(1e-12).sqrt()
    return Contrasts(columns, weight[:, None].expand_as(columns))


def within_ages(
    site: Tensor,
    y: Tensor,
    weight: Tensor,
    *,
    bandwidth: float,
    n_windows: int,
    fewest: float,
) -> Contrasts:
    """Contrast each site with the others among people of similar age, at quantiles of age.

    A window of a site counts where at least `fewest` people of either side are in it, as effective
    numbers (sum of weights squared over the sum of squared weights, Kish 1965).
    """
    centres = torch.quantile(
        y, torch.linspace(0.05, 0.95, n_windows, device=y.device, dtype=y.dtype)
    )
    windows = torch.exp(-((y[:, None] - centres) ** 2) / (2 * bandwidth**2))
    return _contrast(one_hot(site).to(y.dtype), windows * weight[:, None], fewest=fewest)


def _contrast(members: Tensor, windows: Tensor, *, fewest: float) -> Contrasts:
    inside = (members[:, :, None] * windows[:, None, :]).flatten(1)
    pool = windows[:, None, :].expand(-1, members.shape[1], -1).flatten(1)
    outside = pool - inside
    keep = (_effective(inside) >= fewest) & (_effective(outside) >= fewest)
    inside, outside, pool = inside[:, keep], outside[:, keep], pool[:, keep]
    return Contrasts(inside / inside.sum(dim=0) - outside / outside.sum(dim=0), pool)


def _effective(weights: Tensor) -> Tensor:
    """Return effective numbers of people, zero where nobody weighs anything."""
    total = weights.sum(dim=0)
    return total.square() / weights.square().sum(dim=0).clamp_min(torch.finfo(weights.dtype).tiny)


def age_basis(y: Tensor) -> Tensor:
    """Return an orthonormal basis of the cubic polynomials of age on these people."""
    scaled = (y - y.mean()) / y.std(correction=0).clamp_min(1e-6)
    degree = min(3, max(0, len(torch.unique(y)) - 1), max(0, len(y) - 2))
    basis, triangle = torch.linalg.qr(torch.stack([scaled**k for k in range(degree + 1)], dim=1))
    size = triangle.diagonal().abs()
    return basis[:, size > 1e-5 * size.max()]


def age_residual_maker(y: Tensor, *, bandwidth: float, ridge: float) -> tuple[Tensor, Tensor]:
    """Return the matrix that takes smooth functions of age out of columns, and the age kernel.

    Kernel ridge regression on age: what is left of a column is e (K + e I)^-1 of it.
    """
    kernel = torch.exp(-((y[:, None] - y) ** 2) / (2 * bandwidth**2))
    identity = torch.eye(len(y), device=y.device, dtype=y.dtype)
    strength = ridge * len(y)
    return strength * torch.linalg.inv(kernel + strength * identity), kernel


def excess_f_ratio(values: Tensor, site: Tensor, basis: Tensor) -> Tensor:
    """Return the F ratio of site beyond a basis, over all columns of values together, less one.

    `basis` has orthonormal columns, the constant among them.
    """
    left = values - basis @ (basis.T @ values)
    members = one_hot(site).to(values.dtype)
    members = members - basis @ (basis.T @ members)
    directions, size, _ = torch.linalg.svd(members, full_matrices=False)
    directions = directions[:, size > 1e-4 * members.shape[0] ** 0.5]
    n_error = len(values) - basis.shape[1] - directions.shape[1]
    constant = left.square().sum() <= ROUNDING * len(values)
    if constant or not directions.shape[1] or n_error < 1:
        return values.sum() * 0.0
    between = (directions.T @ left).square().sum()
    within = left.square().sum() - between
    return between / directions.shape[1] / (within / n_error + ROUNDING) - 1
