"""Time and weigh ComBat beside neuroHarmonize, neuroCombat and combatlearn.

Part 1: simulated tables of n people and p features in float64, people of all sites mixed, with age
and sex held fixed. Every library gets the same table, each in a process of its own:

- CPU seconds of all that a call does (one thread), best of --repeats: of the fit, and of
  harmonising the same people. ``harmonizationLearn`` of neuroHarmonize and ``neuroCombat`` do both
  in one call, so they are compared with the sum of ours; harmonising once more with
  ``harmonizationApply`` is listed beside.
- Difference: the largest from our values, in a table of 50 features whose noise has SD 1.
- Memory: the highest resident memory of the process during the fit, less that before it, when data
  and library were loaded and had been used once.

combatlearn is timed as an alternative that users meet, but it does not compute ComBat: it takes the
prior over sites for each feature, not over features for each site. A library is left out, which is
printed, where it is not installed, or where data and work need more than --most-memory.

Part 2: 5000 people x 200,000 features of 20 sites in a float32 file, memory-mapped, fitted, and
harmonised 100 people at a time into a second file; private memory is the highest anonymous resident
memory, without pages of the files.

    python benchmarks/combat_speed.py [--quick] [--python combatlearn=/other/venv/bin/python]

Linux only: the kernel keeps the memory figures.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

LIBRARIES = ("mresklearn", "neuroHarmonize", "neuroCombat", "combatlearn")
SHAPES = ((300, 10_000), (1000, 10_000), (5000, 10_000), (300, 200_000), (1000, 200_000))
SITES = (5, 20)
QUICK = ((300, 2000),)
FILE = (5000, 200_000, 20)
QUICK_FILE = (500, 20_000, 20)
# highest memory beyond the data, in multiples of it; with a second array of harmonised values
WORK = {"mresklearn": (0.3, 1.3), "neuroHarmonize": (4.6, 8.0), "neuroCombat": (5.8, 5.8),
        "combatlearn": (4.6, 4.6)}  # fmt: skip
CHUNK = 100
GIB = 2**30
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
Call = Callable[[], Any]


# ------------------------------------------------------------------ in the process of one library


def people(n: int, n_sites: int, seed: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the site and the covariates of n people."""
    rng = np.random.default_rng(seed)
    site = rng.permutation(np.arange(n) % n_sites)
    return site, pd.DataFrame({"age": rng.integers(20, 80, n), "sex": rng.integers(0, 2, n)})


def fill(X: np.ndarray, site: np.ndarray, covariates: pd.DataFrame, seed: int) -> None:
    """Write features with shift and scale by site and effects of the covariates, by rows."""
    rng = np.random.default_rng(seed)
    n_features = X.shape[1]
    shift = rng.normal(0, 0.5, (site.max() + 1, n_features)).astype(np.float32)
    scale = np.exp(rng.normal(0, 0.2, site.max() + 1))
    slopes = rng.normal(0, 0.02, (2, n_features)).astype(np.float32)
    values = covariates.to_numpy(np.float32)
    for row in range(len(X)):
        noise = rng.standard_normal(n_features, dtype=np.float32)
        X[row] = noise * scale[site[row]] + shift[site[row]] + values[row] @ slopes


def calls(library: str, X: np.ndarray, site: np.ndarray, covariates: pd.DataFrame) -> dict:
    """Return the calls of a library; ``both`` fits and harmonises in one."""
    made: dict[str, Any] = {}

    if library == "mresklearn":
        from mresklearn.harmonization import ComBat

        def fit() -> None:
            made["model"] = ComBat().fit(X, site=site, covariates=covariates)

        return {
            "fit": fit,
            "transform": lambda: made["model"].transform(X, site=site, covariates=covariates),
        }
    if library == "neuroHarmonize":
        from neuroHarmonize import harmonizationApply, harmonizationLearn

        table = covariates.assign(SITE=site.astype(str))

        def learn() -> None:
            made["model"] = harmonizationLearn(X, table)[0]

        return {"both": learn, "transform": lambda: harmonizationApply(X, table, made["model"])}
    if library == "neuroCombat":
        from neuroCombat import neuroCombat

        table = covariates.assign(SITE=site)
        return {
            "both": lambda: neuroCombat(
                X.T, table, "SITE", categorical_cols=["sex"], continuous_cols=["age"]
            )
        }
    from combatlearn import ComBat as Other

    def fit_other() -> None:
        made["model"] = Other(
            site, discrete_covariates=covariates[["sex"]],
            continuous_covariates=covariates[["age"]], method="fortin",
        ).fit(frame)  # fmt: skip

    frame = pd.DataFrame(X, copy=False)
    return {"fit": fit_other, "transform": lambda: made["model"].transform(frame)}


def status(field: str) -> int:
    """Return a figure of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"This kernel keeps no {field}.")


def weighed(call: Call) -> float:
    """Return the highest memory of a call beyond that before it, in bytes."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what Python has freed is no memory of the data
    Path("/proc/self/clear_refs").write_text("5")  # the highest starts anew
    before = status("VmRSS")
    call()
    return status("VmHWM") - before


def timed(call: Call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def measure(library: str, n: int, p: int, n_sites: int, seed: int, repeats: int, **task) -> dict:
    """Return CPU seconds and memory of one library at one shape."""
    warnings.simplefilter("ignore")
    site, covariates = people(n, n_sites, seed)
    small = np.empty((n, 50))
    fill(small, site, covariates, seed)
    for call in calls(library, small, site, covariates).values():
        harmonised = call()
    X = np.empty((n, p))
    fill(X, site, covariates, seed)
    work = calls(library, X, site, covariates)
    work = {name: work[name] for name in task["parts"] if name in work}
    first = next(iter(work))
    result: dict[str, Any] = {"extra": weighed(work[first]) / X.nbytes, "data": X.nbytes}
    for name, call in work.items():
        result[name] = min(timed(call) for _ in range(repeats))
    values = harmonised["data"].T if isinstance(harmonised, dict) else np.asarray(harmonised)
    return result | {"sample": values[:5].tolist()}


def make_file(path: str, n: int, p: int, n_sites: int, seed: int) -> dict:
    """Write a float32 file of features."""
    site, covariates = people(n, n_sites, seed)
    X = np.memmap(path, np.float32, "w+", shape=(n, p))
    fill(X, site, covariates, seed)
    X.flush()
    return {"bytes": X.nbytes}


def measure_file(path: str, n: int, p: int, n_sites: int, seed: int) -> dict:
    """Fit to a file, harmonise it into another, and return CPU seconds and private memory."""
    from mresklearn.harmonization import ComBat

    site, covariates = people(n, n_sites, seed)
    X = np.memmap(path, np.float32, "r", shape=(n, p))
    combat, result = ComBat(), {}

    def fit() -> None:
        combat.fit(X, site=site, covariates=covariates)

    def transform() -> None:
        with Path(path + ".harmonised").open("wb") as file:
            for start in range(0, n, CHUNK):
                rows = slice(start, start + CHUNK)
                part = combat.transform(X[rows], site=site[rows], covariates=covariates[rows])
                part.tofile(file)

    for name, call in (("fit", fit), ("transform", transform)):
        start = time.perf_counter()
        with HighestPrivateMemory() as memory:
            result[f"{name}_cpu_s"] = timed(call)
        result[f"{name}_wall_s"] = time.perf_counter() - start
        result[f"{name}_private_gib"] = memory.highest / GIB
    effects = (combat.shift_, combat.ratio_, combat.coefficients_, combat.centre_)
    result["parameters_gib"] = sum(part.nbytes for part in effects) / GIB
    result["file_gib"] = X.nbytes / GIB
    return result


class HighestPrivateMemory:
    """Watch the anonymous resident memory of this process every five milliseconds."""

    def __enter__(self) -> HighestPrivateMemory:
        self.highest = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.highest = max(self.highest, status("RssAnon"))


TASKS = {"measure": measure, "make_file": make_file, "measure_file": measure_file}


# -------------------------------------------------------------------------------------- the parent


def run(python: str, task: str, **arguments: Any) -> dict:
    """Run a task in a new process, and return what it measured or why it did not."""
    command = [python, __file__, "--task", json.dumps({"task": task, **arguments})]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **ONE_THREAD}
    )
    if done.returncode:
        return {
            "left_out": (done.stderr.strip() or f"ended with {done.returncode}").split("\n")[-1]
        }
    return json.loads(done.stdout.strip().split("\n")[-1])


def free_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("This kernel keeps no MemAvailable.")


def one(library: str, n: int, p: int, n_sites: int, options: argparse.Namespace) -> dict:
    """Measure a library at a shape, as far as memory allows."""
    data = 8 * n * p
    limit = min(options.most_memory, free_memory() / GIB - 2)
    need = [data * (1 + work) / GIB for work in WORK[library]]
    if need[0] > limit:
        return {"left_out": f"needs about {need[0]:.0f} GiB, {limit:.0f} GiB allowed"}
    parts = ["fit", "both", "transform"] if need[1] <= limit else ["fit", "both"]
    result = run(
        options.pythons.get(library, sys.executable), "measure", library=library, n=n, p=p,
        n_sites=n_sites, seed=options.seed, repeats=options.repeats, parts=parts,
    )  # fmt: skip
    if "transform" not in parts and "left_out" not in result:
        result["note"] = f"apply left out: needs about {need[1]:.0f} GiB, {limit:.0f} GiB allowed"
    return result


def compare(options: argparse.Namespace) -> list[dict]:
    """Measure all libraries at all shapes, and print a line for each."""
    rows = []
    head = ("fit", "transform", "together", "times ours", "memory / data", "difference")
    print(f"{'people x features, sites':26s}{'library':16s}" + "".join(f"{h:>14s}" for h in head))
    for n, p in QUICK if options.quick else SHAPES:
        for n_sites in SITES:
            ours, sample = np.nan, np.nan
            for library in LIBRARIES:
                row = {"n": n, "p": p, "sites": n_sites, "library": library}
                row |= one(library, n, p, n_sites, options)
                if "left_out" not in row:
                    row["together"] = row.get("both", row.get("fit", 0) + row.get("transform", 0))
                    values = np.array(row.pop("sample"))
                    if library == "mresklearn":
                        ours, sample = row["together"], values
                    row["difference"] = float(np.abs(values - sample).max())
                    row["times_ours"] = row["together"] / ours
                rows.append(row)
                show(row)
    return rows


def show(row: dict) -> None:
    """Print a line for a library at a shape."""
    line = f"{'{n} x {p}, {sites}'.format(**row):26s}{row['library']:16s}"
    if "left_out" in row:
        print(f"{line}left out: {row['left_out']}", flush=True)
        return
    for name, form in (("fit", ".3f"), ("transform", ".3f"), ("together", ".3f"),
                       ("times_ours", ".1f"), ("extra", ".2f"), ("difference", ".0e")):  # fmt: skip
        line += f"{format(row.get(name, np.nan), form):>14s}"
    print(line, row.get("note", ""), flush=True)


def from_file(options: argparse.Namespace) -> dict:
    """Fit to and harmonise a file on disk."""
    n, p, n_sites = QUICK_FILE if options.quick else FILE
    shape = {"n": n, "p": p, "n_sites": n_sites, "seed": options.seed}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = str(Path(folder) / "features.f32")
        run(sys.executable, "make_file", path=path, **shape)
        result = shape | run(sys.executable, "measure_file", path=path, **shape)
    print(f"\nFrom a file: {json.dumps(result)}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="small shapes, seconds in all")
    parser.add_argument("--python", action="append", default=[], metavar="LIBRARY=PATH")
    parser.add_argument("--most-memory", type=float, default=10.0, help="GiB of one process")
    parser.add_argument("--folder", default=None, help="for the file of part 2 (8 GB)")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        task = json.loads(options.task)
        print(json.dumps(TASKS[task.pop("task")](**task)))
        return
    from _results import store

    options.pythons = dict(pair.split("=", 1) for pair in options.python)
    file, rows = from_file(options), compare(options)
    slowest = {
        library: min(
            (row["times_ours"] for row in rows if row["library"] == library and "extra" in row),
            default=None,
        )
        for library in LIBRARIES[1:]
    }
    print(f"fewest times the CPU time of ours: {slowest}")
    if options.quick:
        return
    settings = {"repeats": options.repeats, "most_memory_gib": options.most_memory}
    store(
        "combat_speed",
        {"shapes": rows, "fewest_times_ours": slowest, "file": file},
        seed=options.seed,
        settings=settings,
    )


if __name__ == "__main__":
    main()
