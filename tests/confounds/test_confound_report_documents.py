"""What docs/confounds.md shows is what runs and what is stored."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "confounds.md"


def test_figures_and_tables_are_the_stored_ones():
    script = ROOT / "benchmarks" / "update_confound_docs.py"
    run = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_no_figure_is_left_open():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert "-->?<" not in text
    assert len(re.findall(r"<!--\w+ [^>\n]+-->[^<]+<!--/-->", text)) == text.count("<!--/-->")


def test_links_and_pictures_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", DOCUMENT.read_text(encoding="utf-8")):
        assert (DOCUMENT.parent / target).exists(), target


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)[1]
    small = code.replace("n_subjects=120, n_sites=6", "n_subjects=36, n_sites=6")
    small = small.replace("voxel_size=6", "voxel_size=12")
    small = small.replace(
        "random_state=0)\nreport.fit", "random_state=0, n_permutations=19)\nreport.fit"
    )
    assert len(small) > len(code) - 20
    assert small.count("n_permutations=19") == 1
    names = {}
    exec(small, names)
    assert "Where their site is left out" in names["report"].summary()
    assert (tmp_path / "confounds.html").exists()
    assert "people of 6 sites" in capsys.readouterr().out
