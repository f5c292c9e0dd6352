import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mresklearn.exceptions import UnanswerableWarning
from mresklearn.metrics import bootstrap_ci
from mresklearn.metrics._intervals import bca_levels, interval, levels
from mresklearn.metrics._repeat import draw_seeds
from mresklearn.metrics._resampling import Resampler, concatenated_ranges


def skewed(n=30, random_state=0):
    return np.random.default_rng(random_state).exponential(size=n)


def global_stream():
    return np.random.get_state()[1].copy()  # noqa: NPY002


def gaps_by_site(n_sites, spread, random, per_site=15):
    """Gaps of mean 0 over sites, whose means differ by `spread`; 5 within."""
    site = np.repeat(np.arange(n_sites), per_site)
    return site, random.normal(0, 5, len(site)) + random.normal(0, spread, n_sites)[site]


# the interval, given a distribution


@pytest.mark.parametrize("statistic", [np.mean, np.std, lambda x: np.median(x) + x.max()])
@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_interval_agrees_with_scipy_on_its_samples(statistic, method):
    values = skewed()
    reference = stats.bootstrap(
        (values,),
        statistic,
        method=method,
        n_resamples=999,
        vectorized=False,
        rng=np.random.default_rng(0),
    )
    drawn, estimate = reference.bootstrap_distribution, statistic(values)
    jackknife = np.array([statistic(np.delete(values, i)) for i in range(len(values))])
    at = levels(0.95) if method == "percentile" else bca_levels(0.95, estimate, drawn, jackknife)
    assert interval(drawn, at) == pytest.approx(tuple(reference.confidence_interval))


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_whole_function_agrees_with_scipy(method):
    values = skewed(40)
    result = bootstrap_ci(np.mean, values, method=method, n_resamples=4000, random_state=0)
    reference = stats.bootstrap(
        (values,), np.mean, method=method, n_resamples=9999, rng=np.random.default_rng(1)
    )
    width = result.high - result.low
    ends = (result.low, result.high)
    assert ends == pytest.approx(tuple(reference.confidence_interval), abs=0.06 * width)
    assert result.standard_error == pytest.approx(reference.standard_error, rel=0.06)
    assert result.distribution.shape == (4000,)
    assert (result.estimate, result.n_units) == (values.mean(), 40)


@pytest.mark.parametrize("n", [5, 10, 50])
def test_expanded_interval_of_a_normal_distribution_is_the_t_interval(n):
    values = np.random.default_rng(n).normal(size=n)
    # the distribution of bootstrap means of many normal values: variance with divisor n
    quantiles = stats.norm(values.mean(), values.std() / np.sqrt(n)).ppf(levels(0.95, n))
    expected = stats.t(n - 1, values.mean(), stats.sem(values)).interval(0.95)
    assert tuple(quantiles) == pytest.approx(expected)


def test_expanded_becomes_plain_with_many_people():
    assert levels(0.9, 10**6) == pytest.approx(levels(0.9), abs=1e-5)


# what is drawn


def test_ranges_are_concatenated():
    starts, sizes = np.array([5, 0, 5]), np.array([2, 3, 2])
    assert concatenated_ranges(starts, sizes).tolist() == [5, 6, 0, 1, 2, 5, 6]


def test_rows_are_drawn_with_equal_chance():
    resampler = Resampler(np.arange(6))
    drawn = np.concatenate([resampler.draw(seed) for seed in range(1000)])
    assert len(drawn) == 6000
    counts = np.bincount(drawn, minlength=6)
    assert stats.chisquare(counts).pvalue > 0.001


def test_persons_are_drawn_whole():
    person = np.array([2, 0, 1, 0, 2, 2])
    for seed in range(50):
        rows = Resampler(person).draw(seed)
        times = np.bincount(rows, minlength=6)
        for code in range(3):
            assert len(set(times[person == code])) == 1, "all rows of a person equally often"
        assert sum(times[[1, 2, 0]]) == 3, "as many persons as there are"
    assert sorted(Resampler(person).without(0)) == [0, 2, 4, 5]


def test_sites_are_drawn_and_then_their_people():
    site = np.array([0] * 3 + [1] * 5 + [2] * 2)
    counts = []
    for seed in range(600):
        rows = Resampler(np.arange(10), site).draw(seed)
        by_site = np.bincount(site[rows], minlength=3)
        times_drawn = by_site / [3, 5, 2]
        assert times_drawn.sum() == 3, "as many sites as there are, each at its own size"
        assert (times_drawn == times_drawn.round()).all()
        counts.append(times_drawn)
    assert np.mean(counts, axis=0) == pytest.approx([1, 1, 1], abs=0.12)
    # a site that is drawn once does not bring all its people: the second stage draws too
    once = [rows for seed in range(50) if len(rows := Resampler(np.arange(10), site).draw(seed))]
    assert any(len(set(rows[site[rows] == 1])) not in (0, 5) for rows in once)


def test_persons_are_whole_within_their_site():
    site = np.array([0, 0, 0, 1, 1, 2, 2])
    person = np.array([7, 7, 3, 7, 4, 1, 1])  # person 7 was seen at two sites
    for seed in range(50):
        times = np.bincount(Resampler(person, site).draw(seed), minlength=7)
        assert times[0] == times[1]
        assert times[5] == times[6]
    assert Resampler(person, site).n_units == 5


def test_arrays_keep_their_rows_together():
    age = np.arange(20.0)
    table = pd.DataFrame({"double": 2 * age})

    def paired(age, table, names):
        assert (table[:, 0] == 2 * age).all()
        assert [int(name) for name in names] == age.tolist()
        return age.mean()

    names = [str(int(x)) for x in age]
    result = bootstrap_ci(paired, age, table, names, n_resamples=100, random_state=0)
    assert result.estimate == 9.5


# what it is worth


def test_copies_of_people_are_not_people():
    values = skewed(25)
    person = np.repeat([f"sub-{number:02d}" for number in range(25)], 4)
    rows = bootstrap_ci(np.mean, np.repeat(values, 4), n_resamples=1000, random_state=0)
    whole = bootstrap_ci(
        np.mean, np.repeat(values, 4), groups=person, n_resamples=1000, random_state=0
    )
    single = bootstrap_ci(np.mean, values, n_resamples=1000, random_state=0)
    assert whole.n_units == 25
    assert (whole.low, whole.high) == pytest.approx((single.low, single.high))
    assert (whole.high - whole.low) > 1.7 * (rows.high - rows.low)


def test_standard_error_over_sites_is_that_of_two_stages():
    site, gap = gaps_by_site(8, 3, np.random.default_rng(0))
    result = bootstrap_ci(np.mean, gap, site=site, n_resamples=3000, random_state=0)
    means = gap.reshape(8, 15).mean(axis=1)
    within = gap.reshape(8, 15).var(axis=1).mean() / 15
    expected = np.sqrt((means.var() + within) / 8)
    assert result.standard_error == pytest.approx(expected, rel=0.06)
    assert result.n_units == 8


def cohorts(n_sites, spread, n_cohorts=400):
    """Gaps of many cohorts with the same sites, one in each column."""
    random = np.random.default_rng(0)
    drawn = [gaps_by_site(n_sites, spread, random) for _ in range(n_cohorts)]
    return drawn[0][0], np.column_stack([gap for _, gap in drawn])


def share_of_intervals_around_zero(gaps, resampler, n_units):
    """Coverage of the intervals of the mean, of all cohorts from the same draws of rows."""
    means = np.array([gaps[resampler.draw(seed)].mean(axis=0) for seed in range(1000)])
    bounds = np.array([interval(column, levels(0.95, n_units)) for column in means.T])
    return np.mean((bounds[:, 0] <= 0) & (bounds[:, 1] >= 0))


def test_coverage_over_sites():
    site, gaps = cohorts(n_sites=8, spread=4)
    person = np.arange(len(site))
    over_sites = share_of_intervals_around_zero(gaps, Resampler(person, site), 8)
    over_people = share_of_intervals_around_zero(gaps, Resampler(person), len(person))
    assert over_sites >= 0.917  # 0.95 - 3 standard errors of 0.011
    assert over_people < 0.65, "people alone say little about other sites"


@pytest.mark.parametrize("by_site", [True, False])
def test_the_interval_is_that_of_the_units_drawn(by_site):
    site, gap = gaps_by_site(8, 4, np.random.default_rng(0))
    options = {"site": site} if by_site else {}
    result = bootstrap_ci(np.mean, gap, n_resamples=200, random_state=0, **options)
    at = levels(0.95, 8 if by_site else len(gap))
    assert interval(result.distribution, at) == (result.low, result.high)
    resampler = Resampler(np.arange(len(gap)), *options.values())
    seeds = draw_seeds(np.random.RandomState(0), 200)
    assert result.distribution.tolist() == [gap[resampler.draw(seed)].mean() for seed in seeds]


def test_higher_confidence_is_wider_and_nested():
    values = skewed()
    results = [
        bootstrap_ci(np.mean, values, confidence=c, n_resamples=1000, random_state=0)
        for c in (0.5, 0.9, 0.99)
    ]
    lows, highs = [r.low for r in results], [r.high for r in results]
    assert lows == sorted(lows, reverse=True)
    assert highs == sorted(highs)


def test_seed_decides_and_jobs_and_progress_do_not(capsys):
    values = skewed()
    options = {"method": "bca", "n_resamples": 120, "random_state": 3}
    before = global_stream()
    first = bootstrap_ci(np.mean, values, **options)
    assert capsys.readouterr().err == ""
    with joblib.parallel_config(backend="threading"):
        second = bootstrap_ci(np.mean, values, n_jobs=2, verbose=1, **options)
    np.testing.assert_array_equal(first.distribution, second.distribution)
    assert (first.low, first.high) == (second.low, second.high)
    printed = capsys.readouterr().err
    assert "Bootstrap: 100%" in printed
    assert "Jackknife: 100%" in printed
    np.testing.assert_array_equal(global_stream(), before)
    assert bootstrap_ci(np.mean, values, n_resamples=120, random_state=4).low != first.low


# where it must not answer


@pytest.mark.parametrize("method", ["expanded", "percentile", "bca"])
def test_a_statistic_that_never_moves_has_no_interval(method):
    result = bootstrap_ci(np.mean, np.ones(11), method=method, n_resamples=100)
    assert result.estimate == 1
    assert np.isnan([result.low, result.high, result.standard_error]).all()


def test_bca_is_nan_where_all_samples_are_on_one_side():
    result = bootstrap_ci(
        lambda x: float(len(np.unique(x))), np.arange(30), method="bca", n_resamples=200
    )
    assert np.isnan([result.low, result.high]).all()


@pytest.mark.parametrize(("n_sites", "reachable"), [(3, "0.75"), (5, "0.94")])
def test_few_sites_warn(n_sites, reachable):
    site, gap = gaps_by_site(n_sites, 3, np.random.default_rng(0))
    with pytest.warns(UnanswerableWarning, match=f"coverage {reachable} at most") as caught:
        bootstrap_ci(np.mean, gap, site=site, n_resamples=100, random_state=0)
    assert caught[0].filename == __file__


def test_enough_sites_for_the_coverage_do_not_warn():
    site, gap = gaps_by_site(5, 3, np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bootstrap_ci(np.mean, gap, site=site, confidence=0.9, n_resamples=100, random_state=0)


def test_limit_of_few_sites_is_real():
    # sites that differ much: all three lie on one side of the truth in 2 of 8 cases
    site, gaps = cohorts(n_sites=3, spread=1000)
    inside = share_of_intervals_around_zero(gaps, Resampler(np.arange(len(site)), site), 3)
    assert inside == pytest.approx(0.75, abs=3 * 0.022)


def test_rare_samples_without_a_value_are_left_out_and_frequent_ones_refused():
    def mean_of_cases(case, score):
        return score[case].mean() if case.any() else np.nan

    score = skewed(12)
    case = np.arange(12) < 5  # no case in (7/12)^12 = 0.2 % of the samples
    result = bootstrap_ci(mean_of_cases, case, score, n_resamples=3000, random_state=0)
    assert 0 < np.isnan(result.distribution).sum() < 20
    assert result.low < result.estimate < result.high
    with pytest.raises(ValueError, match=r"not finite in \d+ of 500 bootstrap samples"):
        bootstrap_ci(mean_of_cases, np.arange(12) < 1, score, n_resamples=500, random_state=0)
    with pytest.raises(ValueError, match="The statistic of the rows themselves is nan"):
        bootstrap_ci(mean_of_cases, np.zeros(12, bool), score, n_resamples=500)


def test_bca_refuses_a_person_without_whom_there_is_no_statistic():
    def ratio(x):
        return x.mean() if len(x) == 3 else np.nan

    with pytest.raises(ValueError, match="Without one of the persons"):
        bootstrap_ci(ratio, [1.0, 2.0, 4.0], method="bca", n_resamples=100)


def test_errors_of_the_statistic_are_not_swallowed():
    def broken(x):
        raise RuntimeError("my own mistake")

    with pytest.raises(RuntimeError, match="my own mistake"):
        bootstrap_ci(broken, [1, 2, 3])


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ([], {}, "at least one array"),
        ([[1, 2, 3], [1, 2]], {}, "inconsistent numbers of samples"),
        ([[1]], {}, "at least 2 persons"),
        ([[1, 2]], {"groups": ["p", "p"]}, "at least 2 persons"),
        ([[1, 2]], {"groups": ["p", None]}, "groups is missing in 1 of 2 rows"),
        ([[1, 2]], {"site": ["a", "b"]}, "at least 3 sites, got 2"),
        ([[1, 2, 3]], {"site": ["a", "b"]}, "site must have one entry"),
        ([[1, 2, 3]], {"site": list("abc"), "method": "bca"}, "method='bca' is for people"),
        ([[1, 2]], {"method": "normal"}, "'method' parameter"),
        ([[1, 2]], {"confidence": 95}, "'confidence' parameter"),
        ([[1, 2]], {"n_resamples": 10}, "'n_resamples' parameter"),
    ],
)
def test_bad_input_is_refused(arrays, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_ci(np.mean, *arrays, **options)
