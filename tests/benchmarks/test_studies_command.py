"""The command: what it lists, what it refuses, and one small study from maps to page."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks.studies import Persons, Simulated, Sites, _page
from benchmarks.studies import __main__ as command
from benchmarks.studies import declared as declarations
from benchmarks.studies._methods import MRI_METHODS, PACKAGE_METHODS
from benchmarks.studies.declared import declared

TINY = replace(
    declared("mre_against_mri"),
    datasets=(
        Simulated(name="tiny", people=16, sites=2, voxel_size=10, kinds=("stiffness", "t1")),
    ),
    methods={
        name: {**MRI_METHODS, **PACKAGE_METHODS}[name]
        for name in ("mean age", "regional ridge", "PCA + Gaussian process", "domain-invariant")
    },
    pooled=("regional ridge", "domain-invariant"),
    protocols=(Persons(n_splits=2), Sites()),
    network={"max_epochs": 1, "width": 2, "batch_size": 8, "n_views": 2},
)


@pytest.fixture(autouse=True)
def _without_real_data(monkeypatch):
    monkeypatch.delenv("MRESKLEARN_DATA", raising=False)


def test_list_names_every_study(tmp_path, capsys):
    assert command.main(["list", "--cells", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in declarations.names())
    assert len(declarations.names()) == 5


def test_a_dry_run_lists_the_cells_and_touches_nothing(tmp_path, capsys):
    store = tmp_path / "store"
    arguments = ["run", "mre_against_mri", "--dry-run", "--cells", str(store)]
    assert command.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("520 cells, 520 to fit")
    assert len(lines) == 521
    assert not store.exists()


def test_an_unknown_study_is_refused_with_those_that_there_are(capsys):
    assert command.main(["run", "phrenology"]) == 2
    assert "mre_against_mri" in capsys.readouterr().err


def test_a_figure_of_nothing_is_refused(tmp_path, capsys):
    arguments = ["figure", "mre_against_mri", "--quick", "--cells", str(tmp_path)]
    assert command.main(arguments) == 1
    assert "run the study mre_against_mri first" in capsys.readouterr().err


def test_a_study_from_maps_to_table_and_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "declared", lambda name: replace(TINY, quick={}))
    arguments = ["mre_against_mri", "--quick", "--cells", str(tmp_path / "store")]
    assert command.main(["run", *arguments]) == 0
    assert "Fitted 32 cells; 0 were there." in capsys.readouterr().out
    assert command.main(["run", *arguments]) == 0
    assert "Fitted 0 cells; 32 were there." in capsys.readouterr().out
    assert command.main(["table", *arguments]) == 0
    assert "32 of 32 cells" in capsys.readouterr().out
    picture = tmp_path / "picture.png"
    assert command.main(["figure", *arguments, "--output", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    records = [
        json.loads(path.read_text()) for path in (tmp_path / "store").rglob("cells/*/*.json")
    ]
    people = {tuple(r["person"]) for r in records if r["description"]["kinds"] == ["t1"]}
    assert people == {tuple(r["person"]) for r in records if r["description"]["kinds"] != ["t1"]}


def test_rows_of_the_tests_can_be_told_apart():
    for name in declarations.names():
        lines = [line for line in _page.tests(name).splitlines() if line.startswith("| ")]
        head, _, *rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in lines or ["|", "|"]
        ]
        named = head.index("difference") if rows else 0
        conditions = [tuple(row[:named]) for row in rows]
        assert len(set(conditions)) == len(conditions), name
        assert not rows or {"data", "protocol"} <= set(head[:named])


def test_the_page_says_how_many_comparisons_each_data_set_has():
    sizes = pd.DataFrame({"dataset": ["a", "a", "b"], "n_comparisons": [2.0, 2.0, 1.0]})
    assert _page._counts(sizes) == "2 (a), 1 (b)"
    assert _page._counts(sizes.iloc[:2]) == "2"
    uneven = pd.DataFrame({"dataset": ["a", "a"], "n_comparisons": [2.0, 3.0]})
    assert _page._counts(uneven) == "2 to 3 (a)"


def test_the_page_is_up_to_date():
    assert command.main(["page", "--check"]) == 0
