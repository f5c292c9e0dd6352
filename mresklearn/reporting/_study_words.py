"""The sentences of a study's page: what stands on top, and what each chart says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ._embedding import Embedding
from ._numbers import NONE, as_percent, as_range, as_years, listed

__all__ = [
    "cohort_in_words", "embedding_in_words", "list_study_warnings", "model_in_words",
    "sites_in_words",
]  # fmt: skip

ALARMS = ("confounder", "not identifiable")
FEWEST_FOR_TEST = 6


def cohort_in_words(cohort: pd.DataFrame) -> str:
    """Say who was studied."""
    total: dict[Any, Any] = cohort.iloc[-1].to_dict()
    sites = cohort.iloc[:-1]
    text = f"{total['n_people']} people of {len(sites)} site{'s' * (len(sites) != 1)}"
    if np.isfinite(total["age_min"]):
        text += f", {as_range(total['age_min'], total['age_max'], 0)} years old"
    means: Any = sites.age_mean.dropna()
    if len(means) > 1:
        text += (
            f"; mean ages of sites go from {as_years(float(means.min()))} ({means.idxmin()}) to "
            f"{as_years(float(means.max()))} ({means.idxmax()})"
        )
    return f"{text}."


def model_in_words(models: pd.DataFrame, name: str, confidence: float) -> str:
    """Say how well the first model predicts where its sites are known and where not."""
    rows: Any = models[models.model == name].set_index("protocol")
    parts = []
    for protocol, where in (
        ("within_site", "for new people of known sites"),
        ("leave_one_site_out", "at sites left out of training"),
        ("transductive", "at left-out sites that it adapted to"),
    ):
        if protocol in rows.index:
            row: dict[Any, Any] = rows.loc[protocol].to_dict()
            bounds = as_range(row["mae_low"], row["mae_high"])
            interval = f" ({100 * confidence:g} % interval {bounds})" if bounds != NONE else ""
            parts.append(f"{as_years(row['mae'])} years{interval} {where}")
    return f"The mean absolute error of {name} is {listed(parts)}."


def sites_in_words(errors: pd.DataFrame, protocol: str) -> str:
    """Say at which site errors are smallest and largest."""
    mae = errors.loc[protocol].mae
    return (
        f"Errors go from {as_years(mae.min())} years ({mae.idxmin()}) to {as_years(mae.max())} "
        f"({mae.idxmax()})."
    )


def embedding_in_words(embeddings: list[Embedding]) -> str:
    """Say how much of each table goes with age and with site."""
    parts = [
        f"{found.name}: site {as_percent(found.by_site)}, age {as_percent(found.by_age)}"
        for found in embeddings
    ]
    return f"Share of the variance of all features, less chance. {'; '.join(parts).capitalize()}."


def list_study_warnings(
    cohort: pd.DataFrame, models: pd.DataFrame | None, errors: pd.DataFrame | None, confounds: Any
) -> list[str]:
    """List what a reader must know before any number."""
    warnings = []
    if confounds is not None:
        found = confounds.verdicts_[confounds.verdicts_.verdict.isin(ALARMS)]
        for name, row in found.iterrows():
            words = {"confounder": "is a confounder"}.get(
                row.verdict, "cannot be told apart from what is studied"
            )
            warnings.append(f"'{name}' {words}. {row.reason}")
    without = int(cohort.iloc[-1].n_without_age)
    if without:
        verb = "person has" if without == 1 else "people have"
        warnings.append(f"{without} {verb} no age and appear in no chart.")
    if models is not None:
        warnings += _of_models(models)
    if errors is not None:
        alone = errors[errors.note.str.contains("nobody of another site")]
        names = list(dict.fromkeys(alone.index.get_level_values("site")))
        if names:
            warnings.append(
                f"Nobody of another site has the ages of {listed(names)}: bias there cannot be "
                "told from bias at these ages."
            )
    return warnings


def _of_models(models: pd.DataFrame) -> list[str]:
    left_out = models[models.protocol == "leave_one_site_out"]
    if left_out.empty:
        return ["No site was left out of training: errors at new sites are not known."]
    warnings = []
    first = left_out.iloc[0]
    if first.relative_mae >= 1:
        warnings.append(
            f"At left-out sites {first.model} predicts no better than the median age of the "
            "training people does."
        )
    n_sites = int(left_out.n_sites.min())
    if n_sites < FEWEST_FOR_TEST:
        warnings.append(
            f"With {n_sites} sites, no test over sites can reach p = 0.05, and intervals at new "
            "sites are wide."
        )
    return warnings
