"""How much of the site, the scanner or other confounds is in the features of a model."""

from ._before_after import HarmonizationReport, harmonization_report
from ._report import ConfoundReport
from ._site_effect_test import site_effect_test
from ._site_predictability import site_predictability

__all__ = [
    "ConfoundReport",
    "HarmonizationReport",
    "harmonization_report",
    "site_effect_test",
    "site_predictability",
]
