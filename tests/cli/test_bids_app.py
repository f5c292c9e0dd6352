"""The form of BIDS Apps: ``mresklearn BIDS_DIR OUT_DIR participant|group``."""

import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from mresklearn.cli._bids_app import _one_value_an_option


def test_participant_level_is_predict(run, model, newcomers, predictions, tmp_path):
    out = tmp_path / "out"
    result = run(newcomers, out, "participant", "--model", model)
    assert result.exit_code == 0, result.output
    for path in predictions.rglob("sub-*/*.tsv"):
        assert (out / path.relative_to(predictions)).read_text() == path.read_text()
    assert not (out / "desc-brainage_predictions.tsv").exists(), "the table is of the group level"


def test_labels_come_in_the_manner_of_bids_apps(run_json, model, newcomers, tmp_path):
    out = tmp_path / "out"
    options = ("--model", model, "--skip-bids-validation", "--no-page", "-w", tmp_path / "work")
    labels = ("--participant_label", "0003", "sub-0001")
    code, record = run_json(newcomers, out, "participant", *labels, *options)
    assert (code, record["predicted"]) == (0, ["sub-0001", "sub-0003"])
    assert any((tmp_path / "work" / "maps").rglob("*")), "loaded maps are kept there"
    record = run_json(*labels, newcomers, out, "participant", *options)[1]
    assert record["skipped"] == ["sub-0001", "sub-0003"]


def test_group_level_sums_up_who_is_finished(run_json, newcomers, predictions, tmp_path, snapshot):
    out = shutil.copytree(predictions, tmp_path / "out")
    (out / "desc-brainage_predictions.tsv").unlink()
    code, record = run_json(newcomers, out, "group", "--permutations", 19)
    assert (code, record["n_rows"]) == (0, 4), record
    table = pd.read_csv(out / "desc-brainage_predictions.tsv", sep="\t")
    assert table.participant_id.tolist() == [f"sub-{number:04d}" for number in range(1, 5)]
    assert "Predicted brain age" in (out / "group.html").read_text()
    pages = {path: mark for path, mark in snapshot(out).items() if path.suffix == ".html"}
    assert run_json(newcomers, out, "group", "--permutations", 19)[0] == 0
    assert snapshot(out).items() >= pages.items(), "what is up to date is not written again"


def test_group_level_without_people_says_what_to_do(run, newcomers, tmp_path):
    result = run(newcomers, tmp_path / "out", "group")
    assert (result.exit_code, "participant" in result.stderr) == (3, True)


def test_participant_level_needs_a_model(run, newcomers, tmp_path):
    result = run(newcomers, tmp_path / "out", "participant")
    assert (result.exit_code, "--model" in result.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_sessions_have_folders_of_their_own(run_json, model, newcomers, tmp_path):
    root = tmp_path / "bids"
    for session in ("1", "2"):
        for path in (newcomers / "sub-0001" / "anat").iterdir():
            target = root / "sub-0001" / f"ses-{session}" / "anat"
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / path.name.replace("sub-0001", f"sub-0001_ses-{session}"))
    people = pd.read_csv(newcomers / "participants.tsv", sep="\t").iloc[:1]
    people.to_csv(root / "participants.tsv", sep="\t", index=False)
    out = tmp_path / "out"
    options = ("--model", model, "--no-page")
    record = run_json(root, out, "participant", *options, "--session", "2")[1]
    assert record["predicted"] == ["sub-0001_ses-2"]
    record = run_json(root, out, "participant", *options)[1]
    assert (record["predicted"], record["skipped"]) == (["sub-0001_ses-1"], ["sub-0001_ses-2"])
    names = sorted(path.name for path in out.rglob("*.tsv"))
    assert names == [f"sub-0001_ses-{n}_desc-brainage_predictions.tsv" for n in (1, 2)]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("in out participant --participant-label 01 02 -v",
         "in out participant --participant-label 01 --participant-label 02 -v"),
        ("--participant-label 01 02 in out participant",
         "--participant-label 01 --participant-label 02 in out participant"),
        ("--participant-label 01 in out group", "--participant-label 01 in out group"),
        ("in out participant --model m", "in out participant --model m"),
    ],
)  # fmt: skip
def test_options_with_several_values_are_repeated(given, meant):
    assert _one_value_an_option(given.split()) == meant.split()


def test_the_installed_command_and_its_bids_form(model, newcomers, tmp_path):
    """One run in a process of its own, as a workflow calls it: words to stderr, JSON to stdout."""
    out = tmp_path / "out"
    arguments = [newcomers, out, "participant", "--model", model, "--participant-label", "0004"]
    result = subprocess.run(
        [sys.executable, "-m", "mresklearn", *map(str, arguments), "--no-page", "--json"],
        capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["predicted"] == ["sub-0004"]
    assert (out / "sub-0004" / "sub-0004_desc-brainage_predictions.tsv").is_file()
