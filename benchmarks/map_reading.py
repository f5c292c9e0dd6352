"""Time reading maps cold and from the store, beside nilearn and MONAI, and its growth with people.

Part 1 reads the stiffness and damping-ratio maps of `mre134` at 2 mm: cold into an empty store,
then from the store. nilearn: NiftiMasker with memory; MONAI: PersistentDataset (on disk) and
CacheDataset (in RAM: what a store can at best be). All use the same two workers and hand over one
float32 array per person. MapLoader also converts units, masks, and checks every map, which the
others do not. Part 2 reads 100, 200 and 400 simulated people.

    MRESKLEARN_DATA=/path/to/data python benchmarks/map_reading.py [--people 100] [--repeats 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from _results import store
from joblib import Parallel, delayed

from mresklearn import MapLoader, MapScaler, fetch_mre134, make_mre_cohort

WORKERS = 2


def consume(samples: Iterable) -> int:
    """Take every person's array, as a training loop does, and count the people."""
    return sum(1 for sample in samples if np.asarray(sample).dtype == np.float32)


def seconds(work: Callable[[], int], n_people: int) -> float:
    start = time.perf_counter()
    assert work() == n_people
    return time.perf_counter() - start


def ours(X: pd.DataFrame, folder: Path) -> dict[str, Callable[[], int]]:
    def read() -> int:
        return consume(MapLoader(cache=folder / "ours", n_jobs=WORKERS).fit_transform(X))

    return {"cold": read, "store": read}


def nilearn(X: pd.DataFrame, folder: Path) -> dict[str, Callable[[], int]]:
    import nibabel as nib
    from nilearn.maskers import NiftiMasker

    first = nib.load(X.iloc[0, 0])
    mask = nib.Nifti1Image((np.asarray(first.dataobj) > 0).astype("int8"), first.affine)
    masker = NiftiMasker(
        mask, memory=str(folder / "nilearn"), memory_level=1, standardize=None, dtype="float32"
    ).fit()

    def person(row: tuple[str, str]) -> np.ndarray:
        return np.stack([masker.transform(path) for path in row])

    def read() -> int:
        rows = X.itertuples(index=False, name=None)
        work = Parallel(n_jobs=WORKERS, prefer="threads", return_as="generator")(
            delayed(person)(row) for row in rows
        )
        return consume(work)

    return {"cold": read, "store": read}


def monai(X: pd.DataFrame, folder: Path) -> dict[str, Callable[[], int]]:
    from monai.data import CacheDataset, PersistentDataset
    from monai.transforms import Compose, ConcatItemsd, EnsureChannelFirstd, LoadImaged
    from torch.utils.data import DataLoader

    keys = list(X.columns)
    transform = Compose(
        [LoadImaged(keys, image_only=True), EnsureChannelFirstd(keys), ConcatItemsd(keys, "maps")]
    )
    rows = X.to_dict("records")
    persistent = PersistentDataset(rows, transform, cache_dir=folder / "monai")
    in_memory: list[CacheDataset] = []

    def read(dataset) -> int:
        loader = DataLoader(
            dataset, batch_size=None, num_workers=WORKERS, collate_fn=lambda item: item
        )
        return consume(item["maps"].numpy() for item in loader)

    def fill() -> int:
        in_memory[:] = [CacheDataset(rows, transform, num_workers=WORKERS, progress=False)]
        return consume(item["maps"].numpy() for item in in_memory[0])

    return {
        "cold": lambda: read(persistent),
        "store": lambda: read(persistent),
        "cold in RAM": fill,
        "RAM": lambda: consume(item["maps"].numpy() for item in in_memory[0]),
    }


def compare(X: pd.DataFrame, repeats: int) -> dict[str, dict[str, float]]:
    """Return the median seconds of every reader and state; rounds alternate between readers."""
    taken: dict[tuple[str, str], list[float]] = {}
    for number in range(repeats):
        for name, make in (("mresklearn", ours), ("nilearn", nilearn), ("MONAI", monai)):
            with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # nilearn and MONAI warn of their own internals
                for state, work in make(X, Path(folder)).items():
                    taken.setdefault((name, state), []).append(seconds(work, len(X)))
        print(f"round {number + 1} of {repeats} done")
    table: dict[str, dict[str, float]] = {}
    for (name, state), times in taken.items():
        table.setdefault(name, {})[state] = statistics.median(times)
    return table


def growth(sizes: tuple[int, ...]) -> dict[int, float]:
    """Return seconds to load and scale simulated cohorts of several sizes."""
    taken = {}
    for n_people in sizes:
        cohort = make_mre_cohort(n_people, 5, random_state=0, n_jobs=WORKERS)
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            maps = MapLoader(cache=folder, n_jobs=WORKERS).fit_transform(cohort.maps)
            MapScaler().fit(maps)
            taken[n_people] = time.perf_counter() - start
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if "MRESKLEARN_DATA" not in os.environ:
        sys.exit("Set MRESKLEARN_DATA to the folder that holds mre134.")
    X = fetch_mre134(verbose=0).maps.iloc[: options.people]
    table = pd.DataFrame(compare(X, options.repeats)).T
    per_person = table * 1000 / len(X)
    print(f"\nms per person, {len(X)} people x {X.shape[1]} maps at 2 mm")
    print(per_person.to_string(float_format="{:.1f}".format, na_rep="-"))
    others = table.drop(index="mresklearn").min()
    ratios = {state: others[state] / table.loc["mresklearn", state] for state in ("cold", "store")}
    print("times faster than the faster of the two: " + ", ".join(
        f"{state} {ratio:.2f}" for state, ratio in ratios.items()
    ))  # fmt: skip

    taken = growth((100, 200, 400))
    slope = np.polyfit(np.log(list(taken)), np.log(list(taken.values())), 1)[0]
    for n_people, total in taken.items():
        print(f"{n_people} simulated people: {total:.2f} s, {1000 * total / n_people:.1f} ms each")
    print(f"slope of log time on log people: {slope:.2f} (1 is linear)")
    store(
        "map_reading",
        {
            "ms_per_person": {n: row.dropna().to_dict() for n, row in per_person.iterrows()},
            "times_faster": ratios,
            "growth_s": taken,
            "growth_slope": slope,
        },
        seed=0,
        settings=vars(options),
    )


if __name__ == "__main__":
    main()
