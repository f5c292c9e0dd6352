"""What all commands share: help, JSON, exit codes, dry runs, and a start without torch."""

import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from mresklearn import MapMasker, __version__
from mresklearn.cli import app
from mresklearn.cli._command import command
from mresklearn.cli._console import Console, Result
from mresklearn.cli._recipes import Recipe

ROOT = Path(__file__).parents[2]
COMMANDS = ["simulate", "pool", "confounds", "train", "predict", "report", "demo", "bids", "cache"]


@pytest.fixture
def pool_file(study, newcomers, tmp_path):
    file = tmp_path / "pool.toml"
    file.write_text(
        f"[studies.first]\nroot = '{study}'\nlayout = 'bids'\n"
        f"[studies.second]\nroot = '{newcomers}'\nlayout = 'bids'\n"
    )
    return file


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_is_readable(run, name):
    result = run(*([name] if name else []), "--help")
    assert result.exit_code == 0
    text = result.stdout
    assert "Usage:" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "DryRun" not in text and "Annotated" not in text  # noqa: PT018
    if name not in (None, "cache"):
        for option in ("--json", "--quiet", "--debug", "--dry-run", "--force"):
            assert option in text, option


def test_the_first_help_lists_every_command_and_the_bids_form(run):
    text = run("--help").stdout
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", text), name
    assert "BIDS_DIR OUT_DIR participant|group" in text


def test_version(run):
    assert run("--version").stdout.strip() == f"mresklearn {__version__}"


def test_a_misspelt_command_is_wrong_use(run):
    result = run("trian", "study", "model")
    assert (result.exit_code, "train" in result.stderr) == (2, True)


def test_starting_loads_neither_torch_nor_pandas():
    code = (
        "import sys; from typer.testing import CliRunner; from mresklearn.cli import app;"
        "result = CliRunner().invoke(app, ['train', '--help']); assert result.exit_code == 0;"
        "sys.exit(bool({'torch', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_installed_script_is_this_app():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["mresklearn"].partition(":")
    assert getattr(import_module(module), name) is app


DRY = {
    "simulate": "simulate {new} --people 4",
    "pool": "pool {pool} {new}",
    "confounds": "confounds {study} {new}.html",
    "train": "train {study} {new} --model ridge",
    "predict": "predict {model} {newcomers} {new}",
    "report": "report {model}",
    "report of predictions": "report {predictions}",
    "demo": "demo {new}",
    "participant": "{newcomers} {new} participant --model {model} -w {new}",
    "group": "{newcomers} {predictions} group",
}


@pytest.mark.parametrize("line", DRY.values(), ids=DRY)
def test_a_dry_run_writes_nothing_and_says_what_it_would(
    run, run_json, line, work, study, newcomers, model, predictions, pool_file, snapshot
):
    places = {
        "study": study, "newcomers": newcomers, "model": model, "predictions": predictions,
        "pool": pool_file, "new": pool_file.parent / "new",
    }  # fmt: skip
    arguments = [*shlex.split(line.format(**places)), "--dry-run"]
    before = snapshot(work), snapshot(pool_file.parent)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "ould" in result.stdout
    code, record = run_json(*arguments)
    assert (code, record["dry_run"], record["status"]) == (0, True, "ok")
    assert (snapshot(work), snapshot(pool_file.parent)) == before
    assert sorted(pool_file.parent.iterdir()) == [pool_file]


def test_pool_writes_a_table_that_other_commands_take(run, run_json, pool_file, tmp_path):
    for paths in ("absolute", "relative"):
        out = tmp_path / paths
        code, record = run_json("pool", pool_file, out, "--paths", paths)
        assert (code, record["n_rows"], record["n_studies"]) == (0, 24, 2), record
        assert "first" in (out / "pooling_report.txt").read_text()
        code, record = run_json("train", record["table"], tmp_path / "m", "--dry-run")
        assert (code, record["n_rows"], record["n_sites"]) == (0, 24, 4), record
        assert record["maps"] == ["stiffness", "damping_ratio"]
    code, record = run_json("train", pool_file, tmp_path / "m", "--dry-run")
    assert (code, record["n_rows"], record["n_sites"]) == (0, 24, 4), record
    assert run("pool", pool_file, tmp_path / "absolute").exit_code == 2
    assert run("pool", pool_file, tmp_path / "absolute", "--force").exit_code == 0


def test_confounds_writes_a_page_and_a_table(run, run_json, study, tmp_path):
    page = tmp_path / "confounds.html"
    options = ("--permutations", 19, "--table-only")
    code, record = run_json("confounds", study, page, *options)
    assert (code, record["columns"]) == (0, ["age", "site", "sex"]), record
    assert "<html" in page.read_text()
    assert page.with_suffix(".tsv").read_text().startswith("variable\t")
    assert run("confounds", study, page, *options).exit_code == 2
    assert run("confounds", study, tmp_path / "page.txt").exit_code == 2
    assert "scanner" in run("confounds", study, page, "--force", "--role", "scanner=x").stderr


def test_confounds_never_replaces_the_table_that_it_reads(run, study, tmp_path):
    root = shutil.copytree(study, tmp_path / "study")
    table = root / "participants.tsv"
    before = table.read_text()
    for people in (root, table):
        result = run("confounds", people, table.with_suffix(".html"), "--table-only", "--force")
        assert (result.exit_code, "is what is read" in result.stderr) == (2, True), result.output
    (tmp_path / "notes.tsv").write_text("mine")
    result = run("confounds", root, tmp_path / "notes.html", "--table-only")
    assert (result.exit_code, "notes.tsv" in result.stderr) == (2, True), result.output
    assert (table.read_text(), (tmp_path / "notes.tsv").read_text()) == (before, "mine")
    assert not list(tmp_path.rglob("*.html"))


def test_pool_never_replaces_a_table_that_it_reads(run, study, pool_file):
    root = shutil.copytree(study, pool_file.parent / "root")
    pool_file.write_text(f"[studies.first]\nroot = '{root}'\nlayout = 'bids'\n")
    before = (root / "participants.tsv").read_text()
    assert run("pool", pool_file, root, "--force").exit_code == 2
    assert (root / "participants.tsv").read_text() == before


def test_report_checks_both_pages_before_it_writes_one(run, model, tmp_path):
    (tmp_path / "x_confounds.html").write_text("mine")
    result = run("report", model, "--out", tmp_path / "x.html", "--permutations", 19)
    assert (result.exit_code, "x_confounds.html" in result.stderr) == (2, True), result.output
    assert (tmp_path / "x_confounds.html").read_text() == "mine"
    assert not (tmp_path / "x.html").exists()
    before = (model / "model.json").read_bytes()
    assert run("report", model, "--out", model / "model.json", "--force").exit_code == 2
    assert (model / "model.json").read_bytes() == before


@pytest.mark.parametrize(
    "option",
    [
        ("--map", "t1=T1w"), ("--column", "age=AGE"), ("--sex-code", "9=F"), ("--id-column", "ID"),
        ("--root", "."), ("--id-format", "{:0>9}"),
    ],
    ids=lambda option: option[0],
)  # fmt: skip
def test_what_stands_in_a_pool_file_is_no_option(run, pool_file, tmp_path, option):
    result = run("train", pool_file, tmp_path / "m", "--dry-run", *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr
    assert "pool file" in result.stderr


def test_report_writes_the_page_of_a_model_and_of_predictions(run, model, predictions, tmp_path):
    page = tmp_path / "study.html"
    result = run("report", model, "--out", page, "--permutations", 19)
    assert result.exit_code == 0, result.output
    assert "Brain age by ridge" in page.read_text()
    assert page.with_name("study_confounds.html").is_file()
    assert run("report", model, "--out", page).exit_code == 2


def test_simulated_people_depend_on_the_seed_alone(run, study, tmp_path):
    size = ("--people", 20, "--sites", 2, "--voxel-size", 10)
    assert run("simulate", tmp_path / "same", *size, "--n-jobs", 2).exit_code == 0
    name = "participants.tsv"
    assert (tmp_path / "same" / name).read_text() == (study / name).read_text()
    assert run("simulate", study, *size).exit_code == 2
    assert run("simulate", tmp_path / "x", "--maps", "stiffness,t3").exit_code == 2
    assert run("simulate", tmp_path / "x", "--diagnosis", "AD=many").exit_code == 2


def test_what_was_simulated_is_replaced_whole(run, tmp_path):
    options = ("--people", 2, "--sites", 1, "--voxel-size", 10, "--maps", "stiffness")
    assert run("simulate", tmp_path / "s", *options).exit_code == 0
    (tmp_path / "s" / "left over.txt").write_text("of the first")
    assert run("simulate", tmp_path / "s", *options, "--force").exit_code == 0
    assert not (tmp_path / "s" / "left over.txt").exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "s"]


def _app_of(function):
    small = typer.Typer()
    small.command()(command(function))
    return small


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("column 'age' is empty"), 3),
        (PermissionError("no access"), 3),
        (FileExistsError("there already"), 2),
        (typer.BadParameter("no such thing"), 2),
        (RuntimeError("a defect"), 4),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_end_in_one_message_and_their_exit_code(error, code):
    def fail(console: Console) -> Result:
        raise error

    from typer.testing import CliRunner

    result = CliRunner().invoke(_app_of(fail), [])
    assert result.exit_code == code
    assert result.stderr.startswith("Error: ")
    assert str(error) in result.stderr
    assert result.stdout == ""
    as_json = CliRunner().invoke(_app_of(fail), ["--json"])
    assert as_json.exit_code == code
    assert json.loads(as_json.stdout)["status"] == "error"


def test_warnings_are_notes_once_and_part_of_the_json():
    def warn(console: Console) -> Result:
        for _ in range(3):
            warnings.warn("site A has\n one sex", UserWarning, stacklevel=1)
        return Result("done", {"n": 1}, n_failed=2)

    from typer.testing import CliRunner

    result = CliRunner().invoke(_app_of(warn), [])
    assert result.stderr == "Warning: site A has one sex\n"
    assert (result.stdout, result.exit_code) == ("done\n", 1)
    quiet = CliRunner().invoke(_app_of(warn), ["--quiet", "--json"])
    assert quiet.stderr == ""
    assert json.loads(quiet.stdout) == {
        "status": "some failed", "n": 1, "warnings": ["site A has one sex"]
    }  # fmt: skip


def test_numbers_that_are_none_are_null_in_json():
    numbers = {"r": float("nan"), "rows": [{"mae": np.float32("inf"), "n": np.int64(3)}]}

    def tell(console: Console) -> Result:
        return Result("", {**numbers, "path": Path("here"), "shape": (1.5, None, True)})

    from typer.testing import CliRunner

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    printed = json.loads(
        CliRunner().invoke(_app_of(tell), ["--json"]).stdout, parse_constant=refuse
    )
    assert printed == {
        "status": "ok", "r": None, "rows": [{"mae": None, "n": 3}], "path": "here",
        "shape": [1.5, None, True], "warnings": [],
    }  # fmt: skip


def test_the_example_removes_no_folder_that_it_did_not_make(tmp_path, monkeypatch):
    script = runpy.run_path(str(ROOT / "examples" / "demo.py"))
    precious = tmp_path / "mystudy" / "cohort" / "sub-01.nii.gz"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    monkeypatch.setattr(sys, "argv", ["demo.py", "--output", str(tmp_path / "mystudy")])
    with pytest.raises(SystemExit, match="give a new folder"):
        script["main"]()
    assert precious.read_text() == "mine"
    (precious.parent / script["SIGN"]).touch()
    assert script["make_room"](tmp_path / "mystudy") == precious.parent
    assert not precious.exists()


def test_demo_compares_models_and_leaves_a_cohort(run, tmp_path, monkeypatch):
    # a quick model in the place of the network, which test_train_command.py trains
    monkeypatch.setattr(Recipe, "_network", lambda *_: make_pipeline(MapMasker(), Ridge(1e4)))
    out = tmp_path / "demo"
    result = run("demo", out, "--people", 12, "--sites", 2, "--voxel-size", 10)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out / "table.tsv", sep="\t", index_col=0)
    assert table.index.tolist() == ["network", "ridge", "mean age"]
    assert table.columns.tolist() == ["within_site", "leave_one_site_out"]
    assert (table.loc["ridge"] < table.loc["mean age"]).all()
    assert "<svg" in (out / "study.html").read_text()
    assert (out / "cohort" / "participants.tsv").is_file()


@pytest.mark.timeout(400)  # several commands in a row
def test_the_commands_of_the_guide_run(run, tmp_path, monkeypatch):
    text = (ROOT / "docs" / "command_line.md").read_text()
    monkeypatch.chdir(tmp_path)
    pool_file = re.search(r"```toml\n(.*?)```", text, re.S)[1]
    (tmp_path / "pool.toml").write_text(pool_file)
    lines = [
        line
        for block in re.findall(r"```sh\n(.*?)```", text, re.S)
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip()
    ]
    assert len(lines) > 9
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "mresklearn"
        result = run(*arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"
    tree = re.search(r"```text\n(.*?)```", text, re.S)[1]
    for name in re.findall(r"(?:dataset|desc-|sub-)\S*\.(?:json|tsv|html|nii\.gz)", tree):
        assert (tmp_path / "predictions" / name).is_file(), name
