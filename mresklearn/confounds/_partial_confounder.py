"""The partial confounder test, on what age leaves of the values."""

from __future__ import annotations

import numpy as np
from sklearn.utils import Bunch, check_random_state

from ._conditional_permutation import permute_given, site_log_probability
from ._site_directions import SiteDirections

__all__ = ["partial_confounder_permutations"]

CELLS = 2**22  # numbers in a working array
RIDGE = 1e-8
SMALLEST_SQUARE = 1e-3  # of the mean square, whose logarithm is finite


def partial_confounder_permutations(
    Y: np.ndarray,
    reduced_design: np.ndarray,
    site_codes: np.ndarray,
    n_permutations: int = 999,
    *,
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> Bunch:
    """Test whether columns depend on site given age, by drawing sites anew from what age says.

    Parameters
    ----------
    Y : ndarray of shape (n_rows, n_columns)
        Prediction or embedding, finite; no column that `reduced_design` explains wholly.
    reduced_design : ndarray of shape (n_rows, n_reduced)
        Spline of age and covariates, with an intercept.
    site_codes : ndarray of int of shape (n_rows,)
        Site of each row, 0 to K - 1.
    n_permutations : int, default=999
        Conditional permutations.
    random_state : int, RandomState instance or None, default=None
        Seed.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        ``statistic``, the mean over columns of the F of site, and ``null`` of shape
        (n_permutations,).

    Notes
    -----
    The test is that of Spisak (2022), Statistical quantification of confounding bias in machine
    learning models, GigaScience 11, giac082. There the statistic is the R2 of the prediction and
    the confounder, in which the variance of age drowns the site. Any function of prediction and age
    is as valid, and here it is the residual after the spline of age, over the spread of the noise
    at that age, with the part of site that age explains taken off too.
    """
    site = SiteDirections(reduced_design, site_codes)
    residuals = site.residuals(Y)
    noise = site.residuals(residuals / _spread(residuals, site.reduced))
    noise *= np.sqrt(len(Y)) / np.linalg.norm(noise, axis=0)
    statistic = _SiteF(noise, site)
    random = check_random_state(random_state)
    codes = site_codes.astype(np.int32)
    permuted = permute_given(
        codes,
        site_log_probability(reduced_design, codes),
        n_permutations,
        random,
        verbose=verbose,
    )
    return Bunch(statistic=float(statistic(codes[None, :])[0]), null=statistic(permuted))


def _spread(residuals: np.ndarray, reduced: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the noise of each row, up to a factor, smooth in age."""
    floor = SMALLEST_SQUARE * np.mean(residuals**2, axis=0)
    log_square = np.log(residuals**2 + floor)
    return np.exp(reduced @ (reduced.T @ log_square) / 2)


class _SiteF:
    """The F of site in residuals, for many arrangements of the sites.

    Parameters
    ----------
    residuals : ndarray of shape (n_rows, n_columns)
        Orthogonal to the reduced design, with mean square 1.
    site : SiteDirections
        The reduced design, and the degrees of freedom.
    """

    def __init__(self, residuals: np.ndarray, site: SiteDirections):
        self._columns = np.hstack([residuals, site.reduced])
        self._n_columns = residuals.shape[1]
        self._df = site.n_directions, site.df_residual

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Return the mean F over columns of each row of site codes of shape (n, n_rows)."""
        counts = np.bincount(codes[0])[:-1]  # the last site follows from the others
        size = max(1, CELLS // (max(self._columns.shape) * len(counts)))
        parts = [codes[start : start + size] for start in range(0, len(codes), size)]
        return np.concatenate([self._mean_f(part, counts) for part in parts])

    def _mean_f(self, codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
        member = codes[:, None, :] == np.arange(len(counts))[:, None]
        sums = member.astype(np.float64).reshape(-1, codes.shape[1]) @ self._columns
        sums = sums.reshape(len(codes), len(counts), -1)
        of_values, of_reduced = sums[..., : self._n_columns], sums[..., self._n_columns :]
        gram = np.diag(counts * (1 + RIDGE)) - of_reduced @ of_reduced.swapaxes(1, 2)
        explained = np.sum(of_values * np.linalg.solve(gram, of_values), axis=1)
        n_sites, n_left = self._df
        total = codes.shape[1]
        left = np.maximum(total - explained, 1e-12 * total)
        return np.mean((explained / n_sites) / (left / n_left), axis=1)
