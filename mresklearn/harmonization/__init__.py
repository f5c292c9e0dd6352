"""Harmonisation: remove what differs between sites from features, maps and embeddings."""

from ._anchor_regressor import AnchorRegressor
from ._combat import ComBat
from ._covbat import CovBat
from ._map_harmonizer import MapHarmonizer
from ._site_moments import SiteMoments
from ._site_projector import SiteProjector

__all__ = ["AnchorRegressor", "ComBat", "CovBat", "MapHarmonizer", "SiteMoments", "SiteProjector"]
