"""Fit one cell, in whatever process: threads, configuration and data are settled here."""

from __future__ import annotations

import json
import os
import platform
import time
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import sklearn
from joblib import parallel_config
from threadpoolctl import threadpool_limits

from mresklearn.confounds import site_predictability
from mresklearn.model_selection._fold_fitting import fit_rows

from .._results import PACKAGES
from ._study import Cell

FEWEST_PROBED = 6  # of a site, among the people on whom site is read in three folds


def fill(cell: Cell, store: Path, revision: str | None) -> dict[str, Any]:
    """Return the record of a cell, from disk or fitted and kept; of a failure, the error alone.

    Parameters
    ----------
    cell : Cell
        What to fit.
    store : Path
        Folder of cells, data sets and all that is kept.
    revision : str or None
        Commit of the code, for the record.
    """
    path = cell.path(store)
    if path.exists():  # another run was faster
        return json.loads(path.read_text())
    try:
        record = {**_fit(cell, store), "revision": revision, "description": cell.description}
    except Exception as error:
        return {"key": cell.key, "cell": str(cell), "error": f"{type(error).__name__}: {error}"}
    keep(record, path)
    return record


def keep(record: dict[str, Any], path: Path) -> None:
    """Write a record in one move, so that no file is ever half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{uuid4().hex}.partial")
    partial.write_text(json.dumps(record, default=float))
    partial.replace(path)


def _fit(cell: Cell, store: Path) -> dict[str, Any]:
    X, people = _data(cell.dataset, store, cell.kinds, cell.task.rides)
    y = cell.task.target(people)
    folds = list(cell.protocol.folds(people, cell.task))
    if len(folds) != cell.protocol.n_folds(cell.dataset):
        raise ValueError(
            f"{cell.dataset.name} gives {len(folds)} folds of {cell.protocol.name}, but declares "
            f"{cell.protocol.n_folds(cell.dataset)}. Correct the data set's declaration."
        )
    train, test = folds[cell.fold]
    metadata = {"site": people["site"].to_numpy(str), "groups": people["person"].to_numpy(str)}
    with _same_everywhere(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start, cpu = time.perf_counter(), time.process_time()
        model = fit_rows(cell.build(cell.conditions), X, y, train, metadata)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        unseen = X.iloc[test] if hasattr(X, "iloc") else X[test]
        predictions = cell.task.predict(model, unseen)
        probe = _probe(cell, model, unseen, people.iloc[test])
    training = y[train] if y.dtype.kind == "f" else np.zeros(len(train))
    return {
        "key": cell.key,
        "fit_seconds": seconds,
        "fit_cpu_seconds": cpu_seconds,
        "n_train": len(train),
        "train_mean": training.mean(),
        "train_median": np.median(training),
        "row": test.tolist(),
        "person": people["person"].iloc[test].astype(str).tolist(),
        "site": people["site"].iloc[test].astype(str).tolist(),
        "y": y[test].tolist(),
        "prediction": predictions.tolist(),
        "probe": probe,
        "warnings": sorted({f"{w.category.__name__}: {str(w.message)[:200]}" for w in caught}),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "pid": os.getpid(),
        "machine": _machine(),
    }


@contextmanager
def _same_everywhere():
    """Run as in any other process: these settings do not travel to workers by themselves."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            threadpool_limits(1),
            sklearn.config_context(enable_metadata_routing=True),
            # a search in the model would hand its fits to the cluster, and wait for itself
            parallel_config(backend="sequential"),
        ):
            yield
    finally:
        torch.set_num_threads(threads)


def _probe(cell: Cell, model: Any, X: Any, people: Any) -> dict[str, float] | None:
    """Read site from what the last step of a model sees, or from its embedding."""
    if not (cell.probe_site and cell.protocol.name == "persons" and hasattr(model, "steps")):
        return None
    last = model.steps[-1][1]
    embedded = model[:-1].transform(X)
    if hasattr(last, "transform"):
        embedded = last.transform(embedded)
    if hasattr(embedded, "select_dtypes"):  # site itself may ride along
        embedded = embedded.drop(columns=list(cell.task.rides), errors="ignore")
    sites = people["site"]
    large = (sites.map(sites.value_counts()) >= FEWEST_PROBED).to_numpy()
    if sites[large].nunique() < 2:
        return None
    read = site_predictability(
        np.asarray(embedded, float)[large], sites[large], age=people["age"][large], cv=3,
        random_state=0,
    )  # fmt: skip
    names = ("balanced_accuracy", "age_floor", "chance")
    return {name: float(read[name]) for name in names}


@lru_cache(maxsize=4)
def _data(dataset: Any, store: Path, kinds: tuple[str, ...], rides: tuple[str, ...]) -> Any:
    return dataset.read(store, kinds, rides)


@lru_cache(maxsize=1)
def _machine() -> dict[str, Any]:
    """Return versions and hardware of the process that fits."""
    import torch

    return {
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "torch_threads": 1,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
