"""Trunks: a sample of any supported shape to a vector of features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from .adversary import SiteAdversary

Builder = Callable[..., tuple[nn.Module, int]]


def build_network(
    network: str | Builder,
    in_channels: int,
    sample_shape: Sequence[int],
    *,
    width: int = 16,
) -> tuple[nn.Module, int]:
    """Build a trunk from plain numbers, so that it can be rebuilt wherever a model is opened.

    Parameters
    ----------
    network : {"mlp", "resnet10", "resnet18", "resnet34", "densenet121", "sfcn"} or callable
        ``"mlp"`` flattens its input. The residual networks (He et al., CVPR 2016) and the densely
        connected one (Huang et al., CVPR 2017) are MONAI's, in three dimensions; the residual ones
        begin with a convolution of 7 voxels (3 where the maps are 7 wide or less) and stride 2.
        ``"sfcn"`` is the simple fully convolutional network
        of Peng et al. (Medical Image Analysis 2021) up to its last pooling. A callable takes
        (in_channels, sample_shape, width=...) and returns (module, n_features).
    in_channels : int
        Channels of a sample; columns for 2-D features.
    sample_shape : sequence of int
        Shape of one sample: (channels, x, y, z), or (features,).
    width : int, default=16
        Channels of the first residual stage (the last has eight times as many), half of those of
        the first layer of the SFCN, a quarter of those of the densely connected network, or an
        eighth of the hidden units of the perceptron. 16 is the published
        size of the SFCN and the densely connected network, 64 that of the residual ones.

    Returns
    -------
    module : torch.nn.Module
        Takes ``(n, *sample_shape)`` and returns (n, n_features).
    n_features : int
        Width of its output.

    Raises
    ------
    ValueError
        If the name is unknown, a network for maps meets 2-D features, or maps are too small.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import build_network
    >>> trunk, n_features = build_network("resnet10", 2, (2, 16, 16, 16), width=4)
    >>> trunk(torch.zeros(3, 2, 16, 16, 16)).shape, n_features
    (torch.Size([3, 32]), 32)
    """
    if callable(network):
        return network(in_channels, tuple(sample_shape), width=width)
    if network == "mlp":
        return _build_mlp(in_channels, tuple(sample_shape), width=width)
    if network not in _FOR_MAPS:
        raise ValueError(f"network must be one of {NETWORKS} or callable, got {network!r}.")
    if len(sample_shape) != 4:
        raise ValueError(
            f"network='{network}' needs maps of shape (channels, x, y, z), got "
            f"{tuple(sample_shape)}. Use network='mlp' or 'auto' for 2-D features."
        )
    return _FOR_MAPS[network](in_channels, tuple(sample_shape), width=width)


# PyTorch 2.13 computes garbage, or crashes, for the gradient of a convolution of 7 voxels with
# stride 2 on maps that are 5 to 7 wide (oneDNN on CPU)
WIDE = 7


def _build_mlp(
    in_channels: int, sample_shape: tuple[int, ...], *, width: int
) -> tuple[nn.Module, int]:
    size = int(torch.Size(sample_shape).numel())
    hidden = 8 * width
    layers = [
        nn.Flatten(),
        nn.Linear(size, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers), hidden


def _build_resnet(
    in_channels: int, sample_shape: tuple[int, ...], *, width: int, layers: list[int]
) -> tuple[nn.Module, int]:
    from monai.networks.nets.resnet import ResNet, ResNetBlock

    planes = [width, 2 * width, 4 * width, 8 * width]
    small = min(sample_shape[1:]) <= WIDE
    trunk = ResNet(
        ResNetBlock,
        layers=layers,
        block_inplanes=planes,
        spatial_dims=3,
        n_input_channels=in_channels,
        conv1_t_size=3 if small else WIDE,
        conv1_t_stride=2,
        feed_forward=False,
    )
    return trunk, planes[-1]


def _build_densenet121(
    in_channels: int, sample_shape: tuple[int, ...], *, width: int
) -> tuple[nn.Module, int]:
    from monai.networks.nets.densenet import DenseNet

    if min(sample_shape[1:]) < 32:
        raise ValueError(
            "network='densenet121' halves maps five times and needs 32 voxels or more on each "
            f"side, got {sample_shape[1:]}. Use network='resnet10' or smaller voxels."
        )
    net = DenseNet(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=1,
        init_features=4 * width,
        growth_rate=2 * width,
        block_config=(6, 12, 24, 16),
    )
    head: Any = net.class_layers
    n_features = int(head.out.in_features)
    head.out = nn.Identity()
    return net, n_features


def _build_sfcn(
    in_channels: int, sample_shape: tuple[int, ...], *, width: int
) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = []
    size = list(sample_shape[1:])
    channels = in_channels
    for planes in (2 * width, 4 * width, 8 * width, 16 * width, 16 * width):
        # small maps run out of voxels before five halvings
        halving = tuple(2 if edge > 1 else 1 for edge in size)
        size = [edge // factor for edge, factor in zip(size, halving, strict=True)]
        layers += [
            nn.Conv3d(channels, planes, 3, padding=1),
            nn.BatchNorm3d(planes),
            nn.MaxPool3d(halving),
            nn.ReLU(),
        ]
        channels = planes
    n_features = 4 * width
    layers += [nn.Conv3d(channels, n_features, 1), nn.BatchNorm3d(n_features), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool3d(1), nn.Flatten()]
    return nn.Sequential(*layers), n_features


_FOR_MAPS: dict[str, Builder] = {
    "resnet10": partial(_build_resnet, layers=[1, 1, 1, 1]),
    "resnet18": partial(_build_resnet, layers=[2, 2, 2, 2]),
    "resnet34": partial(_build_resnet, layers=[3, 4, 6, 3]),
    "densenet121": _build_densenet121,
    "sfcn": _build_sfcn,
}
NETWORKS = ("mlp", *_FOR_MAPS)


class Outputs(NamedTuple):
    """What a network makes of a batch.

    Parameters
    ----------
    embedding : Tensor of shape (n, embedding_dim)
        The projection.
    scored : Tensor of shape (n, d)
        What the loss takes: outputs of the head, or the embedding itself where there is none.
    """

    embedding: Tensor
    scored: Tensor


class ProjectionNetwork(nn.Module):
    """A trunk with a linear projection, and a linear head where the loss is a supervised one.

    Without a head the projection is normalised to the sphere on which contrastive losses compare
    people. With one it is not: it would bound what a linear head can say.

    Parameters
    ----------
    network, in_channels, sample_shape, width
        As for :func:`build_network`.
    embedding_dim : int
        Dimension of the projection.
    n_outputs : int, default=0
        Outputs of the head; 0 means none.
    adversary : dict or None, default=None
        Arguments of :class:`SiteAdversary` besides the embedding, whose weights then train along.
    """

    def __init__(
        self,
        network: str | Builder,
        in_channels: int,
        sample_shape: Sequence[int],
        width: int,
        embedding_dim: int,
        n_outputs: int = 0,
        adversary: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.trunk, self.n_features = build_network(network, in_channels, sample_shape, width=width)
        self.projection = nn.Linear(self.n_features, embedding_dim)
        self.head = nn.Linear(embedding_dim, n_outputs) if n_outputs else None
        self.adversary = None if adversary is None else SiteAdversary(embedding_dim, **adversary)

    def forward(self, batch: Tensor) -> Outputs:
        """Return the embedding, unit vectors where there is no head, and what the loss takes."""
        embedding = self.project(batch)
        return Outputs(embedding, embedding if self.head is None else self.head(embedding))

    def project(self, batch: Tensor) -> Tensor:
        """Return the projection, (n, embedding_dim)."""
        projected = self.projection(self.trunk(batch))
        return normalize(projected, dim=1) if self.head is None else projected
