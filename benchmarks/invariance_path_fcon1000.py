"""Accuracy against what is left of the site, weight by weight, on fcon1000 (FreeSurfer, 23 sites).

A perceptron with conditional MMD, without projection; ridge regression reads the age from its
embedding. Draws docs/images/invariance_path.png. The weight that the one-standard-error rule takes
is chosen on the sites left out, so its error there is not one to report:
``invariance_fcon1000.py`` has those.

    MRESKLEARN_DATA=/path/to/data python benchmarks/invariance_path_fcon1000.py [--penalty mmd]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import sklearn
from _invariance_models import RECIPE
from _results import store
from invariance_fcon1000 import fcon1000
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn import ContrastiveEncoder, DomainInvariantRegressor, invariance_path

IMAGES = Path(__file__).parent.parent / "docs" / "images"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--penalty", default="conditional_mmd")
    parser.add_argument("--weights", type=float, nargs="+", default=[0, 0.1, 0.3, 1, 3, 10])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    X, age, site = fcon1000()
    encoder = ContrastiveEncoder(**RECIPE, batch_size=128, random_state=options.seed)
    model = make_pipeline(
        StandardScaler(),
        DomainInvariantRegressor(penalty=options.penalty, projection=None, encoder=encoder),
    )
    start = time.perf_counter()
    with sklearn.config_context(enable_metadata_routing=True):
        path = invariance_path(
            model, X, age, site=site, parameter="domaininvariantregressor__penalty_weight",
            values=options.weights, n_jobs=options.jobs, random_state=options.seed, verbose=1,
        )  # fmt: skip
    print(path.table.to_string(float_format="{:.3f}".format))
    path.plot().savefig(IMAGES / "invariance_path.png", dpi=130)
    store(
        "invariance_path_fcon1000",
        {
            "seconds": time.perf_counter() - start,
            "chosen": path.chosen,
            "table": path.table.reset_index().to_dict("records"),
        },
        seed=options.seed,
        settings=vars(options),
    )


if __name__ == "__main__":
    main()
