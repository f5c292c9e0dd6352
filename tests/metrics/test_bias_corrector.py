"""The bias with age: fitted on out-of-fold controls alone, and never a way to a better score."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score

from mresklearn.exceptions import MissingMetadataError, UnanswerableWarning
from mresklearn.metrics import (
    BrainAgeBiasCorrector,
    bootstrap_ci,
    brain_age_gap,
    brain_age_scores,
    compare_gaps,
    site_scores,
)
from mresklearn.model_selection import cross_validate_sites

METHODS = ("cole", "de_lange")


def predictions(n=100, slope=0.6, noise=4.0, seed=0):
    """Predicted and chronological ages, and a fold for each row."""
    random = np.random.default_rng(seed)
    age = random.uniform(20, 80, n)
    return 20 + slope * age + random.normal(0, noise, n), age, np.arange(n) % 5


def by_site(slopes, levels, mean_ages, n=60, seed=0):
    """Predictions at sites with their own slope, level and ages."""
    random = np.random.default_rng(seed)
    site = np.repeat([f"site{k}" for k in range(len(slopes))], n)
    age = random.normal(np.repeat(mean_ages, n), 8)
    predicted = np.repeat(levels, n) + np.repeat(slopes, n) * age + random.normal(0, 3, len(age))
    return predicted, age, np.arange(len(age)) % 5, site


# the line and what is done with it


@pytest.mark.parametrize("method", METHODS)
def test_line_and_corrections_are_the_published_ones(method):
    predicted, age, fold = predictions()
    corrector = BrainAgeBiasCorrector(method=method).fit(predicted, age, fold=fold)
    slope, intercept = np.polyfit(age, predicted, 1)
    assert (corrector.slope_, corrector.intercept_) == pytest.approx((slope, intercept))
    low, high = corrector.slope_interval_
    assert low < slope < high
    new, years = np.array([40.0, 66.0]), np.array([35.0, 70.0])
    wanted = {
        "cole": (new - intercept) / slope,
        "de_lange": new + (years - (intercept + slope * years)),
    }[method]
    corrected = corrector.transform(new, years)
    np.testing.assert_allclose(corrected.years, wanted)
    assert (len(corrected), corrected.method) == (2, method)
    np.testing.assert_allclose(corrector.gap(new, years), wanted - years)


def test_cole_needs_no_age_and_the_other_says_so():
    predicted, age, fold = predictions()
    cole = BrainAgeBiasCorrector().fit(predicted, age, fold=fold)
    np.testing.assert_array_equal(
        cole.transform([50.0]).years, cole.transform([50.0], [30.0]).years
    )
    with pytest.raises(ValueError, match="pass y"):
        BrainAgeBiasCorrector(method="de_lange").fit(predicted, age, fold=fold).transform([50.0])


@given(
    shift=st.floats(-50, 50),
    scale=st.floats(0.5, 3),
    seed=st.integers(0, 20),
)
@settings(max_examples=20, deadline=None)
def test_cole_gap_does_not_depend_on_the_scale_of_predictions(shift, scale, seed):
    predicted, age, fold = predictions(seed=seed)
    fitted = BrainAgeBiasCorrector().fit(predicted, age, fold=fold)
    other = BrainAgeBiasCorrector().fit(shift + scale * predicted, age, fold=fold)
    gap = fitted.gap([50.0, 60], [44.0, 70])
    rescaled = other.gap(shift + scale * np.array([50.0, 60]), [44.0, 70])
    np.testing.assert_allclose(gap, rescaled, atol=1e-8)
    de_lange = BrainAgeBiasCorrector(method="de_lange").fit(predicted, age, fold=fold)
    np.testing.assert_allclose(de_lange.gap([50.0, 60], [44.0, 70]), fitted.slope_ * gap)


def test_gap_of_new_controls_no_longer_falls_with_age():
    predicted, age, fold = predictions(400)
    new, years, _ = predictions(400, seed=1)
    corrector = BrainAgeBiasCorrector().fit(predicted, age, fold=fold)
    raw = np.polyfit(years, brain_age_gap(years, new), 1)[0]
    corrected = np.polyfit(years, corrector.gap(new, years), 1)[0]
    assert raw == pytest.approx(-0.4, abs=0.05)
    assert abs(corrected) < 0.06
    assert abs(corrector.gap(new, years).mean()) < 1


def test_a_row_does_not_depend_on_its_company():
    predicted, age, fold = predictions()
    corrector = BrainAgeBiasCorrector().fit(predicted, age, fold=fold)
    alone = [corrector.gap(predicted[[k]], age[[k]])[0] for k in range(5)]
    np.testing.assert_array_equal(alone, corrector.gap(predicted, age)[:5])


def test_clone_and_pickle():
    predicted, age, fold = predictions()
    corrector = BrainAgeBiasCorrector(method="de_lange", confidence=0.9)
    assert clone(corrector).get_params() == corrector.get_params()
    again = pickle.loads(pickle.dumps(corrector.fit(predicted, age, fold=fold)))
    np.testing.assert_array_equal(again.gap(predicted, age), corrector.gap(predicted, age))
    corrected = pickle.loads(pickle.dumps(again.transform(predicted, age)))
    np.testing.assert_allclose(corrected.years - age, again.gap(predicted, age))


# why accuracy is refused


@pytest.mark.parametrize("spread", [10.0, 1.0, 0.01])
def test_corrected_noise_follows_age_as_the_closed_form_says(spread):
    random = np.random.default_rng(0)
    age, noise = random.uniform(20, 80, 300), random.normal(50, spread, 300)
    corrector = BrainAgeBiasCorrector(method="de_lange").fit(noise, age, fold=np.arange(300) % 5)
    corrected = corrector.transform(noise, age).years
    r = np.corrcoef(age, noise)[0, 1]
    closed = (1 + noise.var() / age.var() * (1 - r**2)) ** -0.5
    assert np.corrcoef(age, corrected)[0, 1] == pytest.approx(closed)
    assert abs(r) < 0.1
    if spread <= 1:
        assert closed > 0.998, "the less the model says, the better it looks"


def test_a_least_squares_model_cannot_look_bad_after_correction():
    random = np.random.default_rng(0)
    for signal in (0.1, 0.5, 1, 2, 5):
        age = random.normal(50, 10, 5000)
        feature = signal * (age - 50) / 10 + random.normal(size=5000)
        predicted = np.polyval(np.polyfit(feature, age, 1), feature)
        corrector = BrainAgeBiasCorrector(method="de_lange")
        corrector.fit(predicted, age, fold=np.arange(5000) % 2)
        assert np.corrcoef(age, corrector.transform(predicted, age).years)[0, 1] > 0.894


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "score",
    [
        brain_age_scores,
        brain_age_gap,
        lambda y, p: site_scores(y, p, np.arange(100) % 2),
        lambda y, p: bootstrap_ci(lambda a, b: np.abs(a - b).mean(), y, p, n_resamples=100),
        lambda y, p: compare_gaps(p, np.arange(100) % 2, age=y, reference="0"),
        mean_absolute_error,
        r2_score,
        np.corrcoef,
        lambda y, p: p - y,
        lambda y, p: pd.DataFrame({"y": y, "predicted": np.asarray(p)}),
    ],
)
def test_whatever_computes_from_corrected_ages_is_told_why_not(method, score):
    predicted, age, fold = predictions()
    corrector = BrainAgeBiasCorrector(method=method).fit(predicted, age, fold=fold)
    with pytest.raises(ValueError, match=r"went through a bias correction .* no accuracy"):
        score(age, corrector.transform(predicted, age))


def test_scipy_does_not_take_them_either():
    predicted, age, fold = predictions()
    corrector = BrainAgeBiasCorrector().fit(predicted, age, fold=fold)
    with pytest.raises((TypeError, ValueError), match=r"CorrectedAge|went through"):
        pearsonr(age, corrector.transform(predicted))


def test_correcting_twice_is_refused():
    predicted, age, fold = predictions()
    corrector = BrainAgeBiasCorrector().fit(predicted, age, fold=fold)
    twice = corrector.transform(predicted)
    for call in (
        lambda: corrector.gap(twice, age),
        lambda: corrector.transform(twice),
        lambda: corrector.fit(twice, age, fold=fold),
    ):
        with pytest.raises(ValueError, match="went through a bias correction"):
            call()


# what it may be fitted on


def test_results_of_a_cross_validation_are_out_of_fold():
    random = np.random.default_rng(0)
    site, person = np.repeat(["A", "B"], 60), np.arange(120) // 2
    age = random.uniform(20, 80, 120)
    X = age[:, None] + random.normal(0, 10, (120, 3))
    results = cross_validate_sites(Ridge(), X, age, site=site, groups=person)
    fitted = BrainAgeBiasCorrector().fit(results, diagnosis=np.repeat("CN", 120))
    table = results.predictions
    within = table[table.protocol == "within_site"]
    by_hand = BrainAgeBiasCorrector().fit(
        within.prediction.to_numpy(),
        within.y.to_numpy(),
        fold=within.fold.to_numpy(),
        groups=within.person.to_numpy(),
    )
    assert fitted.slope_interval_ == pytest.approx(by_hand.slope_interval_)
    assert fitted.n_people_ == 60
    assert BrainAgeBiasCorrector().fit(table).slope_ == fitted.slope_
    left_out = BrainAgeBiasCorrector(protocol="leave_one_site_out", by_site=True).fit(results)
    assert left_out.slope_ != fitted.slope_
    assert left_out.lines_.index.tolist() == ["A", "B"]
    patients = np.where(np.arange(120) == 7, "AD", "CN")
    with pytest.raises(ValueError, match="1 rows are of people who are not 'CN' but AD: 7"):
        BrainAgeBiasCorrector().fit(results, diagnosis=patients)


def test_rows_of_one_person_are_no_new_evidence():
    predicted, age, fold = predictions(60)
    once = BrainAgeBiasCorrector().fit(predicted, age, fold=fold)
    twice = BrainAgeBiasCorrector().fit(
        *(np.repeat(values, 3) for values in (predicted, age)),
        fold=np.repeat(fold, 3),
        groups=np.repeat(np.arange(60), 3),
    )
    assert twice.n_people_ == 60
    assert twice.slope_interval_ == pytest.approx(once.slope_interval_, rel=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": None}, "Say where these predictions come from"),
        ({"fold": np.zeros(100)}, r"in one fold \(0\)"),
        ({"groups": np.arange(100) // 2}, "50 persons were predicted in more than one fold"),
        ({"diagnosis": ["CN"] * 98 + ["AD", "MCI"]}, "2 rows .* not 'CN' but AD, MCI: 98, 99"),
        ({"y": None}, "fit needs y"),
        ({"y": np.full(100, 50.0)}, "of one age"),
        ({"y": np.r_[np.nan, np.arange(99)]}, "y_true is missing"),
        ({"predicted": np.arange(99.0)}, "99 entries where 100"),
        ({"predicted": pd.DataFrame({"y": [1.0]})}, "leave that out"),
    ],
)
def test_bad_input_is_refused(change, message):
    predicted, age, fold = predictions()
    given = {"predicted": predicted, "y": age, "fold": fold} | change
    with pytest.raises(ValueError, match=message):
        BrainAgeBiasCorrector().fit(**given)


def test_predictions_that_are_the_ages_are_refused():
    _, age, fold = predictions()
    with pytest.raises(ValueError, match="predictions equal the ages"):
        BrainAgeBiasCorrector().fit(age, age, fold=fold)


def test_nine_people_are_too_few():
    predicted, age, fold = predictions(9)
    with pytest.raises(ValueError, match="9 controls are too few"):
        BrainAgeBiasCorrector().fit(predicted, age, fold=fold)


def test_tables_without_what_is_needed_are_refused():
    with pytest.raises(ValueError, match=r"it lacks \['protocol', 'fold'"):
        BrainAgeBiasCorrector().fit(pd.DataFrame({"y": [1.0], "prediction": [1.0]}))
    columns = ["fold", "row", "person", "site", "y", "prediction"]
    table = pd.DataFrame(0, index=range(3), columns=columns).assign(protocol="within_site")
    with pytest.raises(ValueError, match=r"only of \['within_site'\]"):
        BrainAgeBiasCorrector(protocol="transductive").fit(table)


def test_cole_refuses_to_divide_by_noise_and_warns_of_a_slope_hardly_known():
    predicted, age, fold = predictions(slope=0.0, noise=10)
    with pytest.raises(ValueError, match=r"slope .*interval -.* to .*de_lange"):
        BrainAgeBiasCorrector().fit(predicted, age, fold=fold)
    gap = BrainAgeBiasCorrector(method="de_lange").fit(predicted, age, fold=fold)
    assert np.abs(gap.gap(predicted, age)).max() < 40
    predicted, age, fold = predictions(slope=0.2, noise=10)
    with pytest.warns(UnanswerableWarning, match="hardly known") as warned:
        BrainAgeBiasCorrector().fit(predicted, age, fold=fold)
    assert warned[0].filename == __file__


# sites


def test_slope_for_all_is_that_within_sites():
    # old people at a site that is shifted up: a line through all takes the shift for age
    predicted, age, fold, site = by_site([0.5, 0.5], [20, 40], [40, 70])
    plain = BrainAgeBiasCorrector().fit(predicted, age, fold=fold)
    within = BrainAgeBiasCorrector(by_site=True).fit(predicted, age, fold=fold, site=site)
    assert plain.slope_ > 0.9
    assert within.slope_ == pytest.approx(0.5, abs=0.1)
    # each site is at 0 on average, since its line goes through its mean
    gap = within.gap(predicted, age, site=site)
    np.testing.assert_allclose([gap[site == s].mean() for s in np.unique(site)], 0, atol=1e-9)


def test_slopes_that_differ_stay_and_slopes_that_agree_are_shared():
    differ = by_site([0.2, 0.9, 0.5], [20, 20, 20], [50, 50, 50], n=200)
    *arrays, fold, site = differ
    lines = BrainAgeBiasCorrector(by_site=True).fit(*arrays, fold=fold, site=site).lines_
    assert (lines.weight_of_own_slope > 0.9).all()
    assert lines.slope.to_numpy() == pytest.approx([0.2, 0.9, 0.5], abs=0.08)
    *arrays, fold, site = by_site([0.5] * 8, [20] * 8, [50] * 8, n=40)
    corrector = BrainAgeBiasCorrector(by_site=True).fit(*arrays, fold=fold, site=site)
    assert (corrector.lines_.weight_of_own_slope < 0.5).all()
    own = [np.polyfit(arrays[1][site == s], arrays[0][site == s], 1)[0] for s in np.unique(site)]
    assert corrector.lines_.slope.std() < np.std(own) / 2


def test_small_and_uninformative_sites_get_the_line_for_all_and_are_named():
    predicted, age, fold, site = by_site([0.6] * 3, [20] * 3, [50] * 3, n=60)
    site[130:] = "site1"  # site2 keeps ten people
    age = np.where(site == "site0", 50.0, age)
    corrector = BrainAgeBiasCorrector(by_site=True).fit(predicted, age, fold=fold, site=site)
    assert corrector.fallback_sites_ == {
        "site0": "all people of one age",
        "site2": "10 people, fewer than min_people=30",
    }
    assert corrector.lines_.slope["site2"] == corrector.slope_
    assert corrector.lines_.intercept["site2"] == corrector.intercept_
    assert corrector.lines_.n_people.tolist() == [60, 110, 10]


def test_cole_gives_the_line_for_all_to_a_site_whose_slope_may_be_zero():
    predicted, age, fold, site = by_site([0.8, 0.8, 0.0], [20, 20, 50], [50] * 3, n=100)
    given = {"fold": fold, "site": site}
    corrector = BrainAgeBiasCorrector(by_site=True).fit(predicted, age, **given)
    assert "not above 0 beyond doubt" in corrector.fallback_sites_["site2"]
    other = BrainAgeBiasCorrector(by_site=True, method="de_lange").fit(predicted, age, **given)
    assert other.fallback_sites_ == {}


def test_unseen_sites_are_pooled_or_refused():
    predicted, age, fold, site = by_site([0.2, 0.9], [20, 20], [50, 50], n=200)
    corrector = BrainAgeBiasCorrector(by_site=True).fit(predicted, age, fold=fold, site=site)
    gaps = corrector.gap([50.0] * 3, [50.0] * 3, site=["site1", "new", "site0"])
    assert gaps[1] == pytest.approx(
        (50 - corrector.intercept_ - 50 * corrector.slope_) / corrector.slope_
    )
    assert len(set(gaps)) == 3
    with pytest.raises(ValueError, match="Sites new had no training controls"):
        corrector.set_params(unseen="raise").gap([50.0], [50.0], site=["new"])
    for call in (lambda: corrector.gap([50.0], [50.0]), lambda: corrector.transform([50.0])):
        with pytest.raises(MissingMetadataError, match="needs the site of each row"):
            call()
    with pytest.raises(MissingMetadataError, match="needs the site of each row"):
        corrector.fit(predicted, age, fold=fold)


@pytest.mark.parametrize("method", METHODS)
def test_a_slope_that_rests_on_one_person_is_refused(method):
    random = np.random.default_rng(0)
    age = np.r_[np.full(30, 60.0), 70.0]
    with pytest.raises(ValueError, match="All controls but one are of one age"):
        BrainAgeBiasCorrector(method=method).fit(
            age + random.normal(size=31), age, fold=np.arange(31) % 5
        )


def test_a_site_whose_slope_would_rest_on_one_person_gets_the_common_line():
    predicted, age, fold, site = by_site([0.6, 0.6], [20, 20], [50, 55])
    here = np.flatnonzero(site == "site1")
    age[here] = 60.0
    age[here[0]] = 70.0
    corrector = BrainAgeBiasCorrector(method="de_lange", by_site=True)
    corrector.fit(predicted, age, fold=fold, site=site)
    assert corrector.lines_.loc["site1", "fallback"] == "all but one of one age"
