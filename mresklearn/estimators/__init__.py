"""Estimators for pipelines and grid searches."""

from ._contrastive_encoder import ContrastiveEncoder
from ._domain_invariant_regressor import DomainInvariantRegressor
from ._neurodegeneration_classifier import NeurodegenerationClassifier
from ._regional_brain_age import RegionalBrainAge

__all__ = [
    "ContrastiveEncoder",
    "DomainInvariantRegressor",
    "NeurodegenerationClassifier",
    "RegionalBrainAge",
]
