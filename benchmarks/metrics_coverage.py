"""Coverage of the intervals and level of the tests of mresklearn.metrics, by simulation.

The docstrings of the package quote these figures: the sentences are stored with the results, and a
test compares them with the docstrings. The Monte-Carlo standard error of a share near 0.95 or 0.05
is 0.011 with 400 repeats and 0.005 with 2000.

    OMP_NUM_THREADS=1 python benchmarks/metrics_coverage.py [--repeats 400]
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from _results import store
from scipy import stats
from tqdm import tqdm

from mresklearn.exceptions import UnanswerableWarning
from mresklearn.metrics import (
    age_stratified_permutation_test,
    bootstrap_ci,
    corrected_resampled_ttest,
    delong_ci,
    site_scores,
)
from mresklearn.metrics._intervals import interval, levels

CONFIDENCE, ALPHA = 0.95, 0.05
SD_WITHIN, SD_BETWEEN, PEOPLE_A_SITE = 5.0, 3.0, 20
PEOPLE_AT_SITES = (10, 20, 50, 100)
N_SITES, CORRELATION = 6, 0.95  # of the feature with age
ETAS = (0.4, 0.8)  # correlation ratio of age on site
SEED_NOISE = (0.05, 0.3)  # of slopes that are 1
Shares = dict[str, float]


def shares(
    name: str, run: Callable[[np.random.Generator], dict], repeats: int, seed: tuple[int, ...]
) -> Shares:
    """Return how often each entry of what `run` returns is true."""
    found = [
        run(np.random.default_rng((*seed, repeat)))
        for repeat in tqdm(range(repeats), desc=name, leave=False)
    ]
    return {key: float(np.mean([one[key] for one in found])) for key in found[0]}


def holds(bounds: Iterable[float], truth: float) -> bool:
    low, high = bounds
    return bool(low <= truth <= high)


# ---- bootstrap_ci


def over_people(n_people: int, random: np.random.Generator) -> dict:
    """Say which intervals hold the mean and the mean absolute value of normal gaps."""
    gap = random.normal(0, SD_WITHIN, n_people)
    truths = {"mean gap": (np.mean, 0.0), "MAE": (_mae, SD_WITHIN * np.sqrt(2 / np.pi))}
    found = {}
    for name, (statistic, truth) in truths.items():
        seed = int(random.integers(2**31))
        bca = bootstrap_ci(statistic, gap, method="bca", n_resamples=1000, random_state=seed)
        bounds = {
            "expanded": interval(bca.distribution, levels(CONFIDENCE, n_people)),
            "bca": (bca.low, bca.high),
            "percentile": interval(bca.distribution, levels(CONFIDENCE)),
        }
        found |= {f"{method}, {name}": holds(ends, truth) for method, ends in bounds.items()}
    return found


def _mae(gap: np.ndarray) -> float:
    return float(np.abs(gap).mean())


def over_sites(n_sites: int, between: float, random: np.random.Generator) -> dict:
    """Say which intervals hold the mean gap over sites."""
    site = np.repeat(np.arange(n_sites), PEOPLE_A_SITE)
    gap = random.normal(0, SD_WITHIN, len(site)) + random.normal(0, between, n_sites)[site]
    options = {"random_state": int(random.integers(2**31))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnanswerableWarning)  # fewer than 6 sites, on purpose
        # the fewer sites, the further out in the tails lie the expanded levels
        n_resamples = 5000 if n_sites < 7 else 2000
        sites = bootstrap_ci(np.mean, gap, site=site, n_resamples=n_resamples, **options)
    people = bootstrap_ci(np.mean, gap, n_resamples=300, **options)
    plain = interval(sites.distribution, levels(CONFIDENCE))
    return {
        "expanded": holds((sites.low, sites.high), 0.0),
        "percentile": holds(plain, 0.0),
        "people alone": holds((people.low, people.high), 0.0),
    }


# ---- corrected_resampled_ttest


def differences(
    people: tuple[np.ndarray, np.ndarray], folds: list[np.ndarray], noise: np.ndarray
) -> np.ndarray:
    """Return, by repeat and fold, by how much the squared error of one regression exceeds another.

    Each of the two uses one of two features that are equally useful; `noise`, of shape (repeats,
    folds, 2), is what the seed of a repeat adds to their slopes.
    """
    features, y = people
    table = np.empty(noise.shape[:2])
    for repeat, fold in enumerate(folds):
        for k in range(table.shape[1]):
            train, test = fold != k, fold == k
            centre, target = features[train].mean(axis=0), y[train].mean()
            x = features[train] - centre
            slopes = x.T @ (y[train] - target) / (x**2).sum(axis=0) + noise[repeat, k]
            errors = (y[test, None] - target - slopes * (features[test] - centre)) ** 2
            table[repeat, k] = np.subtract(*errors.mean(axis=0))
    return table


def equally_good(n_people: int, random: np.random.Generator) -> dict:
    """Say which tests find a difference between models that do not differ, over 5 folds."""
    features = random.normal(size=(n_people, 2))
    people = features, features.sum(axis=1) + random.normal(size=n_people)
    folds = [random.permutation(n_people) % 5 for _ in range(10)]
    still = np.zeros((10, 5, 2))
    table = differences(people, folds, still)
    test = partial(corrected_resampled_ttest, n_train=0.8 * n_people, n_test=0.2 * n_people)
    p = {
        "ten partitions": test(table, repeats="partitions").p_value,
        "ten partitions, averaged first": test(table, repeats="seeds").p_value,
        "ten partitions, ordinary t test": stats.ttest_1samp(table.ravel(), 0).pvalue,
        "one partition": test(table[0]).p_value,
    }
    for size in SEED_NOISE:
        seeds = differences(people, folds[:1] * 5, size * random.normal(size=(5, 5, 2)))
        p[f"five seeds of SD {size}"] = test(seeds, repeats="seeds").p_value
        p[f"five seeds of SD {size}, as partitions"] = test(seeds, repeats="partitions").p_value
    return {name: value <= ALPHA for name, value in p.items()}


# ---- delong_ci


def area(sizes: tuple[int, int], auc: float, random: np.random.Generator) -> dict:
    """Say whether the interval holds the area under the curve of normal scores."""
    diagnosis = np.repeat([1, 0], sizes)
    scores = random.normal(size=sum(sizes)) + diagnosis * np.sqrt(2) * stats.norm.ppf(auc)
    result = delong_ci(diagnosis, scores)
    return {"delong": holds((result.low, result.high), auc)}


# ---- age_stratified_permutation_test


def feature_of_age(
    n_people: int, eta: float, shift: float, label: str, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, standardised age, and a feature of age that labels may shift."""
    if label == "site":
        codes = random.permutation(np.arange(n_people) % N_SITES)
        level = np.linspace(-1, 1, N_SITES)[codes]
    else:  # a diagnosis that 15 % have, later in life
        codes = random.permutation((np.arange(n_people) < 0.15 * n_people).astype(int))
        level = codes - codes.mean()
    z = eta * level / level.std() + np.sqrt(1 - eta**2) * random.normal(size=n_people)
    noise = random.normal(size=n_people) + shift * random.normal(size=N_SITES)[codes]
    return codes, z, CORRELATION * z + np.sqrt(1 - CORRELATION**2) * noise


def exchanged(
    data: tuple[int, float, float, str], sizes: tuple[int, ...], random: np.random.Generator
) -> dict:
    """Say which sizes of strata give a small p for labels beside a feature of age."""
    codes, z, feature = feature_of_age(*data, random)
    counts, centred = np.bincount(codes), feature - feature.mean()

    def between(labels: np.ndarray) -> float:
        return float(np.sum(np.bincount(labels, weights=centred) ** 2 / counts))

    options = {"n_permutations": 199, "random_state": int(random.integers(2**31))}
    return {
        f"strata of {size}": age_stratified_permutation_test(
            between, codes, z, n_strata=max(1, len(z) // size), **options
        ).p_value
        <= ALPHA
        for size in sizes
    }


# ---- site_scores


def at_sites(random: np.random.Generator) -> dict:
    """Say which intervals of a site hold its error, bias and slope."""
    bias, slope = 2.0, -0.3
    site = np.repeat(PEOPLE_AT_SITES, PEOPLE_AT_SITES)
    age = random.uniform(20, 80, len(site))
    gap = bias + slope * (age - 50) + random.normal(0, SD_WITHIN, len(site))
    expected = (bias + slope * (np.linspace(20, 80, 10_001) - 50)) / SD_WITHIN  # at each age
    of_age = np.sqrt(2 / np.pi) * np.exp(-(expected**2) / 2)
    of_age += expected * (1 - 2 * stats.norm.cdf(-expected))  # of the folded normal distribution
    truths = {"mae": SD_WITHIN * of_age.mean(), "bias": bias, "gap_slope": slope}
    seed = int(random.integers(2**31))
    table = site_scores(age, age + gap, site, n_resamples=1000, random_state=seed)
    return {
        f"{name}, {size} people": holds(
            table.loc[str(size), [f"{name}_low", f"{name}_high"]], truth
        )
        for name, truth in truths.items()
        for size in PEOPLE_AT_SITES
    }


# ---- all of them


def simulations() -> dict[str, tuple[Callable, int]]:
    """Return what is simulated, and how many times as often as the slowest."""
    runs: dict[str, tuple[Callable, int]] = {}
    for n in (10, 40):
        runs[f"bootstrap_ci, {n} people"] = partial(over_people, n), 1
    for n in (5, 7, 10, 20):
        runs[f"bootstrap_ci, {n} sites"] = partial(over_sites, n, SD_BETWEEN), 1
    runs["bootstrap_ci, 7 sites alike"] = partial(over_sites, 7, 0.0), 1
    for n in (60, 200):
        runs[f"corrected_resampled_ttest, {n} people"] = partial(equally_good, n), 5
    for m, n in ((5, 20), (11, 60), (50, 50)):
        for auc in (0.5, 0.7, 0.9, 0.97, 0.995):
            runs[f"delong_ci, {m} and {n} people, area {auc}"] = partial(area, (m, n), auc), 5
    for n in (60, 100, 300):
        for eta in ETAS:
            beside = f"{n} people, eta {eta}"
            every = (4, 10, 30, n) if n > 60 else (4, 10)
            cases = {
                "level, site": (0.0, "site", every),
                "level, diagnosis": (0.0, "diagnosis", (4,)),
                "power, site": (0.4, "site", (4, 10)),
            }
            for case, (shift, label, sizes) in cases.items():
                run = partial(exchanged, (n, eta, shift, label), sizes)
                runs[f"age_stratified_permutation_test, {case}, {beside}"] = run, 1
    runs["site_scores"] = at_sites, 5
    return runs


def spread(values: Iterable[float]) -> str:
    """Write the smallest and the largest of some shares."""
    ordered = sorted(values)
    ends = [f"{ordered[0]:.2f}", f"{ordered[-1]:.2f}"]
    return ends[0] if ends[0] == ends[1] else "-".join(ends)


def quote_bootstrap(found: dict[str, Shares]) -> list[str]:
    def of_people(method: str, n: int) -> str:
        row = found[f"bootstrap_ci, {n} people"]
        return spread(share for key, share in row.items() if key.startswith(method))

    def of_sites(method: str) -> list[float]:
        return [found[f"bootstrap_ci, {n} sites"][method] for n in (5, 7, 10, 20)]

    def listed(method: str) -> str:
        return " / ".join(f"{share:.2f}" for share in of_sites(method))

    return [
        f"with 10 people {of_people('expanded', 10)} expanded, {of_people('bca', 10)} BCa and "
        f"{of_people('percentile', 10)} percentile; with 40 people all {of_people('', 40)}.",
        f"with 5 / 7 / 10 / 20 sites: {listed('expanded')} expanded, {listed('percentile')} "
        f"percentile, and {spread(of_sites('people alone'))} if people alone are drawn.",
        f"(coverage {found['bootstrap_ci, 7 sites alike']['expanded']:.2f} with 7 sites)",
    ]


def quote_ttest(found: dict[str, Shares]) -> list[str]:
    rows = [found[f"corrected_resampled_ttest, {n} people"] for n in (60, 200)]

    def of(*keys: str) -> str:
        return spread(row[key] for row in rows for key in keys)

    seeds = [f"five seeds of SD {size}" for size in SEED_NOISE]
    return [
        f"ten partitions in 5 folds {of('ten partitions')} (averaged first "
        f"{of('ten partitions, averaged first')}, ordinary t test "
        f"{of('ten partitions, ordinary t test')}), one partition {of('one partition')}, five "
        f"seeds of one partition {of(*seeds)} (as partitions "
        f"{of(*(f'{seed}, as partitions' for seed in seeds))})."
    ]


def quote_delong(found: dict[str, Shares]) -> list[str]:
    def of(m: int, n: int) -> str:
        start = f"delong_ci, {m} and {n} people"
        return spread(row["delong"] for name, row in found.items() if name.startswith(start))

    return [
        f"{of(5, 20)} with 5 positive and 20 negative people, {of(11, 60)} with 11 and 60, "
        f"{of(50, 50)} with 50 and 50."
    ]


def quote_permutation(found: dict[str, Shares]) -> list[str]:
    start = "age_stratified_permutation_test"

    def listed(n: int, size: int) -> str:
        rows = [found[f"{start}, level, site, {n} people, eta {eta}"] for eta in ETAS]
        return " / ".join(f"{row[f'strata of {size}']:.2f}" for row in rows)

    def levels_of(size: int, *numbers: int) -> str:
        rows = [
            row
            for name, row in found.items()
            if name.startswith(f"{start}, level") and any(f" {n} people" in name for n in numbers)
        ]
        return spread(row[key] for row in rows if (key := f"strata of {size}") in row)

    lost = max(
        row["strata of 10"] - row["strata of 4"]
        for name, row in found.items()
        if name.startswith(f"{start}, power")
    )
    return [
        f"{listed(100, 100)} under free permutation of 100 people, {listed(100, 30)} with 100 and "
        f"{listed(300, 30)} with 300 people in strata of 30. In strata of 10, "
        f"{levels_of(10, 100, 300)} with 100 and 300 people and {levels_of(10, 60)} with 60; in "
        f"strata of 4, {levels_of(4, 100, 300)} and {levels_of(4, 60)}, also for a diagnosis that "
        f"15 % have. The power was at most {lost:.2f} lower than in strata of 10."
    ]


def quote_site_scores(found: dict[str, Shares]) -> list[str]:
    return [f"was {spread(found['site_scores'].values())} for all three quantities"]


QUOTED = {
    "bootstrap_ci": quote_bootstrap,
    "corrected_resampled_ttest": quote_ttest,
    "delong_ci": quote_delong,
    "age_stratified_permutation_test": quote_permutation,
    "site_scores": quote_site_scores,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=400, help="of the slow simulations")
    parser.add_argument("--seed", type=int, default=0)
    settings = vars(parser.parse_args())
    start = time.perf_counter()
    found = {}
    for number, (name, (run, times)) in enumerate(simulations().items()):
        seed = settings["seed"], number
        found[name] = shares(name, run, times * settings["repeats"], seed)
        for entry, share in found[name].items():
            print(f"{name + ': ' + entry:100s}{share:6.3f}", flush=True)
    quoted = {function: quote(found) for function, quote in QUOTED.items()}
    for function, sentences in quoted.items():
        print(f"\n{function}\n" + "\n".join(sentences))
    print(f"{time.perf_counter() - start:.0f} s")
    results = {"shares": found, "quoted": quoted}
    store("metrics_coverage", results, seed=settings["seed"], settings=settings)


if __name__ == "__main__":
    main()
