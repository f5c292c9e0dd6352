"""What needs all rows of a report: adjusted p, severity, verdicts and advice."""

from dataclasses import fields

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from .._advice import advise, gather
from .._age_spline import age_spline
from .._severity import severity_of
from .._variance import orthonormal, residuals
from .._verdicts import Verdict, judge
from .row import COLUMNS

__all__ = ["conclude"]


def conclude(rows, study, gap):
    """Complete the rows and judge every variable.

    Parameters
    ----------
    rows : list of dict
        All rows, with their effects.
    study : Study
        Variables and settings.
    gap : ndarray of shape (n_rows,) or None
        Predicted less true target.

    Returns
    -------
    table : DataFrame
        One effect a row.
    verdicts : DataFrame
        One variable a row.
    """
    p = np.array([row["p"] for row in rows], dtype=float)
    tested = np.isfinite(p)
    p[tested] = false_discovery_control(p[tested])
    spread = np.nan if gap is None else _gap_spread(study, gap)
    for row, adjusted in zip(rows, p, strict=True):
        row["p_adj"] = adjusted
        levels = [
            study.variables[name].n_levels
            for name in (row["variable"], row["against"])
            if name in study.variables
        ]
        row["severity"] = severity_of(row, smaller_side=min(levels, default=2), gap_spread=spread)
    verdicts = [judge(variable, rows, study.variables) for variable in study.examined]
    site = None if study.site is None else study.site.name
    findings = gather(rows, study.variables, study.target.name, site)
    for row in rows:
        row["advice"], row["reason"] = advise(row, findings)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    columns = [field.name for field in fields(Verdict)]
    return table, pd.DataFrame(map(vars, verdicts), columns=columns).set_index("variable")


def _gap_spread(study, gap):
    """Return the standard deviation of the gap at equal age, the unit of its differences."""
    rows = np.flatnonzero(np.isfinite(gap))
    if len(rows) < 2:
        return np.nan
    basis = orthonormal(age_spline(study.target.values[rows]))
    left = residuals(gap[rows], basis)
    return float(np.sqrt(np.sum(left**2) / max(1, len(rows) - basis.shape[1])))
