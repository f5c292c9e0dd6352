"""What every page is: one file, labelled, escaped, with enough contrast, and for research."""

import re
import subprocess
import sys
from html import escape

import numpy as np
import pytest
from reporting.pages import NASTY, Parsed, cohort, controls, person, saliency, study

from mresklearn.confounds import ConfoundReport
from mresklearn.reporting import person_report, study_report

LINKS = ("src", "href", "srcset", "action", "data", "poster", "xlink:href")


@pytest.fixture(scope="module")
def reports():
    people, features = cohort()
    confounds = ConfoundReport(roles={"sex": "biological"}, n_permutations=19, random_state=0).fit(
        people, features
    )
    return {
        "person": person(saliency=saliency(), anatomy=None, out_of_range=["The site is new."]),
        "study": study(people, features, confounds=confounds, confounds_page="confounds.html"),
        "bare person": person_report(participant=7, age=50.0, predicted=52.0),
        "bare study": study_report(participants=people),
    }


@pytest.fixture(params=["person", "study", "bare person", "bare study"])
def page(request, reports):
    return reports[request.param].html


def test_nothing_is_loaded_from_elsewhere(page):
    for _, attributes in Parsed(page).elements:
        for name in LINKS:
            address = attributes.get(name) or ""
            assert not re.match(r"(\w+:)?//", address), address
            assert not address.startswith(("http", "file")), address
    style = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    assert "@import" not in style
    assert "url(" not in page
    assert not Parsed(page).all("script", "link", "iframe")


def test_language_title_and_window_are_declared(page):
    parsed = Parsed(page)
    assert page.startswith("<!doctype html>")
    assert parsed.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in parsed.all("meta")
    assert any(meta.get("name") == "viewport" for meta in parsed.all("meta"))
    assert len(parsed.all("title")) >= 1


def test_every_picture_says_its_message(page):
    parsed = Parsed(page)
    for picture in parsed.all("img"):
        assert len(picture["alt"]) > 20
    for chart in parsed.all("svg"):
        if chart.get("aria-hidden") != "true":
            assert chart["role"] == "img"
            assert len(chart["aria-label"]) > 30


def test_ids_are_unique_and_references_lead_somewhere(page):
    attributes = [attributes for _, attributes in Parsed(page).elements]
    ids = [found["id"] for found in attributes if "id" in found]
    assert len(ids) == len(set(ids))
    assert {found["aria-labelledby"] for found in attributes if "aria-labelledby" in found} <= {
        *ids
    }
    anchors = [found["href"][1:] for found in attributes if found.get("href", "").startswith("#")]
    assert anchors
    assert set(anchors) <= set(ids)


def test_headings_go_down_one_level_at_a_time(page):
    levels = [level for level, _ in Parsed(page).headings]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert max(np.diff(levels)) <= 1


def test_tables_scroll_in_boxes_that_the_keyboard_reaches(page):
    boxes = [box for box in Parsed(page).all("div") if "table" in (box.get("class") or "").split()]
    assert len(boxes) == len(Parsed(page).all("table"))
    for box in boxes:
        assert box["tabindex"] == "0"
        assert box["role"] == "region"
        assert box["aria-label"]
    assert all(head.get("scope") in ("col", "row") for head in Parsed(page).all("th"))


def test_the_first_link_skips_to_the_results(page):
    parsed = Parsed(page)
    assert parsed.all("a")[0] == {"class": "skip", "href": "#main"}
    assert parsed.all("main")[0]["id"] == "main"


def test_the_notice_stands_before_the_results(page):
    text = Parsed(page).text
    notice = "This is not a medical device, not for diagnosis"
    assert 0 <= text.index(notice) < 400
    assert text.count(notice) == 1


def test_the_notice_cannot_be_left_out():
    for function in (person_report, study_report):
        with pytest.raises(TypeError):
            function(participant="a", participants=None, age=50.0, predicted=50.0, notice=False)


def colours(scheme):
    """Return the colours of a scheme by name."""
    style = person_report(participant="a", age=50.0, predicted=50.0).html
    found = re.findall(r":root \{(.*?)\}", style, re.S)[scheme == "dark"]
    return dict(re.findall(r"--([\w-]+): (#\w{6})", found))


def contrast(first, second):
    """Return the contrast ratio of WCAG 2.1 of two colours as in #1f2430."""
    luminance = []
    for colour in (first, second):
        channels = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        luminance.append(linear @ [0.2126, 0.7152, 0.0722])
    return (max(luminance) + 0.05) / (min(luminance) + 0.05)


def test_black_on_white_has_the_contrast_that_the_standard_gives():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(scheme):
    found = colours(scheme)
    for ink in ("ink", "faint", "small", "medium", "large", "person"):
        for ground in ("paper", "band", "alert"):
            assert contrast(found[ink], found[ground]) >= 4.5, (ink, ground)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_marks_have_enough_contrast(scheme):
    found = colours(scheme)
    marks = [name for name in found if name.startswith(("hue", "age", "main", "control"))]
    assert len(marks) == 13
    for mark in marks:
        assert contrast(found[mark], found["paper"]) >= 3, mark


def test_both_schemes_name_the_same_colours():
    assert colours("light").keys() == colours("dark").keys()


def test_what_people_write_is_text_and_never_markup():
    report = person(
        participant=NASTY, out_of_range=[NASTY], flags=[NASTY], interval_basis=NASTY,
        quality={NASTY: NASTY, "{0} {x}": 3.0}, model={NASTY: {NASTY: NASTY}},
        details={NASTY: NASTY}, saliency=saliency(), saliency_unit=NASTY, anatomy=None, date=NASTY,
    )  # fmt: skip
    assert not Parsed(report.html).all("script")
    assert "<script" not in report.html
    assert Parsed(report.html).text.count(NASTY) >= 9
    people, features = cohort(3)
    people["site"] = people.site.replace("site A", NASTY)
    results = study(people, features, title=NASTY, embeddings={NASTY: features}).html
    assert "<script" not in results
    assert Parsed(results).text.count(NASTY) > 8


def test_a_page_is_not_written_over_unless_asked(tmp_path):
    report = person()
    path = report.to_html(tmp_path / "person.html")
    assert path.read_text(encoding="utf-8") == report.html
    with pytest.raises(FileExistsError, match=r"person\.html exists.*overwrite=True"):
        person(age=50.0).to_html(path)
    assert path.read_text(encoding="utf-8") == report.html
    other = person(age=50.0)
    assert other.to_html(path, overwrite=True) == path
    assert path.read_text(encoding="utf-8") == other.html


def test_in_a_notebook_a_page_stands_in_a_frame():
    report = person()
    frame = Parsed(report._repr_html_()).all("iframe")[0]
    assert frame["srcdoc"] == report.html
    assert frame["title"] == report.title
    assert escape(report.html) in report._repr_html_()


def test_the_same_input_gives_the_same_page():
    assert person(saliency=saliency()).html == person(saliency=saliency()).html


def test_the_date_is_that_of_today_where_none_is_given():
    page = person_report(participant="a", age=50.0, predicted=51.0, **controls()).html
    assert re.search(r"Brain age report · \d{4}-\d\d-\d\d", page)


def test_reports_need_neither_torch_nor_the_drawing_of_matplotlib():
    code = (
        "import sys; from mresklearn.reporting import person_report;"
        "person_report(participant='a', age=50.0, predicted=51.0);"
        "sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
