"""What a real browser makes of the pages: no errors, nothing loaded, nothing that sticks out."""

import pytest
from reporting.browser import Browser, find_browser
from reporting.pages import NASTY, cohort, person, saliency, study

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium on this machine: apt-get install chromium"
)
WIDTHS = (360, 390, 768, 1200)
LONG = "W" * 60


@pytest.fixture(scope="module")
def browser():
    found = Browser(find_browser())
    yield found
    found.close()


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    people, features = cohort()
    reports = {
        "person": person(
            participant=LONG, saliency=saliency(), out_of_range=[LONG, NASTY], flags=[LONG],
            model={LONG: LONG, "group": {LONG: LONG}}, details={LONG: LONG},
        ),
        "study": study(people.replace({"site": {"site A": LONG}}), features, title=LONG),
    }  # fmt: skip
    return {name: report.to_html(folder / f"{name}.html") for name, report in reports.items()}


@pytest.mark.parametrize("name", ["person", "study"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_a_complaint_and_without_the_network(browser, paths, name, scheme):
    browser.open(paths[name], scheme=scheme)
    assert browser.complaints() == []
    elsewhere = [url for url in browser.requests() if not url.startswith(("file:", "data:"))]
    assert elsewhere == []
    assert [url for url in browser.requests() if url.startswith("file:")] == [paths[name].as_uri()]
    assert browser.value("document.images.length") == (8 if name == "person" else 0)
    assert browser.value("[...document.images].every(i => i.naturalWidth > 50)")


@pytest.mark.parametrize("name", ["person", "study"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_of_the_page(browser, paths, name, width):
    browser.open(paths[name], width=width)
    assert browser.value("window.innerWidth") == width
    assert browser.value("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("name", ["person", "study"])
def test_text_in_charts_stays_inside_and_can_be_read_on_a_phone(browser, paths, name):
    browser.open(paths[name], width=360)
    smallest = browser.value(
        "Math.min(...[...document.querySelectorAll('svg text')].map(t =>"
        " parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a))"
    )
    assert smallest >= 8.5
    outside = browser.value(
        "[...document.querySelectorAll('svg text')].filter(t => {"
        " const a = t.getBoundingClientRect(), b = t.ownerSVGElement.getBoundingClientRect();"
        " return a.left < b.left - 6 || a.right > b.right + 6 }).map(t => t.textContent)"
    )
    assert outside == []


@pytest.mark.parametrize(
    ("scheme", "paper", "ink"),
    [("light", "rgb(255, 255, 255)", "rgb(31, 36, 48)"),
     ("dark", "rgb(22, 24, 29)", "rgb(230, 233, 240)")],
)  # fmt: skip
def test_the_page_and_its_charts_follow_the_scheme(browser, paths, scheme, paper, ink):
    browser.open(paths["person"], scheme=scheme)
    body = "getComputedStyle(document.body)"
    assert browser.value(f"{body}.backgroundColor") == paper
    assert browser.value(f"{body}.color") == ink
    assert browser.value("getComputedStyle(document.querySelector('svg .own')).stroke") == ink


@pytest.mark.parametrize("name", ["person", "study"])
def test_the_keyboard_reaches_the_results_and_every_table(browser, paths, name):
    browser.open(paths[name])
    reached = []
    for _ in range(2 + browser.value("document.querySelectorAll('.table').length")):
        browser.press("Tab")
        reached.append(browser.value("document.activeElement.className"))
    assert reached[0] == "skip"
    assert browser.value("document.querySelector('.skip').textContent") == "Skip to the results"
    tables = browser.value("document.querySelectorAll('.table').length")
    assert sum("table" in (name or "") for name in reached) == tables


def test_on_paper_tables_fit_and_nothing_covers_anything_else(browser, tmp_path):
    people, features = cohort()
    browser.open(study(people, features).to_html(tmp_path / "plain.html"), width=688)  # of A4
    browser("Emulation.setEmulatedMedia", media="print")
    sticking_out = browser.value(
        "[...document.querySelectorAll('.table')].filter(t => t.scrollWidth > t.clientWidth + 1)"
        ".map(t => t.ariaLabel)"
    )
    overlapping = browser.value(
        "[...document.querySelectorAll('table')].filter(t =>"
        " [...document.querySelectorAll('figure')].some(f => {"
        " const a = t.getBoundingClientRect(), b = f.getBoundingClientRect();"
        " return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom }))"
        ".length"
    )
    browser("Emulation.setEmulatedMedia", media="")
    assert sticking_out == []
    assert overlapping == 0


@pytest.mark.parametrize("name", ["person", "study"])
def test_it_prints_on_a_few_pages_in_light_colours(browser, paths, name):
    browser.open(paths[name], scheme="dark")
    printed = browser.pdf()
    assert printed.startswith(b"%PDF")
    assert 1 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 8
    browser("Emulation.setEmulatedMedia", media="print", features=[
        {"name": "prefers-color-scheme", "value": "dark"}])  # fmt: skip
    ink = browser.value("getComputedStyle(document.body).color")
    browser("Emulation.setEmulatedMedia", media="")
    assert ink == "rgb(31, 36, 48)"
