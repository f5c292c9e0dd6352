"""Means and scatter of every site: all that a harmoniser needs to know of its training people."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array

from .._metadata import check_labels
from ._coding import numeric_frame
from ._finite_numbers import naming_bad_values

__all__ = ["SiteMoments"]

BLOCK_BYTES = 2**21


@dataclass(frozen=True, eq=False)
class SiteMoments:
    """Counts, means and scatter of covariates and features by site; parts of a study add up.

    People may be spread over files, processes or hospitals: each part makes its own moments, and
    their sum is that of all people together, up to rounding. No person's values leave a part.

    Parameters
    ----------
    sites : tuple of str
        Labels, sorted.
    covariates : tuple of str
        Names of the columns that are held fixed.
    counts : ndarray of shape (n_sites,)
        People.
    covariate_means : ndarray of shape (n_sites, n_covariates)
        Means of the covariates.
    covariate_scatter : ndarray of shape (n_sites, n_covariates, n_covariates)
        Sums of products of the covariates, centred by site.
    means : ndarray of shape (n_sites, n_features)
        Means of the features.
    cross_scatter : ndarray of shape (n_sites, n_covariates, n_features)
        Sums of products of covariates and features, centred by site.
    squares : ndarray of shape (n_sites, n_features)
        Sums of squares of the features, centred by site.
    features : tuple of str or int, or None, default=None
        Columns of the DataFrame that they come from; None for arrays.

    See Also
    --------
    ComBat.fit_moments : Fits to a sum of moments.

    References
    ----------
    Chan, Golub & LeVeque (1983), The American Statistician: the sum of two centred scatters.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.harmonization import SiteMoments
    >>> X, site = np.array([[1.0], [3.0], [10.0]]), ["Mayo", "Mayo", "Utah"]
    >>> whole = SiteMoments.from_rows(X, site)
    >>> parts = [SiteMoments.from_rows(X[:1], site[:1]), SiteMoments.from_rows(X[1:], site[1:])]
    >>> bool(np.allclose(sum(parts).squares, whole.squares))
    True
    """

    sites: tuple[str, ...]
    covariates: tuple[str, ...]
    counts: np.ndarray
    covariate_means: np.ndarray
    covariate_scatter: np.ndarray
    means: np.ndarray
    cross_scatter: np.ndarray
    squares: np.ndarray
    features: tuple[Hashable, ...] | None = None

    @classmethod
    def from_rows(cls, X: Any, site: Any, covariates: Any = None) -> SiteMoments:
        """Gather the moments of some people.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, features)
            Features alone; a memory-mapped file is read a block of columns at a time.
        site : array-like of shape (n,)
            Site of each row.
        covariates : DataFrame of numbers or array of shape (n, covariates), default=None
            What is held fixed. The target of the analysis is a column named ``"target"``.

        Returns
        -------
        moments : SiteMoments
            Moments of these people.

        Raises
        ------
        ValueError
            If a feature, a site or a covariate is missing, or lengths differ.
        """
        features = tuple(X.columns) if isinstance(X, pd.DataFrame) else None
        with naming_bad_values(X):
            X = check_array(X, input_name="X")
        codes, sites = check_labels(site, len(X), name="site")
        frame = numeric_frame(covariates, len(X))
        groups = SiteGroups(codes, len(sites), frame.to_numpy(np.float64))
        means, cross, squares = (
            np.concatenate(part, axis=-1) for part in zip(*groups.blocks(X), strict=True)
        )
        return cls(
            tuple(sites), tuple(frame.columns), groups.counts, groups.covariate_means,
            groups.covariate_scatter, means, cross, squares, features,
        )  # fmt: skip

    def __add__(self, other: Any) -> SiteMoments:
        """Return the moments of both groups of people together."""
        if isinstance(other, int) and other == 0:  # so that sum() works
            return self
        if not isinstance(other, SiteMoments):
            return NotImplemented
        self._check_same_columns(other)
        sites = tuple(sorted({*self.sites, *other.sites}))
        a, b = self._at(sites), other._at(sites)
        counts = a.counts + b.counts
        weight = a.counts * b.counts / counts
        share = b.counts / counts
        z, x = b.covariate_means - a.covariate_means, b.means - a.means
        return SiteMoments(
            sites,
            self.covariates,
            counts,
            a.covariate_means + share[:, None] * z,
            a.covariate_scatter + b.covariate_scatter + np.einsum("k,ki,kj->kij", weight, z, z),
            a.means + share[:, None] * x,
            a.cross_scatter + b.cross_scatter + np.einsum("k,ki,kp->kip", weight, z, x),
            a.squares + b.squares + weight[:, None] * x**2,
            self.features or other.features,
        )

    __radd__ = __add__

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self.means.shape[1]

    def blocks(self, block_size: int | None = None) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield means, cross scatter and squares of some features at a time.

        Parameters
        ----------
        block_size : int or None, default=None
            Features at a time; None takes as many as stay in a processor's cache.

        Yields
        ------
        means, cross_scatter, squares : ndarray
            Those parts of the attributes of the same names.
        """
        for part in column_blocks(len(self.sites), self.n_features, block_size):
            yield self.means[:, part], self.cross_scatter[..., part], self.squares[:, part]

    def _check_same_columns(self, other: SiteMoments) -> None:
        """Refuse to add what was gathered from other columns."""
        if self.covariates != other.covariates or self.n_features != other.n_features:
            raise ValueError(
                f"Moments of {self.n_features} features given {list(self.covariates)} do not add "
                f"to those of {other.n_features} given {list(other.covariates)}. Gather both from "
                "the same columns in the same order."
            )
        if self.features and other.features and self.features != other.features:
            pairs = zip(self.features, other.features, strict=True)
            first = next((a, b) for a, b in pairs if a != b)
            raise ValueError(
                f"Moments do not add up: where one part has feature '{first[0]}', another has "
                f"'{first[1]}'. Gather both from the same columns in the same order."
            )

    def _at(self, sites: Sequence[str]) -> SiteMoments:
        """Return the same moments over more sites, those without people empty."""
        place = [sites.index(name) for name in self.sites]

        def spread(values: np.ndarray) -> np.ndarray:
            out = np.zeros((len(sites), *values.shape[1:]), values.dtype)
            out[place] = values
            return out

        return SiteMoments(
            tuple(sites), self.covariates, spread(self.counts), spread(self.covariate_means),
            spread(self.covariate_scatter), spread(self.means), spread(self.cross_scatter),
            spread(self.squares), self.features,
        )  # fmt: skip


class SiteGroups:
    """Rows by site and their covariates, for features that come a block of columns at a time."""

    def __init__(self, codes: np.ndarray, n_sites: int, covariates: np.ndarray) -> None:
        self.rows = rows_by_site(codes, n_sites)
        self.counts = np.bincount(codes, minlength=n_sites)
        self.covariate_means = np.array([covariates[rows].mean(axis=0) for rows in self.rows])
        self._centred = [
            covariates[rows] - mean
            for rows, mean in zip(self.rows, self.covariate_means, strict=True)
        ]
        self.covariate_scatter = np.array([centred.T @ centred for centred in self._centred])
        # values that one feature takes at a time: people of a site, or moments of all sites
        moments = n_sites * (covariates.shape[1] + 2)
        self._width_of_work = max(int(self.counts.max()), moments)

    def blocks(
        self, X: np.ndarray, block_size: int | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield the moments of some features at a time."""
        for part in column_blocks(self._width_of_work, X.shape[1], block_size):
            yield self.moments(X[:, part])

    def moments(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return means, cross scatter and squares of a block of features, by site."""
        n_sites, n_features = len(self.rows), X.shape[1]
        means = np.empty((n_sites, n_features))
        cross = np.empty((n_sites, self.covariate_means.shape[1], n_features))
        squares = np.empty((n_sites, n_features))
        for site, (rows, centred) in enumerate(zip(self.rows, self._centred, strict=True)):
            # indices have copied already, slices have not
            values = X[rows].astype(np.float64, copy=isinstance(rows, slice))
            # two passes: a large common offset would cancel in one
            np.mean(values, axis=0, out=means[site])
            values -= means[site]
            np.matmul(centred.T, values, out=cross[site])
            np.einsum("ij,ij->j", values, values, out=squares[site])
        return means, cross, squares


def rows_by_site(codes: np.ndarray, n_sites: int) -> list[Any]:
    """Return the rows of each site, as slices where they lie together."""
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(codes, minlength=n_sites))[:-1])
    return [
        slice(rows[0], rows[-1] + 1) if len(rows) and rows[-1] - rows[0] + 1 == len(rows) else rows
        for rows in groups
    ]


def column_blocks(n_rows: int, n_columns: int, block_size: int | None = None) -> Iterator[slice]:
    """Yield slices of columns; by default as many as stay in a processor's cache.

    Of a file in rows, wide slices are also what makes reading fast: `n_rows` is the most rows that
    are copied at a time, those of one site, not all.
    """
    width = block_size or max(64, BLOCK_BYTES // (8 * max(n_rows, 1)))
    for start in range(0, n_columns, width):
        yield slice(start, min(start + width, n_columns))
