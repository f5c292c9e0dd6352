"""Warnings that point at the user's line, however many wrappers of scikit-learn lie between."""

from __future__ import annotations

import inspect
import warnings

__all__ = ["warn_user"]

OURS = ("mresklearn.", "sklearn.")


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the first caller outside this package and scikit-learn."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and f"{frame.f_globals.get('__name__')}.".startswith(OURS):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
