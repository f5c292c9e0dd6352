"""Trunks: a sample of any supported shape to a vector of features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

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
    network : {"mlp", "resnet10"} or callable
        ``"mlp"`` flattens its input; ``"resnet10"`` is the 3-D residual network of He et al.
        (CVPR 2016) in its ten-layer form, from MONAI, with a first convolution of stride 2. A
        callable takes (in_channels, sample_shape, width=...) and returns (module, n_features).
    in_channels : int
        Channels of a sample; columns for 2-D features.
    sample_shape : sequence of int
        Shape of one sample: (channels, x, y, z), or (features,).
    width : int, default=16
        Channels of the first residual stage (the last has eight times as many), or an eighth of
        the hidden units of the multilayer perceptron.

    Returns
    -------
    module : torch.nn.Module
        Takes (n, *sample_shape) and returns (n, n_features).
    n_features : int
        Width of its output.

    Raises
    ------
    ValueError
        If the name is unknown, or a network for maps meets 2-D features.

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
    if network not in _BUILDERS:
        raise ValueError(
            f"network must be one of {sorted(_BUILDERS)} or callable, got {network!r}."
        )
    return _BUILDERS[network](in_channels, tuple(sample_shape), width=width)


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


def _build_resnet10(
    in_channels: int, sample_shape: tuple[int, ...], *, width: int
) -> tuple[nn.Module, int]:
    if len(sample_shape) != 4:
        raise ValueError(
            f"network='resnet10' needs maps of shape (channels, x, y, z), got {sample_shape}. "
            "Use network='mlp' or 'auto' for 2-D features."
        )
    from monai.networks.nets.resnet import ResNet, ResNetBlock

    planes = [width, 2 * width, 4 * width, 8 * width]
    trunk = ResNet(
        ResNetBlock,
        layers=[1, 1, 1, 1],
        block_inplanes=planes,
        spatial_dims=3,
        n_input_channels=in_channels,
        conv1_t_size=7,
        conv1_t_stride=2,
        feed_forward=False,
    )
    return trunk, planes[-1]


_BUILDERS: dict[str, Builder] = {"mlp": _build_mlp, "resnet10": _build_resnet10}


class ProjectionNetwork(nn.Module):
    """A trunk with a linear projection to the sphere on which contrastive losses compare people.

    Parameters
    ----------
    network, in_channels, sample_shape, width
        As for :func:`build_network`.
    embedding_dim : int
        Dimension of the projection.
    """

    def __init__(
        self,
        network: str | Builder,
        in_channels: int,
        sample_shape: Sequence[int],
        width: int,
        embedding_dim: int,
    ) -> None:
        super().__init__()
        self.trunk, n_features = build_network(network, in_channels, sample_shape, width=width)
        self.projection = nn.Linear(n_features, embedding_dim)

    def forward(self, batch: Tensor) -> Tensor:
        """Return unit vectors of shape (n, embedding_dim)."""
        return normalize(self.projection(self.trunk(batch)), dim=1)
