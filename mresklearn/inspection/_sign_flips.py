"""Tests of many regions at once by random sign flips."""

from __future__ import annotations

import warnings

import numpy as np

from ..exceptions import UnanswerableWarning

__all__ = ["sign_flip_p"]

PORTION = 1000


def sign_flip_p(values: np.ndarray, n_resamples: int, random: np.random.RandomState) -> np.ndarray:
    """Test whether each column has mean 0, two-sided, by flipping the signs of persons.

    The same flips serve all columns. p is (1 + number as extreme) / (1 + number drawn), as in
    Phipson & Smyth (2010), so it is never 0.

    Parameters
    ----------
    values : ndarray of shape (persons, columns)
        Differences; NaN where a person has none.
    n_resamples : int
        Number of flips.
    random : RandomState
        Draws them.
    """
    filled = np.nan_to_num(values)
    # sums that differ by rounding only are ties, and ties count
    threshold = np.abs(filled.sum(axis=0)) - 1e-12 * np.abs(filled).sum(axis=0)
    extreme = np.zeros(values.shape[1], int)
    for start in range(0, n_resamples, PORTION):
        size = min(PORTION, n_resamples - start)
        signs = random.randint(2, size=(size, len(values))) * 2.0 - 1
        extreme += (np.abs(signs @ filled) >= threshold).sum(axis=0)
    if len(values) < 6:
        warnings.warn(
            f"{len(values)} persons cannot give a p below {2 / 2 ** len(values):.3g}. Read the "
            "importances themselves, or give at least 6 persons.",
            UnanswerableWarning,
            stacklevel=4,
        )
    return (1 + extreme) / (1 + n_resamples)
