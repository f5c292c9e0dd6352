import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from mresklearn.metrics import delong_ci, delong_test


def placements(y, scores):
    """Placement values by comparing all pairs."""
    x, z = scores[y == 1][:, None], scores[y == 0][None, :]
    wins = (x > z) + 0.5 * (x == z)
    return wins.mean(axis=1), wins.mean(axis=0)


def brute_force_covariance(y, *all_scores):
    """DeLong's covariance of several areas, equation by equation."""
    v, w = zip(*(placements(y, scores) for scores in all_scores), strict=True)
    return np.atleast_2d(np.cov(v)) / y.sum() + np.atleast_2d(np.cov(w)) / (1 - y).sum()


def people(m=11, n=30, shift=1.0, random_state=0, decimals=None):
    rng = np.random.default_rng(random_state)
    y = rng.permutation(np.r_[np.ones(m, int), np.zeros(n, int)])
    scores = rng.normal(size=m + n) + shift * y
    return y, scores if decimals is None else scores.round(decimals)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 12), st.integers(2, 25), st.integers(0, 1000), st.sampled_from([0, 1, 8]))
def test_area_and_error_agree_with_all_pairs(m, n, seed, decimals):
    y, scores = people(m, n, random_state=seed, decimals=decimals)  # 0 decimals: many ties
    result = delong_ci(y, scores)
    assert result.auc == pytest.approx(roc_auc_score(y, scores))
    variance = brute_force_covariance(y, scores)[0, 0]
    if result.note:
        assert variance == pytest.approx(0, abs=1e-20)
    else:
        assert result.standard_error == pytest.approx(np.sqrt(variance))
        assert 0 <= result.low < result.auc < result.high <= 1
    assert (result.n_positive, result.n_negative) == (m, n)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.sampled_from([0, 1, 8]))
def test_difference_agrees_with_the_covariance_of_all_pairs(seed, decimals):
    y, a = people(random_state=seed, decimals=decimals)
    b = (a + np.random.default_rng(seed).normal(size=len(a))).round(decimals)
    result = delong_test(y, a, b)
    areas = roc_auc_score(y, a), roc_auc_score(y, b)
    assert (result.auc_a, result.auc_b) == pytest.approx(areas)
    contrast = np.array([1, -1])
    variance = contrast @ brute_force_covariance(y, a, b) @ contrast
    assert result.standard_error == pytest.approx(np.sqrt(variance))
    z = (areas[0] - areas[1]) / np.sqrt(variance)
    assert result.statistic == pytest.approx(z, abs=1e-9)
    assert result.p_value == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert -1 <= result.low <= result.difference <= result.high <= 1


def test_small_example_by_hand():
    # positives 1, 3; negatives 0, 2: V = (1/2, 1), W = (1, 1/2), variance 1/8 / 2 twice
    result = delong_ci([1, 1, 0, 0], [1.0, 3.0, 0.0, 2.0])
    assert result.auc == 0.75
    assert result.standard_error == pytest.approx(np.sqrt(1 / 8))
    half = 1.959964 * np.sqrt(1 / 8) / (0.75 * 0.25)
    assert result.low == pytest.approx(1 / (1 + np.exp(half) / 3))
    assert result.high == pytest.approx(1 / (1 + np.exp(-half) / 3))


def test_only_the_order_of_scores_matters():
    y, scores = people()
    result = delong_ci(y, scores)
    assert delong_ci(y, np.exp(scores)) == result
    order = np.random.default_rng(0).permutation(len(y))
    assert delong_ci(y[order], scores[order]).low == pytest.approx(result.low)
    turned = delong_ci(y, -scores)
    assert (turned.auc, turned.low, turned.high) == pytest.approx(
        (1 - result.auc, 1 - result.high, 1 - result.low)
    )
    other = delong_ci(1 - y, -scores)
    assert (other.auc, other.low) == pytest.approx((result.auc, result.low))


def test_classes_fully_apart_are_not_certain():
    result = delong_ci(
        np.r_[np.ones(11), np.zeros(60)], np.r_[np.full(11, 2.0), np.arange(60) / 60]
    )
    assert (result.auc, result.high) == (1, 1)
    assert np.isnan(result.standard_error)
    # the exact binomial bound for 11 successes of 11
    exact = stats.binomtest(11, 11).proportion_ci(0.95, method="exact")
    assert result.low == pytest.approx(exact.low)
    assert "11 pairs" in result.note
    wrong_way = delong_ci([0, 0, 0, 1, 1], [5, 6, 7, 1, 2])
    assert (wrong_way.auc, wrong_way.low) == (0, 0)
    assert wrong_way.high == pytest.approx(1 - 0.025 ** (1 / 2))


def test_equal_scores_have_no_interval():
    result = delong_ci([0, 0, 1, 1, 1], [0.1] * 5)
    assert result.auc == 0.5
    assert np.isnan([result.low, result.high, result.standard_error]).all()
    assert result.note == "all scores are equal: no interval"


def test_coverage_with_eleven_patients():
    random = np.random.default_rng(0)
    truth = 0.9
    y = np.r_[np.ones(11), np.zeros(60)]
    shift = np.sqrt(2) * stats.norm.ppf(truth)
    inside, plain = [], []
    for _ in range(300):
        result = delong_ci(y, random.normal(size=71) + shift * y)
        inside.append(result.low <= truth <= result.high)
        plain.append(abs(result.auc - truth) <= 1.96 * result.standard_error)
    assert np.mean(inside) >= 0.89
    assert np.mean(plain) < np.mean(inside), "without the logit it covers less"


def test_level_of_the_paired_test():
    random = np.random.default_rng(0)
    y = np.repeat([0.0, 1.0], 30)
    p = []
    for _ in range(300):
        shared = random.normal(size=60) + 1.2 * y
        p.append(delong_test(y, *(shared + random.normal(size=(2, 60)))).p_value)
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.09  # 0.05 +- 3 standard errors of 0.0126


def test_pairing_narrows_the_interval():
    y, a = people(30, 60)
    b = a + np.random.default_rng(1).normal(0, 0.3, 90)
    paired = delong_test(y, a, b)
    unpaired = np.hypot(delong_ci(y, a).standard_error, delong_ci(y, b).standard_error)
    assert paired.standard_error < unpaired / 2
    swapped = delong_test(y, b, a)
    assert swapped.p_value == pytest.approx(paired.p_value)
    assert (swapped.low, swapped.high) == pytest.approx((-paired.high, -paired.low))


def test_scores_of_one_order_do_not_differ():
    y, a = people()
    result = delong_test(y, a, np.exp(3 * a))
    assert (result.difference, result.p_value) == (0, 1)
    assert np.isnan([result.low, result.high, result.statistic, result.standard_error]).all()
    # one fully apart, the other constant: a difference of 1/2 for everybody, without variance
    apart = delong_test(y, y, np.zeros(len(y)))
    assert apart.difference == 0.5
    assert np.isnan(apart.p_value)


def test_equal_differences_of_counts_are_seen_as_equal():
    # as shares, 5/7 - 3/7 and 4/7 - 2/7 differ by rounding, and would pass for a tiny variance
    y = np.r_[np.ones(7), np.zeros(7)].astype(int)
    a = np.r_[np.arange(7) + 0.5, np.arange(7)]
    result = delong_test(y, a, a)
    assert np.isnan(result.standard_error)


def test_labels_of_any_kind():
    y, scores = people()
    result = delong_ci(y, scores)
    assert delong_ci(y.astype(bool), scores) == result
    assert delong_ci(2 * y - 1, scores) == result
    assert delong_ci(y.astype(float).tolist(), scores.tolist()) == result
    words = pd.Series(np.where(y == 1, "AD", "control"), dtype="category")
    assert delong_ci(words, pd.Series(scores), pos_label="AD") == result
    assert delong_test(words, scores, scores, pos_label="AD").auc_a == result.auc


@pytest.mark.parametrize(
    ("y", "scores", "options", "message"),
    [
        (["AD", "AD", "CN", "CN"], [1, 2, 3, 4], {}, "with pos_label="),
        ([1, 1, 2, 2], [1, 2, 3, 4], {}, "with pos_label="),
        ([0, 0, 1, 1], [1, 2, 3, 4], {"pos_label": 2}, "pos_label=2 is not in y_true"),
        ([0, 0, 1, 2], [1, 2, 3, 4], {}, "two classes, got 3"),
        ([0, 0, 0], [1, 2, 3], {}, "two classes, got 1"),
        ([0, 0, 0, 1], [1, 2, 3, 4], {}, "1 positive and 3 other rows"),
        ([0, 0, 1, None], [1, 2, 3, 4], {}, "y_true is missing in rows 3"),
        ([0, 0, 1, 1], [1, np.nan, 3, 4], {}, "scores.* is missing or infinite in 1 of 4 rows: 1"),
        ([0, 0, 1, 1], [1, 2, 3], {}, "scores.* has 3 entries where 4 are needed"),
        ([[0, 1]], [1], {}, "one label a row"),
    ],
)
def test_bad_input_is_refused(y, scores, options, message):
    with pytest.raises(ValueError, match=message):
        delong_ci(y, scores, **options)
    with pytest.raises(ValueError, match=message):
        delong_test(y, scores, scores, **options)


def test_time_grows_like_sorting():
    y, scores = people(50_000, 50_000)
    start = time.process_time()
    delong_test(y, scores, -scores)
    # all pairs would be 2.5e9 comparisons, twice; this takes 0.2 s on an idle machine
    assert time.process_time() - start < 3
