"""Numbers as a reader expects them: one decimal of a year, a true minus, a dash for none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = [
    "MINUS",
    "NONE",
    "as_p",
    "as_percent",
    "as_percentile",
    "as_range",
    "as_signed",
    "as_text",
    "as_years",
    "listed",
]

NONE, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def as_years(value: float, digits: int = 1) -> str:
    """Write a number with fixed decimals."""
    return f"{value:z.{digits}f}".replace("-", MINUS) if np.isfinite(value) else NONE


def as_signed(value: float, digits: int = 1) -> str:
    """Write a number with its sign."""
    if not np.isfinite(value):
        return NONE
    text = as_years(value, digits)
    return f"+{text}" if value > 0 and float(f"{value:.{digits}f}") else text


def as_percent(share: float, digits: int = 0) -> str:
    """Write a share in percent."""
    return f"{as_years(100 * share, digits)} %" if np.isfinite(share) else NONE


def as_percentile(percent: float) -> str:
    """Write a share of people in percent, who are never quite all or none."""
    if percent >= 99.5 or percent <= 0.5:  # what would be rounded to all or none
        return "over 99" if percent > 50 else "under 1"
    return as_years(percent, 0)


def as_p(value: float) -> str:
    """Write a p value, which is never 0."""
    return "under 0.001" if value < 0.001 else as_years(value, 3)


def as_range(low: float, high: float, digits: int = 1) -> str:
    """Write an interval, or a dash where it has no ends."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return NONE
    return f"{as_years(low, digits)} to {as_years(high, digits)}"


def as_text(value: Any) -> str:
    """Write any plain value of a description."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return NONE
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}".replace("-", MINUS)
    if isinstance(value, list | tuple | set | np.ndarray | pd.Index | pd.Series):
        items = sorted(map(as_text, value)) if isinstance(value, set) else map(as_text, value)
        return ", ".join(items) or NONE
    return str(value)


def listed(names: Any, most: int = 6) -> str:
    """Join names as a sentence does."""
    names = [str(name) for name in names]
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
