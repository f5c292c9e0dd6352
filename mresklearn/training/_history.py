"""What was logged, as plain values that any format can keep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def plain_history(history: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one record per epoch, without its batches, in Python's own numbers.

    Parameters
    ----------
    history : iterable of dict
        As skorch keeps it; some of its numbers are NumPy scalars.

    Returns
    -------
    records : list of dict
        One per epoch.
    """
    return [
        {
            key: value.item() if hasattr(value, "item") else value
            for key, value in epoch.items()
            if key != "batches"
        }
        for epoch in history
    ]
