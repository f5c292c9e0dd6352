import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from mresklearn.metrics import brain_age_gap, brain_age_scores, openbhb_score


def ages(n=60, random_state=0):
    rng = np.random.default_rng(random_state)
    age = rng.uniform(20, 80, n)
    return age, 50 + 0.7 * (age - 50) + rng.normal(2, 5, n)


def test_agrees_with_scikit_learn_and_scipy():
    age, predicted = ages()
    scores = brain_age_scores(age, predicted)
    assert scores.n_rows == 60
    assert scores.reference == "test"
    assert scores.mae == pytest.approx(mean_absolute_error(age, predicted))
    assert scores.rmse == pytest.approx(root_mean_squared_error(age, predicted))
    assert scores.r == pytest.approx(stats.pearsonr(age, predicted).statistic)
    assert scores.r2 == pytest.approx(r2_score(age, predicted))
    assert scores.bias == pytest.approx(predicted.mean() - age.mean())
    assert scores.gap_slope == pytest.approx(stats.linregress(age, predicted - age).slope)
    assert scores.calibration_slope == pytest.approx(stats.linregress(predicted, age).slope)


def test_the_reference_is_what_a_predictor_knows_from_training():
    # training people of 30, test people of 70: the mean of the test ages is out of reach
    age, train = np.array([68.0, 70.0, 72.0]), np.array([20.0, 30.0, 34.0])
    guess_train_mean = np.full(3, train.mean())
    scores = brain_age_scores(age, guess_train_mean, y_train=train)
    assert scores.reference == "train"
    assert scores.r2 == pytest.approx(0)
    guess_train_median = brain_age_scores(age, np.full(3, 30.0), y_train=train)
    assert guess_train_median.relative_mae == pytest.approx(1)
    assert guess_train_median.chance_mae == pytest.approx(40)
    assert brain_age_scores(age, guess_train_mean).r2 < -100


def test_no_constant_has_less_absolute_error_than_the_chance_of_the_test_ages():
    age, predicted = ages()
    chance = brain_age_scores(age, predicted).chance_mae
    assert all(chance <= np.abs(age - constant).mean() + 1e-9 for constant in range(20, 80))


def test_perfect_predictions():
    age, _ = ages()
    scores = brain_age_scores(age, age)
    assert (scores.mae, scores.rmse, scores.bias, scores.relative_mae) == (0, 0, 0, 0)
    assert scores.r2 == 1
    assert scores.r == pytest.approx(1)
    assert scores.gap_slope == 0
    assert scores.calibration_slope == pytest.approx(1)


@settings(deadline=None, max_examples=30)
@given(st.floats(-20, 20), st.integers(0, 50))
def test_a_shift_of_all_predictions_is_bias_and_nothing_else(shift, seed):
    age, predicted = ages(random_state=seed)
    before, after = brain_age_scores(age, predicted), brain_age_scores(age, predicted + shift)
    assert after.bias == pytest.approx(before.bias + shift, abs=1e-9)
    for unchanged in ("r", "gap_slope", "calibration_slope", "chance_mae"):
        assert after[unchanged] == pytest.approx(before[unchanged])


def test_order_of_rows_does_not_matter():
    age, predicted = ages()
    order = np.random.default_rng(1).permutation(60)
    before, after = brain_age_scores(age, predicted), brain_age_scores(age[order], predicted[order])
    for name in set(before) - {"reference"}:
        assert after[name] == pytest.approx(before[name])


@pytest.mark.parametrize("value", [0.1, 33.3, 50.0])
def test_what_one_age_cannot_tell_is_nan(value):
    # 0.1 has a mean that differs from it by rounding; a ratio to that would be a huge number
    age = np.full(7, value)
    scores = brain_age_scores(age, age + np.array([1, 2, 3, 1, 2, 3, 2]))
    assert scores.mae == pytest.approx(2)
    assert scores.bias == pytest.approx(2)
    for name in ("r", "r2", "relative_mae", "gap_slope"):
        assert np.isnan(scores[name]), name


def test_a_constant_prediction_has_no_correlation_and_no_calibration():
    age, _ = ages()
    scores = brain_age_scores(age, np.full(60, 50.0))
    assert np.isnan(scores.r)
    assert np.isnan(scores.calibration_slope)
    assert scores.gap_slope == pytest.approx(-1)


def test_two_people_give_an_error_but_no_line():
    scores = brain_age_scores([30, 40], [33, 41])
    assert (scores.mae, scores.bias) == (2, 2)
    for name in ("r", "r2", "relative_mae", "gap_slope", "calibration_slope"):
        assert np.isnan(scores[name]), name


def test_gap_is_predicted_minus_chronological():
    np.testing.assert_array_equal(brain_age_gap([60, 70], [63.5, 66]), [3.5, -4])


def test_series_of_other_people_are_refused():
    age = pd.Series([30.0, 40.0], index=["a", "b"])
    with pytest.raises(ValueError, match="different row labels"):
        brain_age_gap(age, pd.Series([41.0, 29.0], index=["b", "a"]))
    np.testing.assert_array_equal(brain_age_gap(age, pd.Series([31.0, 42.0], ["a", "b"])), [1, 2])


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, np.inf])
def test_missing_ages_are_named_by_row(missing):
    age = pd.Series([30, missing, 50], index=["sub-1", "sub-2", "sub-3"], dtype=object)
    with pytest.raises(ValueError, match=r"y_true is missing or infinite in 1 of 3 rows: sub-2"):
        brain_age_scores(age, [30, 40, 50])
    with pytest.raises(ValueError, match="y_pred is missing or infinite in 1 of 3 rows: 1"):
        brain_age_scores([30, 40, 50], [30, missing, 50])
    with pytest.raises(ValueError, match="y_train is missing"):
        brain_age_scores([30, 40, 50], [30, 40, 50], y_train=[missing, 20])


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([30, 40], [30], "y_pred has 1 entries where 2 are needed"),
        ([], [], "y_true is empty"),
        (["old", "young"], [1, 2], "y_true must hold one number a row"),
        ([[30, 40]], [30], "y_true must hold one number a row"),
    ],
)
def test_bad_ages_are_refused(y_true, y_pred, message):
    for function in (brain_age_gap, brain_age_scores):
        with pytest.raises(ValueError, match=message):
            function(y_true, y_pred)


def test_openbhb_score_is_the_published_number():
    assert openbhb_score(0.051, 3.761) == pytest.approx(1.54, abs=0.005)
    assert openbhb_score(0.0, 3.0) == 0
    assert openbhb_score(1, 3) == 3
    assert openbhb_score(0.25, 4) / openbhb_score(0.5, 4) == pytest.approx(0.81, abs=0.005)


@pytest.mark.parametrize(("accuracy", "mae"), [(5.1, 3.0), (-0.1, 3.0), (0.5, -1.0)])
def test_openbhb_score_refuses_percent_and_negative_errors(accuracy, mae):
    with pytest.raises(ValueError, match="in the range"):
        openbhb_score(accuracy, mae)
