import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mresklearn.confounds import ConfoundReport
from mresklearn.confounds._report_plot import Colours


def fitted(*, image=True, prediction=True, n_sites=3, per_site=30, site_name="Site", **options):
    rng = np.random.default_rng(0)
    code = np.arange(per_site * n_sites) % n_sites
    people = pd.DataFrame(
        {
            "site": [f"{site_name} {k}" for k in code],
            "age": rng.normal(50 + 3 * code % 20, 10),
            "sex": rng.choice(["F", "M"], len(code)),
            "diagnosis": np.where(code == 0, "AD", "CN"),
        }
    )
    X = rng.normal(size=(len(code), 12)) + rng.normal(size=(n_sites, 12))[code]
    predicted = 0.8 * people.age + 10 + rng.normal(0, 3, len(code)) + 4 * (code == 1)
    report = ConfoundReport(
        roles={"sex": "biological", "diagnosis": "biological"},
        n_permutations=19,
        random_state=0,
        **options,
    )
    return report.fit(people, X if image else None, None, predicted if prediction else None)


@pytest.fixture(scope="module")
def report():
    return fitted()


def test_summary_names_confounders_biology_and_what_to_do(report):
    text = report.summary()
    assert "'site' is a confounder" in text
    assert "site determines diagnosis" in text
    assert "Biology: sex and diagnosis. No confound to be removed" in text
    assert "of 3 sites (30 each)" in text
    assert "To do:\n- " in text
    assert "Biased at equal age: Site 1 (+" in text
    assert "nan" not in text.lower().replace("unanimous", "")


def test_summary_of_metadata_alone_says_what_is_not_known():
    text = fitted(image=False, prediction=False).summary()
    assert "'site' cannot be told apart from what is studied" in text
    assert "site determines diagnosis" in text
    assert "gap" not in text


@pytest.mark.parametrize("dark", [False, True])
def test_plot_draws_four_pictures(report, dark):
    figure = report.plot(dark=dark)
    assert isinstance(figure, Figure)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title[0] for title in titles if re.match(r"[A-D]   ", title)] == list("ABCD")
    figure.canvas.draw()


@pytest.mark.parametrize(
    "made",
    [
        {"image": False, "prediction": False},
        {"prediction": False},
        {"image": False},
        {"n_sites": 2},
        {"n_sites": 34, "per_site": 6},
        {"site_name": "a very long name of a site $\\bad$ <b>"},
    ],
)
def test_plot_says_what_is_missing_and_fits_any_number_of_sites(made):
    fitted(**made).plot().canvas.draw()


def test_plot_does_not_touch_the_state_of_matplotlib(report):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    report.plot()
    assert dict(mpl.rcParams) == before


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    path = report.to_html(tmp_path_factory.mktemp("page") / "report.html")
    return path.read_text(encoding="utf-8")


def without_pictures(page):
    return re.sub(r"base64,[^\"]*", "", page)


class Outline(HTMLParser):
    """Tags in order, and the attributes of those with a name."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.unclosed = [], [], []
        self.feed(without_pictures(page))
        self.unclosed += self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            self.unclosed.append(tag)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_page_needs_no_network_and_no_script(page):
    assert page.startswith("<!doctype html>")
    assert not re.search(r"""(src|href|srcset|url)\s*[=(]\s*["']?https?:""", page)
    assert "<script" not in page
    assert "$" not in without_pictures(page), "every place of the template is filled"


def test_page_is_well_formed_and_says_its_language(page):
    outline = Outline(page)
    assert outline.unclosed == []
    assert outline.all("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in outline.all("meta"))


def test_page_begins_with_what_counts_and_ends_with_all_rows(report, page):
    heads = re.findall(r"<h2>(.*?)</h2>", page)
    rows = f"All {len(report.to_frame())} rows"
    assert heads == ["Verdicts", "What to do", "Reading", "Pictures", rows]
    assert all("open" not in details for details in Outline(page).all("details"))
    for title in ("Design", "Images", "Prediction and gap"):
        assert f"<summary><h3>{title}" in page
    assert "<h3>Embedding" not in page, "none was given"


def test_page_holds_every_row_with_its_advice_and_reason(report, page):
    text = unescape(without_pictures(page))
    for row in report.to_frame().itertuples():
        assert f"<td>{row.variable}</td>" in text
        assert f"<td>{row.measure}</td>" in text
        assert f'{row.advice} <span class="why">{row.reason}</span>' in text


def test_advice_stands_once_with_the_findings_that_ask_for_it(report, page):
    items = re.findall(r'<li>(.*?)<span class="why">(.*?)</span></li>', page)
    advice = [unescape(item[0]) for item in items]
    assert len(set(advice)) == len(advice)
    assert "\n".join(f"- {line}" for line in advice) == report.summary().split("To do:\n")[1]
    findings = dict(zip(advice, [item[1] for item in items], strict=True))
    start = next(line for line in advice if line.startswith("Hold age fixed"))
    assert re.match(r"site and age, epsilon squared: \w+, -?0\.\d\d \(", findings[start])


def test_pictures_come_in_light_and_dark_and_are_told_in_words(page):
    outline = Outline(page)
    images, sources = outline.all("img"), outline.all("source")
    assert len(images) == len(sources) == page.count("<figure>") == 7
    assert all("prefers-color-scheme: dark" in source["media"] for source in sources)
    told = [image["alt"] for image in images]
    assert len(set(told)) == 7
    assert any(re.search(r"features, linear probe 0\.\d\d, through age alone", alt) for alt in told)
    assert any("site with diagnosis large" in alt for alt in told)
    assert all(alt.endswith(".") and "nan" not in alt for alt in told)


def test_page_of_metadata_alone_shows_what_there_is(tmp_path):
    page = fitted(image=False, prediction=False).to_html(tmp_path / "x.html").read_text("utf-8")
    assert page.count("<figure>") == 2
    assert "<h3>Images" not in page


def test_page_without_sites(tmp_path):
    people = pd.DataFrame({"age": np.arange(40.0), "coil": ["a", "b"] * 20})
    made = ConfoundReport(roles={"coil": "technical"}, site_column=None, n_permutations=19)
    page = made.fit(people).to_html(tmp_path / "x.html").read_text("utf-8")
    assert page.count("<figure>") == 1
    assert "<p>Nothing.</p>" in page


def test_names_from_data_cannot_break_the_page(tmp_path):
    report = fitted(site_name="<script>alert(1)</script> & $summary", prediction=False)
    page = report.to_html(str(tmp_path / "report.html")).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; $summary" in page


def test_progress_is_shown_on_request(capsys):
    fitted(image=False, prediction=False)
    assert capsys.readouterr().err == ""
    fitted(image=False, prediction=False, verbose=1)
    assert "confounds: 100%" in capsys.readouterr().err


def test_a_report_without_pictures_loads_neither_matplotlib_nor_torch_nor_jinja():
    code = (
        "import pandas as pd, sys; from mresklearn.confounds import ConfoundReport;"
        "people = pd.DataFrame({'age': range(40), 'site': list('ab') * 20});"
        "ConfoundReport(n_permutations=19).fit(people).summary();"
        "sys.exit(bool({'matplotlib', 'torch', 'jinja2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_of_the_page_has_enough_contrast(page, scheme):
    found = re.findall(r":root \{(.*?)\}", page, re.S)[scheme == "dark"]
    colours = dict(re.findall(r"--(\w+): (#\w{6})", found))
    assert len(colours) == 8
    for ink in ("ink", "faint", "small", "medium", "large"):
        for ground in ("paper", "band"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


@pytest.mark.parametrize(("dark", "paper"), [(False, "#ffffff"), (True, "#16181d")])
def test_all_ink_of_the_pictures_has_enough_contrast(dark, paper):
    colours = Colours.for_dark() if dark else Colours()
    for ink in ("ink", "faint", "main", "warn", "other"):
        assert contrast(getattr(colours, ink), paper) >= 4.5, ink


@pytest.mark.parametrize("dark", [False, True])
def test_numbers_in_the_picture_of_associations_can_be_read(report, dark):
    axes = report.plot(dark=dark).axes[0]
    image = axes.images[0]
    assert len(axes.texts) == 6
    for text in axes.texts:
        x, y = (round(place) for place in text.get_position())
        ground = to_hex(image.cmap(image.norm(image.get_array()[y, x])))
        assert contrast(to_hex(text.get_color()), ground) >= 4.5
