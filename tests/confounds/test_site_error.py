import numpy as np
import pytest

from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._site_error import site_error


def measure(errors, reduced, inside, seed=0, n_permutations=99):
    return site_error(
        "mean_gap",
        errors,
        reduced,
        inside,
        n_permutations=n_permutations,
        confidence=0.95,
        random_state=np.random.default_rng(seed),
    )


def test_difference_and_interval_are_those_of_least_squares_with_hc3():
    rng = np.random.default_rng(0)
    age, inside = rng.uniform(20, 80, 60), np.arange(60) < 20
    errors = rng.normal(size=60) * (1 + inside) + 2.0 * inside
    reduced = age_spline(age)
    design = np.column_stack([inside, reduced]).astype(float)
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ errors
    noise = (errors - design @ beta) / (1 - np.sum(design @ inverse * design, axis=1))
    variance = inverse @ (design.T * noise**2) @ design @ inverse
    effect = measure(errors, reduced, inside)
    assert effect.value_adj == pytest.approx(beta[0])
    assert effect.value == pytest.approx(errors[inside].mean())
    assert effect.null_mean == pytest.approx(effect.value - beta[0])
    half = (effect.interval[1] - effect.interval[0]) / 2
    assert half == pytest.approx(2.093024 * np.sqrt(variance[0, 0]), rel=1e-5)
    assert effect.p == 0.01


def test_ages_drawn_to_the_mean_are_no_bias_of_the_site():
    # an old site: every prediction is drawn to 50, so its mean gap is low by its ages alone
    rng = np.random.default_rng(0)
    inside = np.arange(150) < 50
    age = np.where(inside, rng.uniform(55, 80, 150), rng.uniform(20, 70, 150))
    gap = -0.5 * (age - 50) + rng.normal(0, 2, 150)
    effect = measure(gap, age_spline(age), inside)
    assert effect.value < -5
    assert abs(effect.value_adj) < 1.5
    assert effect.p > 0.05


def test_intervals_cover_and_tests_hold_their_level_at_a_small_noisy_site():
    covered, rejected = 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        inside = np.arange(80) < 6
        errors = rng.normal(size=80) * np.where(inside, 3, 1)
        effect = measure(errors, age_spline(rng.normal(50, 10, 80)), inside, seed, 39)
        covered += effect.interval[0] <= 0 <= effect.interval[1]
        rejected += effect.p <= 0.05
    assert covered / 200 > 0.9
    assert rejected / 200 < 0.1


@pytest.mark.parametrize("n_inside", [0, 1, 2])
def test_few_people_say_so(n_inside):
    effect = measure(np.arange(40.0), np.ones((40, 1)), np.arange(40) < n_inside)
    assert effect.status == "not_estimable"
    assert f"{n_inside} people at the site; 3 are needed" in effect.reason


def test_a_site_that_a_covariate_tells_and_gaps_that_follow_from_age_say_so():
    rng = np.random.default_rng(0)
    inside = np.arange(40) < 10
    reduced = np.column_stack([np.ones(40), inside])
    assert "cannot be told apart" in measure(rng.normal(size=40), reduced, inside).reason
    age = np.column_stack([np.ones(40), rng.normal(50, 10, 40)])
    assert "explains all there is" in measure(50 - age[:, 1], age, inside).reason
