"""Agreement with measures that others wrote: scikit-bio, statsmodels and SciPy.

What no other package measures is in the tests of each file; where ours differs on purpose, the test
says what has to be done to the data for theirs to be the same.
"""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from skbio import DistanceMatrix
from skbio.stats.distance import permanova, permdisp
from skbio.stats.ordination import rda
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.dist_dependence_measures import distance_statistics
from statsmodels.stats.oneway import anova_oneway, confint_noncentrality

from mresklearn.confounds import site_effect_test
from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._association import associate
from mresklearn.confounds._commonality import commonality
from mresklearn.confounds._dispersion import dispersion
from mresklearn.confounds._feature_share import feature_share
from mresklearn.confounds._intervals import explained_variance_interval
from mresklearn.confounds._marginal_tests import anova, hsic
from mresklearn.confounds._partial_r2 import partial_r2_permutations
from mresklearn.confounds._redundancy import redundancy
from mresklearn.confounds._roles import Variable

N, SITES, COLUMNS = 150, 4, 6
DESIGNS = pytest.mark.parametrize("seed", range(5))


def cohort(seed):
    """Features that carry age and site, at sites that differ in age, size and noise."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(SITES), [60, 45, 30, 15])
    age = rng.normal(50 + 4 * site, 10)
    X = rng.normal(size=(N, COLUMNS)) * np.arange(1, COLUMNS + 1)
    X *= rng.uniform(0.5, 2, SITES)[site, None]
    X += np.outer(age / 10, rng.normal(size=COLUMNS)) + rng.normal(size=(SITES, COLUMNS))[site]
    return X, age, site, rng


def settings(n_permutations=9):
    return {
        "n_permutations": n_permutations,
        "confidence": 0.95,
        "random_state": np.random.default_rng(0),
    }


def indicators(site):
    return np.eye(SITES)[site]


def pseudo_f(share, df, df_error):
    return share / df / ((1 - share) / df_error)


def distances(X):
    return DistanceMatrix(squareform(pdist(X)))


def by_permdisp(X, site):
    found = permdisp(
        distances(X), site.astype(str), test="centroid", permutations=0, dimensions=X.shape[1]
    )
    return found["test statistic"]


def by_rda(X, *designs):
    """Constrained share: what scikit-bio calls eigenvalues are their roots (its issue 2033)."""
    design = np.hstack(designs)
    found = rda(pd.DataFrame(X), pd.DataFrame(design))
    variance = np.asarray(found.eigvals) ** 2
    return variance[: min(X.shape[1], design.shape[1])].sum() / variance.sum()


def by_ols(formula, **columns):
    return smf.ols(formula, pd.DataFrame(columns)).fit()


@DESIGNS
def test_redundancy_is_the_permanova_of_scikit_bio(seed):
    X, _, site, _ = cohort(seed)
    effect = redundancy(X, np.ones((N, 1)), indicators(site), site, **settings())
    found = permanova(distances(X), site.astype(str), permutations=0)
    assert pseudo_f(effect.value, 3, N - 4) == pytest.approx(found["test statistic"])


@DESIGNS
def test_redundancy_beyond_age_is_what_site_adds_to_the_redundancy_analysis_of_scikit_bio(seed):
    X, age, site, _ = cohort(seed)
    curve = age_spline(age)
    effect = redundancy(X, curve, indicators(site), site, **settings())
    before = by_rda(X, curve[:, 1:])
    after = by_rda(X, curve[:, 1:], indicators(site)[:, 1:])
    assert effect.value == pytest.approx((after - before) / (1 - before))


@DESIGNS
def test_parts_are_those_of_three_redundancy_analyses_of_scikit_bio(seed):
    X, age, site, _ = cohort(seed)
    curve, sites = age_spline(age)[:, 1:], indicators(site)[:, 1:]
    effects = commonality(X, np.ones((N, 1)), curve, indicators(site), site, **settings())
    r2 = {"age": by_rda(X, curve), "site": by_rda(X, sites), "both": by_rda(X, curve, sites)}
    n_columns = {"age": 6, "site": 3, "both": 9}
    adjusted = {name: 1 - (1 - r2[name]) * (N - 1) / (N - 1 - n_columns[name]) for name in r2}
    for name, shares in (("value", r2), ("value_adj", adjusted)):
        assert [getattr(effect, name) for effect in effects] == pytest.approx(
            [
                shares["both"] - shares["site"],
                shares["both"] - shares["age"],
                shares["age"] + shares["site"] - shares["both"],
            ]
        )


@DESIGNS
def test_dispersion_of_equal_groups_is_the_permdisp_of_scikit_bio(seed):
    X, _, _, _ = cohort(seed)
    group = np.arange(N - 2) % SITES
    effect, _ = dispersion(X[:-2], np.ones((N - 2, 1)), group, **settings())
    assert pseudo_f(effect.value, 3, N - 6) == pytest.approx(by_permdisp(X[:-2], group))


@DESIGNS
def test_dispersion_of_unequal_groups_is_permdisp_once_small_groups_are_widened(seed):
    # permdisp does not know that the centre of a small group lies near its few people
    X, _, site, _ = cohort(seed)
    centre = np.array([X[site == k].mean(axis=0) for k in range(SITES)])[site]
    size = np.bincount(site)[site, None]
    widened = centre + (X - centre) * np.sqrt(size / (size - 1))
    effect, _ = dispersion(X, np.ones((N, 1)), site, **settings())
    assert pseudo_f(effect.value, 3, N - 4) == pytest.approx(by_permdisp(widened, site))


@DESIGNS
def test_dispersion_beyond_age_is_that_of_the_studentised_residuals_of_statsmodels(seed):
    X, age, site, _ = cohort(seed)
    fit = by_ols("y ~ bs(age, df=6) + C(site)", y=X[:, 0], age=age, site=site)
    studentised = np.abs(np.asarray(fit.get_influence().resid_studentized_internal))
    effect, _ = dispersion(X[:, :1], age_spline(age), site, **settings())
    expected = anova_oneway(studentised, site, use_var="equal").statistic
    assert pseudo_f(effect.value, 3, N - 4) == pytest.approx(expected)


@DESIGNS
def test_site_effect_is_the_nested_f_of_statsmodels(seed):
    # the spline is that of the formula, whose knots are at the quartiles too
    X, age, site, rng = cohort(seed)
    motion, sex = rng.exponential(size=N), rng.choice(["f", "m"], N)
    table = {"y": X[:, 0], "age": age, "motion": motion, "sex": sex, "site": site}
    reduced = by_ols("y ~ bs(age, df=6) + motion + C(sex)", **table)
    full = by_ols("y ~ bs(age, df=6) + motion + C(sex) + C(site)", **table)
    found = anova_lm(reduced, full).iloc[1]
    result = site_effect_test(
        X[:, 0],
        site,
        age,
        covariates=pd.DataFrame({"motion": motion, "sex": sex}),
        n_permutations=9,
        random_state=0,
    )
    assert pseudo_f(result.partial_r2, found.df_diff, found.df_resid) == pytest.approx(found.F)
    before, after = reduced.ssr / reduced.df_resid, full.ssr / full.df_resid
    assert result.effect == pytest.approx(1 - after / before)


def test_every_column_has_the_nested_f_of_statsmodels():
    X, age, site, _ = cohort(0)
    curve, sites = age_spline(age), indicators(site)
    full, reduced = np.hstack([curve, sites[:, 1:]]), curve
    expected = [sm.OLS(y, full).fit().compare_f_test(sm.OLS(y, reduced).fit())[0] for y in X.T]
    result = partial_r2_permutations(X, curve, site, 9, random_state=0)
    np.testing.assert_allclose(pseudo_f(result.partial_r2, 3, result.df_residual), expected)
    (median, top), _ = feature_share(X, curve, sites, site, site, **settings())
    shares = 3 * np.array(expected) / (3 * np.array(expected) + result.df_residual)
    assert median.value == pytest.approx(np.median(shares))
    assert top.value == pytest.approx(np.quantile(shares, 0.95))


@DESIGNS
def test_the_robust_statistic_is_the_score_test_of_statsmodels(seed):
    # of the residuals on what is left of the sites: statsmodels would else weight age anew by noise
    X, age, site, _ = cohort(seed)
    curve, sites = age_spline(age), indicators(site)[:, 1:]
    left = sites - curve @ np.linalg.lstsq(curve, sites, rcond=None)[0]
    result = partial_r2_permutations(X, curve, site, 9, random_state=0)
    for statistic, y in zip(result.statistic, X.T, strict=True):
        residual = sm.OLS(y, curve).fit().resid
        full = sm.OLS(residual, left).fit(cov_type="HC0")
        mean = sm.OLS(residual, np.ones(N)).fit()
        assert 3 * statistic == pytest.approx(full.compare_lm_test(mean, demean=False)[0])


def test_p_in_equal_normal_noise_follows_that_of_the_f_test():
    # 40 predictions, from no effect of site to a clear one; ours weights sites by their own noise
    _, age, site, rng = cohort(0)
    curve = age_spline(age)
    X = rng.normal(size=(N, 40)) + np.outer(site / SITES, np.linspace(0, 2, 40))
    result = partial_r2_permutations(X, curve, site, 999, random_state=0)
    expected = stats.f.sf(pseudo_f(result.partial_r2, 3, result.df_residual), 3, result.df_residual)
    assert np.mean(np.abs(result.p_value - expected)) < 0.04
    assert np.corrcoef(result.p_value, expected)[0, 1] > 0.95


@DESIGNS
def test_anova_and_epsilon_squared_are_those_of_statsmodels(seed):
    X, _, site, _ = cohort(seed)
    fit = by_ols("y ~ C(site)", y=X[:, 0], site=site)
    groups, numbers = grouping(site), number(X[:, 0])
    marginal, (effect, _) = anova(X[:, 0], site), associate(groups, numbers, **settings())
    assert marginal.statistic == pytest.approx(fit.fvalue)
    assert marginal.p_value == pytest.approx(fit.f_pvalue)
    for share in (marginal.partial_r2, effect.value):
        assert share == pytest.approx(fit.rsquared)
    for share in (marginal.effect, effect.value_adj):
        assert share == pytest.approx(fit.rsquared_adj)


@DESIGNS
def test_epsilon_squared_of_ranks_is_the_h_of_kruskal_and_wallis(seed):
    X, _, site, _ = cohort(seed)
    score = np.round(X[:, 0])
    effect, _ = associate(grouping(site), number(score, "ordinal"), **settings())
    h = stats.kruskal(*(score[site == k] for k in range(SITES))).statistic
    assert effect.value == pytest.approx(h / (N - 1))
    assert effect.value_adj == pytest.approx((h - SITES + 1) / (N - SITES))


@pytest.mark.parametrize("f_statistic", [0.3, 1.5, 4.0, 20.0])
def test_interval_of_explained_variance_is_that_of_statsmodels(f_statistic):
    # whose inverse of the distribution function stops at about 1e-3 of the noncentrality
    limits = confint_noncentrality(f_statistic, (3, 100), alpha=0.05)
    expected = limits / (limits + 104)
    found = explained_variance_interval(f_statistic, 3, 100, 104, 0.95)
    assert found == pytest.approx(expected, abs=5e-4)


def test_raw_associations_are_those_of_scipy():
    X, age, site, rng = cohort(0)
    scanner = (site + rng.integers(0, 2, N)) % 3
    v, _ = associate(grouping(site), grouping(scanner), **settings())
    table = stats.contingency.crosstab(site, scanner).count
    assert v.value == pytest.approx(stats.contingency.association(table, method="cramer"))
    rho, _ = associate(number(age), number(X[:, 0]), **settings())
    assert rho.value == pytest.approx(stats.spearmanr(age, X[:, 0]).statistic)


@pytest.mark.parametrize("seed", range(3))
def test_p_of_associations_is_that_of_the_permutation_test_of_scipy(seed):
    rng = np.random.default_rng(seed)
    site, group = rng.integers(0, SITES, 60), rng.integers(0, 3, 60)
    a, b = rng.normal(size=60) + 0.3 * site, rng.normal(size=60)

    def cramers_v(permuted):
        return stats.contingency.association(stats.contingency.crosstab(permuted, site).count)

    def f_statistic(permuted):
        return stats.f_oneway(*(permuted[site == k] for k in range(SITES))).statistic

    def correlation(permuted):
        return abs(stats.spearmanr(permuted, b).statistic)

    for first, second, values, statistic in (
        (grouping(site), grouping(group), group, cramers_v),
        (grouping(site), number(a), a, f_statistic),
        (number(a), number(b), a, correlation),
    ):
        expected = stats.permutation_test(
            (values,),
            statistic,
            permutation_type="pairings",
            n_resamples=499,
            alternative="greater",
            vectorized=False,
            random_state=np.random.default_rng(0),
        ).pvalue
        effect, _ = associate(first, second, **settings(1999))
        error = np.sqrt(expected * (1 - expected) * (1 / 500 + 1 / 2000))
        assert abs(effect.p - expected) <= 4 * error + 0.002


@DESIGNS
def test_hsic_is_the_distance_covariance_of_statsmodels_with_one_less_each_kernel(seed):
    X, _, site, _ = cohort(seed)
    length = pdist(X)
    kernel = squareform(np.exp(-((length / np.median(length)) ** 2) / 2))
    np.fill_diagonal(kernel, 1)
    apart = (site[:, None] != site).astype(float)
    expected = distance_statistics(X, X, x_dist=1 - kernel, y_dist=apart).distance_covariance ** 2
    found = hsic(X, site, 9, random_state=0).statistic
    assert found * (N - 1) ** 2 / N**2 == pytest.approx(expected)


def grouping(codes):
    return Variable("group", "categorical", "technical", np.asarray(codes, float), tuple("abcdef"))


def number(values, kind="continuous"):
    return Variable("number", kind, "biological", np.asarray(values, float))
