"""Splitters that keep sites and people where they belong in cross-validation."""

from ._leave_one_site_out import LeaveOneSiteOut
from ._stratified_site_kfold import StratifiedSiteKFold

__all__ = ["LeaveOneSiteOut", "StratifiedSiteKFold"]
