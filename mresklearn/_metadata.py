"""Metadata of rows: where site comes from, and labels that are whole and comparable."""

import numpy as np
import pandas as pd

__all__ = ["check_labels", "name_rows", "number_of_rows", "site_of_rows"]


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
        The distinct labels, sorted as text, so that they do not depend on the order of rows.

    Raises
    ------
    ValueError
        If the shape is wrong or a label is missing.
    """
    # object first: a plain conversion would turn NaN among strings into the label "nan"
    array = np.asarray(values, dtype=object)
    if array.ndim != 1 or len(array) != n_rows:
        raise ValueError(
            f"{name} must have one entry for each of the {n_rows} rows of X, "
            f"got shape {array.shape}."
        )
    # as text, "Mayo" and "Mayo " or 1 and "1" are one site: apart, they would leak into each other
    text = np.array([str(value).strip() for value in array], dtype=object)
    missing = pd.isna(array) | np.isin(text, ["", "nan"])
    if missing.any():
        raise ValueError(
            f"{name} is missing in {missing.sum()} of {n_rows} rows: {name_rows(missing, values)}. "
            "Fill it in, or drop those rows."
        )
    codes, labels = pd.factorize(text, sort=True)
    return codes, list(labels)
