"""What bias correction does to predictions that know nothing of age, and who refuses to score it.

Ridge regression on features of pure noise, and on one with signal, out of fold; half of the people
give the line of the bias, and the other half are corrected by it, as published: Cole (2018) divides
by the slope, de Lange (2020) adds the age that is already known. Each is stored with r and MAE
before and after. On real data, whole-brain volume of healthy people of OASIS-1, and the same after
shuffling it. Then the corrected ages of BrainAgeBiasCorrector are handed to every public score of
mresklearn that takes ages.

    [MRESKLEARN_DATA=/path/to/data] python benchmarks/corrected_age_demonstration.py [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _results import store
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn import metrics
from mresklearn.evaluation import regional_report
from mresklearn.exceptions import UnanswerableWarning
from mresklearn.metrics import BrainAgeBiasCorrector

N_PEOPLE, N_FEATURES, N_FOLDS = 600, 50, 5


def out_of_fold(
    model: Any, X: np.ndarray, age: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions by models that did not see the person, and the fold of each."""
    cv = KFold(N_FOLDS, shuffle=True, random_state=seed)
    fold = np.empty(len(age), dtype=int)
    for number, (_, test) in enumerate(cv.split(X)):
        fold[test] = number
    return cross_val_predict(model, X, age, cv=cv), fold


def as_published(predicted: np.ndarray, age: np.ndarray, line: np.ndarray) -> dict[str, np.ndarray]:
    """Correct by the formulas of the papers, without a word on what becomes of accuracy."""
    slope, intercept = line
    return {
        "cole": (predicted - intercept) / slope,
        "de_lange": predicted + (age - (slope * age + intercept)),
    }


def describe(predicted: np.ndarray, age: np.ndarray) -> dict[str, float]:
    """Return r and MAE, as papers report them."""
    return {
        "r": float(np.corrcoef(age, predicted)[0, 1]),
        "mae": float(np.abs(predicted - age).mean()),
    }


def demonstrate(predicted: np.ndarray, age: np.ndarray, fold: np.ndarray, seed: int) -> dict:
    """Fit the line on half of the people and correct the other half, by formula and by class."""
    line_half = np.random.default_rng(seed).permutation(len(age)) % 2 == 0
    rest = ~line_half
    line = np.polyfit(age[line_half], predicted[line_half], 1)
    found: dict[str, Any] = {
        "n_people": int(rest.sum()),
        "slope": float(line[0]),
        "mean age": {"mae": float(np.abs(age[rest] - age[line_half].mean()).mean())},
        "raw": describe(predicted[rest], age[rest]),
    }
    for method, corrected in as_published(predicted[rest], age[rest], line).items():
        found[method] = describe(corrected, age[rest])
        corrector = BrainAgeBiasCorrector(method=method)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnanswerableWarning)  # of uncertain slopes
            try:
                corrector.fit(predicted[line_half], age[line_half], fold=fold[line_half])
            except ValueError as error:
                found[method]["mresklearn"] = f"refused to correct: {error}"
                continue
        ours = corrector.transform(predicted[rest], age[rest])
        np.testing.assert_allclose(ours.years, corrected)
        found[method]["mresklearn"] = refusals(ours, age[rest])
    return found


def demonstrate_all(
    cases: dict[str, tuple[Any, np.ndarray]], age: np.ndarray, seed: int
) -> dict[str, dict]:
    """Predict out of fold and correct, case by case."""
    found = {}
    for name, (model, X) in cases.items():
        predicted, fold = out_of_fold(model, X, age, seed)
        found[name] = demonstrate(predicted, age, fold, seed)
    return found


def scores(age: np.ndarray) -> dict[str, Callable[[Any], Any]]:
    """Return every public score that takes predicted ages, and what users would try besides."""
    half = np.arange(len(age)) % 2
    return {
        "age_stratified_permutation_test": lambda p: metrics.age_stratified_permutation_test(
            lambda labels: np.mean(p), half, age
        ),
        "bootstrap_ci": lambda p: metrics.bootstrap_ci(mean_absolute_error, age, p),
        "brain_age_gap": lambda p: metrics.brain_age_gap(age, p),
        "brain_age_scores": lambda p: metrics.brain_age_scores(age, p),
        "compare_gaps": lambda p: metrics.compare_gaps(p, half, age=age, reference="0"),
        "corrected_resampled_ttest": lambda p: metrics.corrected_resampled_ttest(p, 80, 20),
        "delong_ci": lambda p: metrics.delong_ci(half, p),
        "delong_test": lambda p: metrics.delong_test(half, p, age),
        "sign_flip_test": lambda p: metrics.sign_flip_test(p),
        "site_scores": lambda p: metrics.site_scores(age, p, half),
        "BrainAgeBiasCorrector": lambda p: BrainAgeBiasCorrector().fit(p, age, fold=half),
        "regional_report": lambda p: regional_report(p, age),
        "sklearn mean_absolute_error": lambda p: mean_absolute_error(age, p),
        "sklearn r2_score": lambda p: r2_score(age, p),
        "numpy corrcoef": lambda p: np.corrcoef(age, p),
        "predicted - age": lambda p: p - age,
    }


def refusals(corrected: Any, age: np.ndarray) -> dict[str, list[str]]:
    """Hand corrected ages to every score, and say which refused them with the reason."""
    refused, took = [], []
    for name, score in scores(age).items():
        try:
            score(corrected)
        except ValueError as error:
            (refused if "went through a bias correction" in str(error) else took).append(name)
        else:
            took.append(name)
    return {"refused": refused, "took them": took}


def simulated(seed: int) -> dict[str, dict]:
    """Predict age from noise, with ridge penalties that leave less and less of it, and from age."""
    random = np.random.default_rng(seed)
    age = random.uniform(20, 80, N_PEOPLE)
    noise = random.normal(size=(N_PEOPLE, N_FEATURES))
    signal = age[:, np.newaxis] + random.normal(0, 15, (N_PEOPLE, 1))
    cases = {f"noise, ridge {alpha:g}": (Ridge(alpha=alpha), noise) for alpha in (1, 1e3, 1e5)}
    cases["signal"] = Ridge(), signal
    return demonstrate_all(cases, age, seed)


def oasis(data: Path, seed: int) -> dict[str, dict]:
    """Predict age from whole-brain volume of healthy people of OASIS-1, and from it shuffled."""
    table = pd.read_csv(data / "oasis1_t1_4mm" / "participants.csv")
    table = table[(table.dx == "CN") & ~table.retest.astype(bool)].dropna(subset=["nWBV", "Age"])
    age, volume = table.Age.to_numpy(float), table[["nWBV"]].to_numpy()
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    shuffled = np.random.default_rng(seed).permutation(volume)
    cases = {"OASIS-1, nWBV": (model, volume), "OASIS-1, nWBV shuffled": (model, shuffled)}
    return demonstrate_all(cases, age, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    settings = vars(parser.parse_args())
    results = simulated(settings["seed"])
    if "MRESKLEARN_DATA" in os.environ:
        results |= oasis(Path(os.environ["MRESKLEARN_DATA"]), settings["seed"])
    else:
        print("MRESKLEARN_DATA is not set: simulated predictions alone.")
    print(f"{'':26s}{'mean age':>9s}{'raw':>15s}{'Cole':>17s}{'de Lange':>15s}   refused by")
    for name, found in results.items():
        row = f"{name:26s}{found['mean age']['mae']:9.1f}"
        for step, width in (("raw", 8), ("cole", 10), ("de_lange", 8)):
            row += f"{found[step]['mae']:{width}.1f} r {found[step]['r']:5.2f}"
        said = [found[method]["mresklearn"] for method in ("cole", "de_lange")]
        counts = [
            one.split(":")[0]
            if isinstance(one, str)
            else f"{len(one['refused'])} of {sum(map(len, one.values()))}"
            for one in said
        ]
        print(row, " ", " / ".join(counts))
    store("corrected_age_demonstration", results, seed=settings["seed"], settings=settings)


if __name__ == "__main__":
    main()
