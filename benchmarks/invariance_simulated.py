"""Where each method wins on simulated MR elastography, at known sites and at sites never seen.

Stiffness and damping ratio at 8 mm of 300 or 1000 people of 5 or 12 sites, whose ages are tied to
site by eta 0, 0.4 or 0.8. Site effects are those of the simulator, which adds; or besides a power
of each map that differs by site, as with another frequency, which depends on the person's own
value. Features are 100 principal components of the training people.

New sites: each of 5 sites, or three of 12, are left out in turn. Known sites: a fifth of the
people, stratified by site and age. Draws docs/images/invariance_simulated.png.

    python benchmarks/invariance_simulated.py [--repeats 2]
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _cells import run_cells
from _invariance_models import METHODS, Model
from _results import store
from joblib import Memory
from sklearn.model_selection import GroupKFold

from mresklearn import MapLoader, StratifiedSiteKFold, make_mre_cohort

PEOPLE, SITES, ETAS, EFFECTS = (300, 1000), (5, 12), (0.0, 0.4, 0.8), ("additive", "power")
N_COMPONENTS = 100
POWER = 0.25
SHOWN = (
    "ridge", "anchor", "projected ridge", "ComBat + ridge", "SVR", "network", "mmd",
    "conditional_mmd", "conditional_adversarial", "site mixup", "projected network",
    "projected conditional_mmd", "contrastive, conditional_mmd",
)  # fmt: skip
CLOSE, MOST = 0.2, 1.5
IMAGES = Path(__file__).parent.parent / "docs" / "images"


def simulate(people: int, sites: int, eta: float, effect: str, seed: int) -> tuple:
    """Return voxels, age and site."""
    with tempfile.TemporaryDirectory() as folder:
        cohort = make_mre_cohort(
            people, sites, folder=folder, voxel_size=8, site_age_correlation=eta, random_state=seed
        )
        maps = np.asarray(MapLoader().fit_transform(cohort.maps), np.float32)
    table = cohort.participants
    site = table.site.to_numpy(str)
    covered = (maps != 0).all(axis=(0, 1))
    values = maps[:, :, covered]
    if effect == "power":
        codes = np.unique(site, return_inverse=True)[1]
        random = np.random.default_rng([seed, sites])
        # each kind of map has powers of its own
        power = np.exp(POWER * random.normal(size=(sites, 2)))[codes][:, :, None]
        level = values.mean(axis=(0, 2), keepdims=True)
        values = level * (np.maximum(values, 1e-3) / level) ** power
    values = values / values.std(axis=(0, 2), keepdims=True)
    return values.reshape(len(values), -1), table.age.to_numpy(float), site


def folds_of(kind: str, age: np.ndarray, site: np.ndarray) -> list:
    if kind == "known":
        splits = StratifiedSiteKFold(5, random_state=0).split(age[:, None], age, site=site)
        return [next(iter(splits))]
    n_sites = len(np.unique(site))
    n_folds = 5 if n_sites == 5 else 4
    return list(GroupKFold(n_folds, shuffle=True, random_state=0).split(site, groups=site))


def errors(simulation: tuple, cache: Path, kind: str, fold: int, methods: tuple) -> dict:
    """Return the summed absolute error of each method on the people of a fold."""
    X, y, site = Memory(cache, verbose=0).cache(simulate)(*simulation)
    train, test = folds_of(kind, y, site)[fold]
    found: dict[str, float] = {"people": len(test)}
    for method in methods:
        model = Model(method, 1.0, simulation[-1], N_COMPONENTS)
        model.fit(X[train], y[train], site=site[train])
        found[method] = float(np.abs(model.predict(X[test], site[test]) - y[test]).sum())
    return found


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw the best method and its error in each cell, coloured by its gain over ridge."""
    figure, axes = plt.subplots(1, 2, figsize=(13, 8.5), sharey=True, layout="constrained")
    rows = list(itertools.product(EFFECTS, PEOPLE, SITES))
    gains = {}
    for axis, kind in zip(axes, ("known", "new"), strict=True):
        gain = np.zeros((len(rows), len(ETAS)))
        for i, (effect, people, sites) in enumerate(rows):
            for j, eta in enumerate(ETAS):
                one = table.loc[kind, effect, people, sites, eta].dropna()
                best = one.idxmin()
                gain[i, j] = one["ridge"] - one[best]
                none = gain[i, j] < CLOSE
                text = "ridge is enough" if none else best
                for long in (", ", "projected "):
                    text = text.replace(long, f"{long.rstrip()}\n") if len(text) > 16 else text
                axis.text(
                    j, i, f"{text}\n{one['ridge']:.1f}" + ("" if none else f" → {one[best]:.1f}"),
                    ha="center", va="center", fontsize=9,
                    color="white" if gain[i, j] > 0.6 * MOST else "black",
                )  # fmt: skip
        gains[kind] = axis.imshow(gain, cmap="Blues", vmin=0, vmax=MOST, aspect="auto")
        axis.set_xticks(range(len(ETAS)), [f"{eta:g}" for eta in ETAS])
        axis.set_xlabel("correlation ratio of age on site")
        axis.set_title("people of known sites" if kind == "known" else "people of sites never seen")
    names = [f"{effect}\n{people} people, {sites} sites" for effect, people, sites in rows]
    axes[0].set_yticks(range(len(rows)), names)
    bar = figure.colorbar(gains["new"], ax=axes, shrink=0.6)
    bar.set_label("gain of the best method over ridge (years of mean absolute error)")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(SHOWN), choices=list(METHODS))
    parser.add_argument("--people", type=int, nargs="+", default=list(PEOPLE))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--finished", action="store_true", help="fit nothing more, tabulate")
    parser.add_argument("--cells", type=Path, default=Path("benchmarks/cells"))
    options = parser.parse_args()
    design = list(itertools.product(options.people, SITES, ETAS, EFFECTS, range(options.repeats)))
    cache = options.cells / "simulated_maps"
    tasks = {}
    for simulation in sorted(design, key=lambda one: (one[-1], one[0])):
        n_folds = {"known": 1, "new": 5 if simulation[1] == 5 else 4}
        for kind, number in n_folds.items():
            for fold in range(number):
                key = (*simulation, kind, fold, tuple(options.methods))
                tasks[key] = (simulation, cache, kind, fold, tuple(options.methods))
    results = run_cells(
        errors, tasks, folder=options.cells, jobs=options.jobs, name="invariance_simulated",
        finished_only=options.finished,
    )  # fmt: skip
    rows = [
        {"kind": key[5], "effect": key[3], "people": key[0], "sites": key[1], "eta": key[2],
         "repeat": key[4], "n": found["people"],
         **{method: found[method] for method in options.methods}}
        for key, found in results.items()
    ]  # fmt: skip
    cells = ["kind", "effect", "people", "sites", "eta"]
    sums = pd.DataFrame(rows).groupby(cells).sum()
    table = sums[options.methods].div(sums.n, axis=0)
    print(table.to_string(float_format="{:.2f}".format))
    wins = table.sub(table["ridge"], axis=0)
    summary = {
        kind: {
            method: {"mean difference from ridge": column.mean(), "better": (column < 0).mean(),
                     "better by more than 0.2": (column < -CLOSE).mean()}
            for method, column in wins.loc[kind].items()
        }
        for kind in ("known", "new")
    }  # fmt: skip
    print(pd.DataFrame(summary["new"]).T.to_string(float_format="{:.2f}".format))
    if set(options.people) == set(PEOPLE):
        draw(table, IMAGES / "invariance_simulated.png")
    store(
        "invariance_simulated",
        {"table": table.reset_index().to_dict("records"), "summary": summary,
         "finished": len(results), "planned": len(tasks)},
        seed=0,
        settings={key: value for key, value in vars(options).items() if key != "cells"},
    )  # fmt: skip


if __name__ == "__main__":
    main()
