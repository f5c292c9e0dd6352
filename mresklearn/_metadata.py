"""Metadata of rows: where site comes from, and labels that are whole and comparable."""

import numpy as np
import pandas as pd

__all__ = [
    "check_labels",
    "label_text",
    "labels_as_text",
    "name_rows",
    "number_of_rows",
    "site_of_rows",
]

EXACT_IN_FLOAT = 2**53


def number_of_rows(X):
    """Count rows without reading them, so that lazy maps and sparse tables are fine."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


def site_of_rows(X, site_column):
    """Return the site column that travels with the rows of `X`, or None where there is none."""
    for frame in (X, getattr(X, "metadata", None)):
        if isinstance(frame, pd.DataFrame) and site_column in frame.columns:
            return frame[site_column]
    return None


def name_rows(missing, values, *, limit=5):
    """Name the rows marked in `missing`, by index label where `values` has one, else by number."""
    index = values.index if isinstance(values, pd.Series) else np.arange(len(missing))
    labels = [str(label) for label in index[missing]]
    more = f" and {len(labels) - limit} more" if len(labels) > limit else ""
    return ", ".join(labels[:limit]) + more


def label_text(value):
    """Return a label as text, by itself: whole numbers look alike, whatever type holds them.

    A column of codes becomes one of floats wherever a value is missing, or beside fractions in an
    array. So 1.0 is the label "1", alone and in any company; the text "1.0" stays what it is.
    """
    if isinstance(value, float | np.floating) and abs(value) < EXACT_IN_FLOAT and value % 1 == 0:
        value = int(value)
    return str(value).strip()


def labels_as_text(values):
    """Return labels as text, and which are missing: empty, blank, "nan" or not there at all.

    Parameters
    ----------
    values : array-like of shape (n_rows,)
        Text, numbers or gaps.

    Returns
    -------
    text : ndarray of str objects of shape (n_rows,)
        What :func:`label_text` makes of each.
    missing : ndarray of bool of shape (n_rows,)
        Rows without a label.
    """
    # object first: a plain conversion would turn NaN among strings into the label "nan"
    array = np.asarray(values, dtype=object)
    # as text, "Mayo" and "Mayo " or 1 and "1" are one site: apart, they would leak into each other
    text = np.array([label_text(value) for value in array], dtype=object)
    return text, pd.isna(array) | np.isin(text, ["", "nan"])


def check_labels(values, n_rows, *, name):
    """Turn one label a row into codes.

    Parameters
    ----------
    values : array-like of shape (n_rows,)
        Sites or person ids, text or numbers.
    n_rows : int
        Rows of the data that the labels must match.
    name : str
        What the labels are, for the error messages.

    Returns
    -------
    codes : ndarray of int of shape (n_rows,)
        Position of each row's label in `labels`.
    labels : list of str
        The distinct labels, sorted as text, so that they do not depend on the order of rows. Each
        is that of its row alone, see :func:`label_text`.

    Raises
    ------
    ValueError
        If the shape is wrong or a label is missing.
    """
    array = np.asarray(values, dtype=object)
    if array.ndim != 1 or len(array) != n_rows:
        raise ValueError(
            f"{name} must have one entry for each of the {n_rows} rows of X, "
            f"got shape {array.shape}."
        )
    text, missing = labels_as_text(array)
    if missing.any():
        raise ValueError(
            f"{name} is missing in {missing.sum()} of {n_rows} rows: {name_rows(missing, values)}. "
            "Fill it in, or drop those rows."
        )
    codes, labels = pd.factorize(text, sort=True)
    return codes, list(labels)
