"""Sex and age from real MR elastography of five studies: what is left of the study, what is lost.

Stiffness and damping ratio at 4 mm, 60 principal components of the training people. Sex is the
biology that must stay; age has a range of 17 years only. Two studies have one sex, so that sex and
age alone tell the study: the floor is what they tell.

(a) Half of the people of each study train, the other half is embedded, several times: error of age
    or area under the curve of sex, over all pairs and over pairs of one study, and a linear and an
    RBF probe of the study, cross-validated in that half, for studies of 8 people and more.
(b) Each study is left out: error of age; area under the curve of sex over pairs of one study.

Penalties and ComBat hold the target fixed; the projection holds age and sex fixed.

    MRESKLEARN_DATA=/path/to/data python benchmarks/invariance_mre134.py [--splits 5]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from _cells import run_cells
from _invariance_models import METHODS, SHALLOW, Model
from _results import store
from sklearn.metrics import roc_auc_score

from mresklearn import MapLoader, MapMasker, MapScaler, StratifiedSiteKFold, fetch_mre134
from mresklearn.confounds import site_predictability

FEWEST_PROBED = 8
N_COMPONENTS = 60
WEIGHTS = (1.0, 3.0, 10.0)
WEIGHED = ("mmd", "conditional_mmd", "conditional_mean", "projected conditional_mmd")
ENCODER = {"batch_size": 32, "max_epochs": 60}
# a target of -1 and 1 has windows of its own
SEX = {**ENCODER, "age_bandwidth": 0.5}
TARGETS = ("sex", "age")
Data = tuple[np.ndarray, pd.DataFrame]


def mre134() -> dict[str, np.ndarray | pd.DataFrame]:
    """Return scaled voxels, which of them a study covers, and people."""
    folder = Path(os.environ["MRESKLEARN_DATA"]) / "mre134"
    cohort = fetch_mre134(folder, download=False)
    people = cohort.participants[["age", "sex", "site"]]
    maps = MapLoader(voxel_size=4).fit_transform(cohort.maps)
    covered = np.asarray(maps)[:, 0] != 0
    voxels = MapMasker().fit_transform(MapScaler().fit_transform(maps))
    some = covered.any(axis=0) & ~covered.all(axis=0)
    return {"maps": voxels, "mask": covered[:, some].astype(float), "people": people}


def fit(data: dict, rows: np.ndarray, target: str, method: str, weight: float, seed: int) -> Model:
    people = data["people"].iloc[rows]
    only_mask = method == "mask alone"
    X = data["mask" if only_mask else "maps"][rows]
    other = "age" if target == "sex" else "sex"
    model = Model(
        "ridge" if only_mask else method, weight, seed, N_COMPONENTS,
        SEX if target == "sex" else ENCODER,
    )  # fmt: skip
    numbers = people.assign(sex=coded(people.sex))
    return model.fit(
        X, numbers[target].to_numpy(float), site=people.site.to_numpy(str),
        covariates=numbers[[other]],
    )  # fmt: skip


def coded(sex: pd.Series) -> pd.Series:
    return sex.map({"F": -1.0, "M": 1.0})


def known(data: dict, split: int, target: str, method: str, weight: float, seed: int) -> list:
    """Return scores of both halves of a split."""
    people = data["people"]
    site = people.site.to_numpy(str)
    halves = StratifiedSiteKFold(2, random_state=split).split(site[:, None], people.age, site=site)
    scores = []
    for train, test in halves:
        model = fit(data, train, target, method, weight, seed)
        X = data["mask" if method == "mask alone" else "maps"][test]
        predicted = model.predict(X, site[test])
        sizes = people.site.value_counts()
        large = people.site.iloc[test].isin(sizes.index[sizes >= FEWEST_PROBED]).to_numpy()
        embedding = model.represent(X, site[test])[large]
        probed = people.iloc[test][large]
        biology = np.column_stack([probed.age, probed.age**2, coded(probed.sex)])
        settings = {"cv": 3, "random_state": 0}
        found = scores_of(target, people.iloc[test], predicted)
        for probe in ("linear", "rbf"):
            for name, values in ((probe, embedding), (f"floor_{probe}", biology)):
                read = site_predictability(values, probed.site, probe=probe, **settings)
                found[name] = read["balanced_accuracy"]
        scores.append(found)
    return scores


def scores_of(target: str, people: pd.DataFrame, predicted: np.ndarray) -> dict[str, float]:
    """Return the mean absolute error of age, or areas under the curve of sex.

    Over all pairs, where knowing the study helps, and over pairs of one study.
    """
    if target == "age":
        return {"MAE": float(np.abs(predicted - people.age).mean())}
    sex, site = people.sex.to_numpy(str), people.site.to_numpy(str)
    return {
        "AUC": float(roc_auc_score(sex == "M", predicted)),
        "AUC within studies": concordance(sex, predicted, site),
    }


def left_out(data: dict, study: str, target: str, method: str, weight: float, seed: int) -> list:
    """Return predictions for a study by a model that never saw it."""
    people = data["people"]
    test = (people.site == study).to_numpy()
    model = fit(data, np.flatnonzero(~test), target, method, weight, seed)
    X = data["mask" if method == "mask alone" else "maps"][test]
    return model.predict(X, people.site[test].to_numpy(str)).tolist()


def concordance(sex: np.ndarray, predicted: np.ndarray, site: np.ndarray) -> float:
    """Return the share of pairs of a man and a woman of one study that are in order."""
    pairs = (sex[:, None] == "M") & (sex == "F") & (site[:, None] == site)
    difference = (predicted[:, None] - predicted)[pairs]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    methods = ["mask alone", *METHODS]
    parser.add_argument("--methods", nargs="+", default=methods, choices=methods)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cells", type=Path, default=Path("benchmarks/cells"))
    options = parser.parse_args()
    data = mre134()
    people = data["people"]
    site, sex = people.site.to_numpy(str), people.sex.to_numpy(str)
    studies = np.unique(site)

    models = []
    for method in options.methods:
        shallow = method in SHALLOW or method == "mask alone"
        weights = WEIGHTS if method in WEIGHED else (1.0,)
        models += [
            (target, method, weight, seed)
            for target in TARGETS for weight in weights
            for seed in (options.seeds[:1] if shallow else options.seeds)
        ]  # fmt: skip
    common = {"folder": options.cells, "jobs": options.jobs, "name": "invariance_mre134"}
    splits = range(options.splits)
    halves = run_cells(
        known, {("known", s, *m): (data, s, *m) for m in models for s in splits}, **common
    )
    unseen = run_cells(
        left_out, {("left out", k, *m): (data, k, *m) for m in models for k in studies}, **common
    )

    rows = []
    for target, method, weight in dict.fromkeys(m[:3] for m in models):
        seeds = [m for m in models if m[:3] == (target, method, weight)]
        found = pd.DataFrame([h for m in seeds for s in splits for h in halves["known", s, *m]])
        new = []
        for m in seeds:
            predicted = np.full(len(people), np.nan)
            for k in studies:
                predicted[site == k] = unseen["left out", k, *m]
            new.append(
                concordance(sex, predicted, site) if target == "sex"
                else scores_of("age", people, predicted)["MAE"]
            )  # fmt: skip
        rows.append(
            {"target": target, "method": method, "weight": weight, "seeds": len(seeds),
             **found.mean().to_dict(), "left out": np.mean(new)}
        )  # fmt: skip
    table = pd.DataFrame(rows)
    print(table.to_string(float_format="{:.3f}".format, na_rep="-", index=False))
    store(
        "invariance_mre134",
        {"n_people": len(people), "studies": people.site.value_counts().to_dict(), "table": rows},
        seed=options.seeds[0],
        settings={key: value for key, value in vars(options).items() if key != "cells"},
    )


if __name__ == "__main__":
    main()
