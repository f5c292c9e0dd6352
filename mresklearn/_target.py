"""The target of a regression: one finite number a row."""

from typing import Any

import numpy as np
from sklearn.utils import check_array, column_or_1d

__all__ = ["check_target"]


def check_target(y: Any) -> np.ndarray:
    """Return y as float64, or say what is wrong with it."""
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None.")
    y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    return column_or_1d(y, warn=True)
