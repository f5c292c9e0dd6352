import numpy as np
from scipy.stats import f_oneway

from mresklearn.confounds._marginal_tests import anova, hsic


def draw(n_columns, seed=0):
    random = np.random.default_rng(seed)
    codes = random.permutation(np.repeat([0, 1, 2], [30, 20, 10]))
    return random.normal(size=(60, n_columns)), codes, random


def test_anova_is_that_of_scipy():
    values, codes, _ = draw(1)
    values = values[:, 0] + 0.5 * codes
    result = anova(values, codes)
    expected = f_oneway(*(values[codes == k] for k in range(3)))
    np.testing.assert_allclose(result.statistic, expected.statistic)
    np.testing.assert_allclose(result.p_value, expected.pvalue)


def test_anova_effect_is_free_of_bias():
    # without an effect eta squared is (K - 1) / (n - 1) on average, and epsilon squared 0
    values, codes, _ = draw(2000)
    results = [anova(column, codes) for column in values.T]
    np.testing.assert_allclose(np.mean([r.partial_r2 for r in results]), 2 / 59, rtol=0.05)
    assert abs(np.mean([r.effect for r in results])) < 0.002
    np.testing.assert_allclose(np.mean([r.statistic for r in results]), 57 / 55, rtol=0.05)


def test_hsic_is_the_trace_of_its_definition():
    values, codes, _ = draw(4)
    result = hsic(values, codes, 10, random_state=0)
    squared = np.sum((values[:, None] - values) ** 2, axis=2)
    bandwidth = np.median(np.sqrt(squared[np.triu_indices(60, 1)]))
    kernel = np.exp(-squared / (2 * bandwidth**2))
    centring = np.eye(60) - 1 / 60
    trace = np.trace(kernel @ centring @ (codes[:, None] == codes) @ centring)
    np.testing.assert_allclose(result.statistic, trace / 59**2)
    assert result.null.shape == (10,)


def test_hsic_sees_what_means_do_not():
    values, codes, _ = draw(1)
    values = values * (1 + 4 * (codes == 1))[:, None]
    result = hsic(values, codes, 199, random_state=0)
    assert result.statistic > result.null.max()


def test_hsic_takes_a_column_with_many_equal_values():
    values = np.repeat([0.0, 1.0], [55, 5])[:, None]
    result = hsic(values, draw(1)[1], 19, random_state=0)
    assert np.isfinite(result.statistic)
    assert np.isfinite(result.null).all()
