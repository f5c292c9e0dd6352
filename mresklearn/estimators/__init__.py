"""Estimators: scikit-learn on the outside, a private network inside."""

from ._contrastive_encoder import ContrastiveEncoder

__all__ = ["ContrastiveEncoder"]
