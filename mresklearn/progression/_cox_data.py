"""The people of a Cox model: checked, with standardised columns, and what cannot be estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ._columns import check_flags, numbers_of, people_of
from ._partial_likelihood import CoxFit, PartialLikelihood

__all__ = ["CoxData", "prepare", "refuse_repeats", "refuse_unbounded"]


@dataclass(frozen=True, eq=False)
class CoxData:
    """What a Cox model is fitted to: one row a person, columns standardised."""

    duration: np.ndarray
    event: np.ndarray
    stratum: np.ndarray
    matrix: np.ndarray
    ties: str

    def take(self, rows: np.ndarray) -> CoxData:
        """Return the rows, which may come several times."""
        return CoxData(
            duration=self.duration[rows],
            event=self.event[rows],
            stratum=self.stratum[rows],
            matrix=self.matrix[rows],
            ties=self.ties,
        )

    def likelihood(self) -> PartialLikelihood:
        """Return the partial likelihood of these people."""
        return PartialLikelihood(self.duration, self.event, self.stratum, self.matrix, self.ties)


def refuse_repeats(features: Sequence[str], columns: list[str]) -> None:
    """Refuse columns with two parts to play: feature, held fixed, or outcome."""
    if len(features) == 0:
        raise ValueError("features is empty: name the columns in question.")
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise ValueError(
            f"{twice[0]!r} is given twice among features, covariates, duration, event and strata."
        )


def prepare(
    table: pd.DataFrame,
    design: pd.DataFrame,
    duration: str,
    event: str,
    strata: str | None,
    ties: str,
) -> tuple[CoxData, np.ndarray]:
    """Check people and standardise columns, so that steps and tolerances have one scale."""
    times = numbers_of(table, duration)
    if (times <= 0).any():
        row = table.index[int(np.argmax(times <= 0))]
        raise ValueError(
            f"Column {duration!r} is {times.min():g} in row {row}: times must be above 0. Leave "
            "out people without a visit after the start."
        )
    happened = check_flags(table, event)
    if not happened.any():
        raise ValueError(f"Nobody converted (column {event!r}): there is nothing to model.")
    stratum = people_of(table, strata)[0] if strata is not None else np.zeros(len(table), dtype=int)
    values = design.to_numpy(dtype=float)
    spread = values.std(axis=0, ddof=1)
    scale = np.where(spread > 0, spread, 1)
    matrix = (values - values.mean(axis=0)) / scale
    _refuse_collinear(matrix, stratum, design, strata)
    return CoxData(times, happened, stratum, matrix, ties), spread


def _refuse_collinear(
    matrix: np.ndarray, stratum: np.ndarray, design: pd.DataFrame, strata: str | None
) -> None:
    """Name the first column that says nothing which strata and earlier columns do not."""
    sizes = np.bincount(stratum)[:, np.newaxis]
    means = np.stack([np.bincount(stratum, weights=column) for column in matrix.T], axis=1) / sizes
    within = matrix - means[stratum]
    for position, name in enumerate(design):
        if np.linalg.matrix_rank(within[:, : position + 1], tol=1e-7) <= position:
            place = "" if strata is None else f" within {strata!r}"
            raise ValueError(
                f"Column {name!r} does not vary{place}, or follows from the columns before it: "
                "its hazard ratio cannot be told. Drop it."
            )


def refuse_unbounded(fit: CoxFit, design: pd.DataFrame) -> None:
    """Refuse a likelihood that grows for ever: it has no maximum to report."""
    if not fit.finite:
        name = design.columns[int(np.argmax(np.abs(fit.coefficients)))]
        raise ValueError(
            f"The hazard ratio of {name!r} grows without bound: all who converted lie on one side "
            "of those at risk with them. Drop the column, pool its labels, or wait for more events."
        )
