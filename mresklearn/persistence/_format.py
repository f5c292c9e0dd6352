"""What both sides agree on: file names, version, and the classes that a file may name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sklearn.base import BaseEstimator

FORMAT = 1
MODEL_FILE = "model.json"
ARRAYS_FILE = "arrays.safetensors"

# Opening a model imports what it names, so it may only name estimators of these packages ...
_PACKAGES = ("sklearn", "mresklearn")
# ... and these plain records.
RECORDS = {
    "mresklearn.intervals._held_out_errors:HeldOutErrors",
    "mresklearn.maps._grid:Grid",
    "mresklearn.maps._reading:MapReader",
}


def name_of(kind: type) -> str:
    """Return the name under which a class is saved."""
    return f"{kind.__module__}:{kind.__qualname__}"


def is_trusted(name: str) -> bool:
    """Whether a model may name this class."""
    return name in RECORDS or name.split(".")[0].split(":")[0] in _PACKAGES


def find_class(name: str) -> Any:
    """Return the class of a name in a model file.

    Parameters
    ----------
    name : str
        As :func:`name_of` wrote it.

    Returns
    -------
    kind : type
        An estimator of scikit-learn or mresklearn, or a known record.

    Raises
    ------
    ValueError
        If it is anything else: such a file was not written by `save`.
    """
    module_name, _, qualified = name.partition(":")
    if is_trusted(name) and "." not in qualified:
        kind = getattr(import_module(module_name), qualified, None)
        if name in RECORDS or (isinstance(kind, type) and issubclass(kind, BaseEstimator)):
            return kind
    raise ValueError(
        f"The model names '{name}', which is no estimator of scikit-learn or mresklearn. Do not "
        "open it unless you know where it comes from; models with other classes can be kept with "
        "joblib."
    )
