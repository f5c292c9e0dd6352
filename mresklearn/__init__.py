"""mresklearn: brain age and early neurodegeneration from MR elastography, inside scikit-learn.

Public names are resolved on first use, so that ``import mresklearn`` needs neither torch nor
matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

_HOME = {
    "Cohort": "datasets",
    "fetch_mre134": "datasets",
    "load_cohort": "datasets",
    "make_mre_cohort": "datasets",
    "pool_cohorts": "datasets",
    "MapArray": "maps",
    "MapLoader": "maps",
    "MapMasker": "maps",
    "MapScaler": "maps",
    "RegionAverager": "maps",
    "RegionCropper": "maps",
    "site_effect_test": "confounds",
    "site_predictability": "confounds",
    "ComBat": "harmonization",
    "ContrastiveEncoder": "estimators",
    "DomainInvariantRegressor": "estimators",
    "invariance_path": "evaluation",
    "power_curve": "evaluation",
    "NeurodegenerationClassifier": "estimators",
    "RegionalBrainAge": "estimators",
    "gradient_map": "inspection",
    "leave_study_out": "evaluation",
    "occlusion_map": "inspection",
    "region_importance": "inspection",
    "regional_report": "evaluation",
    "bootstrap_ci": "metrics",
    "brain_age_scores": "metrics",
    "compare_gaps": "metrics",
    "corrected_resampled_ttest": "metrics",
    "site_scores": "metrics",
    "LeaveOneSiteOut": "model_selection",
    "ModelCard": "persistence",
    "load": "persistence",
    "load_card": "persistence",
    "save": "persistence",
    "person_report": "reporting",
    "study_report": "reporting",
    "SiteProjector": "harmonization",
    "StratifiedSiteKFold": "model_selection",
    "compare_models": "model_selection",
    "cross_validate_sites": "model_selection",
}

__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
