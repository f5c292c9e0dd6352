"""How much of the site, the scanner or other confounds is in the features of a model."""

from ._site_predictability import site_predictability

__all__ = ["site_predictability"]
