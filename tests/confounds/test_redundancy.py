import numpy as np
import pytest
from scipy import stats

from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._commonality import commonality
from mresklearn.confounds._coordinates import column_moments, coordinates
from mresklearn.confounds._effect import permutation_p
from mresklearn.confounds._redundancy import redundancy
from mresklearn.confounds._robust_test import robust_test
from mresklearn.confounds._variance import Design, partial_r2


def cohort(n=120, n_sites=4, p=15, effect=0.0, seed=0):
    rng = np.random.default_rng(seed)
    code = rng.integers(0, n_sites, n)
    age = rng.normal(50 + 4 * code, 10)
    X = rng.normal(size=(n, p)) + np.outer(age / 10, rng.normal(size=p))
    X += effect * rng.normal(size=(n_sites, p))[code]
    return X, age_spline(age), np.eye(n_sites)[code], code


def settings(n_permutations=99, seed=0):
    return {
        "n_permutations": n_permutations,
        "confidence": 0.95,
        "random_state": np.random.default_rng(seed),
    }


def squares(X, design):
    fitted = design @ np.linalg.lstsq(design, X, rcond=None)[0]
    return np.sum((X - fitted) ** 2)


def test_partial_r2_is_that_of_least_squares():
    X, fixed, site, code = cohort(effect=0.5)
    effect = redundancy(X, fixed, site, code, **settings())
    before, after = squares(X, fixed), squares(X, np.hstack([fixed, site]))
    k = fixed.shape[1]
    assert effect.value == pytest.approx(1 - after / before)
    assert effect.value_adj == pytest.approx(
        1 - (after / (120 - k - 3)) / (before / (120 - k)), rel=1e-9
    )
    assert effect.interval[0] < effect.value_adj < effect.interval[1]
    assert effect.p == 1 / 100


def test_without_covariates_it_is_the_permutational_analysis_of_variance():
    # Anderson (2001): sums of squares from the distances between people alone
    X, _, site, code = cohort(effect=0.4)
    distance2 = np.sum((X[:, None] - X) ** 2, axis=2)
    total = np.triu(distance2).sum() / 120
    within = sum(
        np.triu(distance2[np.ix_(code == k, code == k)]).sum() / np.sum(code == k) for k in range(4)
    )
    effect = redundancy(X, np.ones((120, 1)), site, code, **settings())
    assert effect.value == pytest.approx(1 - within / total)


def test_one_column_has_the_interval_of_the_noncentral_f():
    X, fixed, site, code = cohort(effect=0.5, p=1)
    effect = redundancy(X, fixed, site, code, **settings())
    assert effect.interval[0] < effect.value_adj < effect.interval[1]


def test_adjustment_and_null_mean_are_free_of_bias():
    raw, null, adjusted = [], [], []
    for seed in range(60):
        X, fixed, site, code = cohort(n=60, seed=seed)
        effect = redundancy(X, fixed, site, code, **settings(19, seed))
        raw.append(effect.value)
        null.append(effect.null_mean)
        adjusted.append(effect.value_adj)
    assert np.mean(raw) == pytest.approx(np.mean(null), abs=0.003)
    assert np.mean(adjusted) == pytest.approx(0, abs=0.003)


def test_rotation_of_features_and_names_of_sites_do_not_matter():
    X, fixed, site, _ = cohort(effect=0.3)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(15, 15)))[0]
    design = Design.of(fixed, site)
    expected = partial_r2(X, design)
    assert partial_r2(X @ turn + 3, design) == pytest.approx(expected)
    assert partial_r2(X, Design.of(fixed, 7 * site[:, ::-1])) == pytest.approx(expected)


def test_coordinates_keep_distances_and_scaling():
    rng = np.random.default_rng(0)
    X = rng.normal(3, np.arange(1, 301), size=(20, 300)).astype(np.float32)
    mean, spread = column_moments(X)
    np.testing.assert_allclose(spread, X.std(axis=0, dtype=float), rtol=1e-6)
    turned = coordinates(X, mean, spread)
    scaled = (X - mean) / spread
    assert turned.shape[1] <= 20
    np.testing.assert_allclose(turned @ turned.T, scaled @ scaled.T, atol=1e-8)
    np.testing.assert_allclose(coordinates(X[:, :9], mean[:9], spread[:9]), scaled[:, :9])


def test_the_test_holds_its_level_where_small_sites_are_noisy():
    # the permuted pseudo F rejects 0.8 of these cohorts
    code = np.repeat(np.arange(6), [200, 20, 20, 20, 20, 20])
    noise = np.array([1, 2, 0.5, 2, 0.7, 1.5])[code, None]
    rejected = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        design = Design.of(age_spline(rng.normal(50, 10, 300)), np.eye(6)[code])
        observed, null = robust_test(rng.normal(size=(300, 10)) * noise, design, 39, rng)
        rejected.append(permutation_p(observed, null) <= 0.05)
    assert np.mean(rejected) <= 0.09


def test_permutations_that_equal_the_data_count_whatever_the_rounding():
    # answers of yes or no at two sites: p is that of the hypergeometric distribution
    code = np.arange(40) % 2
    design = Design.of(np.ones((40, 1)), np.eye(2)[code])
    for seed in range(4):
        yes = np.random.default_rng(seed).random((40, 1)) < 0.4
        observed, null = robust_test(yes.astype(float), design, 4000, np.random.default_rng(0))
        share = stats.hypergeom(40, yes.sum(), 20)
        counts = np.arange(21)
        distance = np.abs(counts - yes.sum() / 2)
        exact = share.pmf(counts)[distance >= np.abs(yes[code == 0].sum() - yes.sum() / 2)].sum()
        # the standard error is at most 0.008
        assert permutation_p(observed, null) == pytest.approx(exact, abs=0.03)


def test_the_test_finds_a_shift():
    p = []
    for seed in range(20):
        X, fixed, site, _ = cohort(effect=0.25, seed=seed)
        design = Design.of(fixed, site)
        p.append(permutation_p(*robust_test(X, design, 99, np.random.default_rng(seed))))
    assert np.mean(np.array(p) <= 0.05) > 0.9


def test_jackknife_interval_covers():
    # population share: variance of the site means over all features and their noise
    hits = 0
    code = np.repeat(np.arange(4), 30)
    shift = 0.5 * np.random.default_rng(1).normal(size=(4, 12))
    shift -= shift.mean(axis=0)
    truth = np.mean(shift**2) / (1 + np.mean(shift**2))
    for seed in range(100):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(120, 12)) + shift[code]
        effect = redundancy(X, np.ones((120, 1)), np.eye(4)[code], code, **settings(19, seed))
        hits += effect.interval[0] <= truth <= effect.interval[1]
    assert hits / 100 >= 0.88


@pytest.mark.parametrize(
    ("added", "reason"),
    [
        (np.ones((40, 1)), "says nothing beyond"),
        (np.eye(40), "40 people for 40 parameters"),
        (np.eye(35)[np.arange(40) % 35], "10 more people than parameters"),
    ],
)
def test_what_cannot_be_measured_says_why(added, reason):
    X = np.random.default_rng(0).normal(size=(40, 3))
    effect = redundancy(X, np.ones((40, 1)), added, np.zeros(40, int), **settings())
    assert effect.status == "not_estimable"
    assert reason in effect.reason


def test_nothing_is_said_of_values_that_follow_from_what_is_fixed():
    _, fixed, site, code = cohort()
    effect = redundancy(fixed @ np.ones((fixed.shape[1], 2)), fixed, site, code, **settings())
    assert "explains all there is" in effect.reason


def test_parts_add_up_to_what_least_squares_explain():
    X, age, site, code = cohort(effect=0.5)
    one = np.ones((120, 1))
    effects = commonality(X, one, age[:, 1:], site, code, **settings())
    total = squares(X, one)
    r2 = {
        name: 1 - squares(X, design) / total
        for name, design in (("age", age), ("site", site), ("both", np.hstack([age, site])))
    }
    assert [e.measure for e in effects] == ["unique_first", "unique_second", "shared"]
    assert effects[0].value == pytest.approx(r2["both"] - r2["site"])
    assert effects[1].value == pytest.approx(r2["both"] - r2["age"])
    assert sum(e.value for e in effects) == pytest.approx(r2["both"])
    assert effects[2].value > 0.02, "age differs by site"
    assert np.isnan(effects[2].p)
    assert effects[1].null_mean == pytest.approx(effects[1].value - effects[1].value_adj, abs=0.01)


def test_nothing_is_shared_where_age_is_equal_at_all_sites():
    rng = np.random.default_rng(0)
    age, code = np.repeat(np.linspace(-1, 1, 30), 4), np.tile(np.arange(4), 30)
    X = rng.normal(size=(120, 6)) + age[:, None] + 0.5 * (code[:, None] == 2)
    design = np.column_stack([age, age**2])
    parts = commonality(X, np.ones((120, 1)), design, np.eye(4)[code], code, **settings())
    assert parts[2].value == pytest.approx(0, abs=1e-12)


def test_parts_of_variables_that_coincide_are_not_told():
    X, _, site, code = cohort()
    effects = commonality(X, np.ones((120, 1)), site, site, code, **settings())
    assert {e.status for e in effects} == {"not_estimable"}
    assert "cannot be told apart" in effects[0].reason
