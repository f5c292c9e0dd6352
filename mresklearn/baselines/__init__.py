"""What a confound alone reaches: the numbers that a model of the maps has to beat."""

from ._brain_coverage import BrainCoverage
from ._brain_mask import BrainMask
from ._brain_volume import BrainVolume
from ._confound_regressors import CoverageRegressor, HeadSizeRegressor, MaskOnlyRegressor
from ._site_mean import SiteMeanRegressor

__all__ = [
    "BrainCoverage",
    "BrainMask",
    "BrainVolume",
    "CoverageRegressor",
    "HeadSizeRegressor",
    "MaskOnlyRegressor",
    "SiteMeanRegressor",
]
