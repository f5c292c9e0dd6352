"""Fit the cells of a study that are not known yet, here or on a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

from .._results import _revision
from ._fit_cell import fill, keep
from ._study import Cell, Study


def run_study(
    study: Study, store: Path, *, jobs: int = 1, dask: str | None = None, verbose: int = 1
) -> int:
    """Fit every cell that is missing, and return how many were.

    Parameters
    ----------
    study : Study
        At the scale that is wanted.
    store : Path
        Folder of cells and simulated data; the same folder goes on where a run was stopped.
    jobs : int, default=1
        Processes on this machine.
    dask : str or None, default=None
        Address of a Dask scheduler, or its scheduler file; `jobs` then counts for simulating alone.
    verbose : int, default=1
        0 hides the progress bar.

    Raises
    ------
    RuntimeError
        After all other cells are fitted, if some cannot be; it says why.
    """
    # workers may run elsewhere
    store = store.resolve()
    cells = {cell.key: cell for cell in study.cells(store)}
    missing = [cell for cell in cells.values() if not cell.path(store).exists()]
    if not missing:
        return 0
    for dataset in {cell.dataset: None for cell in missing}:
        _prepare(dataset, missing, store, jobs)
    revision = _revision()
    failed: dict[str, str] = {}
    with _where(dask, jobs) as settings:
        fits = Parallel(batch_size=1, return_as="generator_unordered", **settings)(
            delayed(fill)(cell, store, revision) for cell in _long_first(missing)
        )
        bar = tqdm(fits, total=len(missing), desc=study.name, unit="fit", disable=not verbose)
        for record in bar:
            if "error" in record:
                failed[record["cell"]] = record["error"]
            elif not (path := cells[record["key"]].path(store)).exists():
                keep(record, path)  # a worker on another machine kept it there
    if failed:
        shown = "\n".join(f"  {cell}: {error}" for cell, error in list(failed.items())[:10])
        raise RuntimeError(
            f"{len(failed)} of {len(missing)} cells failed; the others are kept. Mend the cause "
            f"and run the study again.\n{shown}"
        )
    return len(missing)


def read_cells(study: Study, store: Path) -> list[tuple[Cell, dict[str, Any]]]:
    """Return the cells that are known, with their records."""
    found = []
    for cell in study.cells(store.resolve()):
        path = cell.path(store)
        if path.exists():
            found.append((cell, json.loads(path.read_text())))
    return found


def _prepare(dataset: Any, cells: list[Cell], store: Path, jobs: int) -> None:
    """Simulate and read once, so that processes find all maps in the store of the package."""
    dataset.prepare(store, jobs)
    tasks = {(cell.kinds, cell.task.rides) for cell in cells if cell.dataset == dataset}
    if dataset.regions(store) is not None:
        for kinds, rides in sorted(tasks):
            X, _ = dataset.read(store, kinds, rides)
            for row in range(len(X)):
                X[row]


def _long_first(cells: list[Cell]) -> list[Cell]:
    """Order cells so that networks, which take longest, are not what all others wait for."""
    return sorted(cells, key=lambda cell: "max_epochs" not in str(cell.description["model"]))


@contextmanager
def _where(dask: str | None, jobs: int) -> Iterator[dict[str, Any]]:
    """Settle where joblib runs its tasks."""
    if dask is None:
        yield {"n_jobs": jobs}
        return
    from distributed import Client

    file = Path(dask)
    with Client(scheduler_file=dask) if file.is_file() else Client(dask) as client:
        client.wait_for_workers(1, timeout=600)
        threads = client.nthreads()
        if any(number > 1 for number in threads.values()):
            raise ValueError(
                "Workers must have one thread each, since numbers of threads and warnings belong "
                "to a whole process. Start them with --nthreads 1, and more of them."
            )
        with parallel_config(backend="dask"):
            # -1: all workers, those that come later too
            yield {"n_jobs": -1, "pre_dispatch": "all"}
