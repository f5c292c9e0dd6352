"""A comparison before and after harmonising in prose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from ._before_after import HarmonizationReport

__all__ = ["write_comparison"]

PROBES = {"linear": "linear", "rbf": "Gaussian"}
ALPHA = 0.05


def write_comparison(report: HarmonizationReport) -> str:
    """Write the paragraphs of a comparison.

    Parameters
    ----------
    report : HarmonizationReport
        What was measured.

    Returns
    -------
    text : str
    """
    first, *others = report.names_
    found = report.table_.set_index(["measure", "table"])
    some = report.reports_[first]
    site = some.variables_[some.site_column]
    held = ", ".join([some.target, *some.covariates_])
    people = int(found.n.xs("mae", level="measure").iloc[0])
    paragraphs = [
        f"{people} people of {site.n_levels} sites; {held} held fixed. Site beyond "
        f"{some.target}, and {some.target} beyond site, are measured alike in "
        f"{_listed(report.names_)}.",
        _before(found, first, some.target),
    ]
    if report.held_out:
        paragraphs[0] += " Harmonisers were fitted on as many other people of the same sites."
    paragraphs += [
        _after(found, first, name, some, site.n_levels, held_out=report.held_out) for name in others
    ]
    return "\n\n".join(paragraphs)


def _before(found: pd.DataFrame, name: str, target: str) -> str:
    text = f"{name}: site explains {_share(found, 'rda_partial_r2', name)} of the variance. "
    for probe, word in PROBES.items():
        row = found.loc[(f"balanced_accuracy_{probe}", name)]
        if np.isfinite(row.value):
            text += (
                f"A {word} probe reads the site with balanced accuracy {row.value:.2f}, "
                f"{target} alone with {row.reference:.2f}. "
            )
    mae, r2 = found.loc[("mae", name)], found.loc[("r2_within_sites", name)]
    return text + (
        f"{target.capitalize()} is predicted with a mean absolute error of {_interval(mae)} and "
        f"explains {_share(found, 'partial_r2', name)} of the variance beyond site; its R2 "
        f"within sites is {r2.value:.2f}."
    )


def _after(
    found: pd.DataFrame, first: str, name: str, some: Any, n_sites: int, *, held_out: bool
) -> str:
    before = found.loc[("rda_partial_r2", first)]
    lost = _verdict_on_signal(found, name, some.target)
    return " ".join(
        [
            f"{name}: site explains {_share(found, 'rda_partial_r2', name)} of the variance, after "
            f"{before.value:.1%} in {first}.",
            *_spread(found, first, name),
            *_probes(found, first, name, some.target, n_sites),
            *_floor(found, name, some.target, n_sites, lost=bool(lost), held_out=held_out),
            *_signal(found, first, name, some.target, lost, held_out=held_out),
        ]
    )


def _spread(found: pd.DataFrame, first: str, name: str) -> list[str]:
    before, after = (found.loc[("dispersion_epsilon_squared", table)] for table in (first, name))
    if not np.isfinite(after.value):
        return []
    text = f"Differences in spread between sites: {before.value:.2f} before, {after.value:.2f} now"
    return [f"{text} (epsilon squared, p = {after.p:.2g})."]


def _estimated(found: pd.DataFrame, name: str) -> dict[str, pd.Series]:
    rows = {probe: found.loc[(f"balanced_accuracy_{probe}", name)] for probe in PROBES}
    return {probe: row for probe, row in rows.items() if np.isfinite(row.value)}


def _probes(found: pd.DataFrame, first: str, name: str, target: str, n_sites: int) -> list[str]:
    """Say how well probes read the site."""
    moved = [
        f"a {PROBES[probe]} probe with {row.value:.2f} (before "
        f"{found.loc[(f'balanced_accuracy_{probe}', first)].value:.2f}; {target} alone "
        f"{row.reference:.2f})"
        for probe, row in _estimated(found, name).items()
    ]
    if not moved:
        return [f"Probes give no number: {found.loc[('balanced_accuracy_linear', name)].reason}"]
    return [f"The site is read by {_listed(moved)}; guessing gives {1 / n_sites:.2f}."]


def _floor(
    found: pd.DataFrame, name: str, target: str, n_sites: int, *, lost: bool, held_out: bool
) -> list[str]:
    """Say what it means that probes are above or below what the target alone gives."""
    now = _estimated(found, name)
    excesses = [found.loc[(f"excess_{probe}", name)] for probe in now]
    p = min((row.p for row in excesses if row.p <= ALPHA and row.value > 0), default=None)
    if p is not None:
        return [f"So it can still be read beyond {target} (p = {p:.2g})."]
    under = [row for row in now.values() if row.ci_high < row.reference]
    if not now:
        return []
    guess = any(row.ci_high < 1 / n_sites for row in under)
    if lost and under and (held_out or not guess):
        return [f"That is less than {target} alone gives, as {target} went along with the site."]
    if held_out or not under:
        return [f"No site is found beyond {target}."]
    return [
        f"Less than {'guessing' if guess else f'{target} alone'} is the sign of a leak: the "
        "harmoniser was fitted on people that the probe is tested on. Fit it inside the folds "
        "wherever a model is tested, and hand it over unfitted to see what new people get."
    ]


def _verdict_on_signal(found: pd.DataFrame, name: str, target: str) -> str:
    """Say what of the target was lost; empty if nothing is known to be."""
    within, overall = found.loc[("r2_within_sites", name)], found.loc[("r2", name)]
    if within.change_high < 0:
        return f"some of the signal of {target} within sites went along"
    if overall.change_high < 0:
        return (
            f"differences in {target} between sites went along, or were only read from the site "
            "before"
        )
    return ""


def _signal(
    found: pd.DataFrame, first: str, name: str, target: str, lost: str, *, held_out: bool
) -> list[str]:
    """Say whether what features know of the target is still there."""
    within, mae, share = (found.loc[(m, name)] for m in ("r2_within_sites", "mae", "partial_r2"))
    before = found.loc[("r2_within_sites", first)]
    kept = "not known to have changed"
    if within.change_low > 0:
        kept = "clearer than before"
        if not held_out:
            kept += f", or was given away by a harmoniser that knew the {target} of these people"
    return [
        f"{target.capitalize()} is predicted with an R2 within sites of {within.value:.2f}, after "
        f"{before.value:.2f} ({_change(within)}), and a mean absolute error of {mae.value:.2f} "
        f"({_change(mae)}): {lost or f'its signal is {kept}'}.",
        f"It explains {share.value:.1%} of the variance beyond site, after "
        f"{found.loc[('partial_r2', first)].value:.1%}.",
    ]


def _change(row: pd.Series) -> str:
    return f"change {row.change:+.2f}, {row.change_low:+.2f} to {row.change_high:+.2f}"


def _share(found: pd.DataFrame, measure: str, name: str) -> str:
    row = found.loc[(measure, name)]
    if not np.isfinite(row.value):
        return f"an unknown share ({row.reason})"
    text = f"{row.value:.1%}" if row.value > 0 else "no more than by chance"
    if np.isfinite(row.ci_low) and row.ci_high > 0:
        text += f" ({row.ci_low:.1%} to {row.ci_high:.1%})"
    return text


def _interval(row: pd.Series) -> str:
    return f"{row.value:.2f} ({row.ci_low:.2f} to {row.ci_high:.2f})"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
