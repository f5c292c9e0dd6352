"""Estimators for pipelines and grid searches."""

from ._contrastive_encoder import ContrastiveEncoder
from ._domain_invariant_regressor import DomainInvariantRegressor

__all__ = ["ContrastiveEncoder", "DomainInvariantRegressor"]
