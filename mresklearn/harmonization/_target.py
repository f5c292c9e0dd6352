"""The target of the analysis as a covariate: when it is held fixed, and when it must not be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["refuse_target_among", "target_frame"]

FEWEST_NUMBERS = 10


def target_frame(y: Any, mode: str, index: pd.Index) -> pd.DataFrame:
    """Return y as a covariate named ``target`` where it is held fixed in training, else no column.

    Parameters
    ----------
    y : array-like of shape (n,) or None
        Target.
    mode : {"auto", "ignore", "training", "full"}
        As in :class:`ComBat`.
    index : Index
        Rows of X.

    Raises
    ------
    ValueError
        If `mode` is ``"training"`` and y is None or has several columns.
    """
    nothing = pd.DataFrame(index=index)
    if mode in ("ignore", "full") or (mode == "auto" and y is None):
        return nothing
    if y is None:
        raise ValueError("target='training' holds y fixed, but fit got no y. Pass it.")
    values = np.asarray(y)
    values = values.ravel() if values.ndim == 2 and values.shape[1] == 1 else values
    if values.ndim != 1:
        if mode == "auto":
            return nothing
        raise ValueError(
            f"target='training' needs one target per row, got y of shape {values.shape}. Hand the "
            "others on as covariates."
        )
    if len(values) != len(index):
        raise ValueError(f"y has {len(values)} entries, but X has {len(index)} rows.")
    numbers = values.dtype.kind in "fiu" and len(np.unique(values)) > FEWEST_NUMBERS
    if mode == "auto" and not numbers:
        return nothing
    return pd.DataFrame({"target": values}, index=index)


def refuse_target_among(covariates: pd.DataFrame, y: Any) -> None:
    """Refuse a covariate that is the target: new people would need the answer beforehand.

    Raises
    ------
    ValueError
        If a covariate is a straight function of y, or has one level for each of its classes.
    """
    if y is None or np.ndim(y) != 1 or len(y) != len(covariates):
        return
    target = pd.Series(np.asarray(y))
    for name, column in covariates.items():
        if _is_same(column.reset_index(drop=True), target):
            raise ValueError(
                f"Covariate '{name}' is the target y. Harmonising new people would need the very "
                "answer that is to be predicted, and gives it away. target='training' holds it "
                "fixed in training only; target='full' allows it, for comparison with "
                "publications."
            )


def _is_same(column: pd.Series, target: pd.Series) -> bool:
    if column.isna().any() or target.isna().any():
        return False
    if pd.api.types.is_numeric_dtype(column) and pd.api.types.is_numeric_dtype(target):
        a, b = (part.to_numpy(np.float64) for part in (column, target))
        a, b = a - a.mean(), b - b.mean()
        size = np.sqrt((a @ a) * (b @ b))
        return bool(size > 0 and abs(a @ b) > (1 - 1e-9) * size)
    pairs = pd.DataFrame({"a": column.astype(str), "b": target.astype(str)}).drop_duplicates()
    return len(pairs) > 1 and pairs["a"].is_unique and pairs["b"].is_unique
