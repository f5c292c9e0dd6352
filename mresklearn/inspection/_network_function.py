"""A fitted network and its linear readout as one function that torch can differentiate."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ._network_parts import NetworkParts, affine_readout, check_column

__all__ = ["NetworkFunction"]


class NetworkFunction(torch.nn.Module):
    """Maps and their brain mask to one number a person, as `predict` of the whole model gives it.

    Voxels outside the mask are held at zero, so that noise and gradients stay in the brain.

    Parameters
    ----------
    parts : NetworkParts
        The model taken apart.
    target : int or None
        Column of the prediction or of the embedding.
    """

    def __init__(self, parts: NetworkParts, target: int | None) -> None:
        super().__init__()
        encoder = parts.encoder
        self.device = torch.device(encoder.net_.device)
        self.module = encoder.net_.module_
        self.module.eval()
        self.column = 0
        self.from_head = None
        embed = self.module.trunk if encoder.output == "encoder" else self.module.project
        objective: Any = encoder._objective()
        on_sphere = encoder.output == "projection" and self.module.head is None
        maps_have_mirror = encoder.mirror_average and encoder.flip
        self._mirrored = bool(maps_have_mirror)
        if parts.own_head:
            self.from_head = lambda batch: objective.predict(self.module(batch).scored)
            check_column(target or 0, 1)
            return
        self._embed = embed
        self._on_sphere = on_sphere
        weights, intercept = self._weights(parts, target)
        self.weights = torch.as_tensor(weights, dtype=torch.float32, device=self.device)
        self.intercept = intercept

    def forward(self, maps: Tensor, brain: Tensor) -> Tensor:
        """Return (n,) numbers for maps (n, channels, x, y, z) in a mask (n, 1, x, y, z)."""
        maps = (maps * brain).contiguous(memory_format=torch.channels_last_3d)
        if self.from_head is not None:
            return self._averaged(self.from_head, maps)
        embedding = self._averaged(self._embed, maps)
        if self._on_sphere:
            embedding = normalize(embedding, dim=1)
        return embedding @ self.weights + self.intercept

    def _averaged(self, function: object, maps: Tensor) -> Tensor:
        """Average over a map and its mirror image, as the encoder does."""
        assert callable(function)
        if not self._mirrored:
            return function(maps)
        return (function(maps) + function(maps.flip(2))) / 2

    def _weights(self, parts: NetworkParts, target: int | None) -> tuple[np.ndarray, float]:
        """Return the linear function of the embedding that is looked at."""
        if parts.readout is not None:
            return affine_readout(parts.readout, parts.encoder.transform(parts.maps), target)
        width = parts.encoder._n_features_out
        if target is None:
            raise ValueError(
                f"The model ends in an embedding of {width} columns. Say which with target=, or "
                "put a linear readout behind it, such as Ridge."
            )
        weights = np.zeros(width)
        weights[check_column(target, width)] = 1
        return weights, 0.0
