"""Agreement of the measures of confounds with packages that others wrote, and why they differ.

- Measures: ours and theirs of the same random cohorts, the largest difference, and the reason where
  there is one beyond rounding.
- Tests: p on the same cohorts, where neither statistic nor permutations need be the same, and the
  share of p at most 0.05. It should be 0.05 where "effect" says no.
- Partial confounder test: mlconfound (Spisak 2022) on its own example, on variants of it with other
  weights and with a confounder of two groups, and on simulated cohorts. It answers from an
  environment of its own; without --mlconfound-python it is left out.

Needs the extra "test"; rows of dcor and torchmetrics are filled only where these are installed.

    python3 -m venv other && other/bin/pip install "numpy<2" "scipy<1.13" "pandas<3" \
        "statsmodels<0.15" "setuptools<80" tqdm joblib matplotlib progressbar2 future
    other/bin/pip install --no-deps mlconfound==0.21.3 pygam==0.8.0
    OMP_NUM_THREADS=1 python benchmarks/confound_references.py --mlconfound-python other/bin/python
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np
import statsmodels.api as sm
from _reference_measures import Cohort, by_permdisp, compare_measures, distances, settings
from _reference_mlconfound import compare_mlconfound
from _results import store
from skbio.stats.distance import permanova
from tqdm import tqdm

from mresklearn.confounds import site_effect_test
from mresklearn.confounds._dispersion import dispersion
from mresklearn.confounds._redundancy import redundancy

ALPHA = 0.05
SIZES = [80, 40, 20, 10]
NOISE = np.array([1.0, 1.5, 2.5, 4.0])
SCENARIOS = {
    "nothing": "site does nothing",
    "noise": "small sites have more noise",
    "noise with age": "the noise grows with age, in which sites differ",
    "shift": "sites differ in the mean",
}
NOISE_OF_AN_SD_OF_AGE = 0.8
REFERENCES = ("scikit-bio", "statsmodels", "scipy", "dcor", "torchmetrics")
P = tuple[float, float]


def draw(scenario: str, seed: tuple[int, ...]) -> Cohort:
    """Draw 150 people of four sites that differ in size and age, and eight features."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(4), SIZES)
    age = rng.normal(50 + 5 * site, 10)
    X = rng.normal(size=(len(site), 8))
    if scenario == "noise":
        X *= NOISE[site, None]
    if scenario == "noise with age":
        X *= np.exp(NOISE_OF_AN_SD_OF_AGE * (age[:, None] - 50) / 10)
    if scenario == "shift":
        X += 0.4 * rng.normal(size=(4, 8))[site]
    return Cohort(X, age, site)


def means_of_all(c: Cohort, n: int) -> P:
    ours = redundancy(c.X, c.ones, c.member, c.site, **settings(n)).p
    theirs = permanova(distances(c.X), c.site.astype(str), permutations=n, seed=0)
    return ours, theirs["p-value"]


def spread_of_all(c: Cohort, n: int) -> P:
    ours, _ = dispersion(c.X, c.ones, c.site, **settings(n))
    return ours.p, by_permdisp(c.X, c.site, permutations=n, seed=0)["p-value"]


def beyond_age(c: Cohort, n: int, *, theirs: str) -> P:
    y = np.sin((c.age - 50) / 10) + c.X[:, 0]
    ours = site_effect_test(y, c.site, c.age, n_permutations=n, random_state=0).p_value
    full = sm.OLS(y, np.hstack([c.curve, c.member[:, 1:]]))
    reduced = sm.OLS(y, c.curve).fit()
    if theirs == "F":
        return ours, full.fit().compare_f_test(reduced)[1]
    if theirs == "score":
        return ours, full.fit(cov_type="HC0").compare_lm_test(reduced, demean=False)[1]
    sites = np.eye(full.exog.shape[1])[-3:]
    return ours, float(full.fit(cov_type="HC3").f_test(sites).pvalue)


def any_dependence(c: Cohort, n: int) -> P:
    import dcor

    ours = site_effect_test(
        c.X, c.site, c.age, method="hsic", n_permutations=n, random_state=0
    ).p_value
    theirs = dcor.independence.distance_covariance_test(
        c.X, c.member, num_resamples=n, random_state=0
    )
    return ours, theirs.pvalue


@dataclass(frozen=True)
class Pair:
    """Two tests, what is an effect for them, and why they differ."""

    ours: str
    theirs: str
    p_values: Callable[[Cohort, int], P]
    effects: tuple[str, ...]
    reason: str
    needs: str = "skbio"


PAIRS = (
    Pair(
        "redundancy",
        "scikit-bio permanova",
        means_of_all,
        ("shift",),
        "theirs permutes the F statistic, which rejects where small sites have more noise",
    ),
    Pair(
        "nested_f",
        "statsmodels F test",
        partial(beyond_age, theirs="F"),
        ("shift",),
        "theirs takes the noise of all people to be equal",
    ),
    Pair(
        "nested_f",
        "statsmodels score test, HC0",
        partial(beyond_age, theirs="score"),
        ("shift",),
        "theirs takes age off the sites with weights by squared residuals, and has chi squared for "
        "many people",
    ),
    Pair(
        "nested_f",
        "statsmodels Wald test, HC3",
        partial(beyond_age, theirs="Wald"),
        ("shift",),
        "both allow for unequal noise; theirs has F for many people a site",
    ),
    Pair(
        "dispersion",
        "scikit-bio permdisp",
        spread_of_all,
        ("noise", "noise with age"),
        "theirs takes people of small sites to lie nearer their centre, and exchanges them between "
        "sites without taking off the means of the sites",
    ),
    Pair(
        "hsic",
        "dcor distance covariance",
        any_dependence,
        ("noise", "noise with age", "shift"),
        "theirs has distances in place of a Gaussian kernel",
        needs="dcor",
    ),
)


def compare_tests(repeats: int, permutations: int, seed: int) -> list[dict[str, Any]]:
    """Return the share of cohorts that each test rejects, and how far p of ours and theirs are."""
    rows = []
    for pair in PAIRS:
        if find_spec(pair.needs) is None:
            rows.append({"ours": pair.ours, "reason": f"{pair.needs} is not installed"})
            continue
        for number, scenario in enumerate(SCENARIOS):
            cohorts = (draw(scenario, (seed, number, i)) for i in range(repeats))
            bar = tqdm(cohorts, total=repeats, desc=f"{pair.theirs}, {scenario}", leave=False)
            ours, theirs = np.array([pair.p_values(c, permutations) for c in bar]).T
            rows.append(
                {
                    "ours": pair.ours,
                    "theirs": pair.theirs,
                    "scenario": scenario,
                    "effect": "yes" if scenario in pair.effects else "no",
                    "rejected, ours": np.mean(ours <= ALPHA),
                    "rejected, theirs": np.mean(theirs <= ALPHA),
                    "mean difference of p": np.mean(np.abs(ours - theirs)),
                    "correlation of p": np.corrcoef(ours, theirs)[0, 1],
                    "reason": pair.reason,
                }
            )
    return rows


def versions() -> dict[str, str]:
    """Return the versions of the packages that are compared with."""
    found = {}
    for package in REFERENCES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table, numbers to four digits."""
    print(f"\n{title}")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns] + [[_cell(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure-repeats", type=int, default=100)
    parser.add_argument("--test-repeats", type=int, default=400)
    parser.add_argument("--mlconfound-repeats", type=int, default=30)
    parser.add_argument("--permutations", type=int, default=199)
    parser.add_argument("--mlconfound-permutations", type=int, default=999)
    parser.add_argument("--mlconfound-python")
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    python = options.pop("mlconfound_python")
    start = time.perf_counter()
    measures = compare_measures(options["measure_repeats"], options["seed"])
    show("Measures", measures)
    tests = compare_tests(options["test_repeats"], options["permutations"], options["seed"])
    show(f"Tests: {SCENARIOS}", tests)
    results = {"measures": measures, "tests": tests, "versions": versions()}
    if python:
        found = compare_mlconfound(
            python,
            options["mlconfound_repeats"],
            options["mlconfound_permutations"],
            options["seed"],
        )
        show("Partial confounder test of mlconfound: its example", found["examples"])
        print("\nPartial confounder test of mlconfound: simulated cohorts")
        for name, value in found["summary"].items():
            print(f"{name}: {value:.3g}")
        results["mlconfound"] = found
    print(f"{time.perf_counter() - start:.0f} s")
    store("confound_references", results, seed=options["seed"], settings=options)


if __name__ == "__main__":
    main()
