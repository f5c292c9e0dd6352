"""Designs in one call: new sites beside what is left of the site, patients, regions, study size."""

from ._held_out_study import HeldOutStudies, leave_study_out
from ._invariance_path import InvariancePath, invariance_path
from ._power_curve import PowerCurve, power_curve
from ._regional_report import RegionalReport, regional_report

__all__ = [
    "HeldOutStudies",
    "InvariancePath",
    "PowerCurve",
    "RegionalReport",
    "invariance_path",
    "leave_study_out",
    "power_curve",
    "regional_report",
]
