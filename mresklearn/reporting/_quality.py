"""What was found in the images of a person, and what of it should make a reader careful."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ._numbers import NONE, as_percent, as_text, as_years

__all__ = ["QualityLine", "read_quality"]

MOST_OUTLIERS = 0.05  # share of brain voxels, where there are no other people to compare with
MOST_MISSING = 0.05
FEWEST_PEOPLE = 20  # from which the range of other people says something
USUAL = (0.01, 0.99)  # of other people


@dataclass(frozen=True)
class QualityLine:
    """One number of the images: its name, its value, what is usual, and what is odd about it."""

    name: str
    value: str
    usual: str
    flag: str


def read_quality(
    quality: Mapping[str, Any] | pd.Series | None, reference: pd.DataFrame | None
) -> list[QualityLine]:
    """Read one row of :meth:`MapLoader.quality_report`.

    Parameters
    ----------
    quality : mapping, Series or None
        The row.
    reference : DataFrame or None
        Rows of other people, such as ``quality_`` of the loader.
    """
    found = {} if quality is None else dict(quality)
    return [_line(str(name), value, reference) for name, value in found.items()]


def _share(share: float) -> str:
    return as_percent(share, 1)


def _volume(volume: float) -> str:
    return f"{as_years(volume, 0)} ml"


# words, how a value is written, and the most that is usual where nobody else is known
KINDS: dict[str, tuple[str, Callable[[Any], str], float]] = {
    "brain_ml": ("brain in the mask", _volume, np.inf),
    "outliers": ("{}: outside the physical range", _share, MOST_OUTLIERS),
    "missing": ("{}: brain without a value", _share, MOST_MISSING),
    "unit": ("{}: unit on disk", as_text, np.inf),
}


def _line(name: str, value: Any, reference: pd.DataFrame | None) -> QualityLine:
    kind, _, channel = name.partition("_")
    channel = channel.replace("_", " ")
    words, write, most = KINDS.get(name, KINDS.get(kind, (name.replace("_", " "), as_text, np.inf)))
    words = words.replace("{}", channel)
    words = words[:1].upper() + words[1:]
    if not isinstance(value, int | float | np.number) or isinstance(value, bool):
        return QualityLine(words, as_text(value), _usual_text(name, reference), "")
    if not np.isfinite(value):
        return QualityLine(words, NONE, NONE, "no value")
    return _compare(words, float(value), write, most, name, reference)


def _compare(
    words: str,
    value: float,
    write: Callable[[Any], str],
    most: float,
    name: str,
    reference: pd.DataFrame | None,
) -> QualityLine:
    """Hold a number against other people, or else against a fixed limit."""
    others = _others(name, reference)
    if len(others) >= FEWEST_PEOPLE:
        low, high = np.quantile(others, USUAL)
        low = -np.inf if np.isfinite(most) else low  # a share cannot be too small
        least = write(low).split(" ")[0]  # the unit once
        usual = f"up to {write(high)}" if low == -np.inf else f"{least} to {write(high)}"
        odd = "less than usual" if value < low else "more than usual" if value > high else ""
        return QualityLine(words, write(value), usual, odd)
    usual = f"up to {write(most)}" if np.isfinite(most) else NONE
    return QualityLine(words, write(value), usual, "more than usual" if value > most else "")


def _others(name: str, reference: pd.DataFrame | None) -> np.ndarray:
    if reference is None or name not in reference:
        return np.empty(0)
    values = pd.to_numeric(reference[name], errors="coerce").to_numpy(float)
    return values[np.isfinite(values)]


def _usual_text(name: str, reference: pd.DataFrame | None) -> str:
    """List the labels that other people have."""
    if reference is None or name not in reference:
        return NONE
    return as_text(sorted(reference[name].dropna().astype(str).unique())[:4])
