"""The score statistic of White (1980), for many columns at once."""

from __future__ import annotations

import numpy as np

__all__ = ["RobustScore"]

SINGULAR = 1e-5  # a pivot below this share of its diagonal element is rounding in float32


class RobustScore:
    r"""Score statistics that stay comparable whatever the noise of the rows is.

    .. math:: T = \frac{1}{r}\, u^\top V^{-1} u, \quad u = \sum_i e_i U_i, \quad
        V = \sum_i e_i^2 \, U_i U_i^\top

    T is at most n / r, and about 1 without an effect. It was given by White (1980), Econometrica
    48, 817-838.

    Parameters
    ----------
    basis : ndarray of shape (n_rows, r)
        U, orthonormal columns.
    dtype : type
        Precision.
    """

    def __init__(self, basis: np.ndarray, dtype: type = np.float64):
        self._row, self._column = np.tril_indices(basis.shape[1])
        self.basis = basis.astype(dtype)
        self.products = (basis[:, self._row] * basis[:, self._column]).astype(dtype)

    def statistic(self, residuals: np.ndarray) -> np.ndarray:
        """Return T of each column of residuals of shape (n_rows, n_columns)."""
        return self.of_sums(self.basis.T @ residuals, self.products.T @ np.square(residuals))

    def of_sums(self, scores: np.ndarray, covariances: np.ndarray) -> np.ndarray:
        """Return T given u of shape (r, ...) and the lower triangle of V, (r (r + 1) / 2, ...)."""
        r = len(scores)
        matrix = np.empty((r + 1, r, *scores.shape[1:]), dtype=scores.dtype)
        matrix[self._row, self._column] = covariances
        matrix[r] = scores
        return _solve(matrix) / r


def _solve(matrix: np.ndarray) -> np.ndarray:
    """Return the quadratic forms u' V^-1 u by Cholesky factors of all columns side by side.

    Rows of `matrix` are the lower triangle of V and, below it, u, which factorises along: it
    becomes the solution of the triangular system. Shape (r + 1, r, ...); overwritten.
    """
    for j in range(matrix.shape[1]):
        smallest = SINGULAR * matrix[j, j]
        if j:
            matrix[j:, j] -= np.einsum("ik...,k...->i...", matrix[j:, :j], matrix[j, :j])
        regular = matrix[j, j] > smallest
        root = np.sqrt(matrix[j, j], where=regular, out=np.ones_like(smallest))
        matrix[j:, j] *= regular / root
    return np.sum(np.square(matrix[-1]), axis=0)
