"""What every benchmark prints and stores: versions, hardware and seed beside the figures."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("mresklearn", "numpy", "scikit-learn", "torch", "skorch", "monai", "nibabel", "nilearn")
FOLDER = Path(__file__).parent / "results"


def store(name: str, results: Any, *, seed: int | None, settings: dict[str, Any]) -> Path:
    """Write results as JSON with all that is needed to know where they come from.

    Parameters
    ----------
    name : str
        File name without suffix.
    results : object
        Anything that JSON can hold.
    seed : int or None
        Seed of the run.
    settings : dict
        Parameters of the run.

    Returns
    -------
    path : Path
        Where it was written.
    """
    record = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "seed": seed,
        "settings": settings,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "hardware": {
            "machine": platform.machine(),
            "cpu_count": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "results": results,
    }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, default=float) + "\n")
    print(f"\nStored {path.relative_to(FOLDER.parent.parent)}")
    return path


def _revision() -> str | None:
    """Return the commit, with "-dirty" if anything but stored results differs from it."""

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=False, cwd=FOLDER.parent
        )

    commit = git("rev-parse", "--short", "HEAD").stdout.strip()
    changed = git("status", "--porcelain", "--", "..", ":!results").stdout.strip()
    return f"{commit}{'-dirty' if changed else ''}" if commit else None
