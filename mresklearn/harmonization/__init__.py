"""Harmonisation: remove what differs between sites from features, maps and embeddings."""

from ._combat import ComBat
from ._covbat import CovBat
from ._map_harmonizer import MapHarmonizer
from ._site_moments import SiteMoments

__all__ = ["ComBat", "CovBat", "MapHarmonizer", "SiteMoments"]
