"""Tables of a study for a terminal, and the files that keep its results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from .._results import FOLDER

SUMMARY = {
    "dataset": "data", "inputs": "inputs", "method": "method", "protocol": "protocol",
    "score": "score", "sd_over_folds": "SD over folds", "n_folds": "folds", "n_seeds": "seeds",
    "site_read": "site read", "site_floor": "from age alone", "fit_cpu_seconds": "CPU s a fit",
}  # fmt: skip
TESTS = (
    "dataset", "family", "method", "inputs", "protocol", "reference", "difference", "low", "high",
    "p_value", "p_holm", "smallest_p", "n_comparisons", "test",
)  # fmt: skip


def as_text(results: dict[str, Any], *, all_tests: bool = True) -> str:
    """Return the tables of a study as text; of its tests all, or the main ones where there are."""
    head = f"{results['study']}: {results['finished']} of {results['planned']} cells"
    parts = [head, results["question"], ""]
    summary, tests = pd.DataFrame(results["summary"]), pd.DataFrame(results["tests"])
    show = {"index": False, "float_format": "{:.3f}".format, "na_rep": "-"}
    if len(summary):
        shown = summary[[c for c in SUMMARY if summary[c].notna().any()]].rename(columns=SUMMARY)
        parts += [f"Score: {results['score']}", shown.to_string(**show), ""]
    if not all_tests and "main" in set(tests.get("family", ())):
        tests = tests[tests["family"] == "main"]
    if len(tests):
        parts += [tests[list(TESTS)].to_string(**show), ""]
    if len(results["cell_revisions"]) > 1:
        parts.append(f"Cells come from several revisions: {', '.join(results['cell_revisions'])}.")
    return "\n".join([*parts, results["reading"]])


def store_results(results: dict[str, Any], name: str, folder: Path = FOLDER) -> list[Path]:
    """Write results as JSON, and their cells as a tidy table beside it.

    Parameters
    ----------
    results : dict
        Of :func:`results_of`.
    name : str
        File name without suffix.
    folder : Path
        Where to write.

    Returns
    -------
    paths : list of Path
        The JSON and the CSV.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.json", folder / f"{name}_cells.csv"]
    rest = {key: value for key, value in results.items() if key != "cells"}
    paths[0].write_text(json.dumps(rest, indent=1, default=float) + "\n")
    cells = pd.DataFrame(results["cells"])
    cells.to_csv(paths[1], index=False, float_format="%.6g", lineterminator="\n")
    return paths


def stored_results(name: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """Return results that were written, or None."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def result_name(study: str, scale: str) -> str:
    return f"study_{study}" + ("" if scale == "default" else f"_{scale}")
