"""Scores on a card, from whatever measured them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..metrics import bootstrap_ci
from ._card_records import Metric

__all__ = ["metrics_of"]

YEARS = {"mae", "rmse", "bias", "chance_mae", "mae_worst_site", "mae_mean_of_sites"}
# of a cross-validation; its other columns are counts
SHOWN = ("rmse", "r", "r2", "relative_mae", "bias", "gap_slope", "mae_worst_site")
NOT_SCORES = {"n_rows", "n_people", "n_sites", "reference"}
FEWEST_SITES = 6  # below which resampling sites cannot reach a coverage of 0.95


def metrics_of(metrics: Any, protocol: str) -> tuple[Metric, ...]:
    """Return scores.

    Parameters
    ----------
    metrics : Bunch, dict, sequence of Metric or None
        Result of `cross_validate_sites` or `brain_age_scores`, or scores by name.
    protocol : str
        How scores by name were measured.

    Raises
    ------
    ValueError
        If it is something else, or a score is neither a number nor (value, low, high).
    """
    if metrics is None:
        return ()
    if isinstance(metrics, Mapping):
        if isinstance(metrics.get("predictions"), pd.DataFrame):
            return _cross_validated(metrics["predictions"], metrics["summary"])
        named = [_named(name, value, protocol) for name, value in metrics.items()]
        return tuple(metric for metric in named if metric is not None)
    if isinstance(metrics, list | tuple) and all(isinstance(item, Metric) for item in metrics):
        return tuple(metrics)
    raise ValueError(
        "metrics must be a result of cross_validate_sites or brain_age_scores, a dict of scores "
        f"by name, or a list of Metric, got {type(metrics).__name__}."
    )


def _named(name: str, value: Any, protocol: str) -> Metric | None:
    """Return one score of a dict; counts, and scores that could not be computed, are left out."""
    if name in NOT_SCORES:
        return None
    if isinstance(value, Metric):
        return value
    try:
        parts = [float(part) for part in np.atleast_1d(np.asarray(value, dtype=np.float64))]
    except (TypeError, ValueError):
        parts = []
    if len(parts) not in (1, 3):
        raise ValueError(
            f"metrics[{name!r}] must be a number or (value, low, high), got {value!r}."
        )
    return _metric(name, parts[0], parts[1:], protocol)


def _metric(name: str, value: float, bounds: Any, protocol: str, note: str = "") -> Metric | None:
    if not np.isfinite(value):
        return None
    low, high = bounds if len(bounds) == 2 and np.isfinite(bounds).all() else (None, None)
    return Metric(
        name=str(name), value=value, low=low, high=high, protocol=protocol,
        unit="years" if name in YEARS else "", note=note if low is not None else "",
    )  # fmt: skip


def _cross_validated(predictions: pd.DataFrame, summary: pd.DataFrame) -> tuple[Metric, ...]:
    """Return scores by protocol, the mean absolute error with its interval."""
    found = []
    for protocol, scores in summary.iterrows():
        lines = predictions[predictions.protocol == protocol]
        bounds, note = _interval(lines)
        found.append(_metric("mae", float(scores.mae), bounds, str(protocol), note))
        found += [
            _metric(name, float(scores[name]), (), str(protocol))
            for name in SHOWN
            if name in summary.columns
        ]
    return tuple(metric for metric in found if metric is not None)


def _interval(lines: pd.DataFrame) -> tuple[tuple[float, ...], str]:
    """Return bounds of the mean absolute error, and whom they speak of.

    New sites are spoken of by drawing sites, where there are enough of them.
    """
    error = (lines.prediction - lines.y).abs()
    rows = error.groupby([lines.person, lines.site, lines["row"]], sort=False).mean()
    person = pd.factorize(rows.index.get_level_values(0))[0]
    site = rows.index.get_level_values(1).to_numpy()
    n_sites, unseen = len(np.unique(site)), lines.protocol.iloc[0] != "within_site"
    over_sites = unseen and n_sites >= FEWEST_SITES
    if len(np.unique(person)) < 2:
        return (), ""
    drawn = bootstrap_ci(
        np.mean, rows.to_numpy(), groups=person, site=site if over_sites else None,
        random_state=0,
    )  # fmt: skip
    whom = "sites and people" if over_sites else "people of these sites"
    return (drawn.low, drawn.high), f"95 % interval over {whom}"
