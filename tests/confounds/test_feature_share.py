import numpy as np
import pytest

from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._feature_share import feature_share


def measure(X, fixed, added, groups, n_permutations=99, **options):
    return feature_share(
        X,
        fixed,
        added,
        groups,
        np.zeros(len(X), int),
        n_permutations=n_permutations,
        confidence=0.95,
        random_state=np.random.default_rng(0),
        **options,
    )


def cohort(shifted, n=100, p=40):
    rng = np.random.default_rng(0)
    code = rng.integers(0, 3, n)
    X = rng.normal(5, 2, size=(n, p)).astype(np.float32)
    X[:, :shifted] += 2 * code[:, None]
    return X, age_spline(rng.normal(50, 10, n)), np.eye(3)[code], code


def test_quantiles_are_those_of_least_squares_in_every_column():
    X, fixed, site, code = cohort(10)
    effects, adjusted = measure(X, fixed, site, code)
    both = np.hstack([fixed, site])

    def left(design):
        return np.sum((X - design @ np.linalg.lstsq(design, X, rcond=None)[0]) ** 2, axis=0)

    shares = 1 - left(both) / left(fixed)
    assert [e.measure for e in effects] == ["partial_r2_median", "partial_r2_p95"]
    assert effects[0].value == pytest.approx(np.median(shares), rel=1e-5)
    assert effects[1].value == pytest.approx(np.quantile(shares, 0.95), rel=1e-5)
    k = fixed.shape[1]
    np.testing.assert_allclose(adjusted, 1 - (1 - shares) * (100 - k) / (100 - k - 2), rtol=1e-4)


def test_an_effect_on_few_columns_shows_in_the_largest_not_in_the_typical():
    X, fixed, site, code = cohort(4)
    median, top = measure(X, fixed, site, code)[0]
    assert abs(median.value_adj) < 0.02
    assert top.value_adj > 0.2
    assert top.p == 0.01


def test_without_an_effect_both_quantiles_are_those_of_chance():
    X, fixed, site, code = cohort(0, p=2000)
    for effect in measure(X, fixed, site, code, n_permutations=39)[0]:
        assert effect.value == pytest.approx(effect.null_mean, rel=0.1)
        assert abs(effect.value_adj) < 0.01
        assert effect.p > 0.05


def test_numbers_are_tested_elsewhere_and_columns_that_follow_from_age_have_no_share():
    X, fixed, _, _ = cohort(0)
    X[:, 0] = fixed[:, 1]
    effects, adjusted = measure(X, fixed, np.arange(100.0)[:, None], None)
    assert np.isnan(effects[0].p)
    assert effects[0].reason == "Tested by rda_partial_r2."
    assert adjusted[0] < 0.02


def test_blocks_and_signs_do_not_change_the_shares(monkeypatch):
    X, fixed, site, code = cohort(10)
    expected = measure(X, fixed, site, code)[1]
    monkeypatch.setattr("mresklearn.confounds._feature_share.BLOCK", 7)
    np.testing.assert_allclose(measure(X, fixed, site, code, scheme="without_refit")[1], expected)


def test_too_many_levels_are_refused():
    X, fixed, _, _ = cohort(0)
    effects, adjusted = measure(X, fixed, np.eye(100), np.arange(100))
    assert {e.status for e in effects} == {"not_estimable"}
    assert adjusted.size == 0
