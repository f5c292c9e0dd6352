"""Age at sites never seen, fcon1000 (FreeSurfer, 23 sites): linear models and every penalty.

Each site is left out in turn. Networks have several seeds, whose errors are averaged; penalties
have weight 1, and for some of them, under seed 0, the weight that had the smallest error at the
other sites left out. Site balanced accuracy: models are fitted to half of the people of each site
of 20 people and more, and a linear and an RBF probe read the site from the embedding of the other
half, both ways; the floor is what age alone says. p: sign-flip test of the mean error by site
against ridge.

    MRESKLEARN_DATA=/path/to/data python benchmarks/invariance_fcon1000.py [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from _cells import run_cells
from _invariance_models import METHODS, SHALLOW, WEIGHED, WEIGHTS, Model
from _results import store

from mresklearn import StratifiedSiteKFold
from mresklearn.confounds import site_predictability
from mresklearn.metrics import sign_flip_test

FEWEST_PROBED = 20
# left out of the features: not sizes of structures, but quality, and what repeats other columns
NO_FEATURE = ("Unnamed", "sub_id", "age", "sex", "site", "avg_en", "Holes")
Cohort = tuple[np.ndarray, np.ndarray, np.ndarray]


def fcon1000() -> Cohort:
    """Return features, age and site."""
    table = pd.read_csv(Path(os.environ["MRESKLEARN_DATA"]) / "fcon1000" / "fcon1000.csv")
    names = [name for name in table if not any(part in name for part in NO_FEATURE)]
    features, age = table[names].to_numpy(float), table.age.to_numpy(float)
    return features, age, table.site.to_numpy(str)


def errors_at(cohort: Cohort, left_out: str, method: str, weight: float, seed: int) -> list:
    """Return the absolute errors at one site of a model that never saw it."""
    X, y, site = cohort
    test = site == left_out
    model = Model(method, weight, seed).fit(X[~test], y[~test], site=site[~test])
    return np.abs(model.predict(X[test], site[test]) - y[test]).tolist()


def site_left(cohort: Cohort, method: str, weight: float, seed: int) -> dict[str, float]:
    """Read the site of people who had no part in the fit."""
    X, y, site = cohort
    found = []
    for train, test in StratifiedSiteKFold(2, random_state=seed).split(X, y, site=site):
        model = Model(method, weight, seed).fit(X[train], y[train], site=site[train])
        values = model.represent(X[test], site[test])
        scores = {"error": np.abs(model.predict(X[test], site[test]) - y[test]).mean()}
        for probe in ("linear", "rbf"):
            read = site_predictability(values, site[test], age=y[test], probe=probe, random_state=0)
            scores |= {probe: read["balanced_accuracy"], "floor": read["age_floor"]}
        found.append(scores)
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def tuned(by_weight: pd.DataFrame) -> pd.Series:
    """Return each site's error under the weight that was best at the others.

    Parameters
    ----------
    by_weight : DataFrame of shape (weights, sites)
        Mean absolute errors.
    """
    return pd.Series(
        {site: by_weight.loc[by_weight.drop(columns=site).mean(axis=1).idxmin(), site]
         for site in by_weight}
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--finished", action="store_true", help="fit nothing more, tabulate")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cells", type=Path, default=Path("benchmarks/cells"))
    options = parser.parse_args()
    cohort = fcon1000()
    site = cohort[2]
    sites, counts = np.unique(site, return_counts=True)
    kept = np.isin(site, sites[counts >= FEWEST_PROBED])
    probed = tuple(part[kept] for part in cohort)

    models = [(m, 1.0, s) for s in options.seeds for m in options.methods
              if s == options.seeds[0] or m not in SHALLOW]  # fmt: skip
    models += [
        (m, w, options.seeds[0])
        for m in options.methods if m in WEIGHED for w in WEIGHTS if w != 1
    ]  # fmt: skip
    common = {
        "folder": options.cells, "jobs": options.jobs, "finished_only": options.finished
    }  # fmt: skip
    errors = run_cells(
        errors_at,
        {(*model, name): (cohort, name, *model) for model in models for name in sites},
        name="invariance_fcon1000", **common,
    )  # fmt: skip
    reads = run_cells(
        site_left,
        {("site", *model): (probed, *model) for model in models if model[2] == options.seeds[0]},
        name="invariance_fcon1000", **common,
    )  # fmt: skip

    whole = [m for m in models if all((*m, name) in errors for name in sites)]
    by_site = {m: pd.Series({k: np.mean(errors[*m, k]) for k in sites}) for m in whole}
    of_people = {m: np.mean(np.concatenate([errors[*m, k] for k in sites])) for m in whole}
    against = by_site["ridge", 1.0, options.seeds[0]]
    rows = {}
    for method in options.methods:
        mine = [m for m in whole if m[:2] == (method, 1.0)]
        if not mine:
            continue
        mean_by_site = pd.concat([by_site[m] for m in mine], axis=1).mean(axis=1)
        difference = (mean_by_site - against).to_numpy()
        of_seeds = [of_people[m] for m in mine]
        rows[method] = {
            "seeds": len(mine),
            "MAE": np.mean(of_seeds),
            "SD over seeds": np.std(of_seeds, ddof=1) if len(mine) > 1 else np.nan,
            "mean over sites": mean_by_site.mean(),
            "sites better than ridge": float((difference < 0).mean()),
            "p against ridge": sign_flip_test(difference).p_value if difference.any() else np.nan,
            **{f"known, {k}": v for k, v in reads.get(("site", *mine[0]), {}).items()},
        }  # fmt: skip
        tried = {w: by_site[method, w, options.seeds[0]] for w in WEIGHTS
                 if (method, w, options.seeds[0]) in by_site}  # fmt: skip
        if method in WEIGHED and len(tried) == len(WEIGHTS):
            table = pd.DataFrame(tried).T
            rows[method]["mean over sites, weight from other sites"] = tuned(table).mean()
            for weight, means in table.mean(axis=1).items():
                rows[method][f"mean over sites, weight {weight:g}"] = means
    table = pd.DataFrame(rows).T
    print(table.to_string(float_format="{:.3f}".format, na_rep="-"))
    store(
        "invariance_fcon1000",
        {"n_people": len(site), "n_sites": len(sites), "n_probed": int(kept.sum()),
         "table": {row: values.dropna().to_dict() for row, values in table.iterrows()}},
        seed=options.seeds[0],
        settings={key: value for key, value in vars(options).items() if key != "cells"},
    )  # fmt: skip


if __name__ == "__main__":
    main()
