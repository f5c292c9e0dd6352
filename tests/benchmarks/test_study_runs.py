"""A study that is killed goes on, and gives the same numbers wherever it runs."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# a module of its own, since worker processes import it by name
MODULE = '''
import os, sys, time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
import numpy as np
import pandas as pd
from benchmarks.studies import Persons, Sites, Study, run_study
from benchmarks.studies._datasets import Data
from benchmarks.studies._methods import features_network, features_ridge
from sklearn.linear_model import Ridge

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Toy:
    people: int = 60
    sites: int = 3
    name: str = "toy"
    kinds: tuple = ("toy",)
    real = False

    def available(self):
        return True

    def prepare(self, store, jobs=1):
        pass

    def regions(self, store):
        return None

    def read(self, store, kinds, rides):
        rng = np.random.default_rng(0)
        age = rng.uniform(20, 80, self.people)
        people = pd.DataFrame({"age": age, "sex": 1.0})
        people = people.assign(site=[f"s{i % self.sites}" for i in range(self.people)])
        people = people.assign(person=people.index.astype(str))
        X = pd.DataFrame(age[:, None] + rng.normal(0, 9, (self.people, 8))).add_prefix("f")
        return Data(X.join(people[list(rides)]), people)


class Slow(Ridge):
    """Ridge that takes a while, and keeps a line for every fit that it finished."""

    def fit(self, X, y):
        time.sleep(0.15)
        super().fit(X[[name for name in X if name.startswith("f")]], y)
        with open(HERE / "fits.log", "a") as log:
            log.write(f"{self.alpha} {y.sum():.9f} {len(y)}\\n")
        return self

    def predict(self, X):
        return super().predict(X[[name for name in X if name.startswith("f")]])


def slow(conditions, alpha):
    return Slow(alpha)


def study(methods, reference):
    return Study(
        name="toy", question="", reading="", datasets=(Toy(),), inputs={"toy": ("toy",)},
        methods=methods, protocols=(Persons(n_splits=5), Sites()), reference=reference,
        network={"max_epochs": 2, "batch_size": 16},
    )


SLOW = study({f"ridge {i}": partial(slow, alpha=float(i)) for i in range(1, 4)}, "ridge 1")
network = partial(features_network, penalty="conditional_mmd", projection="input")
QUICK = study({"ridge": features_ridge, "network": network}, "ridge")
'''
SLOW_RUN = """
from toy_study import HERE, SLOW, run_study
if __name__ == "__main__":
    print(run_study(SLOW, HERE / "store", jobs=2))
"""
EVERYWHERE = """
from toy_study import HERE, QUICK, run_study
if __name__ == "__main__":
    from distributed import LocalCluster
    run_study(QUICK, HERE / "here", jobs=1)
    run_study(QUICK, HERE / "processes", jobs=2)
    here = {"threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(n_workers=2, processes=True, **here) as cluster:
        run_study(QUICK, HERE / "dask", dask=cluster.scheduler_address)
"""
THREADS = """
from toy_study import HERE, QUICK, run_study
if __name__ == "__main__":
    from distributed import LocalCluster
    here = {"threads_per_worker": 2, "dashboard_address": None}
    with LocalCluster(n_workers=1, processes=False, **here) as c:
        try:
            run_study(QUICK, HERE / "threads", dask=c.scheduler_address)
        except ValueError as error:
            print(error)
"""


pytestmark = pytest.mark.timeout(300)  # several processes that each import torch


@pytest.fixture
def start(tmp_path):
    (tmp_path / "toy_study.py").write_text(MODULE)
    started = []

    def start(script):
        (tmp_path / "script.py").write_text(textwrap.dedent(script))
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        process = subprocess.Popen(
            [sys.executable, str(tmp_path / "script.py")],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,  # so that its workers can be killed with it
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def finish(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


def cells_in(folder):
    return {path.name: path.read_text() for path in sorted((folder / "cells").rglob("*.json"))}


@pytest.mark.timeout(300)  # several processes that load torch
def test_a_killed_study_goes_on_without_repeating_a_cell(start, tmp_path):
    log, store = tmp_path / "fits.log", tmp_path / "store"
    process = start(SLOW_RUN)
    while len(list(store.rglob("*.json"))) < 5:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(0.3)
    before, fits_before = cells_in(store), log.read_text().splitlines()
    assert 5 <= len(before) < 24
    assert all(json.loads(text)["key"] + ".json" == name for name, text in before.items())

    fitted = int(finish(start(SLOW_RUN)))
    after, fits = cells_in(store), log.read_text().splitlines()
    assert len(after) == 24
    assert fitted == len(fits) - len(fits_before) == 24 - len(before)
    assert {name: after[name] for name in before} == before
    # what was being fitted when the kill came, by two processes, is all that could be lost
    assert len(fits) - 24 <= 2
    assert len(set(fits)) == 24


@pytest.mark.timeout(300)  # several processes that load torch
def test_numbers_are_the_same_here_in_processes_and_on_a_dask_cluster(start, tmp_path):
    finish(start(EVERYWHERE))
    records = {
        place: {name: json.loads(text) for name, text in cells_in(tmp_path / place).items()}
        for place in ("here", "processes", "dask")
    }
    assert len(records["here"]) == 16
    for place in ("processes", "dask"):
        assert len({record["pid"] for record in records[place].values()}) == 2
        for name, record in records["here"].items():
            other = records[place][name]
            for part in ("prediction", "y", "person", "n_train", "description"):
                assert record[part] == other[part], (place, name, part)


def test_workers_of_several_threads_are_refused(start):
    assert "Workers must have one thread each" in finish(start(THREADS))
