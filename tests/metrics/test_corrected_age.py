"""No public score takes corrected ages for predictions, and each says why."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, r2_score

import mresklearn.metrics
from mresklearn.evaluation import regional_report
from mresklearn.metrics import (
    BrainAgeBiasCorrector,
    age_stratified_permutation_test,
    bootstrap_ci,
    brain_age_gap,
    brain_age_scores,
    compare_gaps,
    corrected_resampled_ttest,
    delong_ci,
    delong_test,
    sign_flip_test,
    site_scores,
)

AGE = np.random.default_rng(0).uniform(20, 80, 100)
RAW = 30 + 0.5 * AGE + np.random.default_rng(1).normal(0, 4, 100)
HALF = np.arange(100) % 2
FOLD = np.arange(100) % 5

# every argument of every public function that holds a number a person
CALLS = {
    "BrainAgeBiasCorrector": [
        lambda p: BrainAgeBiasCorrector().fit(p, AGE, fold=FOLD),
        lambda p: BrainAgeBiasCorrector().fit(RAW, p, fold=FOLD),
        lambda p: BrainAgeBiasCorrector().fit(RAW, AGE, fold=FOLD).gap(p, AGE),
        lambda p: BrainAgeBiasCorrector().fit(RAW, AGE, fold=FOLD).gap(RAW, p),
        lambda p: BrainAgeBiasCorrector().fit(RAW, AGE, fold=FOLD).transform(p),
    ],
    "age_stratified_permutation_test": [
        lambda p: age_stratified_permutation_test(lambda labels: 0.0, HALF, p),
        lambda p: age_stratified_permutation_test(lambda _: np.mean(p), HALF, AGE),
    ],
    "bootstrap_ci": [
        lambda p: bootstrap_ci(np.mean, p, n_resamples=100),
        lambda p: bootstrap_ci(lambda a, b: np.abs(a - b).mean(), AGE, p, n_resamples=100),
    ],
    "brain_age_gap": [lambda p: brain_age_gap(AGE, p), lambda p: brain_age_gap(p, RAW)],
    "brain_age_scores": [
        lambda p: brain_age_scores(AGE, p),
        lambda p: brain_age_scores(p, RAW),
        lambda p: brain_age_scores(AGE, RAW, y_train=p),
    ],
    "compare_gaps": [
        lambda p: compare_gaps(p, HALF, age=AGE, reference="0"),
        lambda p: compare_gaps(RAW, HALF, age=p, reference="0"),
    ],
    "corrected_resampled_ttest": [lambda p: corrected_resampled_ttest(p, 80, 20)],
    "delong_ci": [lambda p: delong_ci(HALF, p)],
    "delong_test": [lambda p: delong_test(HALF, p, RAW), lambda p: delong_test(HALF, RAW, p)],
    "sign_flip_test": [lambda p: sign_flip_test(p)],
    "site_scores": [
        lambda p: site_scores(AGE, p, HALF, n_resamples=100),
        lambda p: site_scores(p, RAW, HALF, n_resamples=100),
    ],
}
TAKES_NOBODYS_AGE = {"GapComparison", "openbhb_score"}
ELSEWHERE = [
    lambda p: mean_absolute_error(AGE, p),
    lambda p: r2_score(AGE, p),
    lambda p: np.corrcoef(AGE, p),
    lambda p: p - AGE,
    lambda p: pd.Series(AGE) - p,
    lambda p: regional_report(p, AGE),
]


def corrected(method="cole"):
    return BrainAgeBiasCorrector(method=method).fit(RAW, AGE, fold=FOLD).transform(RAW, AGE)


def test_every_public_metric_is_tried():
    assert set(CALLS) | TAKES_NOBODYS_AGE == set(mresklearn.metrics.__all__)


@pytest.mark.parametrize("method", ["cole", "de_lange"])
@pytest.mark.parametrize("call", [call for calls in [*CALLS.values(), ELSEWHERE] for call in calls])
def test_corrected_ages_are_refused_with_the_reason(call, method):
    with pytest.raises(ValueError, match=r"went through a bias correction .* no accuracy"):
        call(corrected(method))


@pytest.mark.parametrize("name", CALLS)
def test_so_is_a_column_of_a_table_that_they_were_assigned_to(name):
    table = pd.DataFrame({"age": AGE})
    table["predicted"] = corrected()
    for call in CALLS[name]:
        with pytest.raises((ValueError, TypeError)):
            call(table.predicted)


def test_a_column_says_why_as_well():
    table = pd.DataFrame({"age": AGE}).assign(predicted=corrected())
    for call in (
        lambda: brain_age_scores(table.age, table.predicted),
        lambda: delong_ci(HALF, table.predicted),
        lambda: mean_absolute_error(table.age, table.predicted),
    ):
        with pytest.raises(ValueError, match=r"went through a bias correction .* no accuracy"):
            call()
