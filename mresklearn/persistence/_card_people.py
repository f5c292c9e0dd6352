"""Who the training people were: counts and ranges, never a person's values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from .._metadata import check_labels, name_rows
from ._card_records import SiteRecord

__all__ = ["describe_people", "whole_years"]

BAND = 10
FEWEST = 5  # people of a site, below which a range of ages is nearly the ages themselves
MISSING = "unknown"


def describe_people(cohort: Any, groups: Any = None) -> dict[str, Any]:
    """Return fields of a card.

    Parameters
    ----------
    cohort : Cohort or DataFrame
        Training rows.
    groups : array-like of shape (n_rows,) or None, default=None
        Person of each row.

    Raises
    ------
    ValueError
        If there are no rows or `cohort` is no table, or ages are no numbers.
    """
    table = getattr(cohort, "participants", cohort)
    if not isinstance(table, pd.DataFrame) or not len(table):
        raise ValueError(
            "cohort must be a Cohort or a DataFrame with a row for each training scan, got "
            f"{type(cohort).__name__}{' without rows' * isinstance(table, pd.DataFrame)}."
        )
    person = np.arange(len(table))
    if groups is not None:
        person = check_labels(groups, len(table), name="groups (the persons)")[0]
    age = _ages(table)
    described = {
        "n_people": len(np.unique(person)),
        "n_rows": len(table),
        "sex": _people_by(table, "sex", person),
        "diagnosis": _people_by(table, "diagnosis", person),
        "sites": _sites(table, person, age),
        "age_range": whole_years(age),
        "age_bands": _bands(age, person),
    }
    if getattr(cohort, "description", ""):
        described["data"] = str(cohort.description)
    return described


def whole_years(age: np.ndarray) -> tuple[float, float] | None:
    """Return the range, rounded outwards so that it gives no exact age away; None without ages."""
    known = age[~np.isnan(age)]
    if not len(known):
        return None
    return float(math.floor(known.min())), float(math.ceil(known.max()))


def _ages(table: pd.DataFrame) -> np.ndarray:
    if "age" not in table.columns:
        return np.full(len(table), np.nan)
    age = pd.to_numeric(table["age"], errors="coerce")
    wrong = ((age.isna() & table["age"].notna()) | (age < 0) | np.isinf(age)).to_numpy(bool)
    if wrong.any():
        raise ValueError(
            f"Column 'age' holds {wrong.sum()} values that are no age in years, in rows "
            f"{name_rows(wrong, age)}. Correct them, or leave the column out."
        )
    return age.to_numpy(np.float64)


def _people_by(table: pd.DataFrame, column: str, person: np.ndarray) -> dict[str, int]:
    """Count persons by label; who changed label is counted under each."""
    if column not in table.columns:
        return {}
    counted = pd.Series(person).groupby(_labels(table[column])).nunique()
    return {str(name): int(n) for name, n in counted.items()}


def _sites(table: pd.DataFrame, person: np.ndarray, age: np.ndarray) -> dict[str, SiteRecord]:
    if "site" not in table.columns:
        return {}
    labels = _labels(table["site"])
    records = {}
    for name in np.unique(labels):
        here = labels == name
        n_people = len(np.unique(person[here]))
        ages = whole_years(age[here]) if n_people >= FEWEST else None
        records[str(name)] = SiteRecord(n_people=n_people, age_range=ages)
    return records


def _bands(age: np.ndarray, person: np.ndarray) -> dict[str, int]:
    """Count persons by ten years of age, empty ones between the first and the last included."""
    known = ~np.isnan(age)
    if not known.any():
        return {}
    decade = (age[known] // BAND).astype(int)
    counted = pd.Series(person[known]).groupby(decade).nunique()
    decades = range(decade.min(), decade.max() + 1)
    return {f"{d * BAND}-{d * BAND + BAND - 1}": int(counted.get(d, 0)) for d in decades}


def _labels(column: pd.Series) -> np.ndarray:
    """Return labels as text without blanks at their ends."""
    text = np.array([str(value).strip() for value in column])
    return np.where(column.isna().to_numpy() | (text == ""), MISSING, text)
