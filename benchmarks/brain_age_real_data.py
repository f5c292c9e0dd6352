"""Brain age on real maps: T1 over the lifespan, and MR elastography leaving one study out.

(a) oasis1_t1_4mm, healthy people, five folds that keep persons whole: mean age, PCA + ridge,
ContrastiveEncoder + ridge. (b) mre134, five studies of young adults, each left out in turn: the
same, and a predictor that sees the brain mask alone. Ages in (b) span 18 to 35 years, so it tests
what a model learns from coverage and study, not how well age is read.

    MRESKLEARN_DATA=/path/to/data python benchmarks/brain_age_real_data.py [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _results import store
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from tqdm import tqdm

from mresklearn import (
    ContrastiveEncoder,
    LeaveOneSiteOut,
    MapLoader,
    MapMasker,
    MapScaler,
    StratifiedSiteKFold,
    fetch_mre134,
    load_cohort,
    site_predictability,
)

ALPHAS = np.logspace(-3, 5, 17)


def mask_only(maps) -> np.ndarray:
    """Return the brain mask of each person as a row of zeros and ones."""
    return np.stack([(sample != 0).any(axis=0).ravel() for sample in maps]).astype(np.float32)


def models(loader: MapLoader, options: argparse.Namespace) -> dict:
    """Return the models; what follows the loader differs, the maps are the same."""
    encoder = ContrastiveEncoder(
        max_epochs=options.epochs, width=options.width, random_state=options.seed
    )
    # the network has seen the training people, so RidgeCV would shrink their embedding too little
    readout = Ridge(alpha=1)
    principal = PCA(svd_solver="full")  # all of them: fifty would cost the linear model 1.5 years
    return {
        "mean age": DummyRegressor(),
        "mask only, ridge": make_pipeline(
            loader, FunctionTransformer(mask_only), RidgeCV(ALPHAS)
        ),
        "PCA + ridge": make_pipeline(loader, MapScaler(), MapMasker(), principal, RidgeCV(ALPHAS)),
        "ContrastiveEncoder + ridge": make_pipeline(loader, MapScaler(), encoder, readout),
    }  # fmt: skip


def out_of_fold(candidates: dict, X: pd.DataFrame, age: pd.Series, folds: list, seed: int):
    """Return predictions of every model, seconds per epoch, and what features say of the site."""
    predictions = pd.DataFrame(index=X.index, columns=list(candidates), dtype=float)
    fold_of = pd.Series(-1, index=X.index)
    details: dict[str, dict] = {name: {"probes": [], "epoch_s": []} for name in candidates}
    with tqdm(total=len(folds) * len(candidates), unit="fit") as bar:
        for number, (train, test) in enumerate(folds):
            fold_of.iloc[test] = number
            for name, candidate in candidates.items():
                bar.set_description(f"fold {number + 1}: {name}")
                model = clone(candidate).fit(X.iloc[train], age.iloc[train])
                predictions.loc[X.index[test], name] = model.predict(X.iloc[test])
                if hasattr(model, "steps"):
                    _inspect(model, X.iloc[train], age.iloc[train], details[name], seed)
                bar.update()
    return predictions, fold_of, details


def _inspect(model, X, age, detail: dict, seed: int) -> None:
    encoder = model.named_steps.get("contrastiveencoder")
    if encoder is not None:
        detail["epoch_s"] += [epoch["dur"] for epoch in encoder.history_]
    if X["site"].nunique() > 1:
        features = model[:-1].transform(X)
        probe = site_predictability(features, X["site"], age=age, random_state=seed)
        detail["probes"].append(
            {key: probe[key] for key in ("balanced_accuracy", "age_floor", "chance")}
        )


def tabulate(predictions, fold_of, age, details) -> pd.DataFrame:
    """Return one row per model: pooled errors, their spread over folds, site and time."""
    rows = {}
    for name, predicted in predictions.items():
        by_fold = (predicted - age).abs().groupby(fold_of).mean()
        probes = pd.DataFrame(details[name]["probes"]).mean()
        rows[name] = {
            "MAE": mean_absolute_error(age, predicted),
            "SD over folds": by_fold.std(),
            "R2": r2_score(age, predicted),
            "r": np.corrcoef(age, predicted)[0, 1] if predicted.std() > 1e-6 else np.nan,
            "site BA": probes.get("balanced_accuracy", np.nan),
            "age-only BA": probes.get("age_floor", np.nan),
            "s per epoch": np.median(details[name]["epoch_s"] or [np.nan]),
        }
    return pd.DataFrame(rows).T


def oasis(data: Path, options: argparse.Namespace):
    """T1 of healthy people of 18 to 96 years, persons kept whole."""
    cohort = load_cohort(
        data / "oasis1_t1_4mm" / "participants.csv",
        maps={"t1": "t1/{participant_id}_T1w.nii.gz"},
        participant_id="ID",
        columns={"age": "Age", "sex": "M/F"},
    )
    healthy = cohort.participants["dx"] == "CN"
    people = cohort.participants[healthy]
    X = cohort.maps[healthy].assign(site="OASIS-1")
    folds = StratifiedSiteKFold(5, random_state=options.seed)
    loader = MapLoader(metadata=["site"], n_jobs=2)
    candidates = models(loader, options)
    del candidates["mask only, ridge"]
    return X, people.age, candidates, list(folds.split(X, people.age, people["subject"]))


def mre134(data: Path, options: argparse.Namespace):
    """Stiffness and damping ratio of young adults, each study held out in turn."""
    cohort = fetch_mre134(data / "mre134", download=False)
    X = cohort.maps.join(cohort.participants.site)
    loader = MapLoader(voxel_size=4, metadata=["site"], n_jobs=2)
    folds = list(LeaveOneSiteOut().split(X))
    return X, cohort.participants.age, models(loader, options), folds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--only", choices=["oasis1", "mre134"])
    options = parser.parse_args()
    if "MRESKLEARN_DATA" not in os.environ:
        sys.exit("Set MRESKLEARN_DATA to the folder that holds oasis1_t1_4mm and mre134.")
    data = Path(os.environ["MRESKLEARN_DATA"])
    for name, prepare in (("oasis1", oasis), ("mre134", mre134)):
        if options.only not in (None, name):
            continue
        start = time.perf_counter()
        X, age, candidates, folds = prepare(data, options)
        predictions, fold_of, details = out_of_fold(candidates, X, age, folds, options.seed)
        table = tabulate(predictions, fold_of, age, details)
        print(f"\n{name}: {len(X)} scans, {X.site.nunique()} site(s), {len(folds)} folds")
        print(table.to_string(float_format="{:.2f}".format, na_rep="-"))
        store(
            f"brain_age_{name}",
            {
                "n_scans": len(X),
                "n_folds": len(folds),
                "table": {row: values.dropna().to_dict() for row, values in table.iterrows()},
                "seconds": time.perf_counter() - start,
            },
            seed=options.seed,
            settings=vars(options),
        )


if __name__ == "__main__":
    main()
