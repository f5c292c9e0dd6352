"""Checks of input that the metrics share: numbers without gaps, rows that belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .._metadata import check_labels, name_rows
from ._corrected_age import refuse_corrected

__all__ = ["check_ages", "check_numbers", "check_people", "check_positive"]


def check_numbers(values: Any, name: str, n_rows: int | None = None) -> np.ndarray:
    """Turn one finite number a row into float64, or name the rows that have none.

    Every metric passes here, so this is where corrected ages are refused.
    """
    refuse_corrected(values)
    try:
        # through object, so that None and pandas' NA become NaN and not an obscure error
        numbers = pd.Series(np.asarray(values, dtype=object)).to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold one number a row. {error}") from error
    if n_rows is not None and len(numbers) != n_rows:
        raise ValueError(f"{name} has {len(numbers)} entries where {n_rows} are needed.")
    if len(numbers) == 0:
        raise ValueError(f"{name} is empty: there is nothing to compute from.")
    gaps = ~np.isfinite(numbers)
    if gaps.any():
        raise ValueError(
            f"{name} is missing or infinite in {gaps.sum()} of {len(numbers)} rows: "
            f"{name_rows(gaps, values)}. Fill it in, or drop those rows."
        )
    return numbers


def check_ages(y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check chronological and predicted ages of the same rows, in the same order."""
    both_named = isinstance(y_true, pd.Series) and isinstance(y_pred, pd.Series)
    if both_named and not y_true.index.equals(y_pred.index):
        raise ValueError(
            "y_true and y_pred are pandas Series with different row labels, so it is not clear "
            "which prediction belongs to whom. Bring them into one order with "
            "y_pred.loc[y_true.index], or pass arrays that are in the same order."
        )
    ages = check_numbers(y_true, "y_true")
    return ages, check_numbers(y_pred, "y_pred", len(ages))


def check_people(groups: Any, n_rows: int) -> np.ndarray:
    """Code the person of each row as 0, 1, ...; without `groups` every row is a person."""
    return np.arange(n_rows) if groups is None else check_labels(groups, n_rows, name="groups")[0]


def check_positive(y_true: Any, pos_label: Any) -> np.ndarray:
    """Mark the rows of the positive class; both classes need two rows, the least for a variance."""
    labels = np.asarray(y_true, dtype=object)
    if labels.ndim != 1:
        raise ValueError(f"y_true must have one label a row, got shape {labels.shape}.")
    gaps = pd.isna(labels)
    if gaps.any():
        raise ValueError(f"y_true is missing in rows {name_rows(gaps, y_true)}: drop those rows.")
    classes = set(labels)
    if len(classes) != 2:
        raise ValueError(
            f"y_true must hold two classes, got {len(classes)}: {sorted(map(str, classes))[:5]}."
        )
    if pos_label is None:
        if classes not in ({0, 1}, {-1, 1}):
            raise ValueError(
                f"y_true holds {sorted(map(str, classes))}: say which of them a high score stands "
                "for, with pos_label=."
            )
        pos_label = 1
    elif pos_label not in classes:
        raise ValueError(f"pos_label={pos_label!r} is not in y_true: {sorted(map(str, classes))}.")
    positive = labels == pos_label
    if not 2 <= positive.sum() <= len(labels) - 2:
        raise ValueError(
            f"y_true has {positive.sum()} positive and {(~positive).sum()} other rows: "
            "a variance needs at least 2 of each."
        )
    return positive
