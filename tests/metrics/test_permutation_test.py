import itertools
from collections import Counter

import joblib
import numpy as np
import pandas as pd
import pytest

from mresklearn.exceptions import UnanswerableWarning
from mresklearn.metrics import age_stratified_permutation_test


def global_stream():
    return np.random.get_state()[1].copy()  # noqa: NPY002


def cohort(n=120, age_by_site=12.0, shift=0.0, random_state=0):
    """Two sites that differ in age, and a feature of age that may be shifted at one of them."""
    rng = np.random.default_rng(random_state)
    code = rng.integers(0, 2, n)
    age = rng.normal(50 + age_by_site * code, 10)
    feature = age + rng.normal(0, 5, n) + shift * code

    def difference(site):
        return feature[site == "b"].mean() - feature[site == "a"].mean()

    return np.array(["a", "b"])[code], age, difference


def test_labels_stay_in_their_stratum_of_age():
    site, age, _ = cohort(60)
    stratum = np.searchsorted(np.quantile(age, [0.25, 0.5, 0.75]), age, side="right")
    seen = []

    def remember(labels):
        seen.append(labels)
        return float(len(seen))

    result = age_stratified_permutation_test(
        remember, site, age, n_strata=4, n_permutations=30, random_state=0
    )
    assert result.n_strata == 4
    assert len(seen) == 31
    np.testing.assert_array_equal(seen[0], site)
    for permuted in seen[1:]:
        for k in range(4):
            assert sorted(permuted[stratum == k]) == sorted(site[stratum == k])
    assert any((permuted != site).any() for permuted in seen[1:])


def test_all_permutations_are_equally_likely():
    # two strata of three people: 3! x 3! orders
    labels, age = np.array([1, 2, 3, 4, 5, 6]), np.array([20, 21, 22, 70, 71, 72])
    drawn = Counter()

    def count(permuted):
        drawn[tuple(permuted.tolist())] += 1
        return 0.0

    age_stratified_permutation_test(
        count, labels, age, n_strata=2, n_permutations=3600, random_state=0
    )
    drawn[tuple(labels.tolist())] -= 1  # the labels as they are were counted once more
    expected = {
        (*first, *last)
        for first in itertools.permutations((1, 2, 3))
        for last in itertools.permutations((4, 5, 6))
    }
    assert set(drawn) == expected
    assert all(abs(n - 100) < 4 * np.sqrt(100) for n in drawn.values())


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_p_counts_the_null_distribution(alternative):
    site, age, difference = cohort(shift=2.0)
    result = age_stratified_permutation_test(
        difference, site, age, alternative=alternative, n_permutations=199, random_state=0
    )
    assert result.statistic == difference(site)
    assert result.null_mean == pytest.approx(result.null_distribution.mean())
    greater = (1 + np.sum(result.null_distribution >= result.statistic)) / 200
    less = (1 + np.sum(result.null_distribution <= result.statistic)) / 200
    expected = {"greater": greater, "less": less, "two-sided": min(1, 2 * min(greater, less))}
    assert result.p_value == expected[alternative]


def test_age_is_no_effect_and_a_shift_beyond_age_is():
    site, age, difference = cohort(200)
    free = age_stratified_permutation_test(difference, site, age, n_strata=1, random_state=0)
    within = age_stratified_permutation_test(difference, site, age, random_state=0)
    assert free.p_value == 0.001
    assert within.p_value > 0.05
    assert within.null_mean == pytest.approx(within.statistic, abs=2)
    assert free.null_mean == pytest.approx(0, abs=0.5)
    site, age, difference = cohort(200, shift=4.0)
    found = age_stratified_permutation_test(difference, site, age, random_state=0)
    assert found.p_value < 0.01
    assert found.statistic - found.null_mean == pytest.approx(4, abs=2)


def test_level_where_age_differs_by_site():
    rejected = []
    for seed in range(120):
        site, age, difference = cohort(80, random_state=seed)
        rejected.append(
            age_stratified_permutation_test(
                difference, site, age, n_permutations=99, random_state=seed
            ).p_value
            <= 0.05
        )
    assert np.mean(rejected) <= 0.11  # 0.05 + 3 standard errors of 0.02


def test_rows_of_a_person_move_together():
    site, age, _ = cohort(40)
    person = np.repeat(np.arange(40), 3)
    order = np.random.default_rng(0).permutation(120)
    seen = []

    def remember(labels):
        seen.append(labels)
        return float(len(seen))

    result = age_stratified_permutation_test(
        remember,
        np.repeat(site, 3)[order],
        np.repeat(age, 3)[order] + np.random.default_rng(1).normal(0, 0.5, 120),
        groups=person[order],
        n_permutations=20,
        random_state=0,
    )
    assert result.n_strata == 10, "strata are of people, not of rows"
    for permuted in seen:
        assert pd.Series(permuted).groupby(person[order]).nunique().eq(1).all()


def test_a_person_with_two_labels_cannot_exchange():
    with pytest.raises(ValueError, match="more than one label, in rows 1"):
        age_stratified_permutation_test(
            len, ["a", "b", "a", "b"], [50, 50, 51, 52], groups=["p", "p", "q", "r"]
        )


def test_strata_are_of_four_people_by_default_and_equal_ages_share_one():
    site, age, difference = cohort(100)
    result = age_stratified_permutation_test(difference, site, age, n_permutations=9)
    assert result.n_strata == 25
    whole_years = np.repeat([30, 40, 50, 60], 25)
    shared = age_stratified_permutation_test(difference, site, whole_years, n_permutations=9)
    assert shared.n_strata == 4


def test_share_of_people_who_can_exchange():
    labels = ["a"] * 6 + ["a", "b", "a", "b", "a", "b"]
    age = [20, 21, 22, 23, 24, 25, 60, 61, 62, 63, 64, 65]
    result = age_stratified_permutation_test(
        lambda labels: 0.0, labels, age, n_strata=2, n_permutations=99
    )
    assert result.share_exchangeable == 0.5
    assert result.smallest_p == pytest.approx(1 / 20), "6 choose 3 arrangements"
    assert result.p_value == 1, "everything ties"


def test_ages_that_do_not_overlap_are_refused():
    site = np.repeat(["a", "b"], 48)
    age = np.r_[np.linspace(20, 40, 48), np.linspace(60, 80, 48)]
    with pytest.raises(ValueError, match="age and label cannot be told apart"):
        age_stratified_permutation_test(len, site, age)


def test_ages_that_hardly_overlap_cannot_give_a_small_p_and_it_says_so():
    # one stratum holds the two oldest of one site and the two youngest of the other
    site = np.repeat(["a", "b"], 50)
    age = np.r_[np.linspace(20, 40, 50), np.linspace(60, 80, 50)]
    with pytest.warns(UnanswerableWarning, match="no p below 0.17") as caught:
        result = age_stratified_permutation_test(len, site, age, n_permutations=99)
    assert caught[0].filename == __file__
    assert result.smallest_p == pytest.approx(1 / 6)
    assert result.share_exchangeable == 0.04


def test_arrangements_are_counted_by_stratum():
    labels, age = list("aabbabcc"), [20, 21, 22, 23, 60, 61, 62, 63]
    result = age_stratified_permutation_test(len, labels, age, n_permutations=999)
    assert result.smallest_p == pytest.approx(1 / (6 * 12))
    assert result.p_value == 1
    few = age_stratified_permutation_test(len, labels, age, n_permutations=9)
    assert few.smallest_p == 0.1
    both = age_stratified_permutation_test(
        len, labels, age, n_permutations=999, alternative="two-sided"
    )
    assert both.smallest_p == pytest.approx(2 / (6 * 12))


def test_chance_cannot_bring_p_below_the_number_of_arrangements():
    # 4 x 6 arrangements, of which one has the largest statistic; 50 draws miss it now and then
    labels, age = np.array(list("aaabaabb")), [20, 21, 22, 23, 60, 61, 62, 63]

    def in_place(permuted):
        return float((permuted == labels).all())

    results = [
        age_stratified_permutation_test(
            in_place, labels, age, n_strata=2, n_permutations=50, random_state=seed
        )
        for seed in range(20)
    ]
    assert all(result.p_value >= result.smallest_p == pytest.approx(1 / 24) for result in results)
    assert min(result.null_distribution.sum() for result in results) == 0


def test_ties_by_rounding_count():
    site, age, _ = cohort(30)
    wobble = iter(np.r_[0.3, np.full(99, 0.1 + 0.2 - 1e-16)])
    result = age_stratified_permutation_test(
        lambda labels: next(wobble), site, age, n_permutations=99, random_state=0
    )
    assert result.p_value == 1


def test_seed_decides_and_jobs_and_progress_do_not(capsys):
    site, age, difference = cohort()
    options = {"n_permutations": 60, "random_state": 3}
    before = global_stream()
    first = age_stratified_permutation_test(difference, site, age, **options)
    assert capsys.readouterr().err == ""
    with joblib.parallel_config(backend="threading"):
        second = age_stratified_permutation_test(
            difference, site, age, n_jobs=2, verbose=1, **options
        )
    np.testing.assert_array_equal(first.null_distribution, second.null_distribution)
    assert "Permutations: 100%" in capsys.readouterr().err
    np.testing.assert_array_equal(global_stream(), before)


def test_labels_of_mixed_type_are_kept_as_they_are():
    labels = pd.Series([1, "b", 1, "b", 1, "b"], dtype=object)
    kinds = []
    age_stratified_permutation_test(
        lambda values: kinds.append({type(v) for v in values}) or 0.0,
        labels,
        [50, 51, 52, 53, 54, 55],
        n_permutations=5,
    )
    assert all(kind == {int, str} for kind in kinds)


@pytest.mark.parametrize(
    ("labels", "age", "message"),
    [
        (["a", None, "b"], [1, 2, 3], "labels is missing in 1 of 3 rows: 1"),
        (["a", "b"], [1, 2, 3], "labels must have one entry"),
        (["a", "b", "a"], [1, np.nan, 3], "age is missing or infinite in 1 of 3 rows: 1"),
    ],
)
def test_bad_input_is_refused(labels, age, message):
    with pytest.raises(ValueError, match=message):
        age_stratified_permutation_test(len, labels, age)


def test_a_statistic_without_a_value_is_refused():
    site, age, _ = cohort(30)
    with pytest.raises(ValueError, match="must be defined for any order"):
        age_stratified_permutation_test(lambda labels: np.nan, site, age, n_permutations=5)
