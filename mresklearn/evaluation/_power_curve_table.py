"""The table of a power curve, and the number of patients that it says are needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import isotonic_regression

__all__ = ["patients_needed", "tabulate"]

WITH_INTERVAL = ("power", "level", "auc_power", "auc_level")


def tabulate(studies: pd.DataFrame) -> pd.DataFrame:
    """Average the studies of each size, with Wilson's intervals of the shares."""
    grouped = studies.drop(columns="unit").groupby(["group", "n_patients"], sort=False)
    means = grouped.mean()
    counts = grouped.size().to_numpy()
    columns: dict[str, Any] = {"n_controls": grouped["n_controls"].first()}
    for name in means.columns.drop("n_controls"):
        columns[name] = means[name].astype(float)
        if name in WITH_INTERVAL:
            columns[f"{name}_low"], columns[f"{name}_high"] = _wilson(columns[name], counts)
    return pd.DataFrame(columns)


def _wilson(share: pd.Series, counts: np.ndarray) -> tuple[pd.Series, pd.Series]:
    """Interval of a binomial share at 95 % (Wilson 1927, JASA 22, 209-212)."""
    z = stats.norm.ppf(0.975)
    middle = (share + z**2 / (2 * counts)) / (1 + z**2 / counts)
    margin = (
        z / (1 + z**2 / counts) * np.sqrt(share * (1 - share) / counts + z**2 / (4 * counts**2))
    )
    return (middle - margin).clip(lower=0), (middle + margin).clip(upper=1)


def patients_needed(table: pd.DataFrame, target: float) -> pd.DataFrame:
    """Read off the number of patients that reaches the target, and where its interval does."""
    rows = {}
    for group, part in table.groupby(level="group", sort=False):
        sizes = part.index.get_level_values("n_patients").to_numpy(float)
        for test, name in (("difference", "power"), ("auc", "auc_power")):
            rows[group, test] = {
                "n": _crossing(sizes, part[name].to_numpy(), target),
                "low": _crossing(sizes, part[f"{name}_high"].to_numpy(), target),
                "high": _crossing(sizes, part[f"{name}_low"].to_numpy(), target),
            }
    index = pd.MultiIndex.from_tuples(rows, names=["group", "test"])
    return pd.DataFrame(list(rows.values()), index=index)


def _crossing(sizes: np.ndarray, power: np.ndarray, target: float) -> float:
    """Return the smallest whole number with the target power; infinite where there is none."""
    rising = isotonic_regression(power).x
    reached = np.flatnonzero(rising >= target)
    if not reached.size:
        return np.inf
    k = reached[0]
    if k == 0:
        return float(sizes[0])
    below, above, aim = stats.norm.ppf(np.clip([rising[k - 1], rising[k], target], 1e-4, 1 - 1e-4))
    share = (aim - below) / (above - below) if above > below else 1.0
    root = np.sqrt(sizes[k - 1]) + share * (np.sqrt(sizes[k]) - np.sqrt(sizes[k - 1]))
    return float(np.ceil(root**2 - 1e-9))
