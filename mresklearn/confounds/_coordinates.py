"""Features turned to at most one coordinate a person, so that voxels cost what people do.

Whatever looks at distances or inner products between people only is the same in coordinates.
"""

import numpy as np

__all__ = ["column_moments", "coordinates"]

BLOCK = 4096
TOLERANCE = 1e-13


def column_moments(X):
    """Return mean and standard deviation of every column in float64, a block at a time."""
    mean, spread = np.empty(X.shape[1]), np.empty(X.shape[1])
    for part in _blocks(X.shape[1]):
        block = X[:, part].astype(np.float64)
        mean[part], spread[part] = block.mean(axis=0), block.std(axis=0)
    return mean, spread


def coordinates(X, mean, scale):
    """Return coordinates of rows with the inner products of the centred and scaled columns.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Features; float32 is not copied as a whole.
    mean, scale : ndarray of shape (n_columns,)
        What is subtracted from each column, and by what it is divided.

    Returns
    -------
    turned : ndarray of float64 of shape (n_rows, at most n_rows)
        The scaled columns themselves where there are no more of them than rows.
    """
    n_rows, n_columns = X.shape
    if n_columns <= n_rows:
        return (X - mean) / scale
    products = np.zeros((n_rows, n_rows))
    for part in _blocks(n_columns):
        block = (X[:, part] - mean[part]) / scale[part]
        products += block @ block.T
    size, turn = np.linalg.eigh(products)
    kept = size > TOLERANCE * size[-1]
    return turn[:, kept] * np.sqrt(size[kept])


def _blocks(n_columns):
    return [slice(start, start + BLOCK) for start in range(0, n_columns, BLOCK)]
