import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mresklearn.metrics import corrected_resampled_ttest


def differences(shape=10, random_state=0):
    return np.random.default_rng(random_state).normal(0.3, 1, shape)


def test_formula_by_hand():
    d = np.array([1.0, 2.0, 3.0, 2.0])
    # mean 2, variance 2/3, 1/4 + 25/100 = 1/2: t = 2 / sqrt(1/3)
    result = corrected_resampled_ttest(d, 100, 25)
    assert result.mean == 2
    assert result.statistic == pytest.approx(2 * np.sqrt(3))
    assert result.degrees_of_freedom == 3
    assert result.n_resamples == 4
    assert result.p_value == pytest.approx(2 * stats.t.sf(2 * np.sqrt(3), 3))


def test_without_correction_it_is_the_ordinary_t_test():
    # a training set so large that its overlap adds nothing
    d = differences()
    result = corrected_resampled_ttest(d, 10**15, 1)
    ordinary = stats.ttest_1samp(d, 0)
    assert result.statistic == pytest.approx(ordinary.statistic)
    assert result.p_value == pytest.approx(ordinary.pvalue)
    low, high = ordinary.confidence_interval(0.95)
    assert (result.low, result.high) == (pytest.approx(low), pytest.approx(high))


def test_interval_and_p_agree():
    for seed in range(20):
        d = differences(random_state=seed)
        p = corrected_resampled_ttest(d, 90, 10).p_value
        at_p = corrected_resampled_ttest(d, 90, 10, confidence=1 - p)
        assert min(abs(at_p.low), abs(at_p.high)) == pytest.approx(0, abs=1e-9)


def test_sign_and_scale():
    d = differences()
    result = corrected_resampled_ttest(d, 90, 10)
    turned = corrected_resampled_ttest(-12 * d, 90, 10)
    assert turned.p_value == pytest.approx(result.p_value)
    assert turned.statistic == pytest.approx(-result.statistic)
    assert (turned.low, turned.high) == (
        pytest.approx(-12 * result.high),
        pytest.approx(-12 * result.low),
    )


def test_partitions_all_count_and_seeds_are_averaged():
    table = differences((6, 5))
    partitions = corrected_resampled_ttest(table, 80, 20, repeats="partitions")
    assert partitions.n_resamples == 30
    assert partitions == corrected_resampled_ttest(table.ravel(), 80, 20)
    seeds = corrected_resampled_ttest(table, 80, 20, repeats="seeds")
    assert seeds.n_resamples == 5
    assert seeds == corrected_resampled_ttest(table.mean(axis=0), 80, 20)
    frame = pd.DataFrame(table)
    assert corrected_resampled_ttest(frame, 80, 20, repeats="seeds") == seeds


def test_a_table_must_say_what_its_rows_are():
    with pytest.raises(ValueError, match=r"6 repeats x 5 folds: say with repeats="):
        corrected_resampled_ttest(differences((6, 5)), 80, 20)


def test_unequal_folds_count_by_their_mean():
    d = differences(4)
    unequal = corrected_resampled_ttest(d, [74, 75, 75, 76], [26, 25, 25, 24])
    assert unequal == corrected_resampled_ttest(d, 75, 25)
    table = differences((2, 2))
    sizes = np.array([[75, 76], [74, 75]])
    assert (
        corrected_resampled_ttest(table, sizes, 100 - sizes, repeats="partitions").p_value
        == corrected_resampled_ttest(table.ravel(), 75, 25).p_value
    )


def test_without_variance_there_is_nothing_to_judge_by():
    same = corrected_resampled_ttest([0.0] * 5, 80, 20)
    assert (same.mean, same.p_value) == (0, 1)
    assert np.isnan([same.low, same.high, same.statistic]).all()
    shifted = corrected_resampled_ttest([0.5] * 5, 80, 20)
    assert shifted.mean == 0.5
    assert np.isnan([shifted.low, shifted.statistic, shifted.p_value]).all()


def equally_good_models(n_people, folds_of, random):
    """Differences in squared error between regressions on two features that are equally useful."""
    features = random.normal(size=(n_people, 2))
    y = features.sum(axis=1) + random.normal(size=n_people)
    table = []
    for fold in folds_of:
        row = []
        for k in range(fold.max() + 1):
            train, test = fold != k, fold == k
            centre, target = features[train].mean(axis=0), y[train].mean()
            x = features[train] - centre
            slopes = x.T @ (y[train] - target) / (x**2).sum(axis=0)
            errors = (y[test, None] - target - slopes * (features[test] - centre)) ** 2
            row.append(np.subtract(*errors.mean(axis=0)))
        table.append(row)
    return np.array(table)


def test_level_under_repeated_cross_validation():
    random = np.random.default_rng(0)
    n_people, rejected = 60, []
    for _ in range(150):
        folds = [random.permutation(n_people) % 5 for _ in range(6)]
        table = equally_good_models(n_people, folds, random)
        p_values = [
            corrected_resampled_ttest(table, 48, 12, repeats="partitions").p_value,
            stats.ttest_1samp(table.ravel(), 0).pvalue,
            corrected_resampled_ttest(table, 48, 12, repeats="seeds").p_value,
        ]
        rejected.append(np.array(p_values) < 0.05)
    corrected, naive, wrongly_averaged = np.mean(rejected, axis=0)
    assert corrected <= 0.10  # 0.05 + 3 standard errors of 0.018
    assert naive > 0.3, "the ordinary t test finds differences that are not there"
    assert wrongly_averaged > 0.12, "partitions must not be averaged first"


@pytest.mark.parametrize(
    ("d", "n_train", "n_test", "message"),
    [
        ([0.1], 80, 20, "at least 2 resamples, got 1"),
        ([[0.1, 0.2]] * 2, 80, 20, "say with repeats="),
        ([0.1, np.nan], 80, 20, "differences is missing or infinite in 1 of 2 rows: 1"),
        ([0.1, 0.2], 0, 20, "n_train must be at least 1"),
        ([0.1, 0.2], 80, np.nan, "n_test is missing"),
        ([[[0.1]]], 80, 20, r"must have shape \(n_resamples,\)"),
    ],
)
def test_bad_input_is_refused(d, n_train, n_test, message):
    with pytest.raises(ValueError, match=message):
        corrected_resampled_ttest(d, n_train, n_test)


def test_five_seeds_of_one_fold_are_one_resample():
    with pytest.raises(ValueError, match="at least 2 resamples, got 1"):
        corrected_resampled_ttest(np.ones((5, 1)), 80, 20, repeats="seeds")
