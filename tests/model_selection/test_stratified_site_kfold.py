import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_validate

from mresklearn.exceptions import SingleSiteWarning
from mresklearn.model_selection import StratifiedSiteKFold


def cohort(n=200, n_sites=4, random_state=0):
    """Sites of unequal size that differ in age, rows in random order."""
    rng = np.random.default_rng(random_state)
    site = np.sort(
        rng.choice(n_sites, n, p=np.arange(1, n_sites + 1) / np.arange(n_sites + 1).sum())
    )
    order = rng.permutation(n)
    return np.array(list("abcdefgh"))[site][order], (rng.normal(40 + 8 * site, 12))[order]


def fold_rows(cv, age, site, groups=None):
    return [test for _, test in cv.split(np.zeros((len(age), 1)), age, groups, site=site)]


def counts(tests, labels):
    return np.array([[np.sum(labels[t] == label) for label in np.unique(labels)] for t in tests])


@pytest.mark.parametrize("shuffle", [True, False])
def test_partition_with_even_shares_of_every_site(shuffle):
    site, age = cohort()
    cv = StratifiedSiteKFold(5, shuffle=shuffle, random_state=0 if shuffle else None)
    folds = list(cv.split(np.zeros((200, 1)), age, site=site))
    tests = [test for _, test in folds]
    assert len(folds) == cv.get_n_splits() == 5
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(200))
    assert sorted(np.concatenate(tests)) == list(range(200))
    # dealing in turn: less than one person from the exact share, of each site and of all
    expected = counts([np.arange(200)], site) / 5
    assert np.all(np.abs(counts(tests, site) - expected) < 1)
    assert np.ptp([len(t) for t in tests]) <= 1


def test_every_age_bin_of_every_site_is_spread_evenly():
    site, age = cohort()
    bins = np.empty(200, dtype=int)
    for name in np.unique(site):
        rows = np.flatnonzero(site == name)
        n_bins = min(5, max(1, len(rows) // 5))
        bins[rows[np.argsort(age[rows])]] = np.arange(len(rows)) * n_bins // len(rows)
    strata = np.char.add(site, bins.astype(str))
    spread = np.ptp(counts(fold_rows(StratifiedSiteKFold(5, random_state=3), age, site), strata), 0)
    assert spread.max() <= 1


def test_ages_are_balanced_better_than_by_plain_kfold():
    def spread(tests, age, site):
        """SD over folds of the mean age, at each site, averaged."""
        means = [[age[t][site[t] == s].mean() for s in np.unique(site)] for t in tests]
        return np.mean(np.std(means, axis=0))

    ours, plain = [], []
    for seed in range(10):
        site, age = cohort(n_sites=2, random_state=seed)
        ours.append(
            spread(fold_rows(StratifiedSiteKFold(5, random_state=seed), age, site), age, site)
        )
        kfold = KFold(5, shuffle=True, random_state=seed).split(age)
        plain.append(spread([t for _, t in kfold], age, site))
    # measured: 0.8 against 2.1 years
    assert np.mean(ours) < 0.6 * np.mean(plain)


def test_all_rows_of_a_person_stay_together_even_over_two_sites():
    site, age = cohort(150)
    rng = np.random.default_rng(2)
    person = rng.integers(0, 60, 150)
    tests = fold_rows(StratifiedSiteKFold(4, random_state=0), age, site, groups=person)
    assert sum(len(set(person[t])) for t in tests) == len(set(person))


def test_folds_of_persons_do_not_depend_on_order_of_rows():
    site, age = cohort(60)
    person = np.array([f"sub-{i:03}" for i in range(60)])
    order = np.random.default_rng(0).permutation(60)
    cv = StratifiedSiteKFold(3, random_state=0)
    before = [set(person[t]) for t in fold_rows(cv, age, site, person)]
    after = [set(person[order][t]) for t in fold_rows(cv, age[order], site[order], person[order])]
    assert before == after


def test_sites_smaller_than_the_number_of_folds():
    site = np.repeat(list("abcd"), [2, 3, 1, 30])
    tests = fold_rows(StratifiedSiteKFold(5, random_state=0), np.arange(36.0), site)
    assert counts(tests, site).max(axis=0).tolist() == [1, 1, 1, 6]


def test_int_seed_is_deterministic_and_seeds_differ():
    site, age = cohort()
    first, again, other = (
        fold_rows(StratifiedSiteKFold(random_state=seed), age, site) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_without_shuffling_folds_are_always_the_same():
    site, age = cohort()
    first, again = (fold_rows(StratifiedSiteKFold(shuffle=False), age, site) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_global_random_state_is_untouched():
    site, age = cohort()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    fold_rows(StratifiedSiteKFold(random_state=0), age, site)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_site_travels_with_the_rows():
    site, age = cohort()
    frame = pd.DataFrame({"path": "x", "site": site})
    cv = StratifiedSiteKFold(5, random_state=0)
    from_rows = [t for _, t in cv.split(frame, age)]
    assert all(map(np.array_equal, from_rows, fold_rows(cv, age, site)))
    # the keyword wins
    constant = [t for _, t in cv.split(frame, age, site=np.zeros(200))]
    assert not all(map(np.array_equal, from_rows, constant))


def test_without_site_age_is_balanced_and_a_warning_says_so():
    _, age = cohort()
    cv = StratifiedSiteKFold(5, random_state=0)
    with pytest.warns(SingleSiteWarning, match="Pass site="):
        tests = [t for _, t in cv.split(np.zeros((200, 1)), age)]
    assert all(map(np.array_equal, tests, fold_rows(cv, age, np.zeros(200))))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n_splits=st.integers(2, 6), n_age_bins=st.integers(1, 7))
def test_invariants(data, n_splits, n_age_bins):
    persons = data.draw(st.lists(st.integers(0, 25), min_size=n_splits, max_size=60))
    n = len(persons)
    site = np.array(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)))
    ages = st.floats(0, 100, allow_nan=False) | st.integers(60, 62)
    age = np.array(data.draw(st.lists(ages, min_size=n, max_size=n)), dtype=float)
    person = np.array(persons)
    ids, first_row = np.unique(person, return_index=True)
    assume(len(ids) >= n_splits)
    assume(len(np.unique(site)) < len(ids))  # else the groups may be the sites

    cv = StratifiedSiteKFold(n_splits, n_age_bins=n_age_bins, random_state=0)
    tests = fold_rows(cv, age, site, person)
    assert sorted(np.concatenate(tests)) == list(range(n))
    assert sum(len(set(person[t])) for t in tests) == len(ids)
    # in persons, each at the site of the first row
    firsts = [np.intersect1d(t, first_row) for t in tests]
    assert np.ptp([len(f) for f in firsts]) <= 1
    for name in np.unique(site[first_row]):
        assert np.ptp([np.sum(site[f] == name) for f in firsts]) <= 1
    assert all(map(np.array_equal, tests, fold_rows(cv, age, site, person)))


def test_keywords_reach_the_splitter_with_routing():
    site, age = cohort()
    person = np.arange(200) // 2
    X = age[:, np.newaxis]
    cv = StratifiedSiteKFold(4, random_state=0)
    expected = fold_rows(cv, age, site, person)
    with sklearn.config_context(enable_metadata_routing=True):
        params = {"groups": person, "site": site}
        scores = cross_validate(Ridge(), X, age, cv=cv, params=params, return_indices=True)
        cross_val_predict(Ridge(), X, age, cv=cv, params=params)
        search = GridSearchCV(Ridge(), {"alpha": [1, 10]}, cv=cv)
        search.fit(X, age, groups=person, site=site)
    assert all(map(np.array_equal, expected, scores["indices"]["test"]))
    assert search.n_splits_ == 4


def test_without_routing_site_travels_with_the_rows():
    site, age = cohort()
    person = np.arange(200) // 2
    X = pd.DataFrame({"x": age, "site": pd.factorize(site)[0]})
    cv = StratifiedSiteKFold(4, random_state=0)
    with sklearn.config_context(enable_metadata_routing=False):
        scores = cross_validate(Ridge(), X, age, groups=person, cv=cv, return_indices=True)
        GridSearchCV(Ridge(), {"alpha": [1, 10]}, cv=cv).fit(X, age, groups=person)
    expected = fold_rows(cv, age, pd.factorize(site)[0], person)
    assert all(map(np.array_equal, expected, scores["indices"]["test"]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_splits": 1}, "n_splits must be an integer of at least 2, got 1"),
        ({"n_splits": 2.5}, "n_splits must be an integer"),
        ({"n_age_bins": 0}, "n_age_bins must be an integer of at least 1"),
        ({"shuffle": "yes"}, "shuffle must be True or False"),
        ({"shuffle": False, "random_state": 0}, "random_state has no effect with shuffle=False"),
        ({"n_splits": 300}, "n_splits=300 folds need at least as many persons, but there are 200"),
    ],
)
def test_parameters_out_of_range(params, message):
    site, age = cohort()
    with pytest.raises(ValueError, match=message):
        fold_rows(StratifiedSiteKFold(**params), age, site)


def test_fewer_persons_than_folds():
    with pytest.raises(ValueError, match=r"there are 2.*person ids, not sites"):
        fold_rows(StratifiedSiteKFold(3), np.arange(6.0), list("aaaaaa"), groups=[1, 1, 1, 2, 2, 2])


@pytest.mark.parametrize(
    ("age", "message"),
    [
        (None, "pass the ages in years as y"),
        ([60.0, np.nan, 70.0, np.inf], r"missing or infinite in 2 of 4 rows: 1, 3\."),
        (pd.Series([60.0, None, 70.0, 71.0], index=list("wxyz")), r"in 1 of 4 rows: x\."),
        (pd.Series([60, None, 70, 71], dtype="Int64"), r"in 1 of 4 rows: 1\."),
        (["CN", "AD", "CN", "AD"], "StratifiedGroupKFold"),
        ([60.0, 70.0], r"one age for each of the 4 rows of X, got shape \(2,\)"),
        (np.zeros((4, 1)), r"got shape \(4, 1\)"),
    ],
)
def test_ages_that_cannot_be_used(age, message):
    with pytest.raises(ValueError, match=message):
        StratifiedSiteKFold(2).split(np.zeros((4, 1)), age, site=list("aabb"))


def test_missing_site_or_person_names_the_row():
    X, age = np.zeros((4, 1)), np.arange(4.0)
    cv = StratifiedSiteKFold(2)
    with pytest.raises(ValueError, match=r"site is missing in 1 of 4 rows: 2\."):
        cv.split(X, age, site=["a", "b", None, "a"])
    with pytest.raises(ValueError, match=r"groups \(the persons\) is missing in 1 of 4 rows: 0\."):
        cv.split(X, age, groups=[np.nan, 1, 2, 3], site=list("aabb"))


def test_sites_passed_as_groups_are_refused():
    site, age = cohort()
    with pytest.raises(ValueError, match="groups are the same as the sites"):
        fold_rows(StratifiedSiteKFold(3), age, site, groups=site)
