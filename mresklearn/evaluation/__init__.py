"""What an estimator reaches at new sites, beside what it tells of the site, setting by setting."""

from ._held_out_study import HeldOutStudies, leave_study_out
from ._invariance_path import InvariancePath, invariance_path
from ._regional_report import RegionalReport, regional_report

__all__ = [
    "HeldOutStudies",
    "InvariancePath",
    "RegionalReport",
    "invariance_path",
    "leave_study_out",
    "regional_report",
]
