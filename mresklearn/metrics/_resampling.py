"""Drawing whole persons, and sites and then persons, with replacement."""

from __future__ import annotations

import numpy as np

__all__ = ["Resampler", "concatenated_ranges"]


class Resampler:
    """Draws the rows of a bootstrap sample.

    A unit is a person, or a person at a site: all its rows are drawn together.

    Parameters
    ----------
    person : ndarray of int of shape (n_rows,)
        Code of the person of each row.
    site : ndarray of int of shape (n_rows,), default=None
        Code of the site of each row. None: persons are drawn from all; else sites are drawn, and
        from each as many of its persons as it has.
    """

    def __init__(self, person: np.ndarray, site: np.ndarray | None = None) -> None:
        place = np.zeros_like(person) if site is None else site
        self.rows = np.lexsort((person, place))  # unit by unit, site by site
        pairs = np.column_stack([place, person])
        units, self.unit_sizes = np.unique(pairs, axis=0, return_counts=True)
        self.unit_starts = np.cumsum(self.unit_sizes) - self.unit_sizes
        self.site_sizes = np.bincount(units[:, 0])
        self.site_starts = np.cumsum(self.site_sizes) - self.site_sizes
        self.n_units = len(units)

    def draw(self, seed: int) -> np.ndarray:
        """Draw the row numbers of one sample."""
        random = np.random.default_rng(seed)
        n_sites = len(self.site_sizes)
        # a single site is not drawn: it would be drawn for certain
        sites = random.integers(n_sites, size=n_sites) if n_sites > 1 else np.zeros(1, dtype=int)
        sizes = self.site_sizes[sites]
        chosen = random.integers(np.repeat(sizes, sizes))
        return self._rows_of(np.repeat(self.site_starts[sites], sizes) + chosen)

    def without(self, unit: int) -> np.ndarray:
        """Row numbers of all units but one, for the jackknife."""
        return self._rows_of(np.delete(np.arange(self.n_units), unit))

    def _rows_of(self, units: np.ndarray) -> np.ndarray:
        return self.rows[concatenated_ranges(self.unit_starts[units], self.unit_sizes[units])]


def concatenated_ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Concatenate ``range(start, start + size)`` of all pairs, without a loop."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - sizes), sizes)
