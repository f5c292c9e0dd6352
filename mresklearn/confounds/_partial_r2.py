"""What site adds to a reduced model of every column: partial R2, and p from permutations."""

from __future__ import annotations

from functools import partial

import numpy as np
from joblib import Parallel, delayed
from sklearn.utils import Bunch, check_random_state
from tqdm import tqdm

from ._permuted_scores import CELLS, SCHEMES, draw_permutations, least_tie, with_ties
from ._robust_score import RobustScore
from ._site_directions import SiteDirections

__all__ = ["partial_r2_permutations"]


def partial_r2_permutations(
    Y: np.ndarray,
    reduced_design: np.ndarray,
    site_codes: np.ndarray,
    n_permutations: int = 999,
    *,
    scheme: str = "freedman_lane",
    strata: np.ndarray | None = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    dtype: type = np.float32,
) -> Bunch:
    r"""Measure and test what site adds to a reduced model, for many columns at once.

    Parameters
    ----------
    Y : ndarray of shape (n_rows, n_columns)
        Columns to explain, such as voxels; any unit. Columns that are not finite, or that the
        reduced design explains exactly, get NaN throughout.
    reduced_design : ndarray of shape (n_rows, n_reduced)
        Columns that are held fixed, such as :func:`age_spline`; an intercept among them.
    site_codes : ndarray of int of shape (n_rows,)
        Site of each row.
    n_permutations : int, default=999
        Random permutations. All columns get the same ones.
    scheme : {"freedman_lane", "without_refit"}, default="freedman_lane"
        Permute the residuals of the reduced model, fit it again and test [1]_ [2]_. Or correct for
        the new fit by what it takes up in all, not row by row: several times faster, for voxels.
        The two agree for hundreds of rows; for tens, the second is cautious.
    strata : ndarray of int of shape (n_rows,), default=None
        Permute within these only.
    random_state : int, RandomState instance or None, default=None
        Seed of the permutations.
    n_jobs : int or None, default=None
        Blocks of columns computed at the same time, in threads. The result does not depend on it.
    verbose : int, default=0
        1 shows a progress bar.
    dtype : type, default=numpy.float32
        Precision of the permutations. What is said of the data as they are is in float64.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        With the attributes:

        partial_r2, adjusted_r2 : ndarray of shape (n_columns,)
            Share of the variance left by the reduced model that site explains, raw and unbiased:
            :math:`1 - RSS_1 / RSS_0` and :math:`1 - (RSS_1 / df_1) / (RSS_0 / df_0)`.
        statistic, null_mean : ndarray of shape (n_columns,)
            Robust score statistic over its degrees of freedom, near 1 without an effect, and its
            mean over permutations.
        p_value, p_max : ndarray of shape (n_columns,)
            p of each column alone, and corrected for all columns by the largest statistic.
        mean_statistic, max_statistic : float
            Of the columns that can be tested.
        mean_null, max_null : ndarray of shape (n_permutations,)
            The same in each permutation; equal to that of the data where rounding alone differs.
        n_directions, df_residual : int
            Degrees of freedom of site, and those left.

    Raises
    ------
    ValueError
        If site adds nothing to the reduced design, or no degrees of freedom are left.

    Notes
    -----
    With residuals e of the reduced model and an orthonormal basis U of the site columns beyond it,
    the statistic is the score statistic with the covariance of White [3]_,

    .. math:: T = \frac{1}{r}\, u^\top V^{-1} u, \quad u = U^\top e, \quad
        V = \sum_i e_i^2 \, U_i U_i^\top .

    The F statistic, which has :math:`\hat\sigma^2 I` for V, is not used: where sites differ in size
    and the noise changes with age, its permutations reject several times too often, since they
    cut the tie of noise and site. T has the same limit whatever the noise is, so its permutations
    hold their level then as well [4]_, if sites are not tiny: a handful of people with much more
    noise than the others is still found too often. For two sites, the square of the generalised
    covariance measure [5]_ is :math:`n T / (n - T)`, and grows with T. The multipliers of that
    paper in place of permutations reject too often where the noise is skewed
    (``benchmarks/confound_tests_level.py``).

    Without refit, with :math:`\pi e` a permutation of e, Q an orthonormal basis of the reduced
    design and :math:`V^\circ` the covariance computed from :math:`\pi e` as it is,

    .. math:: T^\pi \approx \frac{1}{r}\, (U^\top \pi e)^\top (V^\circ)^{-1} (U^\top \pi e) \,
        \frac{\|e\|^2}{\|e\|^2 - \|Q^\top \pi e\|^2} .

    References
    ----------
    .. [1] Freedman, D., Lane, D. (1983). A nonstochastic interpretation of reported significance
       levels. Journal of Business and Economic Statistics 1, 292-298.
    .. [2] Winkler, A. M., Ridgway, G. R., Webster, M. A., Smith, S. M., Nichols, T. E. (2014).
       Permutation inference for the general linear model. NeuroImage 92, 381-397.
    .. [3] White, H. (1980). A heteroskedasticity-consistent covariance matrix estimator and a
       direct test for heteroskedasticity. Econometrica 48, 817-838.
    .. [4] DiCiccio, C. J., Romano, J. P. (2017). Robust permutation tests for correlation and
       regression coefficients. Journal of the American Statistical Association 112, 1211-1220.
    .. [5] Shah, R. D., Peters, J. (2020). The hardness of conditional independence testing and the
       generalised covariance measure. Annals of Statistics 48, 1514-1538.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme must be one of {list(SCHEMES)}, got {scheme!r}.")
    site = SiteDirections(reduced_design, site_codes)
    _check_design(site)
    orders = draw_permutations(len(Y), n_permutations, check_random_state(random_state), strata)
    test = partial(_block, site=site, orders=orders, scheme=scheme, dtype=dtype)
    width = max(1, CELLS[scheme] // len(Y))
    blocks = [slice(start, start + width) for start in range(0, Y.shape[1], width)]
    parts = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(test)(Y[:, block]) for block in blocks
    )
    bar = tqdm(parts, total=len(blocks), disable=not verbose, desc="Columns", unit="block")
    result = _gathered(list(bar), n_permutations)
    return Bunch(**result, n_directions=site.n_directions, df_residual=site.df_residual)


def _check_design(site: SiteDirections) -> None:
    if site.n_directions == 0:
        raise ValueError(
            "The reduced design (age, covariates) tells the site of every row, so nothing is left "
            "that site could add. Leave out the covariate that does so."
        )
    if site.df_residual < 1:
        raise ValueError(
            f"{len(site.reduced)} rows are too few for {site.reduced.shape[1]} columns of age and "
            f"covariates and {site.n_directions} of site. Pool small sites, or drop covariates."
        )


def _block(
    Y: np.ndarray, site: SiteDirections, orders: np.ndarray, scheme: str, dtype: type
) -> Bunch:
    """Test a block of columns, and keep what can be merged with other blocks."""
    finite = np.isfinite(Y).all(axis=0)
    residuals = site.residuals(np.where(finite, Y, 0.0))
    length = np.linalg.norm(residuals, axis=0)
    usable = length > 0
    residuals = residuals[:, usable] * (np.sqrt(len(Y)) / length[usable])
    observed = RobustScore(site.basis).statistic(residuals)
    partial_r2, adjusted_r2 = site.partial_r2(residuals)
    part = Bunch(
        usable=usable,
        statistic=observed,
        partial_r2=partial_r2,
        adjusted_r2=adjusted_r2,
        exceeded=np.zeros(len(observed), dtype=int),
        null_sum=np.zeros(len(observed)),
        null_max=np.full(len(orders), -np.inf),
        null_total=np.zeros(len(orders)),
    )
    if usable.any():
        permuted = SCHEMES[scheme](residuals.astype(dtype), site.reduced, site.basis, orders)
        for batch, null in permuted:
            part.exceeded += np.sum(null >= least_tie(observed), axis=0)
            part.null_sum += null.sum(axis=0, dtype=np.float64)
            part.null_max[batch] = null.max(axis=1)
            part.null_total[batch] = null.sum(axis=1, dtype=np.float64)
    return part


def _gathered(parts: list[Bunch], n_permutations: int) -> dict:
    """Merge blocks of columns, and put NaN for the columns that cannot be tested."""
    usable = np.concatenate([part.usable for part in parts])

    def spread(name: str) -> np.ndarray:
        whole = np.full(len(usable), np.nan)
        whole[usable] = np.concatenate([part[name] for part in parts])
        return whole

    statistic = spread("statistic")
    null_max = np.max([part.null_max for part in parts], axis=0)
    null_total = np.sum([part.null_total for part in parts], axis=0)
    below = np.searchsorted(np.sort(null_max), least_tie(statistic))
    return {
        "partial_r2": spread("partial_r2"),
        "adjusted_r2": spread("adjusted_r2"),
        "statistic": statistic,
        "null_mean": spread("null_sum") / n_permutations,
        "p_value": (1 + spread("exceeded")) / (1 + n_permutations),
        "p_max": np.where(usable, (1 + n_permutations - below) / (1 + n_permutations), np.nan),
        **_over_columns(statistic[usable], null_total, null_max),
    }


def _over_columns(statistic: np.ndarray, null_total: np.ndarray, null_max: np.ndarray) -> dict:
    """Return mean and largest statistic of the columns that can be tested, and of permutations."""
    if len(statistic) == 0:
        nothing = np.full(len(null_total), np.nan)
        return dict.fromkeys(("mean_statistic", "max_statistic"), np.nan) | dict.fromkeys(
            ("mean_null", "max_null"), nothing
        )
    mean, largest = float(statistic.mean()), float(statistic.max())
    return {
        "mean_statistic": mean,
        "max_statistic": largest,
        "mean_null": with_ties(null_total / len(statistic), mean),
        "max_null": with_ties(null_max, largest),
    }
