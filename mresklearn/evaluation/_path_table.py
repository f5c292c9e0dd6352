"""From the fits to one line a setting: errors, site left, the Pareto set and the choice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..model_selection import one_standard_error_rule
from ..model_selection._site_folds import LEFT_OUT, WITHIN
from ._path_fits import PROBES

__all__ = ["largest_excess", "pareto_set", "path_tables"]


def path_tables(
    measured: pd.DataFrame, values: list, parameter: str, sites: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, Any]:
    """Average what the fits measured, and choose by the errors at left-out sites alone.

    Parameters
    ----------
    measured : DataFrame
        One fit a row: position of its value, protocol, and what ``fit_and_measure`` returned.
    values : list
        Values of the parameter, in order.
    parameter : str
        Its name.
    sites : list of str
        Sites, in the order of their codes.

    Returns
    -------
    table : DataFrame
        As in :class:`InvariancePath`.
    per_site : DataFrame
        Errors with each site left out.
    chosen : object
        The value that the rule chooses.
    """
    index = pd.Index(values, name=parameter)
    per_site = pd.DataFrame(
        _errors(measured, LEFT_OUT, len(values)),
        index=index,
        columns=pd.Index(sites, name="site"),
    )
    known = _errors(measured, WITHIN, len(values))
    table = pd.DataFrame(
        {
            "error_left_out": per_site.mean(axis=1),
            "error_left_out_se": per_site.std(axis=1, ddof=1) / np.sqrt(len(sites)),
            "error_known": np.nanmean(known, axis=1),
        },
        index=index,
    )
    halves = measured[measured.protocol == WITHIN]
    left = {
        probe: pd.DataFrame(halves[probe].tolist()).groupby(halves.value.to_numpy()).mean()
        for probe in PROBES
    }
    for probe in PROBES:
        table[f"site_{probe}"] = left[probe].balanced_accuracy.to_numpy()
    table["site_floor"] = np.max([left[probe].age_floor for probe in PROBES], axis=0)
    for probe in PROBES:
        table[f"excess_{probe}"] = left[probe].excess.to_numpy()
    table["pareto"] = pareto_set(table.error_left_out, largest_excess(table).clip(lower=0))
    row = _choose(per_site.to_numpy(), values, parameter)
    table["chosen"] = np.arange(len(values)) == row
    return table, per_site, values[row]


def largest_excess(table: pd.DataFrame) -> pd.Series:
    """Return the excess site predictability of the probe that reads more."""
    return table[[f"excess_{probe}" for probe in PROBES]].max(axis=1)


def pareto_set(*measures: Any) -> np.ndarray:
    """Mark the settings that no other one matches in every measure and beats in one; small is good.

    Parameters
    ----------
    *measures : array-like of shape (n_settings,)
        What should be small.

    Returns
    -------
    best : ndarray of bool of shape (n_settings,)
        False for settings that another one makes pointless.
    """
    costs = np.column_stack([np.asarray(measure, dtype=float) for measure in measures])
    as_good = (costs[:, None] <= costs[None]).all(axis=2)
    better = (costs[:, None] < costs[None]).any(axis=2)
    return np.logical_not((as_good & better).any(axis=0))


def _errors(measured: pd.DataFrame, protocol: str, n_values: int) -> np.ndarray:
    """Return errors of shape (values, sites), each the mean over the fits that test the site."""
    fits = measured[measured.protocol == protocol]
    return np.stack(
        [
            pd.DataFrame(np.stack(fits.errors[fits.value == k].to_list())).mean().to_numpy()
            for k in range(n_values)
        ]
    )


def _choose(errors: np.ndarray, values: list, parameter: str) -> int:
    """Apply the rule of SiteSearchCV, which reads search results."""
    results: dict[str, Any] = {
        f"split{site}_test_score": -errors[:, site] for site in range(errors.shape[1])
    }
    results["params"] = [{parameter: value} for value in values]
    return one_standard_error_rule(parameter)(results)
