"""The rows that a test of site can use; and where there are none, why."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .._metadata import check_labels, labels_as_text, name_rows
from ._age_spline import age_spline
from ._numbers import as_numbers
from ._site_directions import SiteDirections

__all__ = ["NotEstimableError", "SiteEffectRows", "usable_rows"]

FEWEST_ROWS_OF_A_SITE = 2
FEWEST_FOR_OWN_NOISE = 9  # the smallest sites in benchmarks/confound_tests_level.py
FEWEST_DEGREES_OF_FREEDOM = 10
LEAST_OWN_SHARE = 0.1
NEAR = 0.25  # in standard deviations of age
ROUNDING = np.finfo(np.float32).eps  # what float32 predictions may keep of their exact values


class NotEstimableError(Exception):
    """The data cannot answer the question; the message says why. Never leaves the package."""


@dataclass(frozen=True)
class SiteEffectRows:
    """Complete rows of sites that are large enough, and the design that is held fixed.

    `values` are all columns, `testable` those that the design does not explain wholly.
    """

    values: np.ndarray
    testable: np.ndarray
    age: np.ndarray
    codes: np.ndarray
    sites: list[str]
    design: np.ndarray
    note: str


def usable_rows(
    values: ArrayLike, site: ArrayLike, age: ArrayLike, covariates: ArrayLike | None
) -> SiteEffectRows:
    """Read the input of a test, and leave out what it cannot use, with a note that says so.

    Parameters
    ----------
    values : array-like of shape (n_rows,) or (n_rows, n_columns)
        Prediction or embedding.
    site : array-like of shape (n_rows,)
        Site of each row.
    age : array-like of shape (n_rows,)
        Age in years.
    covariates : array-like of shape (n_rows,) or (n_rows, n_covariates) or None
        Numbers or categories that are held fixed as well.

    Returns
    -------
    rows : SiteEffectRows
        At least two sites of two rows, whose values age and covariates do not explain wholly.

    Raises
    ------
    NotEstimableError
        If the data cannot answer.
    ValueError
        If the input has wrong shapes or types.
    """
    numbers = as_numbers(values, "values")
    if numbers.ndim not in (1, 2):
        raise ValueError(
            "values must be a prediction of shape (n_rows,) or an embedding of shape "
            f"(n_rows, n_columns), got shape {numbers.shape}."
        )
    numbers = numbers[:, None] if numbers.ndim == 1 else numbers
    years, labels = as_numbers(age, "age"), np.asarray(site, dtype=object)
    for name, array in (("age", years), ("site", labels)):
        if array.shape != (len(numbers),):
            raise ValueError(
                f"{name} must have one entry for each of the {len(numbers)} rows of values, "
                f"got shape {array.shape}."
            )
    table = _covariate_table(covariates, len(numbers))
    rows, notes = _complete_rows(numbers, labels, years, table, site)
    codes, sites = check_labels(labels[rows], len(rows), name="site")
    rows, codes, sites = _large_sites(rows, codes, sites, notes)
    design = np.hstack([age_spline(years[rows]), _design_columns(table.iloc[rows])])
    numbers, years = numbers[rows], years[rows]
    directions = SiteDirections(design, codes)
    testable = _testable(numbers, directions)
    usable = SiteEffectRows(numbers, testable, years, codes, sites, design, " ".join(notes))
    _check_estimable(usable, directions)
    return replace(usable, note=" ".join([*notes, *_limits(usable, directions)]))


def _complete_rows(
    values: np.ndarray, labels: np.ndarray, age: np.ndarray, table: pd.DataFrame, index: ArrayLike
) -> tuple[np.ndarray, list[str]]:
    """Return the numbers of the rows in which nothing is missing, and what is in the others."""
    missing = {
        "values": ~np.isfinite(values).all(axis=1),
        "site": labels_as_text(labels)[1],
        "age": ~np.isfinite(age),
        "covariates": table.isna().to_numpy().any(axis=1),
    }
    notes = [
        f"Left out {where.sum()} of {len(values)} rows with missing {name}: "
        f"{name_rows(where, index)}."
        for name, where in missing.items()
        if where.any()
    ]
    rows = np.flatnonzero(~np.any(list(missing.values()), axis=0))
    if len(rows) == 0:
        raise NotEstimableError(" ".join(["There is no complete row.", *notes]))
    return rows, notes


def _large_sites(
    rows: np.ndarray, codes: np.ndarray, sites: list[str], notes: list[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Leave out sites of one row, whose effect is that of the person."""
    large = np.bincount(codes) >= FEWEST_ROWS_OF_A_SITE
    if not large.all():
        alone = [name for name, enough in zip(sites, large, strict=True) if not enough]
        notes.append(f"Left out sites with one row, whose effect is that of a person: {alone}.")
    sites = [name for name, enough in zip(sites, large, strict=True) if enough]
    if len(sites) < 2:
        held = f"all rows come from {sites[0]!r}" if sites else "no site has two rows"
        raise NotEstimableError(" ".join([f"Two sites are needed, but {held}.", *notes]))
    kept = large[codes]
    return rows[kept], (np.cumsum(large) - 1)[codes[kept]], sites


def _testable(values: np.ndarray, directions: SiteDirections) -> np.ndarray:
    """Mark the columns of which age and covariates leave more than rounding."""
    left = np.linalg.norm(directions.residuals(values), axis=0)
    return left > ROUNDING * np.linalg.norm(values, axis=0)


def _check_estimable(rows: SiteEffectRows, directions: SiteDirections) -> None:
    """Say what cannot be told, if anything."""
    n_rows, n_reduced = directions.reduced.shape
    problem = None
    if directions.df_residual < FEWEST_DEGREES_OF_FREEDOM:
        problem = (
            f"{n_rows} rows are too few for {len(rows.sites)} sites and {n_reduced} columns of age "
            f"and covariates: {FEWEST_DEGREES_OF_FREEDOM} rows more than these are needed."
        )
    elif directions.n_directions == 0:
        problem = (
            "Age and covariates tell the site of every row, so an effect of site cannot be told "
            "from theirs."
        )
    elif not np.ptp(rows.values, axis=0).any():
        problem = "The values are constant."
    elif not rows.testable.any():
        problem = (
            "The values are a function of age and covariates, so nothing is left that site could "
            "explain."
        )
    if problem:
        raise NotEstimableError(f"{problem} {rows.note}".rstrip())


def _limits(rows: SiteEffectRows, directions: SiteDirections) -> list[str]:
    """Say what the answer leaves out or rests on."""
    limits = []
    if not rows.testable.all():
        limits.append(
            f"{np.sum(~rows.testable)} of {len(rows.testable)} columns of values are constant or a "
            "function of age and covariates, so they cannot be tested given these."
        )
    if apart := _sites_apart(rows, directions):
        limits.append(
            "Few people of other sites have the age and covariates of these sites, so what is said "
            f"of them rests on the curve of age: {apart}."
        )
    small = np.bincount(rows.codes) < FEWEST_FOR_OWN_NOISE
    if small.any():
        limits.append(
            f"These sites have fewer than {FEWEST_FOR_OWN_NOISE} people; if their noise is much "
            "larger than elsewhere, p is too small: "
            f"{name_rows(small, pd.Series(0, index=rows.sites))}."
        )
    return limits


def _sites_apart(rows: SiteEffectRows, directions: SiteDirections) -> list[str]:
    """Name sites that the design nearly tells, or most of whose people have no peer elsewhere."""
    near = NEAR * rows.age.std()
    apart = []
    for code, name in enumerate(rows.sites):
        inside = rows.codes == code
        own_share = np.sum(directions.residuals(inside.astype(float)) ** 2) / (
            len(inside) * inside.var()
        )
        others, age = np.sort(rows.age[~inside]), rows.age[inside]
        n_peers = np.searchsorted(others, age + near, side="right") - np.searchsorted(
            others, age - near, side="left"
        )
        if own_share < LEAST_OWN_SHARE or np.mean(n_peers > 0) < 0.5:
            apart.append(name)
    return apart


def _covariate_table(covariates: ArrayLike | None, n_rows: int) -> pd.DataFrame:
    """Return covariates as a table in which whatever is not usable is missing."""
    if covariates is None:
        return pd.DataFrame(index=range(n_rows))
    table = pd.DataFrame(covariates).reset_index(drop=True)
    if len(table) != n_rows:
        raise ValueError(f"covariates have {len(table)} rows, but values have {n_rows}.")
    return table.infer_objects().replace([np.inf, -np.inf, ""], np.nan)


def _design_columns(table: pd.DataFrame) -> np.ndarray:
    """Return numbers standardised, and categories as indicators."""
    parts = [np.empty((len(table), 0))]
    for _, column in table.items():
        if pd.api.types.is_numeric_dtype(column):
            numbers = column.to_numpy(dtype=np.float64)
            parts.append(((numbers - numbers.mean()) / (numbers.std() or 1.0))[:, None])
        else:
            codes, levels = pd.factorize(column.astype(str))
            parts.append((codes[:, None] == np.arange(1, len(levels))).astype(np.float64))
    return np.hstack(parts)
