"""JSON and arrays back to fitted estimators; nothing but known classes is ever made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError
from ._format import find_class


class Decoder:
    """Turn JSON values back into what they were.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Arrays by name.
    """

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays

    def decode(self, value: Any) -> Any:
        """Return the value that :meth:`Encoder.encode` was given."""
        if not isinstance(value, dict):
            return value
        kind, content = next(iter(value.items()), (None, None))
        reader = getattr(self, f"_{kind}", None)
        if reader is None or len(value) != 1:
            raise DataError(
                f"The model holds a value of unknown kind '{kind}'. Copy it again, or upgrade "
                "mresklearn."
            )
        return reader(content)

    def _float(self, content: str) -> float:
        return float(content)

    def _scalar(self, content: list) -> np.generic:
        dtype, value = content
        return np.dtype(dtype).type(self.decode(value))

    def _array0(self, content: list) -> np.ndarray:
        return np.array(self._scalar(content))

    def _array(self, content: str) -> np.ndarray:
        return self.arrays[content]

    def _strings(self, content: list) -> np.ndarray:
        kind, shape, items = content
        return np.array(items, dtype=object if kind == "O" else str).reshape(shape)

    def _list(self, content: list) -> list:
        return [self.decode(item) for item in content]

    def _tuple(self, content: list) -> tuple:
        return tuple(self._list(content))

    def _set(self, content: list) -> set:
        return set(self._list(content))

    def _dict(self, content: list) -> dict:
        return {self.decode(key): self.decode(item) for key, item in content}

    def _slice(self, content: list) -> slice:
        return slice(*content)

    def _frame(self, content: dict) -> pd.DataFrame:
        index = pd.Index(self.decode(content["index"]), name=content["index_name"])
        return pd.DataFrame(self.decode(content["columns"]), index=index)

    def _record(self, content: dict) -> Any:
        return find_class(content["class"])(**self.decode(content["fields"]))

    def _estimator(self, content: dict) -> Any:
        kind = find_class(content["class"])
        estimator = kind.__new__(kind)
        state = self.decode(content["state"])
        # asked of the class: an instance may pass the question on to what it does not hold yet
        if hasattr(kind, "_restore_attributes"):
            estimator._restore_attributes(state)
        else:
            estimator.__dict__.update(state)
        return estimator
