"""What to do about an effect, and why.

Technical effects may be removed, biological ones never: whether a variable is the one or the other
is the user's word, and no size of an effect changes it.
"""

from dataclasses import dataclass

import numpy as np

from ._remedies import on_measurement, on_transfer, remedy
from ._severity import at_least

__all__ = ["Findings", "advise", "gather"]

MOSTLY = 0.7
GROUPINGS = ("binary", "categorical")
NOTHING_SAID = "Do not report a number here."
NOTHING = "Nothing to do."
_EMBEDDING = (
    "The model still carries {} beyond {}: strengthen the conditional penalty, or project the site "
    "directions out of its input."
)


@dataclass(frozen=True)
class Findings:
    """What advice on one row needs to know of other rows."""

    target: str
    roles: dict
    biology: tuple
    site: str | None
    excess: dict
    transfer: dict | None
    apart: frozenset = frozenset()


def gather(rows, variables, target, site):
    """Collect the findings on site that decide what can be done about it."""
    excess, transfer = {}, None
    apart = frozenset(
        row["variable"]
        for row in rows
        if (row["measure"], row["against"], row["status"])
        == ("overlap_coefficient", target, "low_overlap")
    )
    for row in rows:
        if row["variable"] != site or row["against"] != "features":
            continue
        if row["measure"].startswith("excess_"):
            excess[row["measure"].removeprefix("excess_")] = row
        elif row["measure"] == "shift_transfer_ratio" and row["status"] == "ok":
            transfer = row
    roles = {v.name: v.role for v in variables.values()}
    biology = tuple(name for name, role in roles.items() if role == "biological")
    return Findings(target, roles, biology, site, excess, transfer, apart)


def advise(row, findings):
    """Return advice on one row, and the reason for it.

    Parameters
    ----------
    row : dict
        A row of the table with its severity.
    findings : Findings
        What other rows say.

    Returns
    -------
    advice, reason : str
    """
    if row["status"] == "not_estimable":
        return _way_out(row), row["reason"]
    give = _by_measure(row["measure"])
    measured = give in (_on_features, _on_dispersion, _on_excess, _on_gap)
    if row["status"] == "low_overlap" and measured:
        give = _on_blind  # how large it is rests on a model, so even nothing is not known
    if row["role"] == "biological" and give not in (_on_pair, _on_dispersion, _on_gap):
        give = _on_features  # which keeps biology, whatever was measured
    advice = give(row, findings)
    return advice, " ".join(part for part in (row["reason"], _size(row)) if part)


def _by_measure(measure):
    if measure in ("cramers_v", "spearman", "epsilon_squared", "epsilon_squared_of_ranks"):
        return _on_pair
    if measure.startswith("unique_"):
        return _on_unique
    if measure.startswith("balanced_accuracy"):
        return _on_accuracy
    if measure.startswith("excess"):
        return _on_excess
    return {
        "overlap_coefficient": _on_overlap,
        "common_support": _on_support,
        "shared": _on_shared,
        "dispersion_epsilon_squared": _on_dispersion,
        "shift_transfer_ratio": on_transfer,
        "partial_r2": _on_gap,
        "partial_r2_within_strata": _on_gap,
        "mean_gap": _on_bias,
        "mean_absolute_error": _on_error,
        "unseen_site_error": _on_unseen,
        "unseen_site_error_mean_of_sites": _on_unseen_by_site,
        "repeated_rows": _on_repeats,
    }.get(measure, _on_features)


def _size(row):
    """Say how large the effect is, and how sure."""
    severity = row["severity"]
    if severity is None:
        return ""
    of_value = row["measure"] == "shift_transfer_ratio"  # whose interval is that of the raw value
    text = f"{severity.capitalize()}: {row['value'] if of_value else row['value_adj']:z.2f}"
    if np.isfinite(row["ci_low"]):
        text += f" ({row['ci_low']:z.2f} to {row['ci_high']:z.2f})"
    text += f", by chance {row['null_mean']:.2f}" if of_value else f" {_compared(row)}"
    if np.isfinite(row["p"]):
        text += f", p = {row['p']:.2g}"
        if at_least(severity, "small") and row["p"] > 0.05:
            text += ", so chance alone may have done it"
    return text + "."


def _compared(row):
    """Say what the value was compared with."""
    if row["measure"] in ("mean_gap", "mean_absolute_error"):
        return "beyond other sites at equal age and biology"
    if row["measure"].startswith("unseen_site_error"):
        return "more than at known sites"
    return "corrected for chance"


def _way_out(row):
    reason = row["reason"]
    if "constant" in reason or reason.startswith("Nobody"):
        return NOTHING_SAID
    if row["min_level_n"] == 1 or "people" in reason.lower():
        return f"{NOTHING_SAID} More people, or levels pooled by scanner and protocol, would help."
    return NOTHING_SAID


def _on_pair(row, findings):
    first, second = row["variable"], row["against"]
    roles = {findings.roles[first], findings.roles[second]}
    if row["status"] == "nested":
        if roles == {"technical"}:
            return f"Use one of {first} and {second}, not both: no method can separate them."
        if "technical" in roles:
            return (
                f"Not identifiable: make no claim that an effect of {second} is free of {first}, "
                f"or harmonised across it. Keep {second}; leave these levels out of alignment."
            )
        return "Do not put both into one model."
    if row["severity"] == "negligible":
        return NOTHING
    if roles == {"technical"}:
        return f"Their separate effects are unsure: speak of {first} and {second} together."
    if "technical" not in roles:
        return f"Biology or sampling: keep both, and hold {second} fixed where {first} is compared."
    if "target" in roles:
        return (
            f"Hold {second} fixed in every test and penalty that looks at {first}, and read what "
            f"features say of {first} against what {second} alone says."
        )
    return (
        f"Keep {second}: hold it fixed where effects of {first} are estimated or removed, and "
        "stratify folds by both."
    )


def _on_overlap(row, findings):
    other = row["against"]
    if row["status"] == "low_overlap":
        if row["overlap_ess"] > MOSTLY * row["min_level_n"]:
            return (
                "Too few people: pool the site with one of the same scanner and protocol, or leave "
                "it out of alignment and of claims on harmonisation."
            )
        if other == findings.target:
            return (
                "Not identifiable: leave the site out of alignment and of claims on harmonisation; "
                "keep it for training."
            )
        return f"Keep {other}; claim nothing on the effect of {other} at this site."
    if row["severity"] == "negligible":
        return NOTHING
    return f"Compare this site with others within the common range of {other} only."


def _on_support(row, findings):
    if row["status"] == "low_overlap":
        return (
            f"Compare sites in pairs or groups that share a range of {findings.target}, "
            "not all at once."
        )
    if row["severity"] == "negligible":
        return NOTHING
    return f"Repeat comparisons between sites within the range of {findings.target} that all share."


def _on_features(row, findings):
    name, role = row["variable"], row["role"]
    embedded = row["against"] == "embedding"
    if role == "target":
        return f"This is the signal: what can be learned of {name}."
    if role == "biological":
        if row["severity"] == "negligible":
            return f"Keep {name}."
        return f"Keep {name}: hold it fixed or report by it, never remove it from the images."
    if row["severity"] == "negligible":
        return f"Do nothing about {name}: to remove it can only cost accuracy."
    if embedded:
        return _EMBEDDING.format(name, findings.target)
    return remedy(findings) if row["kind"] in GROUPINGS else on_measurement(name, findings)


def _on_blind(row, findings):
    then = "Train on all, claim nothing on harmonisation."
    if row["against"] == "gap":
        then = f"Never compare gaps across {row['variable']}."
    return (
        f"Not identifiable: {row['variable']} and {findings.target} cannot be told apart here. "
        f"{then}"
    )


def _on_unique(row, findings):
    part = row["measure"].removeprefix("unique_")
    if part == row["variable"]:
        if row["severity"] == "negligible":
            return f"Do nothing about {part}: to remove it can only cost accuracy."
        return f"This much can be removed without touching {findings.target}."
    return f"This much of {part} survives whatever is done about {row['variable']}."


def _on_shared(row, findings):
    if row["value_adj"] < 0 and row["severity"] != "negligible":
        return "Negative: either variable hides part of the other. Always fit both."
    if row["severity"] == "negligible":
        return NOTHING
    return (
        f"Nobody can tell whether this is {findings.target} or {row['variable']}: a method that "
        "removes the one removes the other. Only people of overlapping ages could."
    )


def _on_dispersion(row, findings):
    if row["severity"] == "negligible":
        return NOTHING
    if row["role"] == "biological":
        return f"Keep {row['variable']}; use tests that allow for unequal spread."
    return (
        "To remove means is not enough: scale by site as well, as ComBat does, and use tests that "
        "allow for unequal spread."
    )


def _on_accuracy(row, findings):
    if row["against"] == findings.target:
        return (
            f"Read the accuracy of site probes against {row['value']:.2f}, not against guessing: a "
            f"model that says nothing of the site beyond {findings.target} has that much."
        )
    return (
        f"Read it against {row['null_mean']:.2f}, what {findings.target} alone says of the site; "
        "the excess is what counts."
    )


def _on_excess(row, findings):
    if row["severity"] == "negligible":
        return NOTHING
    if row["against"] == "prediction":
        return "The predictions tell the site: see what site explains of the gap."
    if row["against"] == "embedding":
        return _EMBEDDING.format(row["variable"], findings.target)
    return remedy(findings)


def _on_gap(row, findings):
    name = row["variable"]
    if row["severity"] == "negligible":
        return NOTHING
    if row["role"] == "biological":
        return f"Keep {name}: a gap that differs by it may be the finding. Report it."
    return (
        f"Never compare gaps across {name} without controls of each level; recalibrate on those "
        "controls."
    )


def _on_bias(row, findings):
    if row["severity"] == "negligible":
        return NOTHING
    return "Recalibrate on controls of this site before its gaps are read."


def _on_error(row, findings):
    if row["severity"] == "negligible":
        return NOTHING
    return "Report the error of this site by itself: the pooled one flatters it."


def _on_unseen(row, findings):
    if row["severity"] == "negligible":
        return NOTHING
    if row["variable"] == findings.site:
        return (
            f"Report the error of left-out sites, {row['value']:.2f}, for people of new sites: "
            f"{row['null_mean']:.2f} holds at known sites only."
        )
    if row["variable"] in findings.apart:
        return (
            f"The model extrapolates: {findings.target} as at this site is rare elsewhere. Train "
            f"with people of that {findings.target}."
        )
    return "Look for what scanner and protocol of this site have of their own."


def _on_unseen_by_site(row, findings):
    if row["severity"] == "negligible":
        return NOTHING
    return "Speak of new sites in general with this interval, which counts sites, not people."


def _on_repeats(row, findings):
    return (
        f"Give one row a {row['variable']}, or read no p here: people in several rows make all of "
        "them too small."
    )
