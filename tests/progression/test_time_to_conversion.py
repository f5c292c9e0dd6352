"""Visits to times: who is at risk, when the event is put, and the curves from it."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from statsmodels.duration.survfunc import SurvfuncRight

from mresklearn.progression import (
    conversion_curves,
    conversion_model,
    gap_slopes,
    time_to_conversion,
)


def visits(courses):
    """Yearly visits; a letter is a status."""
    rows = [
        (person, 60 + year, status, 10 * year)
        for person, course in courses.items()
        for year, status in enumerate(course)
    ]
    table = pd.DataFrame(rows, columns=["person", "time", "status", "gap"])
    return table.sample(frac=1, random_state=0)  # the order of rows tells nothing


COURSES = {"stable": "SSS", "late": "SSC", "back": "SCS", "on and off": "SCSC", "ill": "CC",
           "once": "S"}  # fmt: skip


def durations(**settings):
    found = time_to_conversion(visits(COURSES), converted=["C"], **settings)
    return {name: (row.duration, row.event) for name, row in found.table.iterrows()}, found


def test_events_lie_half_way_and_people_who_tell_nothing_are_counted():
    times, found = durations()
    assert times == {"back": (0.5, True), "late": (1.5, True), "on and off": (0.5, True),
                     "stable": (2.0, False)}  # fmt: skip
    assert found.excluded.to_dict() == {"ill": "converted at start", "once": "seen once"}
    assert found.table.reverted.to_dict() == {
        "back": True, "late": False, "on and off": True, "stable": False,
    }  # fmt: skip
    assert "4 people at risk, 3 converted; left out: 2" in repr(found)


def test_events_lie_at_the_visit_that_saw_them():
    times, found = durations(event_at="first_seen")
    assert times["late"] == (2.0, True)
    assert found.table.loc["late", ["last_stable", "first_seen"]].tolist() == [1.0, 2.0]
    assert found.table.loc["stable", ["last_stable", "first_seen"]].tolist() == [2.0, np.inf]


def test_lasting_conversions_are_those_of_the_last_run():
    times, _ = durations(lasting=True)
    assert times["back"] == (2.0, False)
    assert times["on and off"] == (2.5, True)


def test_time_may_start_at_a_later_visit():
    times, found = durations(start_visit=2)
    assert times == {"late": (0.5, True), "stable": (1.0, False)}
    assert found.table.start.tolist() == [61, 61]
    assert found.table.gap.tolist() == [10, 10], "features are those of the visit that starts"
    assert found.excluded["back"] == "converted at start"


def test_converted_may_be_a_function():
    table = visits(COURSES).assign(status=lambda rows: (rows.status == "C") * 0.5)
    found = time_to_conversion(table, converted=lambda cdr: cdr > 0)
    assert found.table.event.sum() == 3


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({}, {"converted": ["AD"]}, "No visit counts as converted. Column 'status' holds 'C', 'S'"),
        ({"status": None}, {}, r"Column 'status' is missing in 1 of 16 visits \(rows 2\)"),
        ({"time": np.nan}, {}, "Column 'time' is missing or infinite in 1 of 16 rows: 2"),
        ({"time": 61}, {}, "'stable' has two visits at time 61"),
        ({"person": None}, {}, "Column 'person' is missing in 1 of 16 rows"),
        ({}, {"converted": lambda status: "yes"}, "converted must return a truth value"),
        ({}, {"person": "subject"}, "no column 'subject'"),
        ({}, {"start_visit": 9}, "Nobody is at risk"),
    ],
)
def test_bad_visits_are_named(change, settings, message):
    table = visits(COURSES).astype({"time": float})
    for column, value in change.items():
        table.loc[2, column] = value
    with pytest.raises(ValueError, match=message):
        time_to_conversion(table, **({"converted": ["C"]} | settings))


def test_curves_are_those_of_statsmodels():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"duration": rng.integers(1, 9, 90), "event": rng.random(90) < 0.5}
    ).assign(gap=rng.normal(size=90))
    curves = conversion_curves(table, by="gap")
    groups = curves.table.groupby("group", sort=False)
    low = table[table.gap <= np.quantile(table.gap, 1 / 3)]
    reference = SurvfuncRight(low.duration, low.event.astype(int))
    first = groups.get_group(curves.table.group[0]).set_index("time")
    np.testing.assert_allclose(first.converted[reference.surv_times], 1 - reference.surv_prob)
    assert groups.n_at_risk.first().tolist() == [30, 30, 30]
    known = first.dropna()
    assert ((known.low <= known.converted) & (known.converted <= known.high)).all()


def test_interval_of_a_curve_is_greenwoods_on_the_log_log_scale():
    table = pd.DataFrame(
        {"duration": [1, 2, 3, 4, 5], "event": [1, 1, 0, 1, 0], "all": "everybody"}
    )
    row = conversion_curves(table, by="all").table.set_index("time").loc[2.0]
    free, variance = 3 / 5, 1 / (5 * 4) + 1 / (4 * 3)
    move = 1.959964 * np.sqrt(variance) / np.log(free)
    ends = 1 - free ** np.exp([-move, move])
    assert row.converted == pytest.approx(1 - free)
    assert [row.low, row.high] == pytest.approx(sorted(ends))


def test_curves_refuse_groups_that_cannot_be_cut():
    table = pd.DataFrame({"duration": 1.0, "event": True, "gap": [0, 0, 0, 0, 1]})
    with pytest.raises(ValueError, match="'gap' has too many equal values"):
        conversion_curves(table, by="gap")


def test_curves_are_drawn_with_numbers_at_risk():
    table = pd.DataFrame(
        {"duration": [1.0, 2, 3, 4] * 3, "event": [True, False] * 6, "sex": ["F", "M", "F"] * 4}
    )
    figure = conversion_curves(table, by="sex").plot()
    assert isinstance(figure, Figure)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[0] == "at risk"
    assert texts[1] == "8", "women at time 0"


@pytest.mark.real_data
def test_oasis2_people_who_convert(real_data):
    table = pd.read_csv(real_data / "oasis2_longitudinal" / "oasis_longitudinal.csv")
    table["years"] = table["MR Delay"] / 365.25
    found = time_to_conversion(
        table, person="Subject ID", time="years", status="CDR", converted=lambda cdr: cdr > 0
    )
    assert len(found.table) == 85
    assert found.table.event.sum() == 15
    assert found.excluded.value_counts().to_dict() == {"converted at start": 65}
    model = conversion_model(found.table, features=["nWBV"], covariates=["Age"], n_resamples=100)
    assert model.table.low["nWBV"] < model.table.high["nWBV"]
    assert 0.5 < model.concordance.apparent["features"] < 1


def test_times_and_persons_written_as_text_are_those_of_numbers():
    numbers = pd.DataFrame(
        {
            "person": ["a", "a", "a", "b", "b", "b"],
            "time": [0, 2, 10, 0, 2, 10],
            "status": ["CN", "CN", "AD", "CN", "CN", "CN"],
        }
    )
    text = numbers.assign(time=numbers.time.astype(str), person=["a", "a ", "a", "b", "b", " b"])
    wanted = time_to_conversion(numbers, converted=["AD"]).table
    pd.testing.assert_frame_equal(time_to_conversion(text, converted=["AD"]).table, wanted)
    assert wanted.duration.tolist() == [6.0, 10.0]


@pytest.mark.parametrize("kind", [int, str, "category"])
def test_slopes_join_times_to_conversion_by_person(kind):
    random = np.random.default_rng(0)
    visits = pd.DataFrame({"person": np.repeat(np.arange(8, 20), 4), "time": [0, 1, 2, 3] * 12})
    visits["status"] = np.where((visits.person % 3 == 0) & (visits.time == 3), "AD", "CN")
    visits["gap"] = visits.person * visits.time + random.normal(size=48)
    visits["person"] = visits.person.astype(kind)
    conversion = time_to_conversion(visits, converted=["AD"], start_visit=3)
    slopes = gap_slopes(visits, until=conversion.table.start)
    joined = conversion.table.join(slopes.table[["slope_shrunken"]])
    assert joined.slope_shrunken.notna().all()


def test_truth_values_that_may_be_missing_make_two_curves():
    table = pd.DataFrame({"duration": [1.0, 2, 3, 4, 5, 6], "event": [True, False] * 3})
    plain = conversion_curves(table.assign(old=[True] * 3 + [False] * 3), by="old")
    nullable = table.assign(old=pd.array([True] * 3 + [False] * 3, dtype="boolean"))
    pd.testing.assert_frame_equal(conversion_curves(nullable, by="old").table, plain.table)
