"""Out-of-fold predictions as arrays, from a table that knows its folds or on the caller's word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from .._metadata import check_labels, name_rows
from ._checks import check_ages, check_people

__all__ = ["read_out_of_fold"]

COLUMNS = ("protocol", "fold", "row", "person", "site", "y", "prediction")


def read_out_of_fold(
    predicted: Any,
    y: ArrayLike | None,
    *,
    fold: ArrayLike | None,
    site: ArrayLike | None,
    groups: ArrayLike | None,
    diagnosis: ArrayLike | None,
    reference: str,
    protocol: str,
) -> Bunch:
    """Return `predicted`, `age`, `person`, `site` (or None) of rows that are out of fold.

    Parameters
    ----------
    predicted : array-like of shape (n_rows,), DataFrame or Bunch
        Predictions, or the result of ``cross_validate_sites`` or its table.
    y, fold, site, groups : array-like of shape (n_rows,) or None
        Age, test fold, site and person of each row; None with a table, which has them.
    diagnosis : array-like or None
        Diagnosis of each row; with a table, of each row of the X that was cross-validated.
    reference : str
        The diagnosis of controls.
    protocol : str
        Which predictions of a table are taken.
    """
    table = getattr(predicted, "predictions", predicted)
    if isinstance(table, pd.DataFrame):
        given = {"y": y, "fold": fold, "site": site, "groups": groups}
        return _from_table(table, given, diagnosis, reference, protocol)
    if y is None:
        raise ValueError("fit needs y, the chronological age of each row.")
    age, predictions = check_ages(y, predicted)
    person = check_people(groups, len(age))
    _check_folds(fold, age, predictions, person)
    if diagnosis is not None:
        _check_controls(diagnosis, len(age), np.arange(len(age)), reference)
    return Bunch(predicted=predictions, age=age, person=person, site=site)


def _from_table(
    table: pd.DataFrame, given: dict, diagnosis: ArrayLike | None, reference: str, protocol: str
) -> Bunch:
    """Take one protocol from the table of a cross-validation, which keeps persons apart itself."""
    double = [name for name, values in given.items() if values is not None]
    if double:
        raise ValueError(f"The table of predictions holds {', '.join(double)}: leave that out.")
    lacking = [name for name in COLUMNS if name not in table.columns]
    if lacking:
        raise ValueError(
            f"A table of predictions needs the columns {list(COLUMNS)}, as cross_validate_sites "
            f"returns them; it lacks {lacking}. Or pass arrays, with fold=."
        )
    rows = table[table.protocol == protocol]
    if rows.empty:
        raise ValueError(
            f"The table has no predictions of protocol={protocol!r}, only of "
            f"{sorted(map(str, table.protocol.unique()))}. Choose one of them."
        )
    if diagnosis is not None:
        n_rows = int(table.row.max()) + 1
        _check_controls(diagnosis, n_rows, rows.row.to_numpy(), reference)
    age, predictions = check_ages(rows.y.to_numpy(), rows.prediction.to_numpy())
    person = check_people(rows.person.to_numpy(), len(age))
    return Bunch(predicted=predictions, age=age, person=person, site=rows.site.to_numpy())


def _check_folds(
    fold: ArrayLike | None, age: np.ndarray, predicted: np.ndarray, person: np.ndarray
) -> None:
    """Ask where predictions come from, and refuse folds that cannot be out of sample."""
    if fold is None:
        raise ValueError(
            "Say where these predictions come from: fold= is the number of the test fold in which "
            "each row was predicted, by a model that was trained without it. Predictions for "
            "training people are too close to their ages, and the correction would be too small "
            "for anybody else. Or pass the result of cross_validate_sites in the place of them."
        )
    folds, names = check_labels(fold, len(age), name="fold")
    if len(names) < 2:
        raise ValueError(
            f"All rows were predicted in one fold ({names[0]}). Out of fold, every training person "
            "is predicted once, in two folds at least."
        )
    pairs = np.unique(np.column_stack([person, folds]), axis=0)
    n_straddling = int(np.sum(np.bincount(pairs[:, 0]) > 1))
    if n_straddling:
        raise ValueError(
            f"{n_straddling} persons were predicted in more than one fold, so the model of one "
            "fold had seen them in another: make folds that keep persons whole, as "
            "StratifiedSiteKFold does with groups=."
        )
    if np.abs(predicted - age).max() < 1e-6:
        raise ValueError(
            "The predictions equal the ages. These are no out-of-fold predictions: were ages "
            "passed twice, or is the age among the features?"
        )


def _check_controls(diagnosis: ArrayLike, n_rows: int, rows: np.ndarray, reference: str) -> None:
    """Refuse rows of people who are no controls."""
    codes, names = check_labels(diagnosis, n_rows, name="diagnosis")
    patients = np.zeros(n_rows, dtype=bool)
    patients[rows] = np.array(names, dtype=object)[codes[rows]] != str(reference).strip()
    if patients.any():
        found = sorted(set(np.array(names, dtype=object)[codes[patients]]))
        raise ValueError(
            f"{patients.sum()} rows are of people who are not {reference!r} but "
            f"{', '.join(found)}: {name_rows(patients, diagnosis)}. A correction that patients "
            "have a part in takes away what is to be found in them: fit it on controls alone."
        )
