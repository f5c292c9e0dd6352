"""How far a prediction may be off: intervals for known sites, and an honest word on new ones."""

from ._site_conformal import SiteConformalRegressor

__all__ = ["SiteConformalRegressor"]
