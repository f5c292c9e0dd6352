"""What every test shares: a private cache, one torch thread, and small cohorts on disk."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from synthetic import MNI_2MM_MIRRORED, brain


def pytest_addoption(parser):
    parser.addoption(
        "--fail-on-missing-dependency",
        action="store_true",
        help="fail tests that would be skipped because a package is not installed",
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not (report.skipped and item.config.getoption("--fail-on-missing-dependency")):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if "could not import" in reason or "not installed" in reason:
        report.outcome = "failed"
        report.longrepr = f"A package is missing where all must be installed. {reason}"


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MRESKLEARN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data():
    """Folder of real data, or a skip that says how to get it."""
    folder = os.environ.get("MRESKLEARN_DATA")
    if not folder:
        pytest.skip("real data: set MRESKLEARN_DATA to the folder that holds it")
    return Path(folder)


@pytest.fixture
def write_map(tmp_path):
    """Write an array as NIfTI and return its path."""

    def write(name, data, affine=MNI_2MM_MIRRORED):
        path = tmp_path / name
        nib.Nifti1Image(np.asarray(data, np.float32), affine).to_filename(path)
        return str(path)

    return write


@pytest.fixture
def people(write_map):
    """Three sites of eight people on disk: stiffness in kPa falls with age, damping with site."""
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 24)
    site = np.repeat(["A", "B", "C"], 8)
    mask = brain()
    rows = []
    for number in range(24):
        stiffness = (4.0 - age[number] / 50 + rng.normal(0, 0.1, mask.shape)) * mask
        damping = (0.2 + 0.02 * (number // 8) + rng.normal(0, 0.01, mask.shape)) * mask
        rows.append(
            {
                "stiffness": write_map(f"sub-{number:02d}_mu.nii.gz", stiffness),
                "damping_ratio": write_map(f"sub-{number:02d}_xi.nii.gz", damping),
                "site": site[number],
                "age": age[number],
            }
        )
    ids = pd.Index([f"sub-{number:02d}" for number in range(24)], name="participant_id")
    return pd.DataFrame(rows, index=ids)
