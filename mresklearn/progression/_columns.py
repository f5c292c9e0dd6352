"""Columns of a table, checked once: they are there, numbers are whole, labels become numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .._metadata import check_labels
from ..metrics._checks import check_numbers

__all__ = [
    "check_columns",
    "check_flags",
    "design_columns",
    "first_labels",
    "numbers_of",
    "people_of",
]


def check_columns(table: Any, names: Sequence[str], what: str) -> None:
    """Refuse what is no table with rows, and name the columns that it lacks."""
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"{what} must be a pandas DataFrame, got {type(table).__name__}.")
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise ValueError(
            f"{what} has no column {', '.join(map(repr, absent))}; it has "
            f"{', '.join(map(repr, table.columns))}."
        )
    twice = [name for name in names if isinstance(table[name], pd.DataFrame)]
    if twice:
        raise ValueError(f"{what} has several columns named {twice[0]!r}: rename all but one.")
    if len(table) == 0:
        raise ValueError(f"{what} has no rows.")


def numbers_of(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column of finite numbers, or name the rows that have none."""
    return check_numbers(table[name], f"Column {name!r}", len(table))


def people_of(table: pd.DataFrame, name: str) -> tuple[np.ndarray, list[str]]:
    """Code the persons (or groups, or sites) of a column."""
    return check_labels(table[name], len(table), name=f"Column {name!r}")


def first_labels(table: pd.DataFrame, name: str, codes: np.ndarray) -> pd.Index:
    """Return each person's label as it stands in the table, for results to be joined with it."""
    labels = table[name].iloc[np.unique(codes, return_index=True)[1]]
    return pd.Index([one.strip() if isinstance(one, str) else one for one in labels], name=name)


def check_flags(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column of yes and no, given as booleans or as 1 and 0."""
    flags = numbers_of(table, name)
    if not np.isin(flags, (0, 1)).all():
        odd = np.unique(flags[~np.isin(flags, (0, 1))])[:3]
        raise ValueError(
            f"Column {name!r} must hold True and False, or 1 and 0, got {list(map(float, odd))}."
        )
    return flags.astype(bool)


def design_columns(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return numbers as they are, and labels as one indicator for each label but the first.

    Columns of text or truth values are labels; ``sex`` of F and M becomes ``sex: M - F``.
    """
    columns: dict[str, np.ndarray] = {}
    for name in names:
        column = table[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            columns[name] = numbers_of(table, name)
            continue
        codes, labels = people_of(table, name)
        for code in range(1, len(labels)):
            columns[f"{name}: {labels[code]} - {labels[0]}"] = (codes == code).astype(float)
        if len(labels) == 1:  # kept, so that it is refused by name as constant
            columns[name] = np.zeros(len(table))
    return pd.DataFrame(columns, index=table.index)
