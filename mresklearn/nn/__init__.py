"""Networks, losses and views as plain PyTorch, each readable beside its paper."""

from .losses import contrastive_loss, neighbour_count
from .networks import build_network
from .penalties import invariance_penalty
from .views import (
    GaussianNoise,
    RandomAffine,
    RandomCutout,
    RandomFlip,
    RandomIntensity,
    RandomShift,
    RandomViews,
)

__all__ = [
    "GaussianNoise",
    "RandomAffine",
    "RandomCutout",
    "RandomFlip",
    "RandomIntensity",
    "RandomShift",
    "RandomViews",
    "build_network",
    "contrastive_loss",
    "invariance_penalty",
    "neighbour_count",
]
