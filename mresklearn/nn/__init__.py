"""Networks, losses and views as plain PyTorch, each readable beside its paper."""

from .losses import contrastive_loss
from .networks import build_network
from .views import GaussianNoise

__all__ = ["GaussianNoise", "build_network", "contrastive_loss"]
