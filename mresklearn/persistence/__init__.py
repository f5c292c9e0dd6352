"""Fitted models as a folder of JSON, tensors and a model card: readable, and safe to open."""

from ._card import ModelCard
from ._card_file import load_card
from ._card_records import Metric, SiteRecord
from ._load import load
from ._save import save

__all__ = ["Metric", "ModelCard", "SiteRecord", "load", "load_card", "save"]
