import numpy as np
import pytest

from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._shift_transfer import shift_transfer


def measure(X, fixed, code, n_permutations=39, seed=0):
    return shift_transfer(
        X,
        fixed,
        code,
        n_permutations=n_permutations,
        confidence=0.95,
        random_state=np.random.default_rng(seed),
    )


def cohort(shift, n_sites=6, per_site=40, p=50, age_step=0.0, seed=0):
    """Sites shifted along three shared directions, each along its own, or not at all."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(n_sites), per_site)
    age = rng.normal(age_step * code, 1)
    X = rng.normal(size=(len(code), p)) + np.outer(age, rng.normal(size=p))
    if shift == "shared":
        X += (3 * rng.normal(size=(n_sites, 3)) @ np.linalg.qr(rng.normal(size=(p, 3)))[0].T)[code]
    elif shift == "own":
        X += rng.normal(size=(n_sites, p))[code]
    return X, age_spline(age), code


@pytest.mark.parametrize("age_step", [0.0, 1.5])
def test_shared_directions_transfer(age_step):
    values = [measure(*cohort("shared", age_step=age_step, seed=seed))[0] for seed in range(5)]
    assert np.mean([effect.value for effect in values]) > 0.75
    assert all(effect.p == 1 / 40 for effect in values)


@pytest.mark.parametrize("age_step", [0.0, 1.5])
def test_own_directions_transfer_as_chance(age_step):
    # four directions of fifty
    values = [measure(*cohort("own", age_step=age_step, seed=seed))[0] for seed in range(5)]
    assert np.mean([effect.null_mean for effect in values]) == pytest.approx(4 / 50, abs=0.02)
    assert np.mean([effect.value for effect in values]) == pytest.approx(4 / 50, abs=0.04)


def test_noise_that_all_shifts_share_is_not_taken_for_a_span():
    # narrow ages at unequal sites: the noise of the curve of age is in all shifts
    ratio, chance = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        code = np.r_[np.repeat(np.arange(15), 12), rng.integers(0, 3, 300)]
        age = rng.exponential(size=15)[code] * 2 + rng.normal(size=480) * 0.5
        X = rng.normal(size=(480, 60)) + np.outer(age, rng.normal(size=60))
        X += 0.7 * rng.normal(size=(15, 60))[code]
        effect, _ = measure(X, age_spline(age), code, n_permutations=19, seed=seed)
        ratio.append(effect.value)
        chance.append(effect.null_mean)
    assert np.nanmean(chance) == pytest.approx(13 / 60, abs=0.03)
    assert np.nanmean(ratio) == pytest.approx(13 / 60, abs=0.035)


def test_no_shift_is_nothing_to_transfer():
    for seed in range(5):
        pooled, by_site = measure(*cohort(None, age_step=0.5, seed=seed))
        assert pooled.status == "not_estimable"
        assert "cannot be told from none" in pooled.reason
        assert np.isnan(pooled.value)
        assert sum(e.status == "ok" for e in by_site.values()) <= 2


def test_without_noise_the_ratio_is_the_projection():
    # people of two ages at every site: shifts are exact, and so is what the span holds of them
    rng = np.random.default_rng(0)
    centres, code = rng.normal(size=(4, 10)), np.repeat(np.arange(4), 24)
    age = np.tile([-1.0, 1.0], 48)
    pooled, by_site = measure(centres[code], np.column_stack([np.ones(96), age]), code)
    shares = []
    for site in range(4):
        others = np.delete(centres, site, axis=0)
        shift = centres[site] - others.mean(axis=0)
        span = np.linalg.qr((others[:2] - others[2]).T)[0]
        shares.append((np.sum((shift @ span) ** 2), np.sum(shift**2)))
        assert by_site[site].value == pytest.approx(shares[-1][0] / shares[-1][1])
    assert pooled.value == pytest.approx(np.sum(shares, axis=0)[0] / np.sum(shares, axis=0)[1])


def test_rotation_and_names_of_sites_do_not_matter():
    X, fixed, code = cohort("shared")
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(50, 50)))[0]
    expected, by_site = measure(X, fixed, code)
    turned, _ = measure(X @ turn, fixed, code)
    assert turned.value == pytest.approx(expected.value)
    assert turned.null_mean == pytest.approx(expected.null_mean)
    assert len(by_site) == 6


def test_a_site_that_a_covariate_tells_from_all_others_is_hidden():
    X, fixed, code = cohort("shared")
    told = np.column_stack([fixed, code == 2])
    pooled, by_site = measure(X, told, code)
    assert by_site[2].status == "not_estimable"
    assert "tells this site from all others" in by_site[2].reason
    others = code != 2
    assert pooled.value == pytest.approx(
        measure(X[others], told[others], code[others])[0].value, abs=0.1
    )


def test_too_few_sites_people_or_dimensions_say_so():
    X, fixed, code = cohort("shared")
    assert "three are needed" in measure(X, fixed, code % 2)[0].reason
    assert "span all 4 dimensions" in measure(X[:, :4], fixed, code)[0].reason
    pooled, by_site = measure(X, fixed, np.arange(240) % 100)
    assert by_site[99].reason == "2 people; 4 are needed for two halves."
    assert pooled.status == "not_estimable"
    pooled, _ = measure(X[:32], fixed[:32], np.arange(32) % 5)
    assert "too few for" in pooled.reason
