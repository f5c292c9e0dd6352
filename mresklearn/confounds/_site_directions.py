"""What of site is left beyond age and covariates, as orthogonal directions."""

from __future__ import annotations

import numpy as np

__all__ = ["SiteDirections"]

RANK_TOLERANCE = 1e-7
ROUNDING = 1e-10


class SiteDirections:
    """The site columns of a design, split into what a reduced model explains and what is new.

    Parameters
    ----------
    reduced_design : ndarray of shape (n_rows, n_reduced)
        Columns that are held fixed, such as the spline of age; an intercept among them.
    site_codes : ndarray of int of shape (n_rows,)
        Site of each row.

    Attributes
    ----------
    reduced : ndarray of shape (n_rows, rank)
        Orthonormal basis of the reduced design.
    basis : ndarray of shape (n_rows, n_directions)
        Orthonormal basis of the site columns beyond the reduced design: at most one column fewer
        than sites, and none where the reduced design tells every site.
    """

    def __init__(self, reduced_design: np.ndarray, site_codes: np.ndarray):
        design = np.asarray(reduced_design, dtype=np.float64)
        lengths = np.linalg.norm(design, axis=0)
        design = design[:, lengths > 0] / lengths[lengths > 0]
        self.reduced = _orthonormal(design, 1.0)
        site = (site_codes[:, None] == np.unique(site_codes)).astype(np.float64)
        self.basis = _orthonormal(self.residuals(site), np.sqrt(site.sum(axis=0).max()))

    def residuals(self, Y: np.ndarray) -> np.ndarray:
        """Return what the reduced design leaves of columns, exact zeros where that is rounding."""
        left = Y - self.reduced @ (self.reduced.T @ Y)
        rounding = np.linalg.norm(left, axis=0) <= ROUNDING * np.linalg.norm(Y, axis=0)
        return np.where(rounding, 0.0, left)

    @property
    def n_directions(self) -> int:
        """Degrees of freedom of site."""
        return self.basis.shape[1]

    @property
    def df_residual(self) -> int:
        """Degrees of freedom that the reduced design and site leave."""
        return len(self.reduced) - self.reduced.shape[1] - self.n_directions

    def partial_r2(self, residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return raw and adjusted partial R2 of columns, given what the reduced model leaves."""
        explained = np.sum((self.basis.T @ residuals) ** 2, axis=0)
        raw = explained / np.sum(residuals**2, axis=0)
        return raw, 1 - (1 - raw) * (self.df_residual + self.n_directions) / self.df_residual


def _orthonormal(columns: np.ndarray, largest: float) -> np.ndarray:
    """Return an orthonormal basis of what is not rounding beside a column of length `largest`."""
    left, size, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, size > RANK_TOLERANCE * largest]
