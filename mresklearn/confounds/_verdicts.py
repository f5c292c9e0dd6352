"""What each variable is in this study: a confounder to act on, noise, imbalance, or harmless."""

from dataclasses import dataclass

import numpy as np

from ._severity import SEVERITIES, at_least

__all__ = ["ALPHA", "Verdict", "convinces", "judge"]

PAIRS = ("cramers_v", "spearman", "epsilon_squared", "epsilon_squared_of_ranks")
# an effect below medium counts if chance does not explain it
ALPHA = 0.05
# in the reason of a row where what is held fixed determines the variable
INSEPARABLE = "cannot be told apart"


@dataclass(frozen=True)
class Verdict:
    """What a variable is, from what it goes with, what it moves and what the model uses of it."""

    variable: str
    role: str
    goes_with: tuple
    entangled: str | None
    moves_images: str | None
    in_gap: str | None
    verdict: str
    reason: str


def convinces(row):
    """Whether an effect is large enough, or small but beyond chance."""
    p = row["p_adj"] if np.isfinite(row["p_adj"]) else row["p"]
    small = at_least(row["severity"], "small") and p <= ALPHA
    return small or at_least(row["severity"], "medium")


def judge(variable, rows, variables):
    """Judge one variable.

    Parameters
    ----------
    variable : Variable
        Technical or biological.
    rows : list of dict
        All rows of the table, with severities.
    variables : dict of str to Variable
        All variables.

    Returns
    -------
    verdict : Verdict
        ``"confounder"``, ``"not identifiable"``, ``"noise"``, ``"imbalance"``, ``"harmless"`` or
        ``"unknown"`` for a technical variable, ``"biology"`` for a biological one.
    """
    own = [row for row in rows if row["variable"] == variable.name]
    pairs = _design_pairs(variable, rows, variables)
    entangled = [row for row in pairs if convinces(row)]
    nested = [row for row in pairs if row["status"] == "nested"]
    moving = [
        row
        for row in own
        if row["against"] == "features"
        and (row["measure"] == "rda_partial_r2" or row["measure"].startswith("excess"))
    ]
    in_gap = [row for row in own if row["against"] == "gap" and row["measure"] == "partial_r2"]
    verdict, reason = _verdict(variable, entangled, nested, moving)
    return Verdict(
        variable.name,
        variable.role,
        tuple(_other(row, variable.name) for row in entangled),
        _worst(pairs),
        _worst(moving),
        _worst(in_gap),
        verdict,
        reason,
    )


def _design_pairs(variable, rows, variables):
    """Return rows that hold the variable against the target or against biology."""
    studied = {v.name for v in variables.values() if v.role in ("target", "biological")}
    return [
        row
        for row in rows
        if row["measure"] in PAIRS
        and variable.name in (row["variable"], row["against"])
        and _other(row, variable.name) in studied
    ]


def _verdict(variable, entangled, nested, moving):
    if variable.role == "biological":
        return "biology", "It is biology: keep it, and balance or hold it fixed."
    measured = [row for row in moving if row["severity"] is not None]
    blind = [row for row in measured if row["status"] == "low_overlap"]
    if variable.n_levels == 1:
        return "harmless", (
            "It is constant, so it explains no difference between these people; whether other "
            "values of it would matter is not known."
        )
    if nested and not measured:
        return "not identifiable", nested[0]["reason"]
    if moving and not measured and INSEPARABLE in moving[0]["reason"]:
        return "not identifiable", moving[0]["reason"]
    if blind and entangled:
        return "not identifiable", blind[0]["reason"]
    if not measured:
        why = f": {moving[0]['reason']}" if moving else ": no X was given."
        return "unknown", f"Whether it moves the images is not known{why}"
    moves = any(convinces(row) for row in measured)
    if moves and entangled:
        why = "It goes with what is studied, and it moves the images."
        return "confounder", " ".join([why, *(f"{row['reason']}" for row in nested)])
    if moves:
        return "noise", "It moves the images, but does not go with what is studied."
    if entangled:
        return "imbalance", "It goes with what is studied, but does not move the images."
    return "harmless", "It neither goes with what is studied nor moves the images."


def _other(row, name):
    return row["against"] if row["variable"] == name else row["variable"]


def _worst(rows):
    found = [SEVERITIES.index(row["severity"]) for row in rows if row["severity"] is not None]
    return SEVERITIES[max(found)] if found else None
