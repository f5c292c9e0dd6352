"""Tell people with dementia from healthy people of the same age, on T1 maps of OASIS-1 at 4 mm.

People of 60 years and over: CDR above 0 against CDR 0; stratified folds of whole persons, the same
for all methods; every statistic, network, threshold and strength is fitted in the fold. Networks
are pretrained on the healthy people under 60 alone, who are in no fold. Finished fits are kept in
--cells, so that a run that was stopped goes on.

    MRESKLEARN_DATA=/path/to/data python benchmarks/diagnosis_oasis1.py --seeds 0 1 2

Areas under the curve have DeLong's interval; a seed draws the folds and starts the networks, so
that the spread over seeds is that of both. The area is compared with that of whole-brain volume,
age and sex by DeLong's paired test, on probabilities averaged over seeds.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _cells import run_cells
from _results import store
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import brier_score_loss, roc_curve
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from mresklearn import (
    ContrastiveEncoder,
    MapLoader,
    MapMasker,
    MapScaler,
    NeurodegenerationClassifier,
    RegionalBrainAge,
    RegionAverager,
    RegionCropper,
    load,
    load_cohort,
    save,
)
from mresklearn.metrics import delong_ci, delong_test

NAME = "diagnosis_oasis1"
FROM_AGE = 60
NETWORK = {"loss": "soft_label", "max_epochs": 30}
DIAGNOSIS = {"max_epochs": 15}
LOBES = {
    "frontal": (3, 12, 14, 17, 18, 19, 20, 24, 27, 28, 32),
    "temporal": (1, 6, 7, 9, 15, 16, 30, 33, 34),
    "parietal": (8, 22, 25, 29, 31),
    "occipital": (5, 11, 13, 21),
    "cingulate": (2, 10, 23, 26),
}
STRUCTURES = {
    "hippocampus": (17, 53), "amygdala": (18, 54), "thalamus": (10, 49), "caudate": (11, 50),
    "putamen": (12, 51), "pallidum": (13, 52), "accumbens": (26, 58), "brain_stem": (16,),
    "lateral_ventricles": (4, 43, 5, 44), "white_matter": (2, 41),
    **{name: tuple(side + one for side in (1000, 2000) for one in labels)
       for name, labels in LOBES.items()},
}  # fmt: skip
MEDIAL_TEMPORAL = ["hippocampus", "amygdala"]
TABLE = ["nWBV", "age", "male"]


def data() -> Path:
    if "MRESKLEARN_DATA" not in os.environ:
        sys.exit("Set MRESKLEARN_DATA to the folder that holds oasis1_t1_4mm.")
    return Path(os.environ["MRESKLEARN_DATA"])


def labels() -> Path:
    return data() / "atlases" / "dk_aparc+aseg_MNI152_2mm.nii.gz"


def people() -> tuple[Any, pd.DataFrame]:
    """Return maps and table of everybody, scans of one person under one subject."""
    cohort = load_cohort(
        data() / "oasis1_t1_4mm" / "participants.csv",
        maps={"t1": "t1/{participant_id}_T1w.nii.gz"},
        participant_id="ID",
        columns={"age": "Age", "sex": "M/F"},
    )
    table = cohort.participants.assign(male=(cohort.participants.sex == "M").astype(float))
    return MapLoader(metadata=["age"]).fit_transform(cohort.maps.join(table.age)), table


def logistic() -> Any:
    """Return logistic regression whose strength is chosen in the fold."""
    return make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=np.logspace(-4, 1, 6), cv=5, scoring="neg_log_loss", l1_ratios=(0,),
            use_legacy_attributes=False, class_weight="balanced", max_iter=5000,
        ),
    )  # fmt: skip


def of_table(columns: list[str]) -> Any:
    """Logistic regression on columns of the table."""
    return make_pipeline(make_column_transformer(("passthrough", columns)), logistic())


def regions() -> Any:
    return RegionAverager(labels=labels())


def measures() -> Any:
    """Return means of all regions, and the voxels of the medial temporal structures."""
    cropper = RegionCropper(labels=labels(), region=MEDIAL_TEMPORAL)
    return make_union(regions(), make_pipeline(cropper, MapMasker()))


class Remembered(RegressorMixin, TransformerMixin, BaseEstimator):
    """A network of age that is trained once for the same people, whatever it is part of."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self.folder = seed, folder

    def fit(self, X: Any, y: Any) -> Remembered:
        """Train, or open what was trained."""
        network = ContrastiveEncoder(random_state=self.seed, **NETWORK)
        model = make_pipeline(MapScaler(), network)
        who = repr((model, list(X.participants), list(np.asarray(y))))
        path = self.folder / NAME / f"network-{hashlib.sha256(who.encode()).hexdigest()[:20]}"
        if not path.exists():
            # another process may have trained the same meanwhile
            save(model.fit(X, y), path, overwrite=True)
        self.model_ = load(path)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return ages."""
        return self.model_.predict(X)

    def transform(self, X: Any) -> np.ndarray:
        """Return the embedding."""
        return self.model_.transform(X)


def pretrained(seed: int, folder: Path) -> Any:
    """Return a network of age that saw healthy people under 60 alone."""
    maps, table = people()
    young = np.flatnonzero((table.dx == "CN") & (table.age < FROM_AGE))
    model = Remembered(seed, folder).fit(maps[young], table.age.to_numpy()[young])
    return FrozenEstimator(model.model_)


def classifier(seed: int, **settings: Any) -> Any:
    chosen = {"cv": 3, "random_state": seed, "diagnosis_ages": (FROM_AGE, 120)} | settings
    return NeurodegenerationClassifier(classifier=logistic()[-1], **chosen)


def encoder(seed: int) -> ContrastiveEncoder:
    return ContrastiveEncoder(random_state=seed, **DIAGNOSIS)


def regional() -> RegionalBrainAge:
    return RegionalBrainAge(labels=labels(), regions=STRUCTURES)


METHODS: dict[str, Any] = {
    "whole-brain volume": lambda seed, cells: of_table(["nWBV"]),
    "whole-brain volume, age, sex": lambda seed, cells: of_table(TABLE),
    "voxels: PCA + logistic": lambda seed, cells: make_pipeline(
        MapScaler(), MapMasker(), PCA(50, random_state=seed), logistic()
    ),
    "regions: logistic": lambda seed, cells: make_pipeline(regions(), logistic()),
    "gaps of regions": lambda seed, cells: classifier(
        seed, features=["regional_gaps"], regional_brain_age=regional()
    ),
    "deviations of regions": lambda seed, cells: classifier(
        seed, features=["deviations"], measures=regions()
    ),
    "deviations of regions, medial temporal voxels": lambda seed, cells: classifier(
        seed, features=["deviations"], measures=measures()
    ),
    "network from scratch": lambda seed, cells: make_pipeline(
        MapScaler(), classifier(seed, encoder=encoder(seed))
    ),
    "network pretrained under 60, frozen": lambda seed, cells: classifier(
        seed, brain_age=pretrained(seed, cells), features=["embedding"]
    ),
    "network pretrained under 60, frozen, with gap": lambda seed, cells: classifier(
        seed, brain_age=pretrained(seed, cells), features=["embedding", "gap"]
    ),
    "network pretrained under 60, fine-tuned": lambda seed, cells: classifier(
        seed, brain_age=pretrained(seed, cells), features=["embedding"], tuning="fine_tune",
        encoder=encoder(seed),
    ),
    "gap of a network of healthy people of all ages": lambda seed, cells: classifier(
        seed, brain_age=Remembered(seed, cells), features=["gap"]
    ),
    "that gap, deviations": lambda seed, cells: classifier(
        seed, brain_age=Remembered(seed, cells), measures=measures(), features=["gap", "deviations"]
    ),
    "that gap, deviations, gaps of regions": lambda seed, cells: classifier(
        seed, brain_age=Remembered(seed, cells), measures=measures(), regional_brain_age=regional(),
        features=["gap", "deviations", "regional_gaps"],
    ),
}  # fmt: skip


def fit_cell(name: str, seed: int, fold: int, cells: Path) -> dict[str, list]:
    """Return probabilities of dementia of the people of a fold."""
    maps, table = people()
    old, sick, folds = design(table, seed)
    train, test = (old[rows] for rows in folds[fold])
    model = METHODS[name](seed, cells)
    if name.startswith("whole-brain"):
        model.fit(table.iloc[train], sick[train])
        found = model.predict_proba(table.iloc[test])
        return {"probability": found[:, 1].tolist()}
    diagnosis = np.where(sick, "dementia", "CN")
    told = model[-1] if isinstance(model, Pipeline) else model
    if isinstance(told, NeurodegenerationClassifier):
        # healthy people under 60 train what is learnt of healthy people alone
        train = np.concatenate([train, np.flatnonzero(~sick & (table.age < FROM_AGE))])
        keyword = "groups" if told is model else "neurodegenerationclassifier__groups"
        model.fit(maps[train], diagnosis[train], **{keyword: table.subject.to_numpy()[train]})
        predicted = model.predict(maps[test]) == "dementia"
    else:
        predicted = model.fit(maps[train], diagnosis[train]).predict(maps[test]) == "dementia"
    found = {"probability": model.predict_proba(maps[test])[:, 1], "predicted": predicted}
    return {key: values.tolist() for key, values in found.items()}


def design(table: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray, list]:
    """Return rows of people of 60 and over, who of all has dementia, and folds of those rows."""
    sick = (table.dx != "CN").to_numpy()
    old = np.flatnonzero(table.age >= FROM_AGE)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    return old, sick, list(splitter.split(old, sick[old], table.subject.to_numpy()[old]))


def sensitivity_at(sick: np.ndarray, probability: np.ndarray, specificity: float) -> float:
    false, true, _ = roc_curve(sick, probability)
    return float(true[false <= 1 - specificity + 1e-12].max())


def tabulate(
    results: dict, people: pd.DataFrame, methods: list[str], seeds: list[int]
) -> pd.DataFrame:
    """Return a row for each method whose folds are all there."""
    old, sick, _ = design(people, 0)
    y = sick[old].astype(int)
    rows, averaged = {}, {}
    for name in methods:
        probability, predicted = [], []
        for seed in seeds:
            _, _, folds = design(people, seed)
            if not all((name, seed, fold) in results for fold in range(len(folds))):
                continue
            filled, said = np.full(len(old), np.nan), np.full(len(old), np.nan)
            for fold, (_, test) in enumerate(folds):
                cell = results[name, seed, fold]
                filled[test] = cell["probability"]
                said[test] = cell.get("predicted", np.nan)
            probability.append(filled)
            predicted.append(said)
        if not probability:
            continue
        areas = [delong_ci(y, one) for one in probability]
        averaged[name] = np.mean(probability, axis=0)
        overall = delong_ci(y, averaged[name])
        rows[name] = {
            "seeds": len(probability),
            "AUC": np.mean([one.auc for one in areas]),
            "low": np.mean([one.low for one in areas]),
            "high": np.mean([one.high for one in areas]),
            "SD over seeds": np.std([one.auc for one in areas], ddof=1)
            if len(areas) > 1 else np.nan,
            "AUC, seeds averaged": overall.auc,
            "sensitivity at 90 % specificity": np.mean(
                [sensitivity_at(y, one, 0.9) for one in probability]
            ),
            "sensitivity": np.mean([one[y == 1].mean() for one in predicted]),
            "specificity": np.mean([1 - one[y == 0].mean() for one in predicted]),
            "Brier score": np.mean([brier_score_loss(y, one) for one in probability]),
        }  # fmt: skip
    base = "whole-brain volume, age, sex"
    for name in rows:
        if base in averaged and name != base:
            rows[name]["p against volume, age, sex"] = delong_test(
                y, averaged[name], averaged[base]
            ).p_value
    return pd.DataFrame(rows).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--finished", action="store_true", help="fit nothing more, tabulate")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cells", type=Path, default=Path("benchmarks/cells"))
    options = parser.parse_args()
    tasks = {
        (name, seed, fold): (name, seed, fold, options.cells)
        for seed in options.seeds for name in options.methods for fold in range(5)
    }  # fmt: skip
    results = run_cells(
        fit_cell, tasks, folder=options.cells, jobs=options.jobs, name=NAME,
        finished_only=options.finished,
    )  # fmt: skip
    everybody = people()[1]
    table = tabulate(results, everybody, options.methods, options.seeds)
    print(table.to_string(float_format="{:.3f}".format, na_rep="-"))
    old, sick, _ = design(everybody, 0)
    store(
        NAME,
        {
            "n_healthy": int((~sick[old]).sum()),
            "n_dementia": int(sick[old].sum()),
            "table": {row: values.dropna().to_dict() for row, values in table.iterrows()},
        },
        seed=0,
        settings={key: value for key, value in vars(options).items() if key != "cells"},
    )


if __name__ == "__main__":
    main()
