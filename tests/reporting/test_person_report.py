"""The page of a person says what it was given, in words that name no disease."""

import re

import numpy as np
import pandas as pd
import pytest
from reporting.pages import Parsed, controls, person, saliency
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from mresklearn import MapLoader, MapMasker, occlusion_map
from mresklearn.exceptions import DataError
from mresklearn.reporting import person_report, place_gap
from mresklearn.reporting._numbers import as_percentile

BARE = {"participant": "sub-1", "age": 60.0, "predicted": 66.5}


def text(report):
    return Parsed(report.html).text


def test_the_numbers_on_the_page_are_those_given():
    report = person()
    page = text(report)
    assert "Brain age of sub-012" in page
    for words in ("Predicted brain age 73.4 years", "90 % interval 62.6 to 84.1",
                  "Chronological age 68.0 years", "Corrected gap +7.4 years", "site: Mayo",
                  "people 210", "sites Mayo, Utah", "Brain age report · 2026-01-31"):  # fmt: skip
        assert words in page, words
    assert report.gap == 7.4


def test_the_percentage_is_that_of_place_gap():
    report = person()
    place = place_gap(7.4, 68.0, **controls())
    assert report.placement == place
    assert (
        f"{place.percentile:.0f} % of controls of this age have a smaller gap (95 % interval "
        f"{place.low:.0f} to {place.high:.0f} %; ranked among the {place.n_controls} controls "
        "within 5 years of age)."
    ) in text(report)


def test_no_percentage_is_rounded_to_nobody_or_everybody():
    assert [as_percentile(percent) for percent in (0.0, 0.5, 0.51, 99.49, 99.5, 100.0)] == [
        "under 1", "under 1", "1", "99", "over 99", "over 99"
    ]  # fmt: skip


def test_the_chart_shows_every_control_and_the_person_where_they_are():
    given = {"control_gaps": [-4.0, 0.0, 4.0], "control_ages": [40.0, 50.0, 60.0]}
    report = person_report(**BARE | {"age": 50.0}, corrected_gap=4.0, **given)
    marks = [found for found in Parsed(report.html).all("circle") if "cx" in found]
    dots = [(float(m["cx"]), float(m["cy"])) for m in marks if m["class"] == "control"]
    assert np.allclose(np.diff(dots, axis=0)[0], np.diff(dots, axis=0)[1], atol=0.11)
    person_at = [(float(m["cx"]), float(m["cy"])) for m in marks if m["class"] == "person"][-1]
    assert person_at == pytest.approx((dots[1][0], dots[2][1]), abs=0.11)
    assert dots[2][1] < dots[1][1] < dots[0][1]  # larger gaps stand higher


@pytest.mark.parametrize("gap", [-30.0, -9.0, -1.0, 0.0, 1.0, 9.0, 30.0])
def test_no_word_of_the_page_diagnoses(gap):
    page = text(person(corrected_gap=gap)).lower()
    page = page.replace("not for diagnosis", "").replace("not what is ill", "")
    for word in ("disease", "patholog", "abnormal", "dementia", "alzheimer", "diagnos", "patient",
                 "healthy", "risk", "impair", "accelerated", "atrophy"):  # fmt: skip
        assert word not in page, word


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (-20.0, "smaller than in nearly all controls of this age"),
        (0.0, "like that of many controls of this age"),
        (20.0, "larger than in nearly all controls of this age"),
    ],
)
def test_the_gap_is_put_into_words(gap, words):
    assert f"Such a gap is {words}." in text(person(corrected_gap=gap))


@pytest.mark.parametrize(("gap", "words"), [(3.2, "3.2 years older"), (-3.2, "3.2 years younger")])
def test_older_and_younger_are_not_mixed_up(gap, words):
    assert words in text(person(corrected_gap=gap))


def test_a_gap_without_correction_is_called_so():
    report = person_report(**BARE)
    assert report.gap == 6.5
    assert "Gap, not corrected +6.5 years" in text(report)
    assert any("not corrected for age bias" in warning for warning in report.warnings)


def test_warnings_stand_on_top_in_the_order_given():
    reasons = ["The site 'Lyon' was not in training.", "The age is outside 20 to 80."]
    report = person(
        out_of_range=reasons, interval_basis="new site, no guarantee", flags=["Motion."], age=79.9
    )
    assert report.warnings[:2] == tuple(reasons)
    assert "without a guarantee" in report.warnings[2]
    assert report.warnings[-1].startswith("1 quality flag on the images")
    page = text(report)
    assert page.index("Read this first") < page.index(reasons[0]) < page.index("Result")
    assert "Motion." in page


def test_without_reasons_there_is_no_warning():
    assert person().warnings == ()
    assert "Read this first" not in person().html


def test_an_age_that_no_control_has_is_a_warning():
    report = person(age=90.0)
    assert not report.placement.known
    assert any("no control is as old as 90.0" in warning for warning in report.warnings)
    assert "\N{EN DASH} not known" in text(report)


def test_the_interval_says_whether_it_holds_the_age():
    assert "holds the chronological age" in text(person())
    assert "does not hold the chronological age" in text(person(interval=(70.0, 80.0)))
    assert "has no finite end" in text(person(interval=(-np.inf, np.inf)))
    assert "No interval was given" in text(person(interval=None))
    assert "errors of people at the same site" in text(person())


def test_quality_is_held_against_other_people():
    random = np.random.default_rng(0)
    reference = pd.DataFrame(
        {"brain_ml": random.normal(1250, 50, 99), "missing_stiffness": random.uniform(0, 0.01, 99)}
    )
    quality = pd.Series({"brain_ml": 900.0, "missing_stiffness": 0.03})
    report = person(quality=quality, quality_reference=reference)
    page = text(report)
    low, high = reference.brain_ml.quantile([0.01, 0.99])
    assert f"Brain in the mask less than usual 900 ml {low:.0f} to {high:.0f} ml" in page
    assert "Stiffness: brain without a value more than usual 3.0 % up to 1.0 %" in page
    assert report.warnings == ("2 quality flags on the images: see Image quality below.",)


@pytest.mark.parametrize(("share", "flagged"), [(0.04, False), (0.06, True)])
def test_without_other_people_shares_over_five_percent_are_flagged(share, flagged):
    report = person(quality={"outliers_damping_ratio": share, "brain_ml": 400.0})
    assert bool(report.warnings) == flagged
    assert "Damping ratio: outside the physical range" in text(report)


def test_the_report_of_the_loader_can_be_given_as_it_is(people):
    loader = MapLoader(cache=None).fit(people[["stiffness", "damping_ratio"]])
    report = person(quality=loader.quality_.iloc[0], quality_reference=loader.quality_)
    page = text(report)
    assert f"{loader.quality_.brain_ml.iloc[0]:.0f} ml" in page
    assert "Stiffness: unit on disk kPa" in page


def test_an_occlusion_map_is_drawn_for_the_row_asked(people):
    columns = people[["stiffness", "damping_ratio"]]
    maps = MapLoader(cache=None).fit_transform(columns)
    model = make_pipeline(MapMasker(), Ridge()).fit(maps, people.age)
    result = occlusion_map(model, maps[:3], size=6)
    report = person(saliency=result, saliency_row=1, anatomy=None)
    peak = np.nanmax(result.subject_map(1))
    assert f"Strongest, {peak:.2f}," in text(report)
    assert result.unit in text(report)
    assert len(Parsed(report.html).all("img")) == 8
    with pytest.raises(DataError, match="saliency_row is 3, but the map holds 3 people"):
        person(saliency=result, saliency_row=3, anatomy=None)


def test_the_place_of_the_strongest_value_is_named():
    page = text(person(saliency=saliency(), saliency_unit="years"))
    assert "Strongest, 2.50, at x = 12, y = \N{MINUS SIGN}20, z = 8 mm" in page
    assert "Colour shows years." in page


def test_what_was_not_given_is_not_on_the_page():
    page = text(person_report(**BARE, corrected_gap=1.0))
    for words in ("What the prediction rests on", "Where the model comes from", "controls of this"):
        assert words not in page
    assert "Nothing is known of the quality" in page


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"predicted": np.nan}, "predicted and corrected_gap must be finite"),
        ({"corrected_gap": np.inf}, "must be finite"),
        ({"age": -1.0}, "'age' parameter"),
        ({"interval": (80.0, 60.0)}, "a lower and an upper end"),
        ({"interval": (1.0, 2.0, 3.0)}, "a lower and an upper end"),
        ({"control_ages": None}, "belong together"),
        ({"control_ages": [50.0]}, "entries where 1 are needed"),
        ({"placement": "rank"}, "'placement' parameter"),
        ({"saliency_row": -1}, "'saliency_row' parameter"),
    ],
)
def test_bad_input_is_named(changed, message):
    with pytest.raises(ValueError, match=message):
        person(**changed)


def test_the_words_of_the_chart_are_those_of_the_page():
    charts = [c for c in Parsed(person().html).all("svg") if c.get("role") == "img"]
    assert re.search(r"corrected gap is \+7\.4 years", charts[1]["aria-label"])
    assert "Gaps of 200 controls by age" in charts[1]["aria-label"]
