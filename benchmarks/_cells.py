"""Results of single fits, kept on disk, so that a benchmark that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from tqdm import tqdm


def run_cells(
    function: Callable[..., Any],
    tasks: dict[Hashable, tuple],
    *,
    folder: Path,
    jobs: int,
    name: str,
    finished_only: bool = False,
) -> dict[Hashable, Any]:
    """Return function(*arguments) of every task, from disk where it is known.

    Parameters
    ----------
    function : callable
        Returns what JSON can hold.
    tasks : dict
        Arguments by key; the key alone, which prints as what was done, names the cell.
    folder : Path
        Where cells are kept.
    jobs : int
        Processes.
    name : str
        Of the benchmark, and of its part of the folder.
    finished_only : bool, default=False
        Compute nothing, return what is there.

    Returns
    -------
    results : dict
        By key.
    """
    paths = {
        key: folder / name / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:20]}.json"
        for key in tasks
    }
    missing = [] if finished_only else [key for key in tasks if not paths[key].exists()]
    fits = Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(_fill)(function, tasks[key], paths[key]) for key in missing
    )
    for _ in tqdm(fits, total=len(missing), desc=name, unit="fit"):
        pass
    return {key: json.loads(path.read_text()) for key, path in paths.items() if path.exists()}


def _fill(function: Callable[..., Any], arguments: tuple, path: Path) -> None:
    import torch

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # penalties that do nothing are part of the comparison
        result = function(*arguments)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, default=float))
    partial.replace(path)
