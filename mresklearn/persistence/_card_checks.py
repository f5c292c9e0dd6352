"""Checks of the fields of a model card, which may have been edited by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date
from numbers import Integral, Real
from typing import Any

__all__ = [
    "apply",
    "bands",
    "count",
    "counts",
    "day",
    "number",
    "optional_number",
    "optional_text",
    "pair",
    "records",
    "refuse_unknown",
    "text",
    "texts",
    "voxel",
]


def apply(record: Any, **checked: Callable[[Any, str], Any]) -> None:
    """Replace each field of a frozen record by what its check makes of it."""
    for name, check in checked.items():
        object.__setattr__(record, name, check(getattr(record, name), f"'{name}'"))


def refuse_unknown(content: Any, known: Any, name: str) -> dict:
    """Return a JSON object as keywords, or name the fields that are misspelt."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{name} must be an object with fields, got {_shown(content)}.")
    unknown = sorted(str(field) for field in content if field not in known)
    if unknown:
        raise ValueError(f"{name} has no field {', '.join(unknown)}. It has {', '.join(known)}.")
    return dict(content)


def text(value: Any, name: str) -> str:
    """Return text."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {_shown(value)}.")
    return value


def optional_text(value: Any, name: str) -> str | None:
    """Return text or None."""
    return None if value is None else text(value, name)


def texts(value: Any, name: str) -> tuple[str, ...]:
    """Return a tuple of texts; one text alone would fall apart into letters."""
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise ValueError(f"{name} must be a list of texts, got {_shown(value)}.")
    return tuple(text(item, f"{name}[{k}]") for k, item in enumerate(value))


def day(value: Any, name: str) -> str:
    """Return a day as YYYY-MM-DD, or nothing."""
    try:
        return text(value, name) and date.fromisoformat(value).isoformat()
    except ValueError as error:
        raise ValueError(f"{name} must be a day as 2026-11-23, got {_shown(value)}.") from error


def number(value: Any, name: str) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {_shown(value)}.")
    return float(value)


def optional_number(value: Any, name: str) -> float | None:
    """Return a finite number or None."""
    return None if value is None else number(value, name)


def count(value: Any, name: str) -> int | None:
    """Return a whole number from 0, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise ValueError(f"{name} must be a whole number from 0 or null, got {_shown(value)}.")
    return int(value)


def pair(value: Any, name: str) -> tuple[float, float] | None:
    """Return a range, low before high, or None."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{name} must be two numbers or null, got {_shown(value)}.")
    low, high = number(value[0], f"{name}[0]"), number(value[1], f"{name}[1]")
    if low > high:
        raise ValueError(f"{name} must go from low to high, got {low:g} to {high:g}.")
    return low, high


def voxel(value: Any, name: str) -> tuple[float, float, float] | None:
    """Return three edge lengths, or None."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise ValueError(f"{name} must be three lengths in mm or null, got {_shown(value)}.")
    x, y, z = (number(edge, f"{name}[{k}]") for k, edge in enumerate(value))
    if min(x, y, z) <= 0:
        raise ValueError(f"{name} must be three lengths above 0, got {_shown(value)}.")
    return x, y, z


def records(of: Callable[[Any, str], Any]) -> Callable[[Any, str], dict[str, Any]]:
    """Return a check of an object whose names are text and whose entries pass another check."""

    def check(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} must be an object of entries by name, got {_shown(value)}.")
        return {
            text(key, f"a name in {name}"): of(v, f"{name}[{key!r}]") for key, v in value.items()
        }

    return check


def counts(value: Any, name: str) -> dict[str, int]:
    """Return numbers of people by name."""
    checked = records(count)(value, name)
    missing = [key for key, n in checked.items() if n is None]
    if missing:
        raise ValueError(f"{name}[{missing[0]!r}] must be a whole number from 0, got null.")
    return checked


def bands(value: Any, name: str) -> dict[str, int]:
    """Return numbers of people by band of age, such as "20-29"."""
    checked = counts(value, name)
    for band in checked:
        low, dash, high = band.partition("-")
        if not (dash and low.isdecimal() and high.isdecimal() and int(low) <= int(high)):
            raise ValueError(f"{name} must have bands of whole years as '20-29', got {band!r}.")
    return checked


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
