"""Projection before the network, inside it, a penalty, or several of them: which does the work.

400 people of 5 sites, 100 features, six kinds of site effects (``_site_mechanisms.py``), sites tied
to age by eta 0, 0.4 or 0.8. Each site is left out in turn; mean absolute error in years over people
and repeats. Wins are counted over cohorts.

    python benchmarks/invariance_composition.py [--repeats 4] [--mechanisms B C D]
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from _cells import run_cells
from _invariance_models import METHODS, Model
from _results import store
from _site_mechanisms import MECHANISMS, simulate

ETAS = (0.0, 0.4, 0.8)
SHOWN = (
    "ridge", "projected ridge", "network", "adversarial", "conditional_adversarial", "mmd",
    "conditional_mmd", "projected network", "projected embedding", "projected conditional_mmd",
)  # fmt: skip
PAIRS = (
    ("projected conditional_mmd", "ridge"),
    ("projected conditional_mmd", "projected ridge"),
    ("projected conditional_mmd", "projected network"),
    ("projected network", "network"),
    ("projected embedding", "network"),
    ("conditional_mmd", "network"),
    ("conditional_mmd", "mmd"),
    ("adversarial", "network"),
)


def error(method: str, mechanism: str, eta: float, seed: int) -> float:
    """Return the mean absolute error over all people, each predicted without their site."""
    X, y, site = simulate(mechanism, eta, seed)
    wrong = np.empty(len(y))
    for left_out in np.unique(site):
        test = site == left_out
        model = Model(method, 1.0, seed).fit(X[~test], y[~test], site=site[~test])
        wrong[test] = np.abs(model.predict(X[test], site[test]) - y[test])
    return float(wrong.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(SHOWN), choices=list(METHODS))
    parser.add_argument("--mechanisms", nargs="+", default=list("BCD"), choices=list(MECHANISMS))
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cells", type=Path, default=Path("benchmarks/cells"))
    options = parser.parse_args()
    keys = itertools.product(options.methods, options.mechanisms, ETAS, range(options.repeats))
    found = run_cells(
        error, {key: key for key in keys},
        folder=options.cells, jobs=options.jobs, name="invariance_composition",
    )  # fmt: skip
    errors = pd.Series(found).rename_axis(["method", "mechanism", "eta", "seed"]).unstack("method")
    table = errors.groupby(["mechanism", "eta"]).mean()[options.methods].T
    print(table.to_string(float_format="{:.2f}".format))
    wins = {
        f"{a} against {b}": {
            "better": int((errors[a] < errors[b]).sum()),
            "cohorts": len(errors),
            "mean difference": (errors[a] - errors[b]).mean(),
        }
        for a, b in PAIRS if {a, b} <= set(errors)
    }  # fmt: skip
    print(pd.DataFrame(wins).T.to_string(float_format="{:.2f}".format))
    store(
        "invariance_composition",
        {
            "table": {
                method: {
                    f"{mechanism}, eta {eta:g}": value for (mechanism, eta), value in row.items()
                }
                for method, row in table.iterrows()
            },
            "wins": wins,
        },
        seed=0,
        settings={key: value for key, value in vars(options).items() if key != "cells"},
    )


if __name__ == "__main__":
    main()
