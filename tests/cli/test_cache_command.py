"""``mresklearn cache``: what a user sees and what the exit codes mean."""

import json
import subprocess
import sys

import pytest

from mresklearn import MapLoader


@pytest.fixture
def store(people, tmp_path):
    folder = tmp_path / "store"
    MapLoader(maps=["stiffness"], cache=folder).fit(people)
    return folder


def test_size_and_list_agree(run, store):
    found = json.loads(run("cache", "size", "--folder", store, "--json").stdout)
    rows = json.loads(run("cache", "list", "--folder", store, "--json").stdout)["entries"]
    assert found["entries"] == len(rows) == 24
    assert found["bytes"] == sum(row["bytes"] for row in rows)
    assert found["folder"] == str(store)
    text = run("cache", "size", "--folder", store).stdout
    assert text.startswith("24 entries, ")
    assert len(run("cache", "list", "--folder", store).stdout.splitlines()) == 24


def test_verify_exits_with_one_for_a_flipped_byte(run, store):
    assert run("cache", "verify", "--folder", store).exit_code == 0
    victim = next(store.rglob("*.safetensors"))
    content = bytearray(victim.read_bytes())
    content[-7] ^= 4
    victim.write_bytes(content)
    result = run("cache", "verify", "--folder", store)
    assert result.exit_code == 1
    assert victim.stem in result.stdout
    assert "1 damaged" in result.stdout


def test_prune_tells_then_removes(run, store):
    half = json.loads(run("cache", "size", "--folder", store, "--json").stdout)["bytes"] / 2e9
    dry = run("cache", "prune", "--max-gb", half, "--folder", store, "--dry-run")
    assert "Would remove 12 entries" in dry.stdout
    assert len(list(store.rglob("*.safetensors"))) == 24
    assert "Removed 12 entries" in run("cache", "prune", "--max-gb", half, "--folder", store).stdout
    gone = json.loads(run("cache", "prune", "--max-gb", 0, "--folder", store, "--json").stdout)
    assert len(gone["removed"]) == 12
    assert not list(store.rglob("*.safetensors"))


def test_a_store_that_is_not_there_is_empty(run, tmp_path):
    assert run("cache", "size", "--folder", tmp_path / "none").stdout.startswith("0 entries")
    assert run("cache", "verify", "--folder", tmp_path / "none").exit_code == 0


def test_wrong_use_exits_with_two(run, store):
    assert run("cache", "prune", "--max-gb", -1, "--folder", store).exit_code == 2
    assert run("cache", "shrink").exit_code == 2


def test_the_command_runs_as_a_module(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "mresklearn", "cache", "size", "--folder", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.startswith("0 entries")
