import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.model_selection import (
    KFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from mresklearn.confounds import site_predictability

PROBES = pytest.mark.parametrize("probe", ["linear", "rbf"])


def cohort(n_sites=5, per_site=40, age_step=0.0, random_state=0):
    rng = np.random.default_rng(random_state)
    code = np.repeat(np.arange(n_sites), per_site)
    age = rng.normal(50 + age_step * code, 10)
    return rng, code, np.array(list("abcdefgh"))[code], age


@PROBES
def test_planted_site_shift_is_found(probe):
    rng, code, site, age = cohort()
    X = rng.normal(size=(200, 8)) + 2 * rng.normal(size=(5, 8))[code]
    result = site_predictability(X, site, age=age, probe=probe)
    assert result.balanced_accuracy > 0.95
    assert result.fold_scores.shape == (5,)
    assert result.fold_scores.min() > 0.85
    assert result.excess > 0.5
    assert (result.chance, result.n_sites) == (0.2, 5)


@PROBES
def test_permuted_sites_give_chance(probe):
    # one run has SD sqrt(.2 * .8 / 200) = 0.028, the mean of five 0.013; stratified folds pull it
    # a little under chance. 0.05 is four of those SD.
    scores = []
    for seed in range(5):
        rng, code, site, _ = cohort(random_state=seed)
        X = rng.normal(size=(200, 8)) + 2 * rng.normal(size=(5, 8))[code]
        result = site_predictability(X, rng.permutation(site), probe=probe, random_state=seed)
        scores.append(result.balanced_accuracy)
    assert abs(np.mean(scores) - 0.2) < 0.05


@PROBES
def test_features_that_are_age_reach_the_floor_and_no_more(probe):
    _, _, site, age = cohort(age_step=8)
    result = site_predictability(age[:, np.newaxis], site, age=age, probe=probe)
    assert result.age_floor > 1.5 * result.chance
    assert abs(result.balanced_accuracy - result.age_floor) < 0.06  # two SD of a run, see above
    assert abs(result.excess) < 0.03


def test_many_noise_features_do_not_drown_the_age():
    # measured over eight seeds: 0.00; -0.13 where the spline of age is not scaled to the features
    excess = []
    for seed in range(3):
        rng, _, site, age = cohort(age_step=8, random_state=seed)
        X = rng.normal(size=(200, 600))
        excess.append(site_predictability(X, site, age=age, probe="rbf").excess)
    assert abs(np.mean(excess)) < 0.05


def test_site_beyond_age_shows_as_excess():
    rng, code, site, age = cohort(age_step=8)
    X = np.column_stack([age + rng.normal(0, 3, 200), code % 2 + rng.normal(0, 0.2, 200)])
    assert site_predictability(X, site, age=age).excess > 0.15


def test_curved_age_differences_count_for_the_floor():
    # the middle-aged at one site, young and old at the other: no straight line tells them apart
    rng = np.random.default_rng(0)
    age = np.r_[rng.normal(50, 4, 60), rng.normal(25, 4, 30), rng.normal(75, 4, 30)]
    result = site_predictability(age[:, np.newaxis], np.repeat(["a", "b"], 60), age=age)
    assert result.age_floor > 0.95
    assert result.balanced_accuracy < 0.7


def test_rbf_sees_scale_that_linear_misses():
    rng = np.random.default_rng(0)
    site = np.repeat(["a", "b"], 80)
    X = rng.normal(size=(160, 4)) * np.repeat([1, 4], 80)[:, np.newaxis]
    assert site_predictability(X, site, probe="linear").balanced_accuracy < 0.65
    assert site_predictability(X, site, probe="rbf").balanced_accuracy > 0.85


def test_without_age_floor_and_excess_are_nan():
    rng, _, site, _ = cohort()
    result = site_predictability(rng.normal(size=(200, 3)), site)
    assert np.isnan(result.age_floor)
    assert np.isnan(result.excess)


@PROBES
@pytest.mark.parametrize("n_features", [4, 400])
def test_deterministic(probe, n_features):
    rng, code, site, age = cohort(age_step=5)
    X = rng.normal(size=(200, n_features)) + 0.3 * rng.normal(size=(5, n_features))[code]
    first, again = (site_predictability(X, site, age=age, probe=probe) for _ in range(2))
    assert {k: v for k, v in first.items() if k != "fold_scores"} == {
        k: v for k, v in again.items() if k != "fold_scores"
    }
    np.testing.assert_array_equal(first.fold_scores, again.fold_scores)


def test_site_names_and_frames_do_not_matter():
    rng, code, site, age = cohort(age_step=5)
    X = rng.normal(size=(200, 3))
    expected = site_predictability(X, site, age=age)
    for sites in (list(site), pd.Series(site, index=np.arange(200)[::-1]), code):
        result = site_predictability(pd.DataFrame(X), sites, age=pd.Series(age))
        assert result.excess == expected.excess
        assert result.balanced_accuracy == expected.balanced_accuracy


def test_rows_of_a_person_do_not_leak():
    # identical repeats of noise: a nearest repeat would give site away, if it were in training
    rng, _, site, _ = cohort(per_site=20)
    X = np.repeat(rng.normal(size=(100, 60)), 4, axis=0)
    sites, person = np.repeat(site, 4), np.repeat(np.arange(100), 4)
    assert site_predictability(X, sites, groups=person, probe="rbf").balanced_accuracy < 0.35
    assert site_predictability(X, sites, probe="rbf").balanced_accuracy > 0.8


def test_tiny_sites_and_constant_columns_never_warn():
    rng = np.random.default_rng(0)
    site = np.repeat(["a", "b", "c"], [2, 2, 30])
    X = np.column_stack([rng.normal(size=(34, 3)), np.ones(34)])
    for probe in ("linear", "rbf"):
        result = site_predictability(X, site, age=np.full(34, 60), probe=probe)
        assert result.age_floor == pytest.approx(1 / 3)
        assert 0 <= result.balanced_accuracy <= 1
    assert 0 <= site_predictability(X[:4], site[:4], age=[20, 30, 20, 30], cv=2).age_floor <= 1


@PROBES
@pytest.mark.parametrize("n_features", [1, 50])
def test_collapsed_embedding_gives_chance(probe, n_features):
    result = site_predictability(np.ones((40, n_features)), np.repeat(["a", "b"], 20), probe=probe)
    assert result.balanced_accuracy == pytest.approx(0.5, abs=0.11)


def test_frames_asked_of_transformers_make_no_difference():
    rng, _, site, age = cohort()
    X = rng.normal(size=(200, 90))
    expected = site_predictability(X, site, age=age)
    with sklearn.config_context(transform_output="pandas"):
        assert site_predictability(X, site, age=age).excess == expected.excess


@pytest.mark.parametrize("routing", [False, True])
def test_splitters_and_folds(routing):
    rng, _, site, _ = cohort()
    X, person = rng.normal(size=(200, 3)), np.arange(200) // 2
    with sklearn.config_context(enable_metadata_routing=routing):
        result = site_predictability(X, site, groups=person, cv=StratifiedGroupKFold(4))
        assert result.fold_scores.shape == (4,)
        splitter = StratifiedKFold(3)
        by_splitter = site_predictability(X, site, cv=splitter)
        by_folds = site_predictability(X, site, cv=list(splitter.split(X, site)))
        np.testing.assert_array_equal(by_folds.fold_scores, by_splitter.fold_scores)
        assert site_predictability(X, site, n_jobs=2).n_sites == 5


def test_folds_that_cannot_be_used():
    _, _, site, age = cohort()
    X = age[:, np.newaxis]
    with pytest.raises(ValueError, match="keeps groups whole"):
        site_predictability(
            X, site, groups=np.arange(200) // 2, cv=list(KFold(3, shuffle=True).split(X))
        )
    with pytest.raises(ValueError, match="training fold holds one site only"):
        site_predictability(X[:80], site[:80], cv=KFold(2))
    for cv in (1, 0, 300):
        with pytest.raises(ValueError, match="choose a number from 2 to 200"):
            site_predictability(X, site, cv=cv)


def test_sites_that_cannot_be_predicted():
    X = np.arange(6.0)[:, np.newaxis]
    with pytest.raises(ValueError, match="at least 2 sites, but all rows come from 'a'"):
        site_predictability(X, ["a"] * 6)
    with pytest.raises(ValueError, match=r"fewer than 2 persons.*\['c', 'd'\]. Drop their rows"):
        site_predictability(X, list("aabbcd"))
    with pytest.raises(ValueError, match=r"fewer than 2 persons.*\['b'\]"):
        site_predictability(X, list("aabbbb"), groups=[1, 2, 3, 3, 3, 3])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"site": ["a", "a", None, "b", "b", ""]}, r"site is missing in 2 of 6 rows: 2, 5"),
        ({"age": [1, 2, np.nan, 4, 5, 6]}, r"age is missing in 1 of 6 rows: 2"),
        ({"age": list("abcdef")}, "age must hold ages in years"),
        ({"age": [1, 2]}, "age has 2 entries, but X has 6 rows"),
        ({"site": ["a", "b"]}, "site must have one entry for each of the 6 rows"),
        ({"groups": [1, 2, 3, 4, 5, None]}, "groups is missing in 1 of 6 rows"),
        ({"probe": "mlp"}, "probe must be 'linear' or 'rbf', got 'mlp'"),
        ({"X": np.full((6, 1), np.nan)}, "Input X contains NaN"),
    ],
)
def test_inputs_that_cannot_be_used(changed, message):
    arguments = {"X": np.arange(6.0)[:, np.newaxis], "site": list("aaabbb"), **changed}
    with pytest.raises(ValueError, match=message):
        site_predictability(**arguments)


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (ShuffleSplit(1, test_size=0.2, random_state=0), "160 rows are never held out and 0 more"),
        (RepeatedStratifiedKFold(n_splits=2, n_repeats=2), "0 rows are never held out and 200 mor"),
        ([(np.arange(1, 200), [0])], "199 rows are never held out and 0 more than once: 1, 2, 3"),
    ],
)
def test_every_row_is_held_out_once(cv, message):
    rng, _, site, age = cohort()
    with pytest.raises(ValueError, match=message):
        site_predictability(rng.normal(size=(200, 3)), site, age=age, cv=cv)
