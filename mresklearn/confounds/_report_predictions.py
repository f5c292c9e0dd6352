"""Predictions of a report: of people at known sites, and of the same people at sites left out."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ._feature_table import as_prediction

__all__ = ["Predictions", "read_predictions"]

# names of the protocols of cross_validate_sites
KNOWN, UNSEEN = "within_site", "leave_one_site_out"
COLUMNS = ("protocol", "row", "site", "y", "prediction")
# of the size and the spread: true values may have been stored as float32
ROUNDING = 1e-5


@dataclass(frozen=True)
class Predictions:
    """Gap and absolute error of every person, NaN where there is none.

    Where a person was predicted several times, the gap is that of the mean, and the error the mean
    of the errors: the error of the mean prediction would be that of an ensemble.
    """

    gap: np.ndarray
    error: np.ndarray
    unseen_error: np.ndarray | None = None


def read_predictions(prediction, prediction_unseen, participants, target, site):
    """Read arrays, or the result of cross_validate_sites, and check whose predictions they are.

    Parameters
    ----------
    prediction : array-like of shape (n,), Bunch with `predictions`, DataFrame with `protocol`, None
        Predictions of people at known sites, or of both protocols.
    prediction_unseen : array-like of shape (n,) or None
        Predictions by models that did not know the site.
    participants : DataFrame of n rows
        The people.
    target, site : Variable, Variable or None
        True values, and sites.

    Returns
    -------
    predictions : Predictions or None
        None without a prediction.

    Raises
    ------
    ValueError
        If predictions do not fit the people, or each other.
    """
    if prediction_unseen is not None and site is None:
        raise ValueError(
            "prediction_unseen holds predictions of people whose site was left out, so it needs "
            "the sites: name their column with site_column=."
        )
    table = getattr(prediction, "predictions", prediction)
    if isinstance(table, pd.DataFrame) and "protocol" in table.columns:
        if prediction_unseen is not None:
            raise ValueError(
                "prediction holds both protocols of cross_validate_sites already. Leave "
                "prediction_unseen out, or give two arrays."
            )
        return _from_protocols(table, participants, target, site)
    if prediction is None:
        if prediction_unseen is None:
            return None
        raise ValueError(
            "prediction_unseen is compared with prediction, which is missing. Give predictions of "
            "both protocols; give those of left-out sites as prediction where there are no others."
        )
    gap = as_prediction(prediction, participants) - target.values
    if prediction_unseen is None:
        return Predictions(gap, np.abs(gap))
    try:
        unseen = as_prediction(prediction_unseen, participants) - target.values
    except ValueError as error:
        raise ValueError(str(error).replace("prediction", "prediction_unseen", 1)) from None
    return Predictions(gap, np.abs(gap), np.abs(unseen))


def _from_protocols(table, participants, target, site):
    """Average the draws of each person by protocol."""
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise ValueError(
            f"prediction has a column 'protocol', as the predictions of cross_validate_sites do, "
            f"but lacks the columns {missing}."
        )
    if KNOWN not in set(table.protocol):
        raise ValueError(
            f"prediction holds the protocols {sorted(set(table.protocol))}, but not {KNOWN!r}, "
            "which the report is about. Pass the result of cross_validate_sites as it is."
        )
    _check_same_rows(table, participants, target, site)
    gap = (table.prediction - table.y).to_numpy(float)
    found = {}
    for protocol in (KNOWN, UNSEEN):
        lines = (table.protocol == protocol).to_numpy()
        rows = table.row.to_numpy()[lines]
        found[protocol] = [
            _mean_by_row(values[lines], rows, len(participants)) for values in (gap, np.abs(gap))
        ]
    unseen = found[UNSEEN][1] if site is not None else None
    if unseen is not None and not np.isfinite(unseen).any():
        unseen = None
    return Predictions(*found[KNOWN], unseen)


def _mean_by_row(values, rows, n_rows):
    counts = np.bincount(rows, minlength=n_rows)
    sums = np.bincount(rows, values, minlength=n_rows)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _check_same_rows(table, participants, target, site):
    """Compare rows, true values and sites with those of the participants."""
    advice = "Pass the same people in the order in which cross_validate_sites was given them."
    rows = table.row.to_numpy()
    if rows.max() >= len(participants):
        raise ValueError(
            f"prediction speaks of row {rows.max()}, but participants has {len(participants)} "
            f"rows. {advice}"
        )
    known = target.values[rows]
    spread = ROUNDING * np.nanstd(target.values)
    wrong = ~np.isclose(known, table.y.to_numpy(float), rtol=ROUNDING, atol=spread)
    if wrong.any():
        row = rows[np.argmax(wrong)]
        raise ValueError(
            f"The true values of prediction are not those of participants: in row {row} "
            f"{target.name} is {target.values[row]:g} there and "
            f"{table.y.to_numpy()[np.argmax(wrong)]:g} in prediction. {advice}"
        )
    if site is None:
        return
    names = np.array([*site.levels, ""], dtype=object)
    codes = np.where(site.present, site.values, len(site.levels)).astype(int)
    own, given = names[codes][rows], table.site.astype(str).str.strip().to_numpy()
    wrong = (own != given) & (own != "")
    if wrong.any():
        row = rows[np.argmax(wrong)]
        raise ValueError(
            f"The sites of prediction are not those of participants: row {row} is of "
            f"{own[np.argmax(wrong)]!r} there and of {given[np.argmax(wrong)]!r} in prediction. "
            f"{advice}"
        )
