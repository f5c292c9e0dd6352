"""Importing the package is cheap, and its public names are what they say."""

import subprocess
import sys

import pytest

import mresklearn


@pytest.mark.parametrize("module", ["torch", "matplotlib", "skorch", "monai", "sklearn", "nilearn"])
def test_import_loads_no_heavy_module(module):
    code = f"import mresklearn, sys; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "statement",
    [
        "from mresklearn import MapLoader, MapScaler, MapMasker, MapArray",
        "from mresklearn import load_cohort, fetch_mre134",
        "from mresklearn import LeaveOneSiteOut, StratifiedSiteKFold, site_predictability",
    ],
)
def test_what_needs_no_network_loads_no_torch(statement):
    code = f"{statement}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", mresklearn.__all__)
def test_every_public_name_resolves(name):
    assert getattr(mresklearn, name) is not None
    assert name in dir(mresklearn)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'BrainReader'"):
        _ = mresklearn.BrainReader
