"""Peak memory of a 5-fold grid search over 2 mm maps, beside that of one training step.

If a fold held its maps in memory, the search would need the whole cohort. The yardstick is the
working set of one batch: a bare PyTorch step (samples, views, activations, gradients) of the same
network and batch size. Each part runs in a process of its own.

    MRESKLEARN_DATA=/path/to/data python benchmarks/grid_search_memory.py [--people 100]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile

import numpy as np
import torch
from _results import store
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from mresklearn import ContrastiveEncoder, MapLoader, MapScaler, fetch_mre134
from mresklearn.nn import (
    GaussianNoise,
    RandomFlip,
    RandomShift,
    RandomViews,
    contrastive_loss,
)
from mresklearn.nn.networks import ProjectionNetwork

BATCH, WIDTH = 8, 4


def megabytes_now() -> float:
    with open("/proc/self/statm") as handle:
        return int(handle.read().split()[1]) * resource.getpagesize() / 1e6


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def load(people: int, cache: str):
    cohort = fetch_mre134(verbose=0)
    return cohort.maps.iloc[:people], cohort.participants.age.to_numpy()[:people]


def one_step(people: int, cache: str) -> None:
    """One bare training step on one batch."""
    X, age = load(people, cache)
    maps = MapScaler().fit_transform(MapLoader(cache=cache).fit_transform(X.iloc[:BATCH]))
    model = ProjectionNetwork("resnet10", maps.shape[1], maps.shape[1:], WIDTH, 64)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(2):
        batch = torch.from_numpy(np.asarray(maps))
        views = RandomViews(2, (RandomShift(2), RandomFlip(0.5), GaussianNoise(0.1)))(batch)
        embeddings = model(views.flatten(0, 1)).embedding.view(BATCH, 2, -1)
        loss = contrastive_loss(embeddings, torch.from_numpy(age[:BATCH].astype("float32")))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def grid_search(people: int, cache: str) -> None:
    """Five folds and two candidates over the whole road."""
    X, age = load(people, cache)
    encoder = ContrastiveEncoder(max_epochs=1, width=WIDTH, batch_size=BATCH, random_state=0)
    model = make_pipeline(MapLoader(cache=cache), MapScaler(), encoder, Ridge())
    GridSearchCV(model, {"contrastiveencoder__sigma": [2.0, 5.0]}, cv=5).fit(X, age)


def measure(part: str, people: int, cache: str) -> float:
    """Run a part in a process of its own; return what its peak added to the imports."""
    command = [sys.executable, __file__, "--part", part, "--people", str(people), "--cache", cache]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--part", choices=["one_step", "grid_search"])
    parser.add_argument("--cache")
    options = parser.parse_args()
    if "MRESKLEARN_DATA" not in os.environ:
        sys.exit("Set MRESKLEARN_DATA to the folder that holds mre134.")
    if options.part:
        import monai.networks.nets.resnet  # noqa: F401  imported before the baseline is taken

        before = megabytes_now()
        {"one_step": one_step, "grid_search": grid_search}[options.part](
            options.people, options.cache
        )
        print(json.dumps(peak_megabytes() - before))
        return
    with tempfile.TemporaryDirectory() as cache:
        MapLoader(cache=cache).fit(load(options.people, cache)[0])  # both parts find a filled store
        step = measure("one_step", options.people, cache)
        search = measure("grid_search", options.people, cache)
    cohort = options.people * 2 * 91 * 109 * 91 * 4 / 1e6
    ratio = search / step
    print(f"one step of {BATCH} people: {step:.0f} MB; grid search over {options.people} people: ")
    print(f"{search:.0f} MB, {ratio:.2f} times as much; the maps in float32: {cohort:.0f} MB")
    store(
        "grid_search_memory",
        {"one_step_mb": step, "grid_search_mb": search, "ratio": ratio, "cohort_mb": cohort},
        seed=0,
        settings={"people": options.people, "batch_size": BATCH, "width": WIDTH},
    )


if __name__ == "__main__":
    main()
