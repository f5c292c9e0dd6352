"""Harmonise people whom the harmoniser does not know, as it will be with new ones."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from .._metadata import check_labels, labels_as_text
from ._feature_table import check_same_people
from ._numbers import as_numbers
from ._site_predictability import deal_folds

__all__ = ["harmonise_others"]

FEWEST_FITTED = 2


def harmonise_others(
    participants: pd.DataFrame,
    tables: Mapping[str, Any],
    *,
    site_column: str,
    target: str,
    seed: int,
    id_column: str | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Fit harmonisers on half of the people of every site, and return all tables of the others.

    Parameters
    ----------
    participants : DataFrame of n rows
        The people; those without site or target take no part.
    tables : mapping of str to features or estimator
        Features first; estimators are fitted to them.
    site_column, target : str
        Columns of participants.
    seed : int
        Draws the halves.
    id_column : str or None, default=None
        Column of participants that names the person of each row, who falls in one half with all
        scans; rows without an id are persons of their own. None: every row is a person.

    Returns
    -------
    participants : DataFrame
        The half that nothing was fitted on.
    tables : dict of str to array or MapArray
        Their features.

    Raises
    ------
    ValueError
        If a column is absent, or features do not fit the participants.
    """
    absent = [name for name in (site_column, target) if name not in participants.columns]
    if absent:
        raise ValueError(
            f"participants has no column {absent}, which fitting harmonisers needs; it has "
            f"{list(participants.columns)}. Name them with site_column= and target=."
        )
    features = next(iter(tables.values()))
    for name, values in tables.items():
        if not hasattr(values, "fit"):
            check_same_people(values, participants, str(name))
            if len(values) != len(participants):
                raise ValueError(
                    f"{name} has {len(values)} rows, but participants has {len(participants)}."
                )
    fitted, measured = _halves(participants, site_column, target, seed, id_column)
    years = as_numbers(participants[target], target)
    site = participants[site_column].to_numpy(dtype=object)
    done = {}
    for name, values in tables.items():
        if not hasattr(values, "fit"):
            done[name] = _take(values, measured)
            continue
        given = {"site": site} | _covariates(values, participants)
        model = clone(values).fit(
            _take(features, fitted), years[fitted], **_rows(given, fitted, values.fit)
        )
        done[name] = model.transform(
            _take(features, measured), **_rows(given, measured, values.transform)
        )
    return participants.iloc[measured], done


def _halves(
    participants: pd.DataFrame, site_column: str, target: str, seed: int, id_column: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return row numbers to fit on and to measure, of sites that have people in both."""
    years = as_numbers(participants[target], target)
    without_site = labels_as_text(participants[site_column])[1]
    known = np.flatnonzero(np.isfinite(years) & ~without_site)
    codes, _ = check_labels(participants[site_column].iloc[known], len(known), name=site_column)
    (fitted, measured), _ = deal_folds(2, codes, _persons(participants, id_column)[known], seed)
    count = np.bincount(codes[fitted], minlength=codes.max() + 1)
    enough = count >= FEWEST_FITTED
    return known[fitted[enough[codes[fitted]]]], known[measured[enough[codes[measured]]]]


def _persons(participants: pd.DataFrame, id_column: str | None) -> np.ndarray:
    """Return a code for each person; a row without an id is one of its own."""
    rows = np.arange(len(participants))
    if id_column is None:
        return rows
    names, missing = labels_as_text(participants[id_column])
    return np.where(missing, -1 - rows, pd.factorize(names)[0])


def _covariates(harmonizer: Any, participants: pd.DataFrame) -> dict[str, Any]:
    """Return the columns of participants that a harmoniser holds fixed."""
    inner = getattr(harmonizer, "harmonizer", None) or harmonizer
    names = [name for name in getattr(inner, "covariate_columns", ()) if name in participants]
    return {"covariates": participants[names]} if names else {}


def _rows(given: dict[str, Any], rows: np.ndarray, method: Any) -> dict[str, Any]:
    """Return site and covariates of some rows, as far as a method takes them."""
    taken = inspect.signature(method).parameters
    return {name: _take(value, rows) for name, value in given.items() if name in taken}


def _take(values: Any, rows: np.ndarray) -> Any:
    if isinstance(values, pd.DataFrame | pd.Series):
        return values.iloc[rows]
    return values[rows] if hasattr(values, "shape") else [values[row] for row in rows]
