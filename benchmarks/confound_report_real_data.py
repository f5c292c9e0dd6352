"""The full confound report on real data: MR elastography of five studies, T1 of 23 sites.

(a) mre134, stiffness and damping ratio at 4 mm, with ages predicted by PCA and ridge; (b) fcon1000,
FreeSurfer thickness and volumes, with ages predicted by ridge. Everybody is predicted out of fold,
by a model that knows their site and by one that does not. Writes the figure of each report to
docs/images and its rows to benchmarks/results/confound_report_<name>.json, which
benchmarks/update_confound_docs.py writes into docs/confounds.md; --html keeps the pages as well.

    MRESKLEARN_DATA=/path/to/data python benchmarks/confound_report_real_data.py [--seed 0]
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
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn import MapLoader, MapMasker, MapScaler, fetch_mre134
from mresklearn.baselines import SiteMeanRegressor
from mresklearn.confounds import ConfoundReport, site_predictability
from mresklearn.model_selection import cross_validate_sites

ALPHAS = np.logspace(-1, 5, 13)
IMAGES = Path(__file__).parent.parent / "docs" / "images"
# left out of the features: not sizes of structures, but quality, and what repeats other columns
NO_FEATURE = ("Unnamed", "sub_id", "age", "sex", "site", "avg_en", "Holes")
KEPT = ["variable", "against", "conditioning", "measure", "n", "value", "null_mean", "value_adj",
        "ci_low", "ci_high", "p", "p_adj", "overlap_ess", "status", "severity"]  # fmt: skip


def mre134(data: Path, seed: int):
    """Return maps, people, roles, predictions and checks of the MR elastography data."""
    cohort = fetch_mre134(data / "mre134", download=False)
    people = cohort.participants[["age", "sex", "site"]]
    maps = MapLoader(voxel_size=4, metadata=["site"]).fit_transform(cohort.maps.join(people.site))
    # litres of brain that the maps cover, which differs by study
    covered = np.count_nonzero(np.asarray(maps)[:, 0], axis=(1, 2, 3))
    people = people.assign(coverage=covered * 0.4**3 / 1000)
    roles = {"sex": "biological", "coverage": "technical"}
    results, common = (
        predict(
            make_pipeline(
                MapScaler(), MapMasker(coverage=share), PCA(50, random_state=seed), RidgeCV(ALPHAS)
            ),
            maps, people, seed,
        )
        for share in (0.8, 1.0)
    )  # fmt: skip
    voxels = MapMasker(coverage=1.0).fit_transform(MapScaler().fit_transform(maps))
    probe = site_predictability(voxels, people.site, age=people.age, random_state=seed)
    checks = {
        "common_voxels": common.summary.mae.to_dict()
        | {"balanced_accuracy": probe["balanced_accuracy"], "n_voxels": voxels.shape[1]}
    }
    return maps, people, roles, results, checks


def fcon1000(data: Path, seed: int):
    """Return features, people, roles, predictions and checks of 1000 Functional Connectomes."""
    table = pd.read_csv(data / "fcon1000" / "fcon1000.csv", index_col="sub_id")
    features = table[[c for c in table if not any(part in c for part in NO_FEATURE)]]
    people = table[["age", "sex", "site"]].assign(
        sex=table.sex.map({1: "M", 0: "F"}),
        diagnosis=np.where(table.site == "NewYork_a_ADHD", "ADHD", "control"),
        euler=table.avg_en,
    )
    roles = {"sex": "biological", "diagnosis": "biological", "euler": "technical"}
    model = make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
    return features, people, roles, predict(model, features, people, seed), {}


def predict(model, X, people: pd.DataFrame, seed: int):
    """Predict everybody within sites and with their site left out."""
    return cross_validate_sites(
        model, X, people.age, site=people.site, n_repeats=5, random_state=seed
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--permutations", type=int, default=999)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--html", type=Path, help="folder for the pages")
    parser.add_argument("--only", choices=["mre134", "fcon1000"])
    options = parser.parse_args()
    if "MRESKLEARN_DATA" not in os.environ:
        sys.exit("Set MRESKLEARN_DATA to the folder that holds mre134 and fcon1000.")
    data = Path(os.environ["MRESKLEARN_DATA"])
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, load in (("mre134", mre134), ("fcon1000", fcon1000)):
        if options.only not in (None, name):
            continue
        X, people, roles, prediction, checks = load(data, options.seed)
        by_site = predict(SiteMeanRegressor(), people[["site"]], people, options.seed)
        checks["site_mean"] = by_site.summary.mae.to_dict()
        start = time.perf_counter()
        report = ConfoundReport(
            roles=roles,
            n_permutations=options.permutations,
            random_state=options.seed,
            n_jobs=options.n_jobs,
            verbose=1,
        ).fit(people, X, prediction=prediction)
        seconds = time.perf_counter() - start
        print(f"\n{name}: {len(people)} people, {seconds:.0f} s\n\n{report.summary()}\n")
        report.plot().savefig(IMAGES / f"confound_report_{name}.png", dpi=150)
        if options.html:
            options.html.mkdir(parents=True, exist_ok=True)
            report.to_html(options.html / f"confound_report_{name}.html")
        store(
            f"confound_report_{name}",
            {
                "n_people": len(people),
                "seconds": seconds,
                "summary": report.summary(),
                "scores": prediction.summary.to_dict("index"),
                "checks": checks,
                "verdicts": report.verdicts_.drop(columns="goes_with").to_dict("index"),
                "table": [
                    {k: v for k, v in row.items() if v is not None and v == v}
                    for row in report.to_frame()[KEPT].to_dict("records")
                ],
            },
            seed=options.seed,
            settings={k: str(v) for k, v in vars(options).items()},
        )


if __name__ == "__main__":
    main()
