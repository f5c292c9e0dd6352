"""Values to JSON, with arrays set aside."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from ._format import RECORDS, is_trusted, name_of


class Encoder:
    """Turn fitted estimators into JSON values, and collect their arrays.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Arrays by the path of the attribute that holds them.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def encode(self, value: Any, path: str) -> Any:
        """Return a JSON value for anything that fitted estimators hold.

        Parameters
        ----------
        value : object
            What to save.
        path : str
            Where it stands in the model, for array names and errors.

        Returns
        -------
        encoded : object
            Plain for None, booleans, numbers and text; else ``{kind: content}``.

        Raises
        ------
        ValueError
            If it can only be pickled; the message names where it is.
        """
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": repr(value)}
        for kinds, write in (
            ((np.generic,), self._scalar),
            ((np.ndarray,), self._array),
            ((list, tuple, set), self._sequence),
            ((dict,), self._dict),
            ((slice,), self._slice),
            ((pd.DataFrame,), self._frame),
            ((BaseEstimator,), self._estimator),
        ):
            if isinstance(value, kinds):
                return write(value, path)
        if name_of(type(value)) in RECORDS:
            return self._record(value, path)
        raise ValueError(
            f"'{path}' is a {type(value).__name__}, which cannot be saved without pickle. Replace "
            "it by plain numbers and text, or keep the model with joblib.dump."
        )

    def _scalar(self, value: np.generic, path: str) -> Any:
        return {"scalar": [value.dtype.str, self.encode(value.item(), path)]}

    def _array(self, value: np.ndarray, path: str) -> Any:
        if value.dtype.kind in "OU":
            if not all(isinstance(item, str) for item in value.flat):
                raise ValueError(
                    f"'{path}' is an array of objects, which cannot be saved without pickle."
                )
            return {"strings": [value.dtype.kind, list(value.shape), value.ravel().tolist()]}
        if value.ndim == 0:
            return {"array0": self._scalar(value[()], path)["scalar"]}
        self.arrays[path] = np.ascontiguousarray(value)
        return {"array": path}

    def _sequence(self, value: Any, path: str) -> Any:
        items = [self.encode(item, f"{path}[{k}]") for k, item in enumerate(value)]
        return {type(value).__name__: items}

    def _dict(self, value: dict, path: str) -> Any:
        items = [[self.encode(k, path), self.encode(v, f"{path}.{k}")] for k, v in value.items()]
        return {"dict": items}

    def _slice(self, value: slice, path: str) -> Any:
        return {"slice": [value.start, value.stop, value.step]}

    def _frame(self, value: pd.DataFrame, path: str) -> Any:
        columns = {str(name): column.to_numpy() for name, column in value.items()}
        return {
            "frame": {
                "index": self.encode(value.index.to_numpy(), f"{path}.index"),
                "index_name": value.index.name,
                "columns": self._dict(columns, path),
            }
        }

    def _estimator(self, value: BaseEstimator, path: str) -> Any:
        name = name_of(type(value))
        if not is_trusted(name):
            raise ValueError(
                f"'{path}' is a {name}; only estimators of scikit-learn and mresklearn can be "
                "saved here. Keep the model with joblib.dump."
            )
        # estimators with a network say themselves what is to be kept
        state = value._saved_attributes() if hasattr(value, "_saved_attributes") else vars(value)
        return {"estimator": {"class": name, "state": self._dict(state, path)}}

    def _record(self, value: Any, path: str) -> Any:
        content = {f.name: getattr(value, f.name) for f in fields(value)}
        return {"record": {"class": name_of(type(value)), "fields": self._dict(content, path)}}
