"""Which part of the brain a fitted model looks at, and how far that can be trusted."""

from ._brain_map import BrainMap
from ._gradient_map import GradientMap, gradient_map
from ._occlusion_map import OcclusionMap, occlusion_map
from ._randomization_test import randomization_test
from ._region_importance import region_importance

__all__ = [
    "BrainMap",
    "GradientMap",
    "OcclusionMap",
    "gradient_map",
    "occlusion_map",
    "randomization_test",
    "region_importance",
]
