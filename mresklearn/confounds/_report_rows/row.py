"""One row of the table: a variable, what it is held against, and the effect."""

import numpy as np

from .._roles import Variable

__all__ = ["COLUMNS", "level_of", "make_row"]

COLUMNS = (
    "variable", "kind", "role", "n", "n_missing", "levels", "min_level_n", "against",
    "conditioning", "measure", "value", "null_mean", "value_adj", "ci_low", "ci_high", "p",
    "p_adj", "n_perm", "overlap_ess", "status", "severity", "advice", "reason",
)  # fmt: skip


def make_row(variable, effect, *, n, against, conditioning="none", overlap_ess=np.nan, **changed):
    """Return a row as a dict; severity, advice and adjusted p come when all rows are there."""
    row = {
        "variable": variable.name,
        "kind": variable.kind,
        "role": variable.role,
        "n": int(n),
        "n_missing": int((~variable.present).sum()),
        "levels": variable.n_levels,
        "min_level_n": variable.min_level_n,
        "against": against,
        "conditioning": conditioning,
        "measure": effect.measure,
        "value": effect.value,
        "null_mean": effect.null_mean,
        "value_adj": effect.value_adj,
        "ci_low": effect.interval[0],
        "ci_high": effect.interval[1],
        "p": effect.p,
        "p_adj": np.nan,
        "n_perm": effect.n_permutations,
        "overlap_ess": overlap_ess,
        "status": effect.status,
        "severity": None,
        "advice": "",
        "reason": effect.reason,
    }
    return row | changed


def level_of(variable, code):
    """Return one level against the rest as a variable, named as in ``site[Utah]``."""
    inside = np.where(variable.present, variable.values == code, np.nan)
    name = f"{variable.name}[{variable.levels[int(code)]}]"
    return Variable(name, "binary", variable.role, inside.astype(float), ("rest", name))
