"""Who of OASIS-2 converts, from whole-brain volume and MMSE beyond age and sex: honestly small.

People with CDR 0 at their first visit; conversion is the first visit with CDR > 0, put half-way
from the one before. Also with conversions at the visit that saw them, and with only those that
last. One site, so no strata. Slopes of whole-brain volume by what became of people.

    MRESKLEARN_DATA=/path/to/data python benchmarks/progression_oasis2.py [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _results import store

from mresklearn.exceptions import UnanswerableWarning
from mresklearn.progression import (
    conversion_curves,
    conversion_model,
    gap_slopes,
    longitudinal_gap,
    time_to_conversion,
)

FEATURES, COVARIATES = ["nWBV", "MMSE"], ["age", "sex"]
VARIANTS = {
    "midpoint": {},
    "first seen": {"event_at": "first_seen"},
    "lasting": {"lasting": True},
}


def read_visits(data: Path) -> pd.DataFrame:
    """Return visits with times in years; volume in percent of the head."""
    table = pd.read_csv(data / "oasis2_longitudinal" / "oasis_longitudinal.csv")
    return pd.DataFrame(
        {
            "person": table["Subject ID"],
            "time": table["MR Delay"] / 365.25,
            "cdr": table.CDR,
            "age": table.Age,
            "sex": table["M/F"],
            "nWBV": 100 * table.nWBV,
            "MMSE": table.MMSE,
        }
    )


def describe(model) -> dict:
    """Collect the tables of a model, as JSON can hold them."""
    return {
        "n_people": model.n_people,
        "n_events": model.n_events,
        "n_pairs": model.n_pairs,
        "table": model.table.to_dict("index"),
        "concordance": model.concordance.to_dict("index"),
        "proportional_hazards": model.proportional_hazards.to_dict("index"),
        "added": model.added.to_dict(),
    }


def models(visits: pd.DataFrame, options: argparse.Namespace) -> tuple[dict, pd.DataFrame]:
    """Fit the model to each way of counting conversions; also return the people of the first."""
    results, people = {}, None
    for name, settings in VARIANTS.items():
        found = time_to_conversion(visits, status="cdr", converted=lambda cdr: cdr > 0, **settings)
        people = found.table if people is None else people
        print(f"\n{name}: {found}")
        model = conversion_model(
            found.table, features=FEATURES, covariates=COVARIATES,
            n_resamples=options.resamples, random_state=options.seed,
        )  # fmt: skip
        print(model.table.round(3).to_string())
        print(model.concordance.round(3).to_string())
        print(model.proportional_hazards.round(3).to_string())
        print("added:", model.added.round(3).to_dict())
        results[name] = describe(model) | {"excluded": found.excluded.value_counts().to_dict()}
    return results, people


def slopes(visits: pd.DataFrame, people: pd.DataFrame) -> dict:
    """Measure slopes of whole-brain volume, of people and of groups by outcome."""
    first = visits.sort_values("time").groupby("person").first()
    outcome = pd.Series("demented at start", index=first.index)
    outcome[people.index] = np.where(people.event, "converted", "stable")
    rows = visits.assign(outcome=visits.person.map(outcome), first_age=visits.person.map(first.age))
    growth = longitudinal_gap(
        rows, gap="nWBV", group="outcome", reference="stable", covariates=["first_age", "sex"]
    )
    own = gap_slopes(rows, gap="nWBV")
    print(f"\n{growth}\n{growth.slopes.round(3).to_string()}\n{own}")
    print(growth.table.round(3).to_string())
    return {
        "table": growth.table.to_dict("index"),
        "slopes": growth.slopes.to_dict("index"),
        "icc": growth.icc,
        "random": growth.random,
        "mean_slope": own.mean_slope,
        "slope_sd": own.slope_sd,
        "visit_sd": own.visit_sd,
        "slope_reliability": own.reliability,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--figure", type=Path, help="where to save the curves by volume")
    options = parser.parse_args()
    if "MRESKLEARN_DATA" not in os.environ:
        sys.exit("Set MRESKLEARN_DATA to the folder that holds oasis2_longitudinal.")
    visits = read_visits(Path(os.environ["MRESKLEARN_DATA"]))
    with warnings.catch_warnings():
        # 15 conversions for 4 coefficients: what the result has to say beside itself
        warnings.simplefilter("ignore", UnanswerableWarning)
        results, people = models(visits, options)
        results["volume"] = slopes(visits, people)
    if options.figure:
        conversion_curves(people, by="nWBV").plot().savefig(options.figure, dpi=150)
    settings = {name: str(value) for name, value in vars(options).items()}
    store("progression_oasis2", results, seed=options.seed, settings=settings)


if __name__ == "__main__":
    main()
