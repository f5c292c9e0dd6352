"""Simulated people, a model of them and predictions, made once by the commands themselves."""

import json

import pytest
from typer.testing import CliRunner

from mresklearn.cli import app


def invoke(*arguments):
    """Run a command as a shell would, in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def run():
    return invoke


@pytest.fixture(scope="session")
def run_json():
    """Run a command with --json; return its exit code and the object that it printed."""

    def call(*arguments):
        result = invoke(*arguments, "--json")
        assert len(result.stdout.splitlines()) == 1, result.output
        return result.exit_code, json.loads(result.stdout)

    return call


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("command_line")


@pytest.fixture(autouse=True)
def _shared_cache(_private_cache, work, monkeypatch):
    monkeypatch.setenv("MRESKLEARN_CACHE", str(work / "cache"))


def _make(work, *arguments):
    """Run a command before any test has set the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MRESKLEARN_CACHE", str(work / "cache"))
        result = invoke(*arguments)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="session")
def study(work):
    """Twenty people of two sites in a BIDS folder."""
    folder = work / "study"
    _make(work, "simulate", folder, "--people", 20, "--sites", 2, "--voxel-size", 10)
    return folder


@pytest.fixture(scope="session")
def newcomers(work):
    """Four people whom no model has seen."""
    folder = work / "newcomers"
    size = ("--people", 4, "--sites", 2, "--voxel-size", 10, "--seed", 1)
    _make(work, "simulate", folder, *size)
    return folder


@pytest.fixture(scope="session")
def model(work, study):
    """Ridge regression, with its controls and card."""
    folder = work / "model"
    _make(work, "train", study, folder, "--model", "ridge", "--folds", 3)
    return folder


@pytest.fixture(scope="session")
def predictions(work, model, newcomers):
    """What `predict` writes for the newcomers; tests that change it take a copy."""
    folder = work / "predictions"
    _make(work, "predict", model, newcomers, folder)
    return folder


def _snapshot(folder):
    """Every file below a folder, with its content and the time of its last change."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def snapshot():
    return _snapshot
