"""Numbers with NaN for whatever is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["as_numbers"]


def as_numbers(values: ArrayLike, name: str) -> np.ndarray:
    """Return float64 of the same shape; None, NaN and pandas' NA become NaN."""
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O":
            array = np.where(pd.isna(array), np.nan, array)
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers.") from error
