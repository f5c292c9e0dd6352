from itertools import permutations

import numpy as np
import pytest

from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._conditional_permutation import permute_given, site_log_probability
from mresklearn.confounds._partial_confounder import partial_confounder_permutations


def cohort(n_rows=80, n_sites=3, step=8, seed=0):
    random = np.random.default_rng(seed)
    codes = np.arange(n_rows) % n_sites
    return codes, random.normal(50 + step * codes, 10), random


def test_arrangements_are_as_likely_as_site_given_age_makes_them():
    codes = np.array([0, 0, 1, 1, 2])
    log_q = np.log(np.random.default_rng(0).dirichlet(np.ones(3), size=5))
    drawn = permute_given(codes, log_q, 40_000, np.random.RandomState(0))
    arrangements = sorted(set(permutations(codes)))
    expected = np.exp([log_q[np.arange(5), a].sum() for a in map(list, arrangements)])
    seen = np.array([np.mean((drawn == a).all(axis=1)) for a in arrangements])
    # the SD of a share is at most 0.0025
    np.testing.assert_allclose(seen, expected / expected.sum(), atol=0.01)


def test_sites_keep_their_size():
    codes, age, _ = cohort(n_rows=81)
    log_q = site_log_probability(age_spline(age), codes)
    drawn = permute_given(codes, log_q, 50, np.random.RandomState(0))
    assert drawn.shape == (50, 81)
    assert (np.sort(drawn, axis=1) == np.sort(codes)).all()
    assert len(np.unique(drawn, axis=0)) == 50


def test_drawn_sites_differ_in_age_as_the_data_do():
    codes, age, _ = cohort(n_rows=600)
    log_q = site_log_probability(age_spline(age), codes)
    drawn = permute_given(codes, log_q, 100, np.random.RandomState(0))
    for site in range(3):
        means = [age[row == site].mean() for row in drawn]
        # a free permutation would have the mean of all ages, 8 years away for two of the sites
        assert abs(np.mean(means) - age[codes == site].mean()) < 1


def test_a_site_that_age_tells_is_left_as_it_is():
    codes = np.repeat([0, 1], 20)
    log_q = np.where(codes[:, None] == [0, 1], 0.0, -1e4)
    drawn = permute_given(codes, log_q, 20, np.random.RandomState(0))
    assert (drawn == codes).all()


@pytest.mark.parametrize("n_sites", [2, 3])
def test_site_probabilities_are_those_of_bayes(n_sites):
    codes, age, _ = cohort(n_rows=10_000, n_sites=n_sites)
    centres = 50 + 8 * np.arange(n_sites)
    density = np.exp(-((age[:, None] - centres) ** 2) / (2 * 10**2))
    expected = density / density.sum(axis=1, keepdims=True)
    found = np.exp(site_log_probability(age_spline(age), codes))
    assert np.abs(found - expected).mean() < 0.02


def test_site_probabilities_do_not_depend_on_the_basis_of_the_design():
    codes, age, random = cohort()
    design = age_spline(age)
    other = design @ random.normal(size=(7, 7))
    other[:, 0] = 1
    np.testing.assert_allclose(
        site_log_probability(other, codes), site_log_probability(design, codes), atol=0.02
    )


@pytest.mark.filterwarnings("error")
def test_many_sites_have_finite_probabilities():
    codes, age, _ = cohort(n_rows=240, n_sites=60, step=0.5)
    log_q = site_log_probability(age_spline(age), codes)
    assert np.isfinite(log_q).all()
    np.testing.assert_allclose(np.exp(log_q).sum(axis=1), 1)


@pytest.mark.parametrize("n_sites", [2, 3])
def test_sites_that_age_tells_have_finite_probabilities(n_sites):
    codes = np.arange(3000) % n_sites
    log_q = site_log_probability(age_spline(30.0 * codes + np.linspace(20, 30, 3000)), codes)
    assert np.isfinite(log_q).all()
    assert (log_q.argmax(axis=1) == codes).all()
    np.testing.assert_allclose(np.exp(log_q).sum(axis=1), 1)


def test_without_age_sites_have_their_shares():
    codes = np.array([0, 0, 0, 1])
    log_q = site_log_probability(np.ones((4, 1)), codes)
    np.testing.assert_allclose(np.exp(log_q), np.tile([0.75, 0.25], (4, 1)))


def test_statistic_is_the_f_of_site_beyond_age():
    codes, age, random = cohort()
    design = age_spline(age)
    Y = random.normal(size=(80, 2))
    result = partial_confounder_permutations(Y, design, codes, 5, random_state=0)

    def residuals(columns, basis):
        return columns - basis @ np.linalg.lstsq(basis, columns, rcond=None)[0]

    left = residuals(Y, design)
    square = left**2
    log_square = np.log(square + 1e-3 * square.mean(axis=0))
    spread = np.exp((log_square - residuals(log_square, design)) / 2)
    noise = residuals(left / spread, design)
    full = np.column_stack([design, codes == 1, codes == 2])
    before, after = (np.sum(residuals(noise, basis) ** 2, axis=0) for basis in (design, full))
    F = ((before - after) / 2) / (after / (80 - full.shape[1]))
    np.testing.assert_allclose(result.statistic, F.mean(), rtol=1e-5)
    assert result.null.shape == (5,)


def test_progress_is_shown_on_request_only(capsys):
    codes, age, random = cohort()
    data = random.normal(size=(80, 1)), age_spline(age), codes, 5
    partial_confounder_permutations(*data, random_state=0)
    assert capsys.readouterr() == ("", "")
    partial_confounder_permutations(*data, random_state=0, verbose=1)
    assert "Conditional permutation" in capsys.readouterr().err
