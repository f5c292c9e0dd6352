"""Errors at sites left out of training beside errors at known sites."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression, Ridge

from mresklearn.confounds import ConfoundReport
from mresklearn.confounds._report_predictions import read_predictions
from mresklearn.confounds._roles import describe_variables
from mresklearn.confounds._severity import severity_of
from mresklearn.confounds._unseen_error import unseen_error, unseen_error_by_site
from mresklearn.metrics import sign_flip_test
from mresklearn.model_selection import cross_validate_sites

SIZES = [40, 25, 12, 5]


def errors(more=0.0, sizes=SIZES, seed=0):
    random = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    known = random.exponential(4, len(codes))
    return known, np.abs(known + more + random.normal(0, 1 + codes, len(codes))), codes


def measure(known, unseen, codes, function=unseen_error, n_permutations=199, confidence=0.95):
    return function(
        known,
        unseen,
        codes,
        n_permutations=n_permutations,
        confidence=confidence,
        random_state=np.random.default_rng(1),
    )


def test_the_effect_is_the_mean_difference_of_the_same_people():
    known, unseen, codes = errors(1.0)
    effect = measure(known, unseen, codes)
    assert effect.value == pytest.approx(unseen.mean())
    assert effect.null_mean == pytest.approx(known.mean())
    assert effect.value_adj == pytest.approx(effect.value - effect.null_mean)


def test_one_site_gives_the_interval_of_a_paired_t_test():
    known, unseen, _ = errors(1.0, sizes=[20])
    effect = measure(known, unseen, np.zeros(20, dtype=int))
    expected = stats.ttest_rel(unseen, known).confidence_interval(0.95)
    np.testing.assert_allclose(effect.interval, expected)


def test_two_sites_give_the_interval_of_welch():
    # a mean over both sites is a difference of means but for weights and a sign
    known, unseen, codes = errors(1.0, sizes=[20, 20])
    difference = unseen - known
    first, second = difference[codes == 0], -difference[codes == 1]
    low, high = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.9)
    effect = measure(known, unseen, codes, confidence=0.9)
    np.testing.assert_allclose(effect.interval, (low / 2, high / 2))


def test_the_error_is_that_of_drawing_people_anew_within_sites():
    known, unseen, codes = errors(1.0)
    difference, random = unseen - known, np.random.default_rng(0)
    variance = 0.0
    for code, size in enumerate(SIZES):
        own = difference[codes == code]
        draws = own[random.integers(size, size=(20_000, size))].mean(axis=1)
        # the bootstrap divides by n where the unbiased variance divides by n - 1
        variance += (size / len(codes)) ** 2 * draws.var() * size / (size - 1)
    low, high = measure(known, unseen, codes, confidence=0.5).interval
    assert (high - low) / 2 / stats.norm.ppf(0.75) == pytest.approx(np.sqrt(variance), rel=0.03)


def test_p_is_that_of_all_flips_of_signs():
    known, unseen, codes = errors(1.0, sizes=[5, 4])
    difference = unseen - known

    def statistic(values):
        parts = [values[codes == code] for code in (0, 1)]
        error = np.sqrt(sum(len(part) * part.var(ddof=1) for part in parts))
        return abs(values.sum()) / error

    signs = np.array(list(itertools.product([-1, 1], repeat=9)))
    exact = np.mean([statistic(row * difference) >= statistic(difference) - 1e-9 for row in signs])
    effect = measure(known, unseen, codes, n_permutations=20_000)
    assert effect.p == pytest.approx(exact, abs=0.01)


def test_level_and_coverage_where_sites_differ_in_size_and_noise():
    rejected, covered = 0, 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        codes = np.repeat(np.arange(4), SIZES)
        known = random.exponential(4, len(codes))
        # small sites have more noise, and sites differ, though not on average over the people
        shift = np.array([0.4, -0.4, -0.5, 0.0])
        noise = (random.exponential(1, len(codes)) - 1) * (1 + codes)
        effect = measure(known, known + shift[codes] + noise, codes, n_permutations=99)
        rejected += effect.p <= 0.05
        covered += effect.interval[0] <= 0 <= effect.interval[1]
    assert 0.02 <= rejected / 400 <= 0.09
    assert covered / 400 >= 0.91


def test_sites_that_count_alike_have_an_interval_over_sites():
    known, unseen, codes = errors(1.0, sizes=[9, 8, 7, 6, 5, 4, 3, 2])
    effect = measure(known, unseen, codes, unseen_error_by_site)
    means = pd.Series(unseen - known).groupby(codes).mean()[:7]
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    np.testing.assert_allclose(effect.interval, expected)
    assert effect.p == sign_flip_test(means.to_numpy()).p_value
    assert effect.n_permutations == 2**7


def test_few_sites_are_not_tested_and_two_say_nothing():
    effect = measure(*errors(1.0), unseen_error_by_site)
    assert np.isnan(effect.p)
    assert effect.reason == "Not tested: 4 sites cannot give a p below 0.12, whatever their errors."
    effect = measure(*errors(1.0, sizes=[9, 9, 2]), unseen_error_by_site)
    assert effect.status == "not_estimable"
    assert effect.reason.startswith("Sites with 3 people who have both predictions: 2; 3 are")


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ([2], "People with both predictions: 2; 3 are needed."),
        ([], "People with both predictions: 0"),
        ([1, 1, 1], "No site has two people"),
    ],
)
def test_too_few_people(sizes, reason):
    known = np.arange(float(sum(sizes)))
    codes = np.repeat(np.arange(len(sizes)), sizes).astype(int)
    effect = measure(known, known + 1, codes)
    assert effect.status == "not_estimable"
    assert effect.reason.startswith(reason)


def test_the_same_predictions_twice_say_nothing():
    known, _, codes = errors()
    for function in (unseen_error, unseen_error_by_site):
        effect = measure(known, known, codes, function)
        assert effect.reason.startswith("Both predictions are the same")


def test_a_difference_without_any_noise_is_estimated():
    known, _, codes = errors()
    effect = measure(known, known + 2, codes)
    assert effect.interval == pytest.approx((2, 2))
    assert effect.p <= 0.01


@pytest.mark.parametrize(
    ("share", "severity"),
    [
        (0.0, "negligible"),
        (0.019, "negligible"),
        (0.03, "small"),
        (0.14, "medium"),
        (0.27, "large"),
    ],
)
def test_severity_is_the_share_of_squared_error_that_a_known_site_does_not_have(share, severity):
    row = {"measure": "unseen_site_error", "status": "ok", "null_mean": 3.0}
    unseen = 3.0 / np.sqrt(1 - share)
    assert severity_of(row | {"value": unseen, "value_adj": unseen - 3.0}) == severity
    assert severity_of(row | {"value": 2.0, "value_adj": -1.0}) == "negligible"


# --- through the report ---------------------------------------------------------------------------


def cohort(shift=3.0, n=120, n_sites=6, seed=0):
    random = np.random.default_rng(seed)
    code = np.arange(n) % n_sites
    people = pd.DataFrame(
        {
            "site": [f"site {k}" for k in code],
            "age": random.normal(50, 12, n),
            "sex": random.choice(["F", "M"], n),
        }
    )
    X = np.outer(people.age / 10, random.normal(size=12)) + random.normal(size=(n, 12))
    return people, X + shift * random.normal(size=(n_sites, 12))[code]


def report(people, X=None, **predictions):
    made = ConfoundReport(roles={"sex": "biological"}, n_permutations=99, random_state=0)
    return made.fit(people, X, **predictions)


def on_site(fitted, measure="unseen_site_error", variable="site"):
    table = fitted.to_frame()
    found = table[(table.measure == measure) & (table.variable == variable)]
    assert len(found) == 1
    return found.iloc[0]


def test_a_model_that_lives_on_its_sites_is_found_out():
    people, X = cohort()
    results = cross_validate_sites(LinearRegression(), X, people.age, site=people.site)
    fitted = report(people, prediction=results)
    row = on_site(fitted)
    assert row.value == pytest.approx(results.summary.mae["leave_one_site_out"])
    assert row.null_mean == pytest.approx(results.summary.mae["within_site"])
    assert (row.severity, row.n, row.conditioning) == ("large", 120, "person")
    assert row.ci_low > 0
    assert row.advice.startswith(f"Report the error of left-out sites, {row.value:.2f}")
    assert "more than at known sites" in row.reason
    text = fitted.summary()
    assert "Where their site is left out of training" in text
    assert row.advice in text
    by_site = on_site(fitted, "unseen_site_error_mean_of_sites")
    assert by_site.p == pytest.approx(2 / 2**6), "errors grow at all six sites"
    assert by_site.advice.startswith("Speak of new sites in general with this interval")


def test_without_site_effects_nothing_is_asked_for():
    people, X = cohort(shift=0.0)
    results = cross_validate_sites(Ridge(), X, people.age, site=people.site)
    fitted = report(people, prediction=results)
    row = on_site(fitted)
    assert row.ci_low < 0 < row.ci_high
    assert row.severity in ("negligible", "small")
    assert "left-out sites" not in fitted.summary().split("To do")[1]


def test_arrays_and_the_result_of_cross_validation_give_the_same():
    people, X = cohort()
    results = cross_validate_sites(Ridge(), X, people.age, site=people.site)
    by_row = results.predictions.pivot(index="row", columns="protocol", values="prediction")
    arrays = report(
        people, prediction=by_row.within_site, prediction_unseen=by_row.leave_one_site_out
    )
    for given in (results, results.predictions):
        pd.testing.assert_frame_equal(report(people, prediction=given).table_, arrays.table_)


def test_repeats_are_averaged_as_errors_and_not_as_an_ensemble():
    people, X = cohort(n=60)
    results = cross_validate_sites(Ridge(), X, people.age, site=people.site, n_repeats=3)
    roles = {"sex": "biological"}
    variables = describe_variables(people, roles, target="age", site_column="site")
    found = read_predictions(results, None, people, variables["age"], variables["site"])
    lines = results.predictions[results.predictions.protocol == "within_site"]
    gap = lines.prediction - lines.y
    np.testing.assert_allclose(found.gap, gap.groupby(lines.row).mean())
    np.testing.assert_allclose(found.error, gap.abs().groupby(lines.row).mean())
    assert (found.error >= np.abs(found.gap)).all()
    row = on_site(report(people, prediction=results))
    assert row.null_mean == pytest.approx(results.summary.mae["within_site"])


def test_other_rows_do_not_depend_on_the_second_prediction():
    people, X = cohort(n=60)
    results = cross_validate_sites(Ridge(), X, people.age, site=people.site)
    both = report(people, prediction=results).table_
    by_row = results.predictions.pivot(index="row", columns="protocol", values="prediction")
    one = report(people, prediction=by_row.within_site).table_
    rest = both[~both.measure.str.startswith("unseen")].reset_index(drop=True)
    unaffected = [column for column in one if column != "p_adj"]
    pd.testing.assert_frame_equal(rest[unaffected], one[unaffected])


def test_sites_without_second_predictions_say_so():
    people, _ = cohort(n=60)
    people.loc[0, "site"] = "alone"
    random = np.random.default_rng(0)
    known, unseen = people.age + random.normal(0, 3, 60), people.age + random.normal(0, 6, 60)
    unseen[people.site == "site 1"] = np.nan
    fitted = report(people, prediction=known, prediction_unseen=unseen)
    row = on_site(fitted, variable="site[site 1]")
    assert row.status == "not_estimable"
    assert row.reason == "People with both predictions: 0; 3 are needed."
    assert on_site(fitted, variable="site[alone]").reason.startswith(
        "People with both predictions: 1"
    )
    assert on_site(fitted).n == 60 - 10 - 1


def test_a_site_whose_ages_are_rare_elsewhere_is_told_to_extrapolate():
    people, _ = cohort(n=90)
    people.loc[people.site == "site 2", "age"] += 60
    random = np.random.default_rng(0)
    known = people.age + random.normal(0, 3, 90)
    unseen = known - 20 * (people.site == "site 2") - 9 * (people.site == "site 3")
    fitted = report(people, prediction=known, prediction_unseen=unseen)
    assert on_site(fitted, variable="site[site 2]").advice.startswith("The model extrapolates")
    assert "scanner and protocol" in on_site(fitted, variable="site[site 3]").advice


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({}, {"prediction_unseen": np.zeros(60)}, "compared with prediction, which is missing"),
        (
            {"site_column": None},
            {"prediction": np.zeros(60), "prediction_unseen": np.zeros(60)},
            "so it needs the sites",
        ),
        (
            {},
            {"prediction": np.zeros(60), "prediction_unseen": np.zeros(59)},
            "prediction_unseen must hold one number for each of the 60",
        ),
    ],
)
def test_predictions_that_cannot_be_compared(options, arguments, message):
    people, _ = cohort(n=60)
    roles = {"sex": "biological", "site": "technical"}
    with pytest.raises(ValueError, match=message):
        ConfoundReport(roles=roles, **options).fit(people, **arguments)


def test_results_of_other_people_are_refused():
    people, X = cohort(n=60)
    results = cross_validate_sites(Ridge(), X, people.age, site=people.site)
    lines = results.predictions
    with pytest.raises(ValueError, match="speaks of row 59, but participants has 50 rows"):
        report(people[:50], prediction=results)
    with pytest.raises(ValueError, match=r"true values .* in row \d+ age is .* in prediction"):
        report(people[::-1], prediction=results)
    with pytest.raises(ValueError, match=r"row \d+ is of 'Utah' there and of 'site 0'"):
        report(people.assign(site=people.site.replace("site 0", "Utah")), prediction=results)
    with pytest.raises(ValueError, match="lacks the columns"):
        report(people, prediction=lines.drop(columns="y"))
    with pytest.raises(ValueError, match="but not 'within_site'"):
        report(people, prediction=lines[lines.protocol == "leave_one_site_out"])
    with pytest.raises(ValueError, match="holds both protocols"):
        report(people, prediction=results, prediction_unseen=people.age)


def test_results_without_left_out_sites_or_a_report_without_sites_have_no_such_rows():
    people, X = cohort(n=60)
    results = cross_validate_sites(Ridge(), X, people.age, site=people.site)
    lines = results.predictions
    one = report(people, prediction=lines[lines.protocol == "within_site"])
    roles = {"sex": "biological", "site": "technical"}
    made = ConfoundReport(roles=roles, site_column=None, n_permutations=19, random_state=0)
    for fitted in (one, made.fit(people, prediction=results)):
        assert not fitted.table_.measure.str.startswith("unseen").any()
        assert (fitted.table_.against == "gap").any()
