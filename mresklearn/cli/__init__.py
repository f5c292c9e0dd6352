"""The command ``mresklearn``."""

from ._app import app

__all__ = ["app"]
