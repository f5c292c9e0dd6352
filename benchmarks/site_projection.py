"""Projecting out site directions before a model: errors at known and new sites, and site left.

(a) Simulated people of 5 sites that differ in one of six ways, see ``_site_mechanisms.py``: MAE of
    predicted age with each site left out, and for new people of the known sites; balanced accuracy
    of a linear probe of site on features of new people, with the floor of age alone.
(b) The same with more and smaller sites, folds of whole sites.
(c) fcon1000 (FreeSurfer, 23 sites) and ixi (volumes, 3 scanners), if MRESKLEARN_DATA is set. No
    setting was chosen on them.

Ridge penalties are those of the smallest leave-one-out error, or, in ixi with more features than
people, of 5-fold cross-validation of the whole pipeline: projected training rows sum to exactly
nothing over a site, which leave-one-out errors of as many features as people give away.

    OMP_NUM_THREADS=1 [MRESKLEARN_DATA=/path/to/data] python benchmarks/site_projection.py
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _results import store
from _site_mechanisms import MECHANISMS, N_FEATURES, Cohort, simulate
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from mresklearn import StratifiedSiteKFold
from mresklearn.confounds import site_predictability
from mresklearn.harmonization import AnchorRegressor, SiteProjector

ETAS = (0.0, 0.4, 0.8)
ALPHAS = np.logspace(-1, 4, 11)
FEWEST_PROBED = 20
BASES = ("ridge", "raw, ridge")
# left out of the features: not sizes of structures, but quality, and what repeats other columns
NO_FEATURE = ("Unnamed", "sub_id", "age", "sex", "site", "avg_en", "Holes")


class _ProjectedModel(RegressorMixin, BaseEstimator):
    """A model of projected features; site goes to the projector, and to anchor regression."""

    def __init__(self, projector: Any, model: Any, blind: bool = False) -> None:
        self.projector, self.model, self.blind = projector, model, blind

    def fit(self, X: np.ndarray, y: np.ndarray, *, site: np.ndarray) -> _ProjectedModel:
        if self.projector is not None:
            self.projector_ = clone(self.projector).fit(X, None if self.blind else y, site=site)
        takes_site = isinstance(self.model, _AnchoredModel)
        given = {"site": site} if takes_site else {}
        self.model_ = clone(self.model).fit(self._project(X), y, **given)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.model_.predict(self._project(X))

    def _project(self, X: np.ndarray) -> np.ndarray:
        return X if self.projector is None else self.projector_.transform(X)


class _AnchoredModel(RegressorMixin, BaseEstimator):
    """Anchor regression of standardised features, with the penalty that serves ridge best."""

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def fit(self, X: np.ndarray, y: np.ndarray, *, site: np.ndarray) -> _AnchoredModel:
        self.scaler_ = StandardScaler().fit(X)
        Z = self.scaler_.transform(X)
        alpha = RidgeCV(ALPHAS).fit(Z, y).alpha_
        self.model_ = AnchorRegressor(gamma=self.gamma, alpha=alpha).fit(Z, y, site=site)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.model_.predict(self.scaler_.transform(X))


def models(*, small: bool = False) -> dict[str, _ProjectedModel]:
    """Return every model by name; `small` leaves out what part (b) does not ask."""
    ridge = make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
    curved = make_pipeline(
        StandardScaler(),
        Nystroem(gamma=0.2 / N_FEATURES, n_components=150, random_state=0),
        RidgeCV(np.logspace(-4, 1, 6)),
    )
    auto, everything = SiteProjector(), SiteProjector(rank="all")
    named = {
        "training mean": _ProjectedModel(None, DummyRegressor()),
        "ridge": _ProjectedModel(None, ridge),
        "projected (auto) + ridge": _ProjectedModel(auto, ridge),
        "projected (all) + ridge": _ProjectedModel(everything, ridge),
    }
    if small:
        return named
    return named | {
        "projected (1) + ridge": _ProjectedModel(SiteProjector(rank=1), ridge),
        "projected without age (all) + ridge": _ProjectedModel(everything, ridge, blind=True),
        "anchor, gamma 10": _ProjectedModel(None, _AnchoredModel(10)),
        "anchor, gamma 100": _ProjectedModel(None, _AnchoredModel(100)),
        "projected (auto) + anchor, gamma 10": _ProjectedModel(auto, _AnchoredModel(10)),
        "kernel": _ProjectedModel(None, curved),
        "projected (auto) + kernel": _ProjectedModel(auto, curved),
    }


def errors(model: Any, cohort: Cohort, folds: list) -> np.ndarray:
    """Return the absolute error of each person, predicted by models of the other folds."""
    X, y, site = cohort
    error = np.empty(len(y))
    for train, test in folds:
        fitted = clone(model).fit(X[train], y[train], site=site[train])
        error[test] = np.abs(fitted.predict(X[test]) - y[test])
    return error


def site_left(projector: Any, cohort: Cohort, *, blind: bool = False) -> dict[str, float]:
    """Read site from people who had no part in the fit of the projector."""
    X, y, site = cohort
    found = []
    for train, test in StratifiedSiteKFold(2, random_state=0).split(X, y, site=site):
        values = X[test]
        if projector is not None:
            fitted = clone(projector).fit(X[train], None if blind else y[train], site=site[train])
            values = fitted.transform(values)
        found.append(site_predictability(values, site[test], age=y[test]))
    names = ("balanced_accuracy", "age_floor", "excess")
    return {name: float(np.mean([one[name] for one in found])) for name in names}


def whole_sites(site: np.ndarray, n_folds: int) -> list:
    folds = min(n_folds, len(np.unique(site)))
    return list(GroupKFold(folds, shuffle=True, random_state=0).split(site, groups=site))


def within_sites(site: np.ndarray, y: np.ndarray, n_folds: int) -> list:
    return list(StratifiedSiteKFold(n_folds, random_state=0).split(y[:, None], y, site=site))


def ranks(cohort: Cohort, folds: list) -> tuple[float, float]:
    """Return the mean number of leading directions, and of all directions, over folds."""
    X, y, site = cohort
    fits = [SiteProjector().fit(X[train], y[train], site=site[train]) for train, _ in folds]
    return np.mean([f.n_leading_ for f in fits]), np.mean([f.rank_ for f in fits])


def few_sites(n_replicates: int) -> dict[str, list[dict]]:
    """Measure every model in every condition (a)."""
    rows, left = [], []
    probed = {
        "raw": (None, False),
        "auto": (SiteProjector(), False),
        "all": (SiteProjector(rank="all"), False),
        "all, without age": (SiteProjector(rank="all"), True),
    }
    for mechanism in tqdm(MECHANISMS, desc="5 sites"):
        for eta in ETAS:
            for seed in range(n_replicates):
                cohort = simulate(mechanism, eta, seed)
                where = {"mechanism": mechanism, "eta": eta, "seed": seed}
                out, known = whole_sites(cohort[2], 5), within_sites(cohort[2], cohort[1], 3)
                for name, model in models().items():
                    rows.append({**where, "model": name,
                                 "leave_one_site_out": errors(model, cohort, out).mean(),
                                 "within_site": errors(model, cohort, known).mean()})  # fmt: skip
                if seed == 0:
                    leading, rank = ranks(cohort, out)
                    for name, (projector, blind) in probed.items():
                        left.append({**where, "features": name, "leading": leading, "rank": rank,
                                     **site_left(projector, cohort, blind=blind)})  # fmt: skip
    return {"errors": rows, "site_left": left}


def many_sites(n_replicates: int) -> list[dict]:
    """Measure what more and smaller sites cost (b)."""
    rows = []
    for n_sites in tqdm((5, 20, 60), desc="more sites"):
        for mechanism in "ABE":
            for seed in range(n_replicates):
                cohort = simulate(mechanism, 0.4, seed, n_sites)
                folds = whole_sites(cohort[2], 5)
                leading, rank = ranks(cohort, folds)
                for name, model in models(small=True).items():
                    rows.append({"n_sites": n_sites, "mechanism": mechanism, "seed": seed,
                                 "model": name, "leading": leading, "rank": rank,
                                 "new_sites": errors(model, cohort, folds).mean()})  # fmt: skip
    return rows


def fcon1000(data: Path) -> Cohort:
    table = pd.read_csv(data / "fcon1000" / "fcon1000.csv", index_col="sub_id")
    features = table[[c for c in table if not any(part in c for part in NO_FEATURE)]]
    return features.to_numpy(), table.age.to_numpy(), table.site.to_numpy(dtype=str)


def ixi(data: Path) -> Cohort:
    table = pd.read_csv(data / "ixi" / "ixi_dlmuse_volumes_age_scanner.csv", index_col="ID")
    features = table.drop(columns=["scanner", "Sex", "Age"])
    return features.to_numpy(), table.Age.to_numpy(), table.scanner.to_numpy(dtype=str)


class _SearchedRidge(RegressorMixin, BaseEstimator):
    """Projection and ridge, with a penalty from cross-validation of both together."""

    def __init__(self, projector: Any) -> None:
        self.projector = projector

    def fit(self, X: np.ndarray, y: np.ndarray, *, site: np.ndarray) -> _SearchedRidge:
        steps = [] if self.projector is None else [clone(self.projector)]
        model = make_pipeline(*steps, StandardScaler(), Ridge())
        given = {} if self.projector is None else {"siteprojector__site": site}
        search = GridSearchCV(
            model, {"ridge__alpha": 10.0 ** np.arange(0, 5)},
            cv=within_sites(site, y, 5), scoring="neg_mean_absolute_error",
        )  # fmt: skip
        self.model_ = search.fit(X, y, **given)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.model_.predict(X)


def real_table(cohort: Cohort, named: dict[str, Any]) -> list[dict]:
    """Measure each model on a real table (c)."""
    _, y, site = cohort
    out = [(np.flatnonzero(site != s), np.flatnonzero(site == s)) for s in np.unique(site)]
    known = within_sites(site, y, 5)
    rows, first = [], None
    for name, model in tqdm(named.items(), desc="real table"):
        error = errors(model, cohort, out)
        by_site = pd.Series(error).groupby(site).mean()
        row = {"model": name, "leave_one_site_out": by_site.mean(), "over_people": error.mean(),
               "within_site": errors(model, cohort, known).mean()}  # fmt: skip
        if name in BASES:
            first = by_site
        if first is not None:
            row["difference"] = (by_site - first).mean()
            row["standard_error"] = (by_site - first).std() / np.sqrt(len(first))
            row["sites_better"] = int((by_site < first).sum())
        rows.append(row | {"by_site": by_site.to_dict()})
    return rows


def real_tables(data: Path) -> dict[str, dict]:
    """Measure fcon1000 and ixi (c)."""
    ways = {"raw": None, "auto": SiteProjector(), "all": SiteProjector(rank="all")}
    found = {}
    for load, searched in ((fcon1000, False), (ixi, True)):
        cohort = load(data)
        wanted = ["training mean", "ridge", "projected (auto) + ridge", "projected (all) + ridge",
                  "anchor, gamma 10", "kernel", "projected (auto) + kernel"]  # fmt: skip
        named: dict[str, Any] = {name: models()[name] for name in wanted}
        if searched:
            named = {"training mean": named["training mean"]} | {
                f"{name}, ridge": _SearchedRidge(projector) for name, projector in ways.items()
            }
        X, y, site = cohort
        large = pd.Series(site).map(pd.Series(site).value_counts()).to_numpy() >= FEWEST_PROBED
        probed = X[large], y[large], site[large]
        fitted = SiteProjector().fit(X, y, site=site)
        found[load.__name__] = {
            "errors": real_table(cohort, named),
            "site_left": {name: site_left(way, probed) for name, way in ways.items()},
            "leading": fitted.n_leading_,
            "rank": fitted.rank_,
            "shift_transfer": fitted.shift_transfer_.reset_index().to_dict("records"),
        }
    return found


def show(title: str, rows: list[dict], index: str, columns: Any, values: list[str]) -> None:
    table = pd.DataFrame(rows).pivot_table(index=index, columns=columns, values=values, sort=False)
    print(f"\n{title}\n{table.round(2).to_string()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=4)
    parser.add_argument("--only", choices=["few", "many", "real"])
    options = parser.parse_args()
    start = time.perf_counter()
    results: dict[str, Any] = {}
    parts: dict[str, Callable[[], Any]] = {
        "few": lambda: few_sites(options.replicates),
        "many": lambda: many_sites(max(options.replicates // 2, 1)),
    }
    if "MRESKLEARN_DATA" in os.environ:
        parts["real"] = lambda: real_tables(Path(os.environ["MRESKLEARN_DATA"]))
    for name, measure in parts.items():
        if options.only in (None, name):
            results[name] = measure()
    if "few" in results:
        rows = results["few"]["errors"]
        for values in ("leave_one_site_out", "within_site"):
            show(f"MAE, {values}", rows, "model", ["mechanism", "eta"], values)
        show("Linear site balanced accuracy", results["few"]["site_left"], "features",
             ["mechanism", "eta"], "balanced_accuracy")  # fmt: skip
    if "many" in results:
        show("MAE at new sites", results["many"], "model", ["mechanism", "n_sites"], "new_sites")
    for name, found in results.get("real", {}).items():
        table = pd.DataFrame(found["errors"]).drop(columns="by_site").set_index("model")
        left = pd.DataFrame(found["site_left"])
        print(f"\n{name}, {found['leading']} leading directions of {found['rank']}")
        print(f"{table.round(2).to_string()}\n{left.round(2).to_string()}")
    print(f"\n{time.perf_counter() - start:.0f} s")
    if not options.only:
        results["seconds"] = time.perf_counter() - start
        store("site_projection", results, seed=0, settings=vars(options))


if __name__ == "__main__":
    main()
