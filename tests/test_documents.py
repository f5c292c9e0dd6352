"""What the documents show is what runs: the README's example and results, and the demo."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent


def test_the_example_of_the_readme_runs():
    code = re.search(r"## Ten lines\n\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    small = (
        code[1].replace("n_subjects=60", "n_subjects=12").replace("voxel_size=6", "voxel_size=8")
    )
    small = small.replace("ContrastiveEncoder()", "ContrastiveEncoder(max_epochs=1)")
    assert small != code[1]
    exec(small, {})


def test_the_results_of_the_readme_are_the_stored_ones():
    script = ROOT / "benchmarks" / "update_readme.py"
    run = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_the_tables_of_the_guide_to_harmonisation_are_the_stored_ones():
    script = ROOT / "benchmarks" / "update_harmonisation_docs.py"
    run = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_the_demo_writes_its_table_and_picture(tmp_path, monkeypatch, capsys):
    arguments = ["--people", "24", "--sites", "3", "--epochs", "1", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["demo.py", *arguments])
    runpy.run_path(str(ROOT / "examples" / "demo.py"), run_name="__main__")
    printed = capsys.readouterr()
    table = pd.read_csv(tmp_path / "table.tsv", sep="\t", index_col=0)
    assert list(table.index) == ["mean age", "voxels, ridge", "contrastive encoder, ridge"]
    assert table["MAE (years)"].between(0, 60).all()
    assert table["site balanced accuracy"].notna().sum() == 2
    for name in table.index:
        assert name in printed.out
    assert "fit" in printed.err, "progress is shown"
    assert (tmp_path / "predicted_age.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(tmp_path / "predictions.tsv", sep="\t")) == 24


PAGES = ["README.md", "CHANGELOG.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_relative_links_lead_somewhere(name):
    document = ROOT / name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target
