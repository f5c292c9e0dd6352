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


@pytest.mark.parametrize(
    "page", ["readme", "harmonisation_docs", "invariance_docs", "losses_docs", "disease_docs"]
)
def test_tables_of_documents_are_the_stored_results(page):
    script = ROOT / "benchmarks" / f"update_{page}.py"
    run = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", ["disease", "harmonisation", "invariance"])
def test_the_examples_of_the_guide_run(page):
    text = (ROOT / "docs" / f"{page}.md").read_text()
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(code, names)


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
