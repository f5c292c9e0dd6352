"""A penalty on the mean error of each site, when ridge regression reads the age."""

from __future__ import annotations

import torch
from torch import Tensor

from ._site_contrasts import excess_f_ratio

__all__ = ["residual_mean"]

RIDGE = 0.1


def residual_mean(z: Tensor, site: Tensor, y: Tensor) -> Tensor:
    r"""Return the F ratio of site in the errors of a ridge regression of age, less one.

    The errors of the rows of a batch are those of models without them, by the identity
    :math:`r_i / (1 - h_{ii})`, :math:`h` the diagonal of the hat matrix (Allen 1974, Technometrics
    16, 125-127): an embedding has more columns than a batch has rows, so that fitted rows would
    have no error at all. The ridge is a tenth of the mean squared length of the centred rows.
    """
    n = len(y)
    centred = z - z.mean(dim=0)
    products = centred @ centred.T
    strength = RIDGE * products.diagonal().mean() + 1e-6
    identity = torch.eye(n, dtype=z.dtype, device=z.device)
    # hat matrix of the ridge, and the mean
    left = identity - 1 / n - products @ torch.linalg.inv(products + strength * identity)
    age = (y - y.mean()) / y.std(correction=0).clamp_min(1e-6)
    errors = (left @ age) / left.diagonal().clamp_min(1e-3)
    return excess_f_ratio(errors[:, None], site, z.new_full((n, 1), n**-0.5))
