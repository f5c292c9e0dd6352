"""The coverage and levels that docstrings quote are those that were simulated."""

import json
from pathlib import Path

import pytest

import mresklearn.metrics

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "metrics_coverage.json"
QUOTED = json.loads(RESULTS.read_text())["results"]["quoted"]


@pytest.mark.parametrize("name", QUOTED)
def test_docstring_quotes_the_stored_simulation(name):
    docstring = " ".join(getattr(mresklearn.metrics, name).__doc__.split())
    for sentence in QUOTED[name]:
        assert sentence in docstring, f"benchmarks/metrics_coverage.py says: {sentence}"
    assert "``benchmarks/metrics_coverage.py``" in docstring
