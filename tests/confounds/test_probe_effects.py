import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import recall_score
from sklearn.svm import SVC

from mresklearn.confounds import site_predictability
from mresklearn.confounds._probe_effects import age_strata, probe_age, probe_features
from mresklearn.confounds._site_probe import (
    _GaussianMachine,
    _shrunk_covariance,
    balanced_accuracy,
)

PROBES = pytest.mark.parametrize("probe", ["linear", "rbf"])


def settings(n_permutations=199, seed=0):
    return {
        "n_permutations": n_permutations,
        "confidence": 0.95,
        "random_state": np.random.default_rng(seed),
    }


def cohort(shift=0.0, n=120, n_sites=4, age_step=5.0, seed=0):
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.arange(n) % n_sites)
    age = rng.normal(50 + age_step * code, 10)
    X = rng.normal(size=(n, 12)) + np.outer(age / 10, rng.normal(size=12))
    return X + shift * rng.normal(size=(n_sites, 12))[code], code, age


@PROBES
def test_numbers_are_those_of_site_predictability(probe):
    X, code, age = cohort(shift=1.0)
    accuracy, excess, n = probe_features(X, code, age, probe, **settings())
    expected = site_predictability(X, code, age=age, probe=probe)
    assert n == 120
    assert accuracy.value == pytest.approx(expected.balanced_accuracy)
    assert accuracy.null_mean == pytest.approx(expected.age_floor)
    assert excess.value == pytest.approx(expected.excess)
    assert excess.interval[0] < excess.value < excess.interval[1]
    assert excess.p == accuracy.p == 1 / 200
    floor, _ = probe_age(code, age, probe, **settings())
    assert floor.value == pytest.approx(expected.age_floor)
    assert floor.null_mean == 0.25
    assert floor.p == 1 / 200


@pytest.mark.parametrize("age_step", [0.0, 10.0])
def test_p_holds_its_level_however_much_age_tells_the_site(age_step):
    p = []
    for seed in range(100):
        X, code, age = cohort(n=60, n_sites=3, age_step=age_step, seed=seed)
        p.append(probe_features(X, code, age, "linear", **settings(39, seed))[1].p)
    assert 0.0 <= np.mean(np.array(p) <= 0.05) <= 0.13  # 0.06 and 0.05; two SD are 0.05


def test_features_of_age_have_no_excess_but_much_accuracy():
    _, code, age = cohort(age_step=15, n=200)
    accuracy, excess, _ = probe_features(age[:, None], code, age, "linear", **settings())
    assert accuracy.value > 0.5
    assert abs(accuracy.value_adj) < 0.06
    assert abs(excess.value) < 0.05
    assert excess.p > 0.05


@PROBES
def test_sites_of_one_person_are_left_out(probe):
    X, code, age = cohort(shift=1.0)
    expected = probe_features(X[1:], code[1:], age[1:], probe, **settings())
    alone = np.r_[9, code[1:]]
    found = probe_features(X, alone, age, probe, **settings())
    assert found[2] == 119
    assert found[0].value == expected[0].value


def test_too_few_people_or_sites_say_so():
    X, code, age = cohort()
    for effect in probe_features(X, np.arange(120), age, "linear", **settings())[:2]:
        assert effect.reason == "Fewer than two sites have two people."
    for rows, reason in (([0] * 120, "Fewer than two sites"), (code[:16], "16 people; 20 are")):
        effect, _ = probe_age(np.array(rows), age[: len(rows)], "linear", **settings())
        assert effect.status == "not_estimable"
        assert reason in effect.reason


def test_strata_hold_like_ages_and_enough_people():
    age = np.random.default_rng(0).normal(50, 10, 300)
    strata = age_strata(age)
    counts = np.bincount(strata)
    assert len(counts) == 10
    assert counts.min() >= 25
    assert all(age[strata == k].max() <= age[strata == k + 1].min() for k in range(len(counts) - 1))
    assert len(set(age_strata(np.full(100, 60.0)))) == 1
    assert age_strata(age[:20]).max() == 0


def test_shortcuts_of_the_probes_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 30)) * np.arange(1, 31), rng.integers(0, 4, 60)
    centred = X - X.mean(axis=0)
    np.testing.assert_allclose(
        _shrunk_covariance(centred), ledoit_wolf(centred, assume_centered=True)[0], atol=1e-10
    )
    ours = _GaussianMachine().fit(X[:40], y[:40]).predict(X[40:])
    theirs = SVC(class_weight="balanced").fit(X[:40], y[:40]).predict(X[40:])
    np.testing.assert_array_equal(ours, theirs)
    guess = rng.integers(0, 6, 60)
    y[y == 1] = 2
    assert balanced_accuracy(y, guess) == pytest.approx(
        recall_score(y, guess, labels=np.unique(y), average="macro")
    )
