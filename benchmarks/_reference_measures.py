"""Measures of confounds beside those of other packages on the same cohorts; for the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
import torch
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from skbio import DistanceMatrix
from skbio.stats.distance import permanova, permdisp
from skbio.stats.ordination import rda
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.dist_dependence_measures import distance_statistics
from statsmodels.stats.oneway import anova_oneway, confint_noncentrality
from tqdm import tqdm

from mresklearn.confounds import site_effect_test
from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._association import associate
from mresklearn.confounds._commonality import commonality
from mresklearn.confounds._dispersion import dispersion
from mresklearn.confounds._intervals import explained_variance_interval
from mresklearn.confounds._marginal_tests import hsic
from mresklearn.confounds._partial_r2 import partial_r2_permutations
from mresklearn.confounds._redundancy import redundancy
from mresklearn.confounds._roles import Variable

__all__ = ["Cohort", "by_permdisp", "compare_measures", "distances", "settings"]

SAME = "same"


@dataclass(frozen=True)
class Cohort:
    """Features of people, their age and site."""

    X: np.ndarray
    age: np.ndarray
    site: np.ndarray

    @property
    def n(self) -> int:
        return len(self.site)

    @property
    def df(self) -> tuple[int, int]:
        """Degrees of freedom of site, and of what is left without age."""
        return self.site.max(), self.n - self.site.max() - 1

    @property
    def member(self) -> np.ndarray:
        return np.eye(self.site.max() + 1)[self.site]

    @property
    def ones(self) -> np.ndarray:
        return np.ones((self.n, 1))

    @property
    def curve(self) -> np.ndarray:
        return age_spline(self.age)


def random_cohort(seed: int, n_columns: int | None = None) -> Cohort:
    """Draw people, sites of unequal size, features, and what age and site do to them."""
    rng = np.random.default_rng(seed)
    n_sites = rng.integers(3, 8)
    site = np.repeat(np.arange(n_sites), rng.integers(8, 60, n_sites))
    p = n_columns or rng.integers(2, 11)
    age = rng.normal(50 + 3 * site, 10)
    X = rng.normal(size=(len(site), p)) * rng.uniform(0.5, 5, p)
    X *= rng.uniform(0.5, 2, n_sites)[site, None]
    X += np.outer(age / 10, rng.normal(size=p)) + rng.normal(size=(n_sites, p))[site]
    return Cohort(X, age, site)


def settings(n_permutations: int = 1, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"n_permutations": n_permutations, "confidence": 0.95, "random_state": rng}


def pseudo_f(share: float, df: tuple[int, int]) -> float:
    return share / df[0] / ((1 - share) / df[1])


def distances(X: np.ndarray) -> DistanceMatrix:
    return DistanceMatrix(squareform(pdist(X)))


def by_permdisp(X: np.ndarray, site: np.ndarray, **options: Any) -> pd.Series:
    chosen = {"test": "centroid", "permutations": 0, "dimensions": X.shape[1], **options}
    return permdisp(distances(X), site.astype(str), **chosen)


def by_rda(X: np.ndarray, design: np.ndarray, power: int = 2) -> float:
    """Return the constrained share of what scikit-bio calls eigenvalues, to a power."""
    size = np.asarray(rda(pd.DataFrame(X), pd.DataFrame(design)).eigvals) ** power
    return size[: min(X.shape[1], design.shape[1])].sum() / size.sum()


def grouping(codes: np.ndarray) -> Variable:
    levels = tuple(map(str, range(int(codes.max()) + 1)))
    return Variable("group", "categorical", "technical", codes.astype(float), levels)


def number(values: np.ndarray, kind: str = "continuous") -> Variable:
    return Variable("number", kind, "biological", values.astype(float))


def scanner_of(c: Cohort) -> np.ndarray:
    """Draw a grouping of three levels that goes with site."""
    return (c.site + np.random.default_rng(c.n).integers(0, 2, c.n)) % 3


def permanova_f(c: Cohort):
    effect = redundancy(c.X, c.ones, c.member, c.site, **settings())
    found = permanova(distances(c.X), c.site.astype(str), permutations=0)
    return pseudo_f(effect.value, c.df), found["test statistic"]


def share_beyond_age(c: Cohort, power: int = 2):
    both = np.hstack([c.curve, c.member[:, 1:]])[:, 1:]
    before, after = by_rda(c.X, c.curve[:, 1:], power), by_rda(c.X, both, power)
    effect = redundancy(c.X, c.curve, c.member, c.site, **settings())
    return effect.value, (after - before) / (1 - before)


def parts(c: Cohort):
    age, site = c.curve[:, 1:], c.member[:, 1:]
    adjusted = []
    for design in (age, site, np.hstack([age, site])):
        share = by_rda(c.X, design)
        adjusted.append(1 - (1 - share) * (c.n - 1) / (c.n - 1 - design.shape[1]))
    effects = commonality(c.X, c.ones, age, c.member, c.site, **settings())
    of_age, of_site, of_both = adjusted
    theirs = [of_both - of_site, of_both - of_age, of_age + of_site - of_both]
    return [effect.value_adj for effect in effects], theirs


def spread(c: Cohort, *, equal: bool = False, widened: bool = False, **options: Any):
    site = np.arange(c.n) % 4 if equal else c.site
    X = c.X[: c.n // 4 * 4] if equal else c.X
    c = Cohort(X, c.age[: len(X)], site[: len(X)])
    effect, _ = dispersion(c.X, c.ones, c.site, **settings())
    if widened:
        size = np.bincount(c.site)[c.site, None]
        centre = c.member @ np.linalg.lstsq(c.member, c.X, rcond=None)[0]
        X = centre + (c.X - centre) * np.sqrt(size / (size - 1))
    return pseudo_f(effect.value, c.df), by_permdisp(X, c.site, **options)["test statistic"]


def spread_beyond_age(c: Cohort):
    effect, _ = dispersion(c.X[:, :1], c.curve, c.site, **settings())
    fit = sm.OLS(c.X[:, 0], np.hstack([c.curve, c.member[:, 1:]])).fit()
    studentised = np.abs(fit.get_influence().resid_studentized_internal)
    theirs = anova_oneway(studentised, c.site, use_var="equal").statistic
    return pseudo_f(effect.value, c.df), theirs


def nested(c: Cohort):
    table = pd.DataFrame({"y": c.X[:, 0], "age": c.age, "site": c.site})
    fits = [smf.ols(f"y ~ bs(age, df=6){site}", table).fit() for site in ("", " + C(site)")]
    found = anova_lm(*fits).iloc[1]
    ours = site_effect_test(c.X[:, 0], c.site, c.age, n_permutations=1, random_state=0)
    before, after = (fit.ssr / fit.df_resid for fit in fits)
    df = found.df_diff, found.df_resid
    return [pseudo_f(ours.partial_r2, df), ours.effect], [found.F, 1 - after / before]


def score(c: Cohort, *, of_residuals: bool):
    curve, sites = c.curve, c.member[:, 1:]
    ours = partial_r2_permutations(c.X[:, :1], curve, c.site, 1, random_state=0)
    y, full, reduced = c.X[:, 0], np.hstack([curve, sites]), curve
    if of_residuals:
        y = sm.OLS(y, curve).fit().resid
        full, reduced = sites - curve @ np.linalg.lstsq(curve, sites, rcond=None)[0], c.ones
    fit = sm.OLS(y, full).fit(cov_type="HC0")
    theirs = fit.compare_lm_test(sm.OLS(y, reduced).fit(), demean=False)[0]
    return ours.statistic[0] * ours.n_directions, theirs


def epsilon_squared(c: Cohort):
    effect, _ = associate(grouping(c.site), number(c.X[:, 0]), **settings())
    fit = sm.OLS(c.X[:, 0], c.member).fit()
    return [effect.value, effect.value_adj], [fit.rsquared, fit.rsquared_adj]


def epsilon_squared_of_ranks(c: Cohort):
    ranked = np.round(c.X[:, 0])
    effect, _ = associate(grouping(c.site), number(ranked, "ordinal"), **settings())
    h = stats.kruskal(*(ranked[c.site == k] for k in np.unique(c.site))).statistic
    return effect.value, h / (c.n - 1)


def cramers_v(c: Cohort):
    effect, _ = associate(grouping(c.site), grouping(scanner_of(c)), **settings())
    table = stats.contingency.crosstab(c.site, scanner_of(c)).count
    return effect.value, stats.contingency.association(table, method="cramer")


def corrected_cramers_v(c: Cohort):
    from torchmetrics.functional.nominal import cramers_v as theirs

    effect, _ = associate(grouping(c.site), grouping(scanner_of(c)), **settings())
    return effect.value_adj, float(theirs(torch.tensor(c.site), torch.tensor(scanner_of(c))))


def spearman(c: Cohort):
    effect, _ = associate(number(c.age), number(c.X[:, 0]), **settings())
    return effect.value, stats.spearmanr(c.age, c.X[:, 0]).statistic


def interval(c: Cohort):
    f_statistic = stats.f_oneway(*(c.X[c.site == k, 0] for k in np.unique(c.site))).statistic
    limits = confint_noncentrality(f_statistic, c.df)
    ours = explained_variance_interval(f_statistic, *c.df, c.n, 0.95)
    return ours, limits / (limits + c.n)


def kernel_distances(c: Cohort) -> tuple[np.ndarray, np.ndarray]:
    """Return one less the kernels, as HSIC has them."""
    length = pdist(c.X)
    kernel = np.exp(-((length / np.median(length)) ** 2) / 2)
    return squareform(1 - kernel), (c.site[:, None] != c.site).astype(float)


def hsic_and_statsmodels(c: Cohort):
    x_dist, y_dist = kernel_distances(c)
    found = distance_statistics(c.X, c.X, x_dist=x_dist, y_dist=y_dist)
    ours = hsic(c.X, c.site, 1, random_state=0).statistic * (c.n - 1) ** 2 / c.n**2
    return ours, found.distance_covariance**2


def hsic_and_dcor(c: Cohort):
    import dcor

    centred = [dcor.double_centered(part) for part in kernel_distances(c)]
    ours = hsic(c.X, c.site, 1, random_state=0).statistic * (c.n - 1) ** 2 / c.n**2
    return ours, dcor.mean_product(*centred)


@dataclass(frozen=True)
class Comparison:
    """One measure, theirs, how to compute both, and why they differ where they do."""

    measure: str
    theirs: str
    values: Callable[[Cohort], tuple[Any, Any]]
    reason: str = SAME
    n_columns: int | None = None
    needs: str = "skbio"


COMPARISONS = (
    Comparison("redundancy: pseudo F of site", "scikit-bio permanova", permanova_f),
    Comparison("redundancy: share beyond age", "scikit-bio rda, squares", share_beyond_age),
    Comparison(
        "redundancy: share beyond age",
        "scikit-bio rda, proportion_explained",
        partial(share_beyond_age, power=1),
        "theirs are shares of singular values, not of variance (its issue 2033)",
    ),
    Comparison("commonality: unique and shared, adjusted", "scikit-bio rda, three", parts),
    Comparison("dispersion: F, equal groups", "scikit-bio permdisp", partial(spread, equal=True)),
    Comparison(
        "dispersion: F, unequal groups",
        "scikit-bio permdisp, people moved by sqrt(n / (n - 1))",
        partial(spread, widened=True),
    ),
    Comparison(
        "dispersion: F, unequal groups",
        "scikit-bio permdisp",
        spread,
        "the centre of a small group is near its people; ours divides by sqrt(1 - leverage), as "
        "vegan's betadisper does with bias.adjust",
    ),
    Comparison(
        "dispersion: F, equal groups",
        "scikit-bio permdisp, around medians (its default)",
        partial(spread, equal=True, test="median"),
        "spatial median, not mean; a median of residuals cannot hold age fixed",
    ),
    Comparison(
        "dispersion: F, equal groups, 40 columns",
        "scikit-bio permdisp, 10 dimensions (its default)",
        partial(spread, equal=True, dimensions=10),
        "theirs keeps the 10 largest principal coordinates",
        n_columns=40,
    ),
    Comparison(
        "dispersion beyond age: F, one column",
        "statsmodels, ANOVA of internally studentised residuals",
        spread_beyond_age,
    ),
    Comparison("partial R2: nested F, adjusted R2", "statsmodels anova_lm, bs(age, df=6)", nested),
    Comparison(
        "robust score statistic",
        "statsmodels compare_lm_test HC0, of residuals",
        partial(score, of_residuals=True),
    ),
    Comparison(
        "robust score statistic",
        "statsmodels compare_lm_test HC0",
        partial(score, of_residuals=False),
        "theirs takes age off the sites with weights by squared residuals, which is right only "
        "where noise does not change with age",
    ),
    Comparison("eta and epsilon squared", "statsmodels OLS", epsilon_squared),
    Comparison("eta squared of ranks", "SciPy kruskal, H / (n - 1)", epsilon_squared_of_ranks),
    Comparison(
        "interval of eta squared",
        "statsmodels confint_noncentrality",
        interval,
        "theirs inverts the noncentral F to about three digits; ours puts F at the tails to 1e-9",
    ),
    Comparison("Cramer's V", "SciPy association", cramers_v),
    Comparison(
        "Cramer's V, bias-corrected",
        "torchmetrics cramers_v",
        corrected_cramers_v,
        "theirs in float32; of two by two levels it takes Yates' correction besides",
        needs="torchmetrics",
    ),
    Comparison("Spearman's correlation", "SciPy spearmanr", spearman),
    Comparison(
        "HSIC, times (1 - 1 / n)^2",
        "statsmodels, distance covariance of 1 - kernel",
        hsic_and_statsmodels,
    ),
    Comparison(
        "HSIC, times (1 - 1 / n)^2",
        "dcor, distance covariance of 1 - kernel",
        hsic_and_dcor,
        needs="dcor",
    ),
)


def compare_measures(repeats: int, seed: int) -> list[dict[str, Any]]:
    """Return the largest difference of every comparison over random cohorts."""
    rows = []
    for comparison in tqdm(COMPARISONS, desc="Measures", leave=False):
        row = {"measure": comparison.measure, "theirs": comparison.theirs}
        if find_spec(comparison.needs) is None:
            rows.append(row | {"reason": f"{comparison.needs} is not installed"})
            continue
        cohorts = (random_cohort(seed + i, comparison.n_columns) for i in range(repeats))
        pairs = [np.broadcast_arrays(*comparison.values(cohort)) for cohort in cohorts]
        ours, theirs = (np.ravel(side).astype(float) for side in zip(*pairs, strict=True))
        rows.append(
            row
            | {
                "smallest": theirs.min(),
                "largest": theirs.max(),
                "largest_difference": np.abs(ours - theirs).max(),
                "reason": comparison.reason,
            }
        )
    return rows
