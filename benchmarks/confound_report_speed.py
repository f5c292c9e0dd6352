"""Time a voxel-wise confound report: 300 people of 6 sites x 20,000 voxels, 1,000 permutations.

The cohort has everything that a report can be asked: images, an embedding of 64 columns, and
predictions. --people, --voxels and --sites change the size.

    OMP_NUM_THREADS=1 python benchmarks/confound_report_speed.py [--n-jobs 2]
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pandas as pd
from _results import store

from mresklearn.confounds import ConfoundReport

LIMIT_S = 120


def make_cohort(options: argparse.Namespace):
    """Return people, voxels that age, sex and site move, an embedding and predictions."""
    rng = np.random.default_rng(options.seed)
    n, p, k = options.people, options.voxels, options.sites
    code = rng.permutation(np.arange(n) % k)
    people = pd.DataFrame(
        {
            "site": [f"site {number}" for number in code],
            "age": rng.normal(50 + 3 * code, 12),
            "sex": rng.choice(["F", "M"], n),
            "diagnosis": rng.choice(["CN", "MCI", "AD"], n, p=[0.7, 0.2, 0.1]),
            "frequency": np.where(code % 2, 60, 50),
        }
    )
    X = rng.normal(size=(n, p)).astype(np.float32)
    X += 0.3 * rng.normal(size=(k, p)).astype(np.float32)[code]
    X += np.outer(people.age / 20, rng.normal(size=p)).astype(np.float32)
    prediction = 20 + 0.6 * people.age + rng.normal(0, 5, n)
    return people, X, X[:, :64], prediction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--voxels", type=int, default=20_000)
    parser.add_argument("--sites", type=int, default=6)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    people, X, embedding, prediction = make_cohort(options)
    report = ConfoundReport(
        roles={"sex": "biological", "diagnosis": "biological", "frequency": "technical"},
        n_permutations=options.permutations,
        random_state=options.seed,
        n_jobs=options.n_jobs,
        verbose=1,
    )
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    report.fit(people, X, embedding, prediction)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"\n{len(people)} people x {X.shape[1]} voxels, {options.permutations} permutations, "
        f"{len(report.to_frame())} rows: {seconds:.0f} s, of which {cpu:.0f} s of processor time "
        f"outside worker processes (limit {LIMIT_S} s); peak {after.ru_maxrss / 1024:.0f} MB"
    )
    store(
        "confound_report_speed",
        {
            "seconds": seconds,
            "cpu_seconds": cpu,
            "limit_s": LIMIT_S,
            "n_rows": len(report.to_frame()),
            "peak_mb": after.ru_maxrss / 1024,
            "x_mb": X.nbytes / 1e6,
        },
        seed=options.seed,
        settings=vars(options),
    )


if __name__ == "__main__":
    main()
