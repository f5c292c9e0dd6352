"""Question 1 of a report, second half: whether people of a site have counterparts elsewhere."""

from dataclasses import replace

import numpy as np

from .._overlap import common_support, level_overlap, number_overlap
from .._probe_effects import probe_age
from .row import level_of, make_row
from .site import PROBES
from .study import FEWEST_MATCHED

__all__ = ["positivity_rows"]

MOST_LEVELS = 5
# where three are expected, none is rarer than one in twenty
EXPECTED = 3


def positivity_rows(study):
    """Return rows on the overlap of the target and of biological levels between sites."""
    if study.site is None:
        return []
    levels = [
        v
        for v in study.examined
        if v.role == "biological" and v.kind != "continuous" and v.n_levels > 1
    ]
    rows = [
        _overlap(study, code, other)
        for other in [study.target, *levels]
        for code in range(len(study.site.levels))
    ]
    return [*rows, _support(study), *_age_floor(study)]


def _overlap(study, code, other):
    """Return the row of one site against the rest, in one other variable."""
    level = level_of(study.site, code)
    both = level.present & other.present
    inside, values = level.values[both] == 1, other.values[both]
    settings = study.settings("overlap", level.name, other.name)
    if other.kind == "continuous":
        effect, matched = number_overlap(values, inside, **settings)
    else:
        codes = np.unique(values, return_inverse=True)[1]
        effect, matched = level_overlap(codes, inside, **settings)
    if effect.status == "ok":
        few = _few(inside, matched, other) if matched < FEWEST_MATCHED else ""
        reason = f"{_lacking_levels(other, values, inside)} {few}".strip()
        if reason:
            effect = replace(effect, status="low_overlap", reason=reason)
    return make_row(level, effect, n=both.sum(), against=other.name, overlap_ess=matched)


def _few(inside, matched, other):
    return (
        f"{matched:.1f} of the {inside.sum()} people at the site have counterparts of their "
        f"{other.name} elsewhere, in effect; {FEWEST_MATCHED} are needed."
    )


def _lacking_levels(other, values, inside):
    """Name the levels that the site lacks though some are to be expected: it has men only."""
    if other.kind == "continuous" or other.n_levels > MOST_LEVELS:
        return ""
    elsewhere, counts = np.unique(values[~inside], return_counts=True)
    expected = counts / counts.sum() * inside.sum() >= EXPECTED
    lacking = np.setdiff1d(elsewhere[expected], values[inside]).astype(int)
    names = ", ".join(str(other.levels[code]) for code in lacking[:5])
    return f"The site has nobody with {other.name} {names}." if len(lacking) else ""


def _support(study):
    both = study.site.present & study.target.present
    values, codes = study.target.values[both], study.site.values[both].astype(int)
    effect, (low, high) = common_support(values, codes, **study.settings("support"))
    if effect.status == "ok":
        found = (
            f"All sites of five and more people have people from {low:.3g} to {high:.3g}."
            if np.isfinite(low)
            else f"No {study.target.name} occurs at all sites of five and more people."
        )
        status = "ok" if np.isfinite(low) else "low_overlap"
        effect = replace(effect, status=status, reason=found)
    return make_row(study.site, effect, n=both.sum(), against=study.target.name)


def _age_floor(study):
    """Return what the target alone says of the site, by each probe."""
    both = np.flatnonzero(study.site.present & study.target.present)
    values, codes = study.target.values[both], study.site.values[both].astype(int)
    rows = []
    for probe in PROBES:
        effect, n = probe_age(codes, values, probe, **study.settings("floor", probe))
        rows.append(make_row(study.site, effect, n=n, against=study.target.name))
    return rows
