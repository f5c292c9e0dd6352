"""Harmonisation on real tables: error of predicted age, site that is left, and retest reliability.

(a) fcon1000 (FreeSurfer thickness and volumes, 23 sites) and ixi (volumes, 3 scanners): ridge on
    features that were harmonised in the training fold. MAE at known sites; with each site left
    out, as far as a method can treat a site that it never saw; and after adapting ComBat on 20
    people of it without their ages, on the rest of its people. Linear site balanced accuracy: half
    of the people fit the harmoniser, the other half is harmonised and probed, both ways; sites of
    20 people and more. Its floor is what age alone says of site.
(b) fcon1000 with a diagnosis that is drawn at random, with shares of 10 to 90 % by site: AUC over
    all people and within sites, where it can only be 0.5.
(c) brain_volumes_retest: intraclass correlation ICC(1,1) of each volume over repeated scans, raw
    and after ComBat fitted to other people, over all people and within sites; intervals from a
    bootstrap over people.

    MRESKLEARN_DATA=/path/to/data python benchmarks/harmonization_real_data.py [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _results import store
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn.confounds import site_predictability
from mresklearn.harmonization import AnchorRegressor, ComBat, CovBat, SiteProjector
from mresklearn.metrics import bootstrap_ci
from mresklearn.model_selection import (
    StratifiedSiteKFold,
    compare_models,
    cross_validate_sites,
)

ALPHAS = np.logspace(-1, 5, 13)
PROTOCOLS = ("within_site", "leave_one_site_out", "transductive")
N_UNLABELLED, FEWEST_PROBED = 20, 20
# left out of the features: not sizes of structures, but quality, and what repeats other columns
NO_FEATURE = ("Unnamed", "sub_id", "age", "sex", "site", "avg_en", "Holes")
VOLUMES = ["gm_vol", "wm_vol", "csf_vol"]


def fcon1000(data: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Return features with columns site and sex, and age."""
    table = pd.read_csv(data / "fcon1000" / "fcon1000.csv", index_col="sub_id")
    names = [c for c in table if not any(part in c for part in NO_FEATURE)]
    return table[names].assign(site=table.site, sex=table.sex.astype(float)), table.age


def ixi(data: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Return features with columns site (the scanner) and sex, and age."""
    table = pd.read_csv(data / "ixi" / "ixi_dlmuse_volumes_age_scanner.csv", index_col="ID")
    people = table[["scanner", "Sex", "Age"]]
    features = table.drop(columns=people.columns)
    return features.assign(site=people.scanner, sex=(people.Sex == "M").astype(float)), people.Age


def ridge() -> Any:
    return make_pipeline(StandardScaler(), RidgeCV(ALPHAS))


def anchor(X: pd.DataFrame) -> Any:
    """Return anchor regression on scaled features, its penalty chosen in the training fold."""
    features = [name for name in X if name not in ("site", "sex")]
    scaled = make_column_transformer(
        (StandardScaler(), features), ("passthrough", ["site"]), verbose_feature_names_out=False
    ).set_output(transform="pandas")
    search = GridSearchCV(
        AnchorRegressor(gamma=10.0),
        {"alpha": ALPHAS[::2]},
        cv=KFold(5, shuffle=True, random_state=0),
        scoring="neg_mean_squared_error",
    )
    return make_pipeline(scaled, search)


def combat(**settings: Any) -> ComBat:
    return ComBat(covariate_columns=["sex"], unseen="passthrough", **settings)


def harmonisers(X: pd.DataFrame) -> dict[str, Any]:
    """Return every harmoniser by name; they take site and sex from the columns of X."""
    features = [name for name in X if name not in ("site", "sex")]
    with_age = ComBat(covariate_columns=["sex", "age"], unseen="passthrough", target="full")
    return {
        "raw": make_column_transformer(("passthrough", features)),
        "ComBat, ignore": combat(target="ignore"),
        "ComBat, training": combat(target="training"),
        "ComBat, shrunk": combat(target="shrunk"),
        "ComBat, training, location only": combat(target="training", location_only=True),
        "ComBat, training, non-parametric": combat(target="training", parametric=False),
        "ComBat, training, smooth age": combat(target="training", smooth=["target"]),
        "ComBat, full (a leak)": with_age,
        "CovBat, training": CovBat(
            covariate_columns=["sex"], unseen="passthrough", target="training"
        ),
        "SiteProjector": SiteProjector(covariate_columns=["sex"]),
    }


def errors(model: Any, X: pd.DataFrame, y: pd.Series, options: argparse.Namespace) -> Any:
    """Cross-validate a model at known sites, at new sites, and after adapting to them."""
    return cross_validate_sites(
        model, X, y, site=X["site"], n_repeats=options.repeats, n_unlabelled=N_UNLABELLED,
        random_state=options.seed,
    )  # fmt: skip


def error_row(results: Any, raw: Any) -> dict[str, float]:
    """Return MAE by protocol, and the difference from raw features with interval and p."""
    row: dict[str, float] = {}
    tests = compare_models(results, raw)
    for protocol in PROTOCOLS[:2]:
        row[protocol] = results.summary.mae[protocol]
        for name in ("difference", "low", "high", "p_value") if results is not raw else ():
            row[f"{protocol}_{name}"] = tests.loc[protocol, name]
    lines = results.predictions
    adapted = lines[lines.protocol == "transductive"]
    if len(adapted):
        row["transductive"] = (adapted.prediction - adapted.y).abs().mean()
        rest = raw.predictions[raw.predictions.protocol == "leave_one_site_out"].set_index("row")
        rest = rest.loc[adapted.row]
        row["raw_on_same_people"] = (rest.prediction - rest.y).abs().mean()
    return row


def site_left(harmoniser: Any, X: pd.DataFrame, y: pd.Series, repeats: int) -> dict[str, float]:
    """Read site from people who had no part in the fit of the harmoniser."""
    large = X["site"].map(X["site"].value_counts()) >= FEWEST_PROBED
    X, y = X[large], y[large]
    found = []
    for repeat in range(repeats):
        for train, test in StratifiedSiteKFold(2, random_state=repeat).split(X, y):
            fitted = clone(harmoniser).fit(X.iloc[train], y.iloc[train])
            values = np.asarray(fitted.transform(X.iloc[test]), dtype=float)
            found.append(
                site_predictability(
                    values, X["site"].iloc[test], age=y.iloc[test], random_state=repeat
                )
            )
    return {
        "site_ba": float(np.mean([one.balanced_accuracy for one in found])),
        "age_floor": float(np.mean([one.age_floor for one in found])),
        "chance": found[0].chance,
    }


def brain_age(X: pd.DataFrame, y: pd.Series, options: argparse.Namespace) -> dict[str, dict]:
    """Return errors and what is left of site for every way to harmonise (a)."""
    given = X.assign(age=y)  # a covariate of the leaky mode alone
    raw = None
    rows: dict[str, dict] = {}
    for name, harmoniser in {**harmonisers(X), "AnchorRegressor, gamma 10": None}.items():
        start = time.process_time()
        source = given if "leak" in name else X
        model = anchor(X) if harmoniser is None else make_pipeline(harmoniser, ridge())
        results = errors(model, source, y, options)
        raw = results if raw is None else raw
        rows[name] = error_row(results, raw)
        if harmoniser is not None:
            rows[name] |= site_left(harmoniser, source, y, options.repeats)
        rows[name]["cpu_s"] = time.process_time() - start
        print(f"  {name:36s}" + "  ".join(
            f"{key} {rows[name][key]:.3f}" for key in (*PROTOCOLS, "site_ba") if key in rows[name]
        ), flush=True)  # fmt: skip
    return rows


def without_meaning(X: pd.DataFrame, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Predict a diagnosis that is drawn at random, more often at some sites (b)."""
    from combat_target import auc_within

    names = ("raw", "ComBat, ignore", "ComBat, training", "ComBat, shrunk")
    models = {name: make_pipeline(harmonisers(X)[name], ridge()) for name in names}
    draws: dict[str, list] = {name: [] for name in names}
    site = X["site"].astype("category").cat.codes.to_numpy()
    for draw in range(options.draws):
        rng = np.random.default_rng((options.seed, draw))
        y = rng.binomial(1, rng.uniform(0.1, 0.9, site.max() + 1)[site])
        train, test = next(StratifiedSiteKFold(3, random_state=draw).split(X, y))
        for name, model in models.items():
            score = clone(model).fit(X.iloc[train], y[train]).predict(X.iloc[test])
            draws[name].append(
                (roc_auc_score(y[test], score), auc_within(y[test], site[test], score))
            )
    return {
        name: {
            "auc": np.mean(values, axis=0)[0],
            "auc_within": np.mean(values, axis=0)[1],
            "auc_se": np.std(values, axis=0, ddof=1)[0] / np.sqrt(len(values)),
        }
        for name, values in draws.items()
    }


def icc(scans: np.ndarray, site: np.ndarray) -> float:
    """Return ICC(1,1), the one-way random form, of people who differ around the mean of their site.

    `scans` holds a row a person, NaN where there were fewer scans. Shrout & Fleiss (1979),
    Psychological Bulletin 86, 420-428; unequal numbers as in Donner (1986), Int. Stat. Review 54.
    """
    n = np.isfinite(scans).sum(axis=1)
    means = np.nanmean(scans, axis=1)
    names, codes = np.unique(site, return_inverse=True)
    size = np.bincount(codes, n)
    at_site = (np.bincount(codes, n * means) / size)[codes]
    freedom = len(scans) - len(names)
    between = (n * (means - at_site) ** 2).sum() / freedom
    within = np.nansum((scans - means[:, None]) ** 2) / (n.sum() - len(scans))
    per_person = (n.sum() - (np.bincount(codes, n**2) / size).sum()) / freedom
    return (between - within) / (between + (per_person - 1) * within)


def icc_of_sites(scans: np.ndarray, site: np.ndarray) -> float:
    """Return the mean of the ICC of each site that has ten people or more."""
    large = [name for name in np.unique(site) if (site == name).sum() >= 10]
    return float(np.mean([icc(scans[site == name], site[site == name]) for name in large]))


def retest(data: Path, options: argparse.Namespace) -> dict[str, dict]:
    """Measure reliability before and after ComBat that was fitted to other people (c)."""
    scans = pd.read_csv(data / "brain_volumes_retest" / "brain_volumes.csv")
    scans = scans[scans.age.notna()].reset_index(drop=True)  # one site has no ages
    fixed = ["age", "sex", "group"]
    X = scans[[*VOLUMES, "site", *fixed]]
    harmonised = scans.copy()
    folds = StratifiedSiteKFold(5, random_state=options.seed)
    for train, test in folds.split(X, scans.age, groups=scans.participant_id):
        fitted = ComBat(covariate_columns=fixed).fit(X.iloc[train])
        harmonised.loc[test, VOLUMES] = fitted.transform(X.iloc[test])
    site = scans.groupby("participant_id").site.first().to_numpy()
    result: dict[str, dict] = {}
    for volume in VOLUMES:
        for state, table in (("raw", scans), ("ComBat", harmonised)):
            values = table.pivot(index="participant_id", columns="session", values=volume)
            for kind, statistic, sites in (
                ("all people", icc, np.zeros(len(site))),
                ("within sites", icc, site),
                ("mean of the sites", icc_of_sites, site),
            ):
                found = bootstrap_ci(
                    statistic, values.to_numpy(), sites, n_resamples=2000,
                    random_state=options.seed,
                )  # fmt: skip
                result[f"{volume}, {state}, {kind}"] = {
                    "icc": found.estimate, "low": found.low, "high": found.high,
                }  # fmt: skip
    counts = {"people": len(site), "scans": len(scans), "sites": len(set(site))}
    return {"icc": result, "counts": counts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--draws", type=int, default=20, help="of a diagnosis without meaning")
    options = parser.parse_args()
    if "MRESKLEARN_DATA" not in os.environ:
        sys.exit("Set MRESKLEARN_DATA to the folder that holds fcon1000, ixi and the volumes.")
    data = Path(os.environ["MRESKLEARN_DATA"])
    warnings.simplefilter("ignore")  # small and new sites are the subject here
    tables = {"fcon1000": fcon1000(data), "ixi": ixi(data)}
    results: dict[str, Any] = {"retest": retest(data, options)}
    print(pd.DataFrame(results["retest"]["icc"]).T.to_string(float_format="{:.3f}".format))
    results["without_meaning"] = without_meaning(tables["fcon1000"][0], options)
    print(pd.DataFrame(results["without_meaning"]).T.to_string(float_format="{:.3f}".format))
    for name, (X, y) in tables.items():
        print(f"\n{name}: {len(X)} people, {X.shape[1] - 2} features, {X['site'].nunique()} sites")
        results[name] = brain_age(X, y, options)
    settings = {"repeats": options.repeats, "draws": options.draws}
    store("harmonization_real_data", results, seed=options.seed, settings=settings)


if __name__ == "__main__":
    main()
