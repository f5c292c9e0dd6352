import numpy as np
import pytest
from scipy.stats import f_oneway

from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._dispersion import dispersion


def measure(X, fixed, groups, n_permutations=99, seed=0):
    return dispersion(
        X,
        fixed,
        groups,
        n_permutations=n_permutations,
        confidence=0.95,
        random_state=np.random.default_rng(seed),
    )


def test_distances_from_group_centres_are_compared_as_by_anderson():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2], [15, 30, 45])
    X = rng.normal(size=(90, 8)) * np.array([1, 1.3, 1.6])[groups, None] + groups[:, None]
    effect, n = measure(X, np.ones((90, 1)), groups)
    distance = np.empty(90)
    for k in range(3):
        own = X[groups == k]
        size = np.sum((own - own.mean(axis=0)) ** 2, axis=1) / (1 - 1 / len(own))
        distance[groups == k] = np.sqrt(size)
    f = f_oneway(*(distance[groups == k] for k in range(3))).statistic
    assert n == 90
    assert effect.value == pytest.approx(2 * f / (2 * f + 87))
    assert effect.p == 0.01


def test_equal_spread_keeps_its_level_whatever_the_means_and_sizes():
    groups = np.repeat([0, 1, 2, 3], [4, 10, 30, 50])
    p, adjusted = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(94, 5)) + 3 * rng.normal(size=(4, 5))[groups]
        effect, _ = measure(X, age_spline(rng.normal(50, 10, 94)), groups, 39, seed)
        p.append(effect.p)
        adjusted.append(effect.value_adj)
    assert np.mean(np.array(p) <= 0.05) <= 0.1
    assert abs(np.mean(adjusted)) < 0.01


def test_groups_of_one_and_two_are_left_out():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(43, 4))
    groups = np.repeat([0, 1, 2, 3], [20, 20, 2, 1])
    effect, n = measure(X, np.ones((43, 1)), groups)
    assert n == 40
    assert effect.value == measure(X[:40], np.ones((40, 1)), groups[:40])[0].value
    effect, _ = measure(X[19:], np.ones((24, 1)), np.r_[0, groups[20:]])
    assert "Fewer than two groups have 3 people" in effect.reason


def test_no_spread_at_all_is_no_number():
    groups = np.repeat([0, 1], 20)
    effect, _ = measure(groups[:, None] * 1.0, np.ones((40, 1)), groups)
    assert effect.status == "not_estimable"
