"""The tables of a study's page, made from participants and cross-validations."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import UnanswerableWarning
from ..metrics import bootstrap_ci, site_scores
from ..model_selection import compare_models

__all__ = [
    "PROTOCOLS", "SHORT", "cohort_table", "comparison_table", "model_table", "site_error_table",
]  # fmt: skip

PROTOCOLS = {
    "within_site": "new people of known sites",
    "leave_one_site_out": "sites left out of training",
    "transductive": "left-out sites, adapted to without ages",
}
SHORT = {
    "within_site": "known sites",
    "leave_one_site_out": "left-out sites",
    "transductive": "left-out, adapted",
}
FEWEST_SITES = 3  # that can be drawn anew
FEWEST_PEOPLE = 10
NOT_KNOWN = "not known"


def cohort_table(participants: pd.DataFrame, age: str, sex: str | None, site: str) -> pd.DataFrame:
    """Count people and describe ages, by site and for all.

    Parameters
    ----------
    participants : DataFrame
        One row a person; with a column ``person``, each counts once, as first scanned. Rows without
        a person are a person each.
    age, sex, site : str
        Columns; no sex column gives no column.
    """
    people = participants
    if "person" in people:
        named = people["person"].map(_label) != NOT_KNOWN
        people = people[~(people.duplicated("person") & named)]
    sites = people[site].map(_label)
    rows = {"all sites": _describe(people, age, sex)}
    rows |= {name: _describe(some, age, sex) for name, some in people.groupby(sites)}
    rows["all sites"] = rows.pop("all sites")  # the total stands below
    return pd.DataFrame(rows.values(), index=pd.Index(rows, name="site"))


def _describe(people: pd.DataFrame, age: str, sex: str | None) -> dict[str, Any]:
    ages = pd.to_numeric(people[age], errors="coerce").dropna()
    row: dict[str, Any] = {
        "n_people": len(people),
        "age_mean": ages.mean(),
        "age_sd": ages.std(ddof=1),
        "age_min": ages.min(),
        "age_max": ages.max(),
        "n_without_age": len(people) - len(ages),
    }
    if sex is not None:
        row["sex"] = people[sex].map(_label).value_counts().sort_index().to_dict()
    return row


def _label(value: Any) -> str:
    return NOT_KNOWN if pd.isna(value) else str(value).strip() or NOT_KNOWN


def model_table(
    results: Mapping[str, Any], *, confidence: float, random_state: int
) -> pd.DataFrame:
    """Collect the scores of all models and protocols, with intervals of the mean absolute error.

    Intervals draw people where sites are known, and sites, then people, where they are left out.
    """
    rows = []
    for name, result in results.items():
        for protocol, summary in result["summary"].iterrows():
            lines = result["predictions"]
            lines = lines[lines.protocol == protocol]
            low, high = _interval(lines, protocol, confidence, random_state)
            rows.append(
                {
                    "model": name,
                    "protocol": protocol,
                    **summary[["n_people", "n_sites", "mae"]],
                    "mae_low": low,
                    "mae_high": high,
                    **summary[["rmse", "r", "r2", "relative_mae", "mae_worst_site", "worst_site"]],
                }
            )
    return pd.DataFrame(rows)


def _interval(
    lines: pd.DataFrame, protocol: str, confidence: float, random_state: int
) -> tuple[float, float]:
    """Return bounds of the mean absolute error; NaN where too few were drawn to tell."""
    error = (lines.prediction - lines.y).abs()
    by = ["site", "person"]
    people = lines.assign(error=error).groupby(by, sort=False).error.agg(["mean", "size"])
    unseen = protocol != "within_site"
    n_units = lines.site.nunique() if unseen else len(people)
    if n_units < (FEWEST_SITES if unseen else FEWEST_PEOPLE):
        return np.nan, np.nan
    site = people.index.get_level_values("site") if unseen else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnanswerableWarning)  # the page says how many sites
        bounds = bootstrap_ci(
            _weighted_mean, people["mean"], people["size"], site=site,
            confidence=confidence, random_state=random_state,
        )  # fmt: skip
    return bounds.low, bounds.high


def _weighted_mean(error: np.ndarray, weight: np.ndarray) -> float:
    return float(error @ weight / weight.sum())


def site_error_table(result: Any, *, confidence: float, random_state: int) -> pd.DataFrame:
    """Score each site with intervals, by protocol; rows of a person are drawn together."""
    tables = {
        protocol: site_scores(
            lines.y, lines.prediction, lines.site, groups=lines.person,
            confidence=confidence, random_state=random_state,
        )
        for protocol, lines in result["predictions"].groupby("protocol", sort=False)
    }  # fmt: skip
    return pd.concat(tables, names=["protocol", "site"])


def comparison_table(
    results: Mapping[str, Any], *, confidence: float, random_state: int
) -> pd.DataFrame:
    """Test every other model against the first."""
    first, *others = results
    tables = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnanswerableWarning)  # the page shows the smallest p
        for name in others:
            tables[name] = compare_models(
                results[name], results[first], confidence=confidence, random_state=random_state
            )
    return pd.concat(tables, names=["model", "protocol"]) if tables else pd.DataFrame()
