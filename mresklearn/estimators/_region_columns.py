"""Which columns of a table make a region, for models of tables by region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

__all__ = ["find_columns"]

_LISTED = 12  # names in a message


def find_columns(regions: Any, columns: Any) -> dict[str, tuple[int, ...]]:
    """Return the positions of the columns of each region of a table.

    Parameters
    ----------
    regions : dict, sequence or None
        Name -> columns, or columns.
    columns : ndarray of str or int
        Names of the columns, or how many there are.
    """
    numbered = isinstance(columns, Integral)
    known = list(range(columns)) if numbered else list(columns)
    prefix = "x" if numbered else ""
    if regions is None:
        regions = known
    if not isinstance(regions, Mapping):
        items = [(f"{prefix if column in known else ''}{column}", [column]) for column in regions]
    else:
        items = [(str(name), part) for name, part in regions.items()]
    if not items:
        raise ValueError("regions= names no region: give some, or None for every column.")
    found: dict[str, tuple[int, ...]] = {}
    for name, part in items:
        listed = list(part) if isinstance(part, Sequence | np.ndarray) else [part]
        listed = [part] if isinstance(part, str) else listed
        unknown = [column for column in listed if column not in known]
        if unknown or not listed:
            raise ValueError(
                f"Region '{name}': X has no column(s) {unknown}. Its columns are "
                f"{_some(known)}; give regions= {'numbers' if numbered else 'names'} of these."
            )
        if name in found:
            raise ValueError(f"Two regions are called '{name}'. Name each once.")
        found[name] = tuple(known.index(column) for column in dict.fromkeys(listed))
    return found


def _some(values: Sequence[Any]) -> str:
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return ", ".join(map(str, values[:_LISTED])) + more
