"""Fitted models as a folder of JSON and tensors: readable, safe to open, and without pickle."""

from ._load import load
from ._save import save

__all__ = ["load", "save"]
