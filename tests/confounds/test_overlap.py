import numpy as np
import pytest
from scipy.stats import norm

from mresklearn.confounds._overlap import (
    common_support,
    level_overlap,
    matched_people,
    matched_people_by_level,
    number_overlap,
)

SETTINGS = {"n_permutations": 99, "confidence": 0.95}


def generator():
    return {**SETTINGS, "random_state": np.random.default_rng(0)}


@pytest.mark.parametrize("distance", [1.0, 2.0, 3.0])
def test_normal_ages_overlap_as_the_closed_form_says(distance):
    # Weitzman's coefficient of two normal distributions of one spread is 2 Phi(-d / 2)
    values = np.r_[norm.ppf((np.arange(150) + 0.5) / 150) + distance,
                   norm.ppf((np.arange(300) + 0.5) / 300)]  # fmt: skip
    effect, _ = number_overlap(values, np.arange(450) < 150, **generator())
    assert effect.value == pytest.approx(2 * norm.cdf(-distance / 2), abs=0.04)
    assert effect.p == 1 / 100


def test_equal_ages_overlap_fully_once_corrected():
    rng = np.random.default_rng(1)
    found = [
        number_overlap(rng.normal(size=200), np.arange(200) < 20, **generator())[0]
        for _ in range(20)
    ]
    assert np.mean([e.value for e in found]) < 0.9, "densities of few people never agree"
    assert np.mean([e.value_adj for e in found]) > 0.95
    assert np.mean([e.p < 0.05 for e in found]) < 0.2


@pytest.mark.parametrize("gap", [40.0, 400.0])
def test_disjoint_ages_have_no_overlap_and_no_matched_people(gap):
    rng = np.random.default_rng(0)
    values = np.r_[rng.normal(20, 3, 40), rng.normal(20 + gap, 3, 40)]
    effect, matched = number_overlap(values, np.arange(80) < 40, **generator())
    assert effect.value < 0.01
    assert matched < 0.5
    two_ages = np.repeat([20.0, 70.0], 40)
    assert number_overlap(two_ages, two_ages < 50, **generator())[1] < 0.01


def test_matched_people_are_the_information_of_a_comparison_at_equal_levels():
    # the variance of the site coefficient, given indicators of levels, is 1 / sum(nm / (n + m))
    at_site, elsewhere = np.array([5, 0, 12, 3]), np.array([20, 8, 4, 0])
    level = np.repeat(np.arange(4), at_site + elsewhere)
    inside = np.concatenate([np.arange(n + m) < n for n, m in zip(at_site, elsewhere, strict=True)])
    design = np.column_stack([inside, np.eye(4)[level]]).astype(float)
    variance = np.linalg.inv(design.T @ design)[0, 0]
    assert matched_people(at_site, elsewhere) == pytest.approx(1 / variance)
    effect, matched = level_overlap(level, inside, **generator())
    assert matched == pytest.approx(1 / variance)
    assert effect.value == pytest.approx(np.minimum(at_site / 20, elsewhere / 32).sum())


def test_a_small_site_in_a_large_pool_matches_nearly_everybody():
    rng = np.random.default_rng(0)
    values = rng.normal(50, 10, 520)
    _, matched = number_overlap(values, np.arange(520) < 20, **generator())
    assert 18 < matched <= 20
    both = matched_people_by_level(values, (np.arange(520) < 20).astype(int))
    assert both[1] == matched
    assert np.isnan(matched_people_by_level(values[:3], np.array([0, 0, 1]))).all()


def test_common_support_is_counted():
    values = np.r_[np.arange(20, 40), np.arange(30, 60), np.arange(25, 45)].astype(float)
    codes = np.repeat([0, 1, 2], [20, 30, 20])
    effect, (low, high) = common_support(values, codes, **generator())
    assert (low, high) == (30, 39)
    assert effect.value == pytest.approx(30 / 70)
    assert effect.value < effect.null_mean <= 1
    assert effect.interval[0] <= effect.value_adj <= effect.interval[1]


def test_common_support_leaves_out_tiny_sites_and_may_be_empty():
    values = np.r_[np.arange(20, 40), np.arange(50, 70), 99].astype(float)
    codes = np.repeat([0, 1, 2], [20, 20, 1])
    effect, limits = common_support(values, codes, **generator())
    assert effect.value == 0
    assert np.isnan(limits).all()
    effect, _ = common_support(values[:20], np.zeros(20, int), **generator())
    assert effect.status == "not_estimable"


@pytest.mark.parametrize("n_inside", [0, 1, 9, 10])
def test_sites_of_one_person_or_without_others_say_so(n_inside):
    inside = np.arange(10) < n_inside
    for measure in (number_overlap, level_overlap):
        effect, matched = measure(np.arange(10), inside, **generator())
        assert effect.status == "not_estimable"
        assert f"{n_inside} people at the site" in effect.reason
        assert np.isnan(matched)


def test_units_do_not_matter():
    rng = np.random.default_rng(0)
    values, inside = rng.normal(50, 10, 100), np.arange(100) < 30
    years, matched = number_overlap(values, inside, **generator())
    days, same = number_overlap(365 * values + 7, inside, **generator())
    assert days.value == pytest.approx(years.value)
    assert same == pytest.approx(matched)
