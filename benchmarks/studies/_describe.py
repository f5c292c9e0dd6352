"""What a cell depends on, written down in full, and the key that follows from it.

``repr`` of an estimator leaves out defaults and is cut after 700 characters, so that two different
models can look alike; a changed default would go unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np


def describe(value: Any) -> Any:
    """Return all parameters of an object, and of those within it, as what JSON can hold.

    Parameters
    ----------
    value : object
        Number, text, container, estimator, splitter, kernel, dataclass or named function. A path is
        described by its file name: what it holds belongs to the data set, which is in the key too.

    Raises
    ------
    TypeError
        If it cannot be told from another of its kind, as a lambda.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"array": list(value.shape), "type": str(value.dtype), "sha256": content}
    if isinstance(value, Path):
        return {"file": value.name}
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(describe, value), key=str)
    if isinstance(value, partial):
        return {
            "call": describe(value.func),
            "with": [describe(value.args), describe(value.keywords)],
        }
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return _name(value)
    return {"class": _name(type(value)), **_parameters(value)}


def digest(description: Any) -> str:
    """Return 20 characters that stand for a description."""
    text = json.dumps(description, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _name(value: Any) -> str:
    if "<" in value.__qualname__:
        raise TypeError(
            f"{value.__module__}.{value.__qualname__} has no name by which its results could be "
            "found again. Use a function of a module."
        )
    return f"{value.__module__}.{value.__qualname__}"


def _parameters(value: Any) -> dict[str, Any]:
    if hasattr(value, "get_params"):
        parameters = value.get_params(deep=False)
    elif is_dataclass(value):
        parameters = {field.name: getattr(value, field.name) for field in fields(value)}
    elif hasattr(value, "__dict__"):
        parameters = vars(value)
    else:
        raise TypeError(f"{value!r} has no parameters that could be written down.")
    return {name: describe(item) for name, item in parameters.items()}
