"""The sentences of a person's page: what was found, and never what is wrong with anybody."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._gap_placement import GapPlacement
from ._numbers import as_percentile, as_range, as_signed, as_years
from ._quality import QualityLine

__all__ = ["gap_in_words", "interval_in_words", "list_warnings", "placement_in_words"]

PLACES = (
    (2.5, "smaller than in nearly all controls of this age"),
    (16, "smaller than in most controls of this age"),
    (84, "like that of many controls of this age"),
    (97.5, "larger than in most controls of this age"),
    (100.1, "larger than in nearly all controls of this age"),
)
BASES = {
    "own site": "errors of people at the same site",
    "all sites": "errors of people at all sites of training",
    "new site": "errors of people at sites that were left out of training",
    "new site, no guarantee": "errors of people at few left-out sites, without a guarantee",
}
UNSURE = "no guarantee"


def gap_in_words(gap: float, corrected: bool, placement: GapPlacement | None) -> str:
    """Say how large the gap is, and how usual."""
    kind = "corrected gap" if corrected else "gap, not corrected for age bias,"
    size = as_years(abs(gap))
    if float(f"{gap:.1f}") == 0:
        text = f"The {kind} is 0.0 years: what is expected at this age"
    else:
        older = "older" if gap > 0 else "younger"
        text = f"The {kind} is {as_signed(gap)} years: the maps look {size} years {older}"
        text += f" to the model than {'is expected at this age' if corrected else 'the person is'}"
    if placement is not None and placement.known:
        words = next(words for end, words in PLACES if placement.percentile < end)
        text += f". Such a gap is {words}"
    return f"{text}."


def placement_in_words(placement: GapPlacement) -> str:
    """Say where the gap lies, and what that rests on."""
    if not placement.known:
        return f"Not placed among controls: {placement.note}."
    if placement.method == "window":
        basis = (
            f"ranked among the {placement.n_controls} controls within {placement.window:g} years "
            "of age"
        )
    else:
        basis = f"from the gaps of {placement.n_controls} controls, at equal age"
    bounds = f"{as_percentile(placement.low)} to {as_percentile(placement.high)} %"
    share = as_percentile(placement.percentile)
    share = f"{share[:1].upper()}{share[1:]}"
    return (
        f"{share} % of controls of this age have a smaller gap "
        f"({100 * placement.confidence:g} % interval {bounds}; {basis})."
    )


def interval_in_words(
    age: float, interval: tuple[float, float] | None, confidence: float, basis: str
) -> str:
    """Say what the interval of the prediction means."""
    if interval is None:
        return "No interval was given with this prediction, so how far it may be off is not known."
    level = f"{100 * confidence:g} %"
    if not np.isfinite(interval).all():
        return f"The {level} interval has no finite end: too few people calibrate it."
    inside = interval[0] <= age <= interval[1]
    text = (
        f"The {level} interval goes from {as_range(*interval)} years and "
        f"{'holds' if inside else 'does not hold'} the chronological age. "
    )
    text += (
        f"It is made to hold the age of {level} of controls"
        if inside
        else f"It is made to miss the age of {100 * (1 - confidence):g} % of controls too"
    )
    return text + (f". It rests on {BASES.get(basis, basis)}." if basis else ".")


def list_warnings(
    out_of_range: Sequence[str],
    flags: Sequence[str],
    quality: Sequence[QualityLine],
    basis: str,
    placement: GapPlacement | None,
    corrected: bool,
) -> list[str]:
    """List what a reader must know before any number."""
    warnings = [str(reason) for reason in out_of_range]
    if UNSURE in basis:
        warnings.append(
            "The site is new to the model and its interval comes without a guarantee: errors at "
            "a new site may be larger."
        )
    if placement is not None and placement.note:
        warnings.append(f"The gap cannot be placed among controls: {placement.note}.")
    if not corrected:
        warnings.append(
            "The gap is not corrected for age bias: young people are predicted too old and old "
            "people too young by most models."
        )
    odd = len(flags) + sum(bool(line.flag) for line in quality)
    if odd:
        verb = "flag" if odd == 1 else "flags"
        warnings.append(f"{odd} quality {verb} on the images: see Image quality below.")
    return warnings
