import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mresklearn.confounds import ConfoundReport


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
    assert "sex and diagnosis are biology" in text
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


def test_page_is_whole_and_needs_no_network(report, tmp_path):
    path = report.to_html(tmp_path / "report.html")
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert not re.search(r"""(src|href|srcset|url)\s*[=(]\s*["']?https?:""", page)
    assert "<script" not in page
    assert "prefers-color-scheme: dark" in page
    assert page.count("data:image/png;base64,") == 2
    for row in report.to_frame().itertuples():
        assert f"<td>{row.measure}</td>" in page
    for title in ("Design", "Images", "Prediction and gap", "Verdicts"):
        assert re.search(f"<h2>{title}", page)
    assert "$" not in re.sub(r"base64,[^\"]*", "", page), "every place of the template is filled"


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
