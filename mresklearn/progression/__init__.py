"""Who gets worse and when: time to conversion, slopes of the gap, and models of both."""

from ._concordance import concordance
from ._conversion_curves import ConversionCurves, conversion_curves
from ._conversion_model import ConversionModel, conversion_model
from ._gap_slopes import GapSlopes, gap_slopes
from ._longitudinal_gap import LongitudinalGap, longitudinal_gap
from ._time_to_conversion import TimeToConversion, time_to_conversion

__all__ = [
    "ConversionCurves",
    "ConversionModel",
    "GapSlopes",
    "LongitudinalGap",
    "TimeToConversion",
    "concordance",
    "conversion_curves",
    "conversion_model",
    "gap_slopes",
    "longitudinal_gap",
    "time_to_conversion",
]
