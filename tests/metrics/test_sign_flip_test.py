import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mresklearn.exceptions import UnanswerableWarning
from mresklearn.metrics import sign_flip_test


def brute_force(d):
    """Two-sided p and the smallest p over all signs, by counting in exact arithmetic."""
    signs = list(itertools.product([-1, 1], repeat=len(d)))
    sums = [abs(sum(s * x for s, x in zip(sign, d, strict=True))) for sign in signs]
    p = sum(x >= abs(sum(d)) for x in sums) / len(signs)
    return p, sum(x >= sum(map(abs, d)) for x in sums) / len(signs)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_agrees_with_counting_all_signs(d):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnanswerableWarning)
        result = sign_flip_test(d)
    assert (result.p_value, result.smallest_p) == brute_force(d)
    assert result.exact
    assert result.p_value >= result.smallest_p


def test_agrees_with_scipy():
    d = np.random.default_rng(0).normal(0.4, 1, 11)
    other = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_test(d).p_value == pytest.approx(other.pvalue)


def test_ties_that_rounding_breaks_count():
    # 0.1 + 0.2 - 0.3 is 5e-17: flips of these three are ties of each other
    d = [0.1, 0.2, -0.3, 1.0, 1.0, 1.0, 1.0]
    assert sign_flip_test(d).p_value == brute_force([1, 2, -3, 10, 10, 10, 10])[0]


@pytest.mark.parametrize(("n_sites", "smallest"), [(6, 0.03125), (7, 0.015625), (20, 2 / 2**20)])
def test_smallest_p_is_reached_when_all_sites_agree(n_sites, smallest):
    result = sign_flip_test(np.linspace(0.1, 1, n_sites))
    assert result.p_value == result.smallest_p == smallest


@pytest.mark.parametrize("n_sites", [1, 2, 5])
def test_five_sites_cannot_be_significant_and_it_says_so(n_sites):
    with pytest.warns(UnanswerableWarning, match=f"of {n_sites} sites cannot give a p below") as w:
        result = sign_flip_test([0.5] * n_sites)
    assert result.p_value == result.smallest_p == 2 / 2**n_sites
    assert w[0].filename == __file__


def test_a_site_without_difference_does_not_count():
    with pytest.warns(UnanswerableWarning):
        result = sign_flip_test([0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    assert result.p_value == result.smallest_p == 0.0625
    with pytest.warns(UnanswerableWarning):
        nothing = sign_flip_test([0.0] * 8)
    assert (nothing.p_value, nothing.smallest_p, nothing.mean) == (1, 1, 0)


def test_many_sites_are_sampled_and_agree_with_the_exact_p():
    d = np.random.default_rng(1).normal(0.45, 1, 21)
    sampled = sign_flip_test(d, random_state=0)
    assert not sampled.exact
    assert sampled.smallest_p == 1e-5
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    exact = np.mean(np.abs(sums) >= abs(d.sum()) - 1e-9)
    standard_error = np.sqrt(exact * (1 - exact) / 1e5)
    assert sampled.p_value == pytest.approx(exact, abs=4 * standard_error)
    assert sampled == sign_flip_test(d, random_state=0)


def test_sampled_p_is_never_zero():
    assert sign_flip_test(np.ones(40), n_resamples=99, random_state=0).p_value == 0.01


def test_level_over_sites():
    random = np.random.default_rng(0)
    p = [sign_flip_test(random.standard_t(3, 8)).p_value for _ in range(1000)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * 0.007


def test_invariances():
    d = np.random.default_rng(2).normal(0.3, 1, 9)
    p = sign_flip_test(d).p_value
    assert sign_flip_test(-d).p_value == p
    assert sign_flip_test(d[::-1]).p_value == p
    assert sign_flip_test(1e-9 * d).p_value == p


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="differences is missing or infinite in 1 of 2 rows: Mayo"):
        sign_flip_test(pd.Series([np.nan, 1], index=["Mayo", "Utah"]))
    with pytest.raises(ValueError, match="differences is empty"):
        sign_flip_test([])
    with pytest.raises(ValueError, match="one number a row"):
        sign_flip_test(np.ones((3, 2)))


@pytest.mark.parametrize("n_zeros", [17, 18, 40])
def test_sites_without_a_difference_do_not_lower_the_smallest_p(n_zeros):
    # 20 sites are counted out, more are sampled: what three sites can show is the same
    with pytest.warns(UnanswerableWarning, match="cannot give a p below 0.25"):
        result = sign_flip_test(np.r_[1.0, 2.0, 3.0, np.zeros(n_zeros)], random_state=0)
    assert result.smallest_p == 0.25
    assert result.p_value == pytest.approx(0.25, abs=0.02)
