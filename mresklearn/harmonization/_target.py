"""The target of the analysis as a covariate: when it is held fixed, and when it must not be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["refuse_target_among", "target_frame", "way_to_hold"]

MOST_CLASSES = 10
SAME = 0.999


def target_frame(y: Any, mode: str, index: pd.Index) -> pd.DataFrame:
    """Return y as a covariate named ``target`` where it is held fixed in training, else no column.

    Parameters
    ----------
    y : array-like of shape (n,) or None
        Target; numbers of dtype object count as numbers.
    mode : {"auto", "ignore", "training", "shrunk", "full"}
        As in :class:`ComBat`.
    index : Index
        Rows of X.

    Raises
    ------
    ValueError
        If `mode` is ``"training"`` or ``"shrunk"`` and y is None or has several columns.
    """
    nothing = pd.DataFrame(index=index)
    if mode in ("ignore", "full") or (mode == "auto" and y is None):
        return nothing
    if y is None:
        raise ValueError(f"target={mode!r} holds y fixed, but fit got no y. Pass it.")
    values = _one_column(y)
    if values is None:
        if mode == "auto":
            return nothing
        raise ValueError(
            f"target={mode!r} needs one target per row, got y of shape {np.shape(y)}. Hand the "
            "others on as covariates."
        )
    if len(values) != len(index):
        raise ValueError(f"y has {len(values)} entries, but X has {len(index)} rows.")
    distinct = len(pd.unique(values))
    numbers = values.dtype.kind in "fiu" and distinct > MOST_CLASSES
    classes = not numbers and not _has_fractions(values) and 2 * distinct <= len(values)
    # three classes coded 0, 1, 2 lie on no line
    coded = pd.Categorical(values) if classes and distinct > 2 else values
    return pd.DataFrame({"target": coded}, index=index)


def way_to_hold(mode: str, smooth: Sequence[str], engine: str) -> str:
    """Return how a target that is a covariate is held fixed: ``"shrunk"`` or ``"training"``.

    Raises
    ------
    ValueError
        If `mode` is ``"shrunk"`` where a curve or another engine would have to be shrunken.
    """
    if mode == "auto":
        return "training" if "target" in smooth or engine != "native" else "shrunk"
    if mode != "shrunk":
        return "training"
    if "target" in smooth:
        raise ValueError(
            "target='shrunk' holds a straight line fixed. Take 'target' out of smooth, or use "
            "target='training' with it."
        )
    if engine != "native":
        raise ValueError(
            "neuroHarmonize cannot do target='shrunk'. Use engine='native', or target='training'."
        )
    return "shrunk"


def refuse_target_among(covariates: pd.DataFrame, y: Any) -> None:
    """Refuse a covariate that is the target: new people would need the answer beforehand.

    Raises
    ------
    ValueError
        If a covariate is a straight function of y, up to rounding such as that of age to years, or
        has one level for each of its classes.
    """
    values = None if y is None else _one_column(y)
    if values is None or len(values) != len(covariates):
        return
    target = pd.Series(values)
    for name, column in covariates.items():
        if _is_same(column.reset_index(drop=True).infer_objects(), target.infer_objects()):
            raise ValueError(
                f"Covariate '{name}' is the target y. Harmonising new people would need the very "
                "answer that is to be predicted, and gives it away. target='training' holds it "
                "fixed in training only; target='full' allows it, for comparison with "
                "publications."
            )


def _one_column(y: Any) -> np.ndarray | None:
    """Return y as one value per row, or None where it has several."""
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        return None
    # ages among objects are numbers, as a column is that was read with text in it
    return pd.Series(values).infer_objects().to_numpy() if values.dtype == object else values


def _has_fractions(values: np.ndarray) -> bool:
    return values.dtype.kind == "f" and bool((values % 1).any())


def _is_same(column: pd.Series, target: pd.Series) -> bool:
    if len(column) < 3 or column.isna().any() or target.isna().any():
        return False
    if pd.api.types.is_numeric_dtype(column) and pd.api.types.is_numeric_dtype(target):
        a, b = (part.to_numpy(np.float64) for part in (column, target))
        a, b = a - a.mean(), b - b.mean()
        size = np.sqrt((a @ a) * (b @ b))
        if size > 0 and abs(a @ b) > SAME * size:
            return True
    if max(column.nunique(), target.nunique()) > MOST_CLASSES:
        return False
    pairs = pd.DataFrame({"a": column.astype(str), "b": target.astype(str)}).drop_duplicates()
    return len(pairs) > 1 and pairs["a"].is_unique and pairs["b"].is_unique
