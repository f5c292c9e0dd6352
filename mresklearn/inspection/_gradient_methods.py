"""Gradients in the voxels, by captum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from captum.attr import InputXGradient, IntegratedGradients, NoiseTunnel, Saliency
from torch import Tensor

__all__ = ["GradientRequest", "attribute"]


@dataclass(frozen=True)
class GradientRequest:
    """Which gradients, and how exactly.

    Parameters
    ----------
    method : str
        As in :func:`gradient_map`.
    n_steps : int
        Points on the path of integrated gradients.
    n_samples : int
        Noisy copies of SmoothGrad.
    noise : float
        SD of that noise.
    batch_size : int
        Maps in one pass.
    """

    method: str
    n_steps: int
    n_samples: int
    noise: float
    batch_size: int

    @property
    def people_at_once(self) -> int:
        """People whose passes fit into a batch."""
        passes = {"integrated_gradients": self.n_steps, "smoothgrad": self.n_samples}
        return max(1, self.batch_size // passes.get(self.method, 1))


def attribute(
    function: Callable, maps: Tensor, brain: Tensor, baseline: Tensor, request: GradientRequest
) -> Tensor:
    """Return attributions of the shape of the maps.

    Parameters
    ----------
    function : callable
        Maps and brain mask to one number a person.
    maps : Tensor of shape (n, channels, x, y, z)
        People.
    brain : Tensor of shape (n, 1, x, y, z)
        1 in the brain.
    baseline : Tensor of shape (n, channels, x, y, z)
        Where the path of integrated gradients begins.
    request : GradientRequest
        Which.
    """
    maps = maps.detach().requires_grad_()
    with torch.enable_grad():
        if request.method == "integrated_gradients":
            found = IntegratedGradients(function).attribute(
                maps,
                baselines=baseline,
                additional_forward_args=(brain,),
                n_steps=request.n_steps,
                internal_batch_size=max(request.batch_size, len(maps)),
            )
        elif request.method == "smoothgrad":
            found = NoiseTunnel(Saliency(function)).attribute(
                maps,
                nt_type="smoothgrad",
                nt_samples=request.n_samples,
                nt_samples_batch_size=max(1, request.batch_size // len(maps)),
                stdevs=request.noise,
                additional_forward_args=(brain,),
            )
        elif request.method == "input_x_gradient":
            found = InputXGradient(function).attribute(maps, additional_forward_args=(brain,))
        else:
            found = Saliency(function).attribute(maps, additional_forward_args=(brain,))
    return found.detach()
