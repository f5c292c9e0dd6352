"""Cross-validation that keeps sites and people where they belong."""

from ._adaptation import adapt_to_site
from ._compare_models import compare_models
from ._cross_validate_sites import cross_validate_sites
from ._leave_one_site_out import LeaveOneSiteOut
from ._one_standard_error import one_standard_error_rule
from ._site_search import SiteSearchCV
from ._stratified_site_kfold import StratifiedSiteKFold

__all__ = [
    "LeaveOneSiteOut",
    "SiteSearchCV",
    "StratifiedSiteKFold",
    "adapt_to_site",
    "compare_models",
    "cross_validate_sites",
    "one_standard_error_rule",
]
