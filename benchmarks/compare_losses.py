"""Compare brain-age models that differ in one thing, on the same people, folds and budget.

Linear and kernel models on principal components of the maps, networks trained with a supervised
loss, and the same network trained with each contrastive loss and read by ridge regression. Every
statistic, component and network is fitted in the fold. Finished fits are kept in --cells, so that a
run that was stopped goes on; delete the folder to start anew.

    MRESKLEARN_DATA=/path/to/data python benchmarks/compare_losses.py oasis1
    python benchmarks/compare_losses.py simulated --maps stiffness damping_ratio

Seeds of networks are averaged (as predictions' errors, not as predictions) before any test: the
corrected resampled t-test of Nadeau & Bengio (2003) on fold-wise mean absolute errors, against the
best of the models on principal components.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _results import store
from _retest import reliability
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from tqdm import tqdm

from mresklearn import (
    ContrastiveEncoder,
    MapLoader,
    MapMasker,
    MapScaler,
    StratifiedSiteKFold,
    load_cohort,
    make_mre_cohort,
)
from mresklearn.metrics import corrected_resampled_ttest

ALPHAS = np.logspace(-3, 5, 17)
CONTRASTIVE: dict[str, dict[str, Any]] = {
    "exponential": {},
    "dynamic": {},
    "y_aware": {},
    "threshold": {},
    "supcon": {"bin_width": 4.0},
    "rank_n_contrast": {},
    "simclr": {},
}
SUPERVISED = ("l1", "soft_label")


def on_components(regressor: Any) -> Callable[[int, dict], Any]:
    """Return a maker of a model on all principal components of the voxels."""

    def make(seed: int, network: dict) -> Any:
        return make_pipeline(MapScaler(), MapMasker(), PCA(svd_solver="full"), regressor)

    return make


def gaussian_process() -> Any:
    """Return a Gaussian process, linear plus smooth."""
    widths, sizes = (1.0, 1e5), (1e-8, 1e4)
    kernel = (
        ConstantKernel(1e-3, sizes) * DotProduct()
        + ConstantKernel(1.0, sizes) * RBF(100.0, widths)
        + WhiteKernel(0.1, (1e-4, 1e1))
    )
    return GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)


def support_vectors() -> Any:
    """Return a support vector regression whose width and cost are chosen in the fold."""
    grid = {"C": [10, 100, 1000], "gamma": [1e-6, 1e-5, 1e-4]}
    return GridSearchCV(SVR(), grid, cv=3)


def supervised(loss: str) -> Callable[[int, dict], Any]:
    def make(seed: int, network: dict) -> Any:
        encoder = ContrastiveEncoder(loss=loss, random_state=seed, **network)
        return make_pipeline(MapScaler(), encoder)

    return make


def contrastive(loss: str, settings: dict) -> Callable[[int, dict], Any]:
    def make(seed: int, network: dict) -> Any:
        encoder = ContrastiveEncoder(loss=loss, random_state=seed, **{**network, **settings})
        return make_pipeline(MapScaler(), encoder)

    return make


# the network has seen the training people, so a penalty chosen by cross-validation on their
# embedding would be too small; both were chosen on training folds
READOUTS = {
    "ridge": Ridge(alpha=1.0),
    "kernel ridge": TransformedTargetRegressor(
        KernelRidge(alpha=0.3, kernel="rbf", gamma=2.0), transformer=StandardScaler()
    ),
}
LINEAR = ("PCA + ridge", "PCA + Gaussian process", "PCA + SVR")
MODELS: dict[str, Callable[[int, dict], Any]] = {
    "mean age": lambda seed, network: DummyRegressor(),
    "PCA + ridge": on_components(RidgeCV(ALPHAS)),
    "PCA + Gaussian process": on_components(gaussian_process()),
    "PCA + SVR": on_components(support_vectors()),
    **{f"network, {loss}": supervised(loss) for loss in SUPERVISED},
    **{loss: contrastive(loss, more) for loss, more in CONTRASTIVE.items()},
}


def oasis1(options: argparse.Namespace) -> tuple[Any, pd.DataFrame, pd.Series]:
    """T1 of healthy people of 18 to 96 years at 4 mm; whole persons stay in one fold."""
    if "MRESKLEARN_DATA" not in os.environ:
        sys.exit("Set MRESKLEARN_DATA to the folder that holds oasis1_t1_4mm.")
    cohort = load_cohort(
        Path(os.environ["MRESKLEARN_DATA"]) / "oasis1_t1_4mm" / "participants.csv",
        maps={"t1": "t1/{participant_id}_T1w.nii.gz"},
        participant_id="ID",
        columns={"age": "Age", "sex": "M/F"},
    )
    healthy = cohort.participants["dx"] == "CN"
    people = cohort.participants[healthy]
    X = cohort.maps[healthy].assign(site="OASIS-1")
    return X, people, people["subject"]


def simulated(options: argparse.Namespace) -> tuple[Any, pd.DataFrame, pd.Series]:
    """300 simulated people of 14 to 90 years from five sites; all sites in all folds."""
    cohort = make_mre_cohort(
        options.people, 5, maps=("stiffness", "damping_ratio", "t1"),
        voxel_size=options.voxel_size, random_state=0,
    )  # fmt: skip
    simulated.cohort = cohort  # its folder lives as long as this object
    people = cohort.participants
    return cohort.maps[options.maps].join(people.site), people, people["person"]


def fit_cell(
    maps: Any, age: np.ndarray, fold: tuple, name: str, seed: int, network: dict, path: Path
) -> None:
    """Fit one model on one fold, and keep its predictions."""
    import torch

    torch.set_num_threads(1)
    train, test = fold
    model = MODELS[name](seed, network).fit(maps[train], age[train])
    if name in CONTRASTIVE:
        seen, new = model.transform(maps[train]), model.transform(maps[test])
        predicted = {
            f"{name} + {readout}": clone(regressor).fit(seen, age[train]).predict(new)
            for readout, regressor in READOUTS.items()
        }
    else:
        predicted = {name: model.predict(maps[test])}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({row: list(map(float, p)) for row, p in predicted.items()}))
    partial.replace(path)


def tabulate(cells: dict, age: np.ndarray, folds: list) -> pd.DataFrame:
    """Return a row per model from predictions by (model, seed, fold)."""
    by_fold, rows = {}, {}
    for name in dict.fromkeys(name for name, *_ in cells):
        seeds = sorted({seed for model, seed, _ in cells if model == name})
        predicted = np.full((len(seeds), len(age)), np.nan)
        for row, seed in enumerate(seeds):
            for number, (_, test) in enumerate(folds):
                predicted[row, test] = cells[name, seed, number]
        errors = np.abs(predicted - age)
        by_fold[name] = np.array([errors[:, test].mean() for _, test in folds])
        of_seeds = errors.mean(axis=1)
        rows[name] = {
            "seeds": len(seeds),
            "MAE": errors.mean(),
            "SD over folds": by_fold[name].std(ddof=1),
            "SD over seeds": of_seeds.std(ddof=1) if len(seeds) > 1 else np.nan,
            "MAE, seeds averaged": mean_absolute_error(age, predicted.mean(axis=0)),
            "R2": np.mean([r2_score(age, row) for row in predicted]),
            "r": np.mean([np.corrcoef(age, row)[0, 1] for row in predicted])
            if predicted.std(axis=1).min() > 1 else np.nan,
        }  # fmt: skip
    best = min(set(LINEAR) & set(rows), key=lambda name: rows[name]["MAE"], default=None)
    n_test = len(age) / len(folds)
    for name in rows:
        if best and name != best:
            test = corrected_resampled_ttest(
                by_fold[name] - by_fold[best], n_train=len(age) - n_test, n_test=n_test
            )
            rows[name][f"p against {best}"] = test.p_value
    return pd.DataFrame(rows).T


def retest(cells: dict, age: np.ndarray, folds: list, persons: np.ndarray) -> dict[str, dict]:
    """Return the reliability of the gap of people scanned twice, whom no model had seen."""
    twice = [rows for person in np.unique(persons)
             if len(rows := np.flatnonzero(persons == person)) == 2]  # fmt: skip
    found = {}
    for name in dict.fromkeys(name for name, *_ in cells) if twice else ():
        of_seeds = []
        for seed in sorted({seed for model, seed, _ in cells if model == name}):
            predicted = np.full(len(age), np.nan)
            for number, (_, test) in enumerate(folds):
                predicted[test] = cells[name, seed, number]
            of_seeds.append(reliability((predicted - age)[np.array(twice)]))
        found[name] = pd.DataFrame(of_seeds).mean().to_dict()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=["oasis1", "simulated"])
    parser.add_argument("--maps", nargs="+", default=["stiffness"])
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--voxel-size", type=float, default=4)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", type=json.loads, default={}, help="of the encoder, as JSON")
    parser.add_argument("--finished", action="store_true", help="fit nothing more, tabulate")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cells", type=Path, default=Path("benchmarks/cells"))
    options = parser.parse_args()
    X, people, persons = {"oasis1": oasis1, "simulated": simulated}[options.study](options)
    age = people.age.to_numpy(float)
    folds = list(StratifiedSiteKFold(5, random_state=0).split(X, people.age, persons))
    # reading is row by row, so nothing crosses folds
    maps = MapLoader(metadata=["site"], n_jobs=options.jobs).fit_transform(X)

    name = options.study if options.study == "oasis1" else f"simulated_{'_'.join(options.maps)}"
    plan: dict[tuple, Path] = {}
    for model in options.models:
        is_network = "network" in model or model in CONTRASTIVE
        for seed in options.seeds if is_network else options.seeds[:1]:
            recipe = repr(MODELS[model](seed, options.settings)) + repr(maps.shape)
            digest = hashlib.sha256(recipe.encode()).hexdigest()[:16]
            for number in range(len(folds)):
                plan[model, seed, number] = options.cells / name / f"{digest}-{number}.json"
    missing = {cell: path for cell, path in plan.items() if not path.exists()}
    if options.finished:
        unfinished = {(model, seed) for model, seed, _ in missing}
        plan = {cell: path for cell, path in plan.items() if cell[:2] not in unfinished}
        missing = {}
    tasks = (
        delayed(fit_cell)(maps, age, folds[fold], model, seed, options.settings, path)
        for (model, seed, fold), path in sorted(missing.items(), key=lambda cell: cell[0][1])
    )
    fits = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(tasks)
    for _ in tqdm(fits, total=len(missing), desc=name, unit="fit"):
        pass

    cells = {
        (row, seed, fold): predicted
        for (_, seed, fold), path in plan.items()
        for row, predicted in json.loads(path.read_text()).items()
    }
    table = tabulate(cells, age, folds)
    print(table.to_string(float_format="{:.3f}".format, na_rep="-"))
    store(
        f"losses_{name}",
        {
            "n_scans": len(X),
            "n_folds": len(folds),
            "encoder": {
                key: value
                for key, value in ContrastiveEncoder(**options.settings).get_params().items()
                if isinstance(value, str | int | float | None)
            },
            "retest": retest(cells, age, folds, np.asarray(persons)),
            "table": {row: values.dropna().to_dict() for row, values in table.iterrows()},
        },
        seed=0,
        settings={key: value for key, value in vars(options).items() if key != "cells"},
    )


if __name__ == "__main__":
    main()
