"""Level, coverage and power of compare_gaps, by simulation, beside what is commonly done.

Few patients and some controls: of one age or patients 10 years older, with the same noise or twice
that of controls, and with no effect or one of 1 SD of the controls. The gap depends on age and sex,
which are held fixed. What is commonly done: HC3 errors with n - p degrees of freedom, the t test of
Welch without covariates, and for the area DeLong's interval of the adjusted gap, with the
adjustment taken as known. An interval for the difference holds the truth where the p of a draw
without effect is not below 0.05, so its coverage is 1 less the level, with any effect.

Each draw of people serves for ten draws of noise. The Monte-Carlo standard error of a share near
0.95 or 0.05 is about 0.007 with 1000 draws. The docstrings of compare_gaps and regional_report
quote the sentences that are stored.

    OMP_NUM_THREADS=1 python benchmarks/gap_comparison_level.py [--repeats 1000]
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from _results import store
from scipy import stats
from tqdm import tqdm

from mresklearn.exceptions import UnanswerableWarning
from mresklearn.metrics import compare_gaps, delong_ci
from mresklearn.metrics._adjusted_area import AdjustedAreas
from mresklearn.metrics._cluster_robust import RobustLeastSquares
from mresklearn.metrics._gap_comparison import standardised
from mresklearn.metrics._gap_design import GapDesign, gap_design

PATIENTS, CONTROLS = (3, 5, 11, 20), (12, 40, 60)
YEARS_OLDER, NOISE, EFFECTS = (0, 10), (1, 2), (0, 1)  # noise of patients, that of controls being 1
NOISES_A_DESIGN = 10
CONFIDENCE, ALPHA = 0.95, 0.05
CASES = ["patients", "controls", "years_older", "noise"]


def draw_people(
    random: np.random.Generator, n_patients: int, n_controls: int, older: float
) -> dict[str, np.ndarray]:
    """Draw people as compare_gaps takes them, both sexes in each group."""
    patient = np.arange(n_patients + n_controls) >= n_controls
    return {
        "diagnosis": np.where(patient, "AD", "CN"),
        "age": random.normal(65 + older * patient, 8),
        "sex": np.where(np.arange(len(patient)) % 2, "F", "M"),
    }


def draw_gaps(
    random: np.random.Generator, people: dict[str, np.ndarray], noise: float
) -> np.ndarray:
    """Draw gaps without effect of the diagnosis, a column a draw."""
    patient = people["diagnosis"] == "AD"
    scale = np.where(patient, noise, 1.0)[:, np.newaxis]
    common = -0.1 * (people["age"] - 65) + 0.5 * (people["sex"] == "F")
    return common[:, np.newaxis] + scale * random.normal(size=(len(patient), NOISES_A_DESIGN))


def one_draw(
    random: np.random.Generator, case: tuple[int, int, float, float], check: bool
) -> list[dict]:
    """Return what each method says of the same people and noise, a row a draw of noise."""
    n_patients, n_controls, older, noise = case
    people = draw_people(random, n_patients, n_controls, older)
    gap = draw_gaps(random, people, noise)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnanswerableWarning)  # groups without common ages
        design = gap_design(
            **people, site=None, groups=None, reference="CN", pairwise=False,
            age_terms="quadratic", stacklevel=1,
        )  # fmt: skip
        if check:
            assert_same(people, design, gap[:, 0])
    patient = people["diagnosis"] == "AD"
    found = {
        "level, CR2": ours(design, gap)["p"] < ALPHA,
        "level, HC3": p_of_hc3(design, gap, check) < ALPHA,
        "level, Welch": stats.ttest_ind(gap[patient], gap[~patient], equal_var=False).pvalue
        < ALPHA,
    }
    for effect in EFFECTS:
        shifted = gap + effect * patient[:, np.newaxis]
        sd = np.sqrt((n_patients * noise**2 + n_controls) / len(patient))
        area = stats.norm.cdf(effect / np.hypot(1, noise))
        result = ours(design, shifted)
        inside = {"g": holds(result["g"], effect / sd), "area": holds(result["area"], area)}
        inside["area, adjustment as known"] = holds(naive_area(design, shifted, patient), area)
        found |= {f"coverage, {name}, effect {effect}": share for name, share in inside.items()}
        if effect:
            found["power, CR2"] = result["p"] < ALPHA
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def ours(design: GapDesign, gap: np.ndarray) -> dict[str, Any]:
    """Compute for all draws of noise at once what compare_gaps computes for one."""
    fit = RobustLeastSquares(design.matrix, gap, design.person)
    group, other = design.pairs[0]
    difference = fit.estimate(design.contrast(group, other))
    areas = AdjustedAreas(
        gap, design.covariates, fit, codes=design.codes, person=design.person, apart=design.apart
    )
    g = standardised(difference, fit, CONFIDENCE)
    return {
        "p": difference.p_value(),
        "g": (g["g_low"], g["g_high"]),
        "area": tuple(areas.between(group, other, CONFIDENCE)[1:]),
    }


def assert_same(people: dict[str, np.ndarray], design: GapDesign, gap: np.ndarray) -> None:
    """Stop if what is simulated is not what the public function returns."""
    row = compare_gaps(gap, **people).table.iloc[0]
    result = ours(design, gap[:, np.newaxis])
    public = row.p_value, row.g_low, row.g_high, row.auc_low, row.auc_high
    np.testing.assert_allclose(np.r_[result["p"], *result["g"], *result["area"]], public)


def p_of_hc3(design: GapDesign, gap: np.ndarray, check: bool) -> np.ndarray:
    """Return p of the difference by HC3 errors with n - p degrees of freedom."""
    group, _ = design.pairs[0]
    matrix = np.column_stack([design.covariates, design.codes == group])
    inverse = np.linalg.pinv(matrix)
    residual = gap - matrix @ (inverse @ gap)
    leverage = np.einsum("ij,ji->i", matrix, inverse)
    error = np.sqrt(inverse[-1] ** 2 @ (residual / (1 - leverage)[:, np.newaxis]) ** 2)
    p = 2 * stats.t.sf(np.abs(inverse[-1] @ gap / error), np.subtract(*matrix.shape))
    if check:
        reference = sm.OLS(gap[:, 0], matrix).fit(cov_type="HC3", use_t=True)
        np.testing.assert_allclose(p[0], reference.pvalues[-1])
    return p


def naive_area(design: GapDesign, gap: np.ndarray, patient: np.ndarray) -> tuple:
    """Return DeLong's bounds for the gap less the fitted effects of covariates."""
    matrix = np.column_stack([design.covariates, patient])
    effects = np.linalg.lstsq(matrix, gap, rcond=None)[0][:-1]
    adjusted = gap - design.covariates @ effects
    found = [delong_ci(patient, column, confidence=CONFIDENCE) for column in adjusted.T]
    return np.array([one.low for one in found]), np.array([one.high for one in found])


def holds(bounds: Iterable[np.ndarray], truth: float) -> np.ndarray:
    low, high = bounds
    return (low <= truth) & (truth <= high)


def simulate(repeats: int, seed: int) -> pd.DataFrame:
    """Return shares, a row a design of the study."""
    cases = list(product(PATIENTS, CONTROLS, YEARS_OLDER, NOISE))
    rows = []
    for number, case in enumerate(tqdm(cases, desc="Designs")):
        draws: list[dict] = []
        for repeat in range(-(-repeats // NOISES_A_DESIGN)):
            random = np.random.default_rng((seed, number, repeat))
            draws += one_draw(random, case, check=repeat == 0)
        rows.append(dict(zip(CASES, case, strict=True)) | pd.DataFrame(draws).mean().to_dict())
    return pd.DataFrame(rows)


def spread(values: pd.Series | pd.DataFrame) -> str:
    """Write the smallest and the largest of some shares."""
    ends = [f"{np.min(values.to_numpy()):.2f}", f"{np.max(values.to_numpy()):.2f}"]
    return ends[0] if ends[0] == ends[1] else "-".join(ends)


def quote(table: pd.DataFrame) -> dict[str, list[str]]:
    """Write the sentences of the docstrings."""
    parts = [table[table.patients == 3], table[table.patients == 5], table[table.patients > 5]]

    def listed(*names: str) -> str:
        return " / ".join(spread(part[list(names)]) for part in parts)

    def covered(name: str) -> str:
        return listed(*(f"coverage, {name}, effect {effect}" for effect in EFFECTS))

    welch = spread(table.loc[table.years_older > 0, "level, Welch"])
    area = (
        f"The interval of the area covers {covered('area')} with 3 / 5 / 11 or 20 patients, and "
        f"{covered('area, adjustment as known')} with the adjustment taken as known."
    )
    level = (
        f"The level at 0.05 is {listed('level, CR2')} with 3 / 5 / 11 or 20 patients, that of HC3 "
        f"with n - p degrees of freedom {listed('level, HC3')}, and that of Welch's test without "
        f"covariates {welch} where patients are 10 years older."
    )
    g = f"Intervals of 0.95 for g cover {covered('g')}."
    return {"compare_gaps": [level, g, area], "regional_report": [area]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000, help="draws of noise a design")
    parser.add_argument("--seed", type=int, default=0)
    settings = vars(parser.parse_args())
    start = time.process_time()
    table = simulate(settings["repeats"], settings["seed"])
    with pd.option_context("display.width", 250, "display.max_columns", 30):
        print(table.rename(columns=short).round(3).to_string(index=False))
    quoted = quote(table)
    for name, sentences in quoted.items():
        print(f"\n{name}\n" + "\n".join(sentences))
    print(f"\n{time.process_time() - start:.0f} s of computing")
    results = {"shares": table.to_dict(orient="records"), "quoted": quoted}
    store("gap_comparison_level", results, seed=settings["seed"], settings=settings)


def short(name: str) -> str:
    """Shorten a column for the printed table."""
    for long, brief in (
        ("coverage, ", ""), ("adjustment as known", "known"), (", effect ", " "),
        ("patients", "n"), ("controls", "of"), ("years_older", "older"), ("level, ", ""),
    ):  # fmt: skip
        name = name.replace(long, brief)
    return name


if __name__ == "__main__":
    main()
