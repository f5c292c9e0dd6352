"""Differences between sites, with the rest of the design held fixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._grouped_sums import GroupedSums

__all__ = ["SiteShifts"]

NOTHING_NEW = 1e-8
ESTIMABLE = 1e-6


@dataclass(frozen=True, eq=False)
class SiteShifts:
    r"""Least squares estimates of the shifts of sites, and how precise they are.

    With D the site columns, Z what is held fixed, :math:`M = I - Z Z^+`, and X the features,

    .. math:: W = D^\top M D, \qquad H = D^\top M X,

    the shifts are :math:`W^+ H`, and the rows of :math:`W^{+1/2} H` have independent errors, each
    with the covariance of people within sites.

    Parameters
    ----------
    precision : ndarray of shape (n_sites, n_sites)
        W.
    products : ndarray of shape (n_sites, n_features)
        H.
    """

    precision: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, sums: GroupedSums, features: np.ndarray, groups: np.ndarray) -> SiteShifts:
        """Compare sites among the people of some groups.

        Parameters
        ----------
        sums : GroupedSums
            Products within the design.
        features : ndarray of shape (n_groups, n_sites + n_fixed, n_features)
            Products with the features, or with coordinates in their place.
        groups : ndarray of bool of shape (n_groups,)
            Which groups.
        """
        n_sites = sums.n_sites
        by_site = sums.site_fixed[groups].sum(axis=0)
        # columns of fewer people than columns repeat each other
        regression = by_site @ np.linalg.pinv(
            sums.fixed[groups].sum(axis=0), rcond=NOTHING_NEW, hermitian=True
        )
        total = features[groups].sum(axis=0)
        precision = np.diag(sums.counts[groups].sum(axis=0)) - regression @ by_site.T
        return cls((precision + precision.T) / 2, total[:n_sites] - regression @ total[n_sites:])

    def without(self, site: int) -> SiteShifts:
        """Compare the other sites only; the people of this one still tell of what is held fixed."""
        others = np.delete(np.arange(len(self.precision)), site)
        own = self.precision[site, site]
        share = self.precision[others, site] / own if own > 0 else np.zeros(len(others))
        return SiteShifts(
            self.precision[np.ix_(others, others)] - np.outer(share, self.precision[site, others]),
            self.products[others] - np.outer(share, self.products[site]),
        )

    def independent_rows(self) -> np.ndarray:
        """Return as many rows of independent errors as differences are known, which they span."""
        size, turn = self._eigen()
        return (turn / np.sqrt(size)).T @ self.products

    def of_sites(self) -> np.ndarray:
        """Return the shift of each site; only differences that are known mean something."""
        size, turn = self._eigen()
        return (turn / size) @ (turn.T @ self.products)

    def are_known(self, contrasts: np.ndarray) -> np.ndarray:
        """Return whether each row of contrasts between sites can be told from what is fixed."""
        _, turn = self._eigen()
        left = contrasts - contrasts @ turn @ turn.T
        return np.linalg.norm(left, axis=1) <= ESTIMABLE * np.linalg.norm(contrasts, axis=1)

    def comparable_sites(self) -> np.ndarray:
        """Return a number for each site, the same for sites whose difference is known."""
        n_sites = len(self.precision)
        numbers = np.full(n_sites, -1)
        for site in range(n_sites):
            if numbers[site] < 0:
                known = self.are_known(np.eye(n_sites)[site] - np.eye(n_sites))
                numbers[known | (np.arange(n_sites) == site)] = site
        return numbers

    @property
    def n_known(self) -> int:
        """Number of independent differences that are known."""
        return len(self._eigen()[0])

    def _eigen(self) -> tuple[np.ndarray, np.ndarray]:
        size, turn = np.linalg.eigh(self.precision)
        kept = size > NOTHING_NEW * max(np.diag(self.precision).max(), 1.0)
        return size[kept], turn[:, kept]
