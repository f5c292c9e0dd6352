"""Which share of the variance of many features a variable explains, beyond others."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Design", "nothing_left", "orthonormal", "partial_r2", "residuals"]

FEWEST_DEGREES_OF_FREEDOM = 10
RANK_TOLERANCE = 1e-8


def orthonormal(design):
    """Return an orthonormal basis of the columns, without those that repeat others."""
    lengths = np.linalg.norm(design, axis=0)
    design = design[:, lengths > 0] / lengths[lengths > 0]
    left, size, _ = np.linalg.svd(design, full_matrices=False)
    return left[:, size > RANK_TOLERANCE * size.max(initial=1.0)]


def residuals(values, basis):
    """Return what an orthonormal basis leaves of the columns."""
    return values - basis @ (basis.T @ values)


@dataclass(frozen=True)
class Design:
    """What is held fixed, and what a variable adds to it: two orthonormal bases."""

    reduced: np.ndarray
    added: np.ndarray

    @classmethod
    def of(cls, reduced, added):
        """Split the columns of `added` off what `reduced`, with its constant, explains already."""
        basis = orthonormal(reduced)
        length = np.linalg.norm(added - added.mean(axis=0), axis=0)
        rest = residuals(added, basis)
        new = np.linalg.norm(rest, axis=0) > 1e-6 * np.maximum(length, 1e-300)
        return cls(basis, orthonormal(rest[:, new & (length > 0)]))

    @property
    def df_error(self):
        """Degrees of freedom that are left after all columns."""
        return len(self.reduced) - self.reduced.shape[1] - self.added.shape[1]

    @property
    def r2_by_chance(self):
        """Mean of the raw partial R2 of a variable that has no effect."""
        return self.added.shape[1] / (self.df_error + self.added.shape[1])

    @property
    def problem(self):
        """Why nothing can be said of the variable, or None."""
        if self.added.shape[1] == 0:
            return "It says nothing beyond what is held fixed: the two cannot be told apart."
        if self.df_error < FEWEST_DEGREES_OF_FREEDOM:
            return (
                f"{len(self.reduced)} people for {self.reduced.shape[1] + self.added.shape[1]} "
                f"parameters: {FEWEST_DEGREES_OF_FREEDOM} more people than parameters are needed."
            )
        return None


def partial_r2(values, design):
    """Return the raw and the adjusted partial R2 over all features."""
    explained = np.sum((design.added.T @ values) ** 2)
    value = float(explained / np.sum(residuals(values, design.reduced) ** 2))
    df_before = design.df_error + design.added.shape[1]
    return value, 1 - (1 - value) * df_before / design.df_error


def nothing_left(values, design):
    """Say that what is held fixed explains all features, where it does, up to rounding."""
    left = np.sum(residuals(values, design.reduced) ** 2)
    if left > 1e-10 * np.sum((values - values.mean(axis=0)) ** 2):
        return None
    return "What is held fixed explains all there is: nothing is left that could differ."
