"""Level and power of the tests whether a prediction or an embedding carries site beyond age.

300 people at 6 sites whose mean ages differ, by the correlation ratio eta of age on site. The
predicted age and an embedding of 16 columns follow age in curves, with noise that grows with age.

- Level: site says nothing beyond age; share of simulations with p at most 0.05.
- Power: site adds an offset of 0.35 SD of the noise to the prediction, and to one of the columns.
- "equal": 50 people a site, normal noise; "skewed": the same with skewed (lognormal) noise.
- "unequal": from 150 to 9 people a site, the smallest the oldest, so that small sites have more
  noise: where the F test with permuted residuals fails.

Tests in brackets are not offered, or only beside a conditional one; they are here for comparison.
The Monte-Carlo standard error is sqrt(share (1 - share) / repeats): 0.011 at 0.05, 400 repeats.

    OMP_NUM_THREADS=1 python benchmarks/confound_tests_level.py [--repeats 400]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from _results import store
from joblib import Parallel, delayed
from tqdm import tqdm

from mresklearn.confounds import site_effect_test
from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._conditional_permutation import permute_given, site_log_probability
from mresklearn.confounds._effect import permutation_p
from mresklearn.confounds._partial_r2 import partial_r2_permutations
from mresklearn.confounds._permuted_scores import draw_permutations
from mresklearn.confounds._robust_score import RobustScore
from mresklearn.confounds._site_directions import SiteDirections

N_PEOPLE, N_SITES, N_COLUMNS = 300, 6, 16
ETAS = (0.0, 0.4, 0.8)
DESIGNS = ("equal", "unequal", "skewed")
ALPHA = 0.05
BAND = (0.02, 0.09)
OFFSET, NOISE, NOISE_GROWTH, SKEW = 0.35, 4.0, 0.02, 0.8
SIZES = [150, 75, 38, 19, 9, 9]
CONDITIONAL = ("nested_f", "gcm", "stratified_permutation", "partial_confounder")
Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def simulate(eta: float, offset: float, design: str, random: np.random.Generator) -> Data:
    """Return site, age, predicted age and embedding of one cohort."""
    sizes = SIZES if design == "unequal" else [N_PEOPLE // N_SITES] * N_SITES
    site = np.repeat(np.arange(N_SITES), sizes)
    level = standardised(np.linspace(-1, 1, N_SITES), site)[site]
    z = eta * level + np.sqrt(1 - eta**2) * random.normal(size=N_PEOPLE)
    age = 50 + 15 * z
    spread = np.exp(NOISE_GROWTH * (age - 50))
    shift = offset * standardised(random.normal(size=N_SITES), site)[site]
    noise = random.normal(size=(N_PEOPLE, 1 + N_COLUMNS))
    if design == "skewed":
        width = SKEW**2
        noise = np.exp(SKEW * noise) - np.exp(width / 2)
        noise /= np.sqrt((np.exp(width) - 1) * np.exp(width))
    noise *= spread[:, None]
    predicted = 50 + 10 * z - 1.5 * z**2 + NOISE * (noise[:, 0] + shift)
    curves = np.random.default_rng(0)  # the same curves in all simulations
    phase, frequency = curves.uniform(0, 2 * np.pi, N_COLUMNS), curves.uniform(0.3, 1.5, N_COLUMNS)
    embedding = np.sin(frequency * z[:, None] + phase) + noise[:, 1:]
    embedding[:, 0] += shift
    return site, age, predicted, embedding


def standardised(pattern: np.ndarray, site: np.ndarray) -> np.ndarray:
    """Give the sites mean 0 and standard deviation 1 over people."""
    return (pattern - pattern[site].mean()) / pattern[site].std()


def raw_partial_confounder(
    site: np.ndarray, age: np.ndarray, predicted: np.ndarray, n: int, seed: int
) -> float:
    """Return p of the partial confounder test as published: R2 of the prediction itself."""
    random = np.random.RandomState(seed)
    drawn = permute_given(site, site_log_probability(age_spline(age), site), n, random)
    centred, counts = predicted - predicted.mean(), np.bincount(site)

    def explained(codes: np.ndarray) -> float:
        return float(np.sum(np.bincount(codes, weights=centred) ** 2 / counts))

    return permutation_p(explained(site), np.array([explained(codes) for codes in drawn]))


def permuted_f(
    site: np.ndarray, age: np.ndarray, predicted: np.ndarray, n: int, seed: int
) -> float:
    """Return p of the plain F statistic by the permutations of Freedman and Lane."""
    directions = SiteDirections(age_spline(age), site)
    residuals = directions.residuals(predicted[:, None])[:, 0]
    orders = draw_permutations(len(site), n, np.random.RandomState(seed))

    def partial_r2(columns: np.ndarray) -> np.ndarray:
        return directions.partial_r2(directions.residuals(columns))[0]

    return permutation_p(partial_r2(residuals[:, None])[0], partial_r2(residuals[orders].T))


def multiplier_gcm(
    site: np.ndarray, age: np.ndarray, embedding: np.ndarray, n: int, seed: int
) -> float:
    """Return p of the largest column by random signs in place of permutations."""
    directions = SiteDirections(age_spline(age), site)
    score, residuals = RobustScore(directions.basis), directions.residuals(embedding)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(n, len(site), 1))
    null = np.array([score.statistic(sign * residuals).max() for sign in signs])
    return permutation_p(score.statistic(residuals).max(), null)


def all_tests(data: Data, n: int, seed: int) -> dict[str, float]:
    """Return p of every test on one simulated cohort."""
    site, age, predicted, embedding = data

    def p_value(values: np.ndarray, method: str) -> float:
        return site_effect_test(
            values, site, age, method=method, n_permutations=n, random_state=seed
        ).p_value

    return {
        "prediction: [anova of the gap]": p_value(predicted - age, "anova"),
        "prediction: [F, permuted residuals]": permuted_f(site, age, predicted, n, seed),
        "prediction: [partial_confounder, raw]": raw_partial_confounder(
            site, age, predicted, n, seed
        ),
        **{f"prediction: {method}": p_value(predicted, method) for method in CONDITIONAL},
        "embedding: [hsic]": p_value(embedding, "hsic"),
        "embedding: [gcm, multipliers]": multiplier_gcm(site, age, embedding, n, seed),
        **{f"embedding: {method}": p_value(embedding, method) for method in CONDITIONAL},
    }


def one(
    design: str, eta: float, offset: float, n: int, seeds: tuple, repeat: int
) -> dict[str, float]:
    """Simulate a cohort and test it."""
    random = np.random.default_rng((*seeds, repeat))
    return all_tests(simulate(eta, offset, design, random), n, int(random.integers(2**31)))


def shares(run: Callable, repeats: int, jobs: int, label: str) -> dict[str, float]:
    """Return the share of simulations in which each test rejects."""
    parts = Parallel(n_jobs=jobs, return_as="generator")(delayed(run)(i) for i in range(repeats))
    p = list(tqdm(parts, total=repeats, desc=label, leave=False))
    return {test: float(np.mean([found[test] <= ALPHA for found in p])) for test in p[0]}


def cost(columns: int, jobs: int) -> dict[str, float]:
    """Return the seconds of each test at 999 permutations, and of the test of every voxel."""
    site, age, predicted, embedding = simulate(0.4, OFFSET, "equal", np.random.default_rng(0))
    calls = {
        f"{kind}: {method}": partial(
            site_effect_test, values, site, age, method=method, random_state=0
        )
        for kind, values in (("prediction", predicted), ("embedding", embedding))
        for method in CONDITIONAL
    }
    voxels = np.random.default_rng(0).normal(size=(N_PEOPLE, columns)).astype(np.float32)
    for scheme in ("freedman_lane", "without_refit"):
        calls[f"{columns} voxels: {scheme}"] = partial(
            partial_r2_permutations, voxels, age_spline(age), site, 1000,
            scheme=scheme, random_state=0, n_jobs=jobs,
        )  # fmt: skip
    seconds = {}
    for name, call in calls.items():
        start = time.perf_counter()
        call()
        seconds[name] = time.perf_counter() - start
        print(f"{name:43s}{seconds[name]:10.2f} s", flush=True)
    return seconds


def show(design: str, table: dict[str, dict[str, float]]) -> None:
    print(f"\n{design} sites{'':30s}" + "".join(f"{column:>16s}" for column in table))
    for test in next(iter(table.values())):
        cells = ""
        for column, found in table.items():
            off = column.startswith("level") and not BAND[0] <= found[test] <= BAND[1]
            cells += f"{found[test]:15.3f}{'!' if off else ' '}"
        print(f"{test:43s}{cells}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--permutations", type=int, default=199)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="simulations at the same time")
    parser.add_argument("--columns", type=int, default=20_000, help="voxels to time, on two cores")
    settings = vars(parser.parse_args())
    start = time.perf_counter()
    seconds = cost(settings["columns"], 2)
    results: dict[str, dict] = {}
    for number, design in enumerate(DESIGNS):
        results[design] = {}
        for name, offset in (("level", 0.0), ("power", OFFSET)):
            for eta in ETAS:
                column = f"{name}, eta {eta}"
                seeds = settings["seed"], number, round(10 * eta), int(offset > 0)
                run = partial(one, design, eta, offset, settings["permutations"], seeds)
                results[design][column] = shares(
                    run, settings["repeats"], settings["jobs"], f"{design}, {column}"
                )
        show(design, results[design])
    offered = {
        f"{design}, {column}, {test}": share
        for design, table in results.items()
        for column, found in table.items()
        for test, share in found.items()
        if column.startswith("level") and "[" not in test
    }
    outside = {name: share for name, share in offered.items() if not BAND[0] <= share <= BAND[1]}
    error = (ALPHA * (1 - ALPHA) / settings["repeats"]) ** 0.5
    print(f"\nMonte-Carlo standard error at {ALPHA}: {error:.4f}")
    print(f"Levels of offered tests outside {BAND}: {outside or 'none'} of {len(offered)}")
    print(f"{time.perf_counter() - start:.0f} s")
    results = {
        "rejected": results,
        "standard_error_at_level": error,
        "levels_outside_band": outside,
        "seconds": seconds,
    }
    store("confound_tests_level", results, seed=settings["seed"], settings=settings)


if __name__ == "__main__":
    main()
