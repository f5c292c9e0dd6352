"""Questions 3 and 4 of a report: what the gap carries of site, and who bears the errors."""

from dataclasses import replace

import numpy as np

from .._dispersion import dispersion
from .._effect import not_estimable
from .._redundancy import redundancy
from .._site_effect_test import site_effect_test
from .._site_error import FEWEST_AT_SITE, site_error
from .features import smallest, with_overlap
from .row import level_of, make_row
from .study import encode

__all__ = ["gap_rows"]


def gap_rows(study, predictions):
    """Return what every variable explains of the gap, and bias and error of every site.

    Parameters
    ----------
    study : Study
        Variables and settings.
    predictions : Predictions
        Gap and error of every person, NaN where there is none.

    Returns
    -------
    rows : list of dict
    """
    gap = predictions.gap
    present = np.flatnonzero(np.isfinite(gap))
    made = [_explained(study, variable, gap, present) for variable in study.examined]
    if study.site is None:
        return made
    site = next(row for row in made if row["variable"] == study.site.name)
    within = _within_strata(study, gap, present, site)
    return [*made, within, *_errors(study, predictions, present)]


def _explained(study, variable, gap, present):
    """Return the share of the gap that one variable explains."""
    rows = study.complete_rows(variable, present)
    groups, matched = None, np.array([np.nan])
    if len(rows) == 0 or len(np.unique(variable.values[rows])) < 2:
        effect = not_estimable("partial_r2", study.why_nothing_varies(variable, present))
    else:
        if variable.is_grouping:
            groups = np.unique(variable.values[rows], return_inverse=True)[1]
            matched = study.matched(variable, rows)
        effect = redundancy(
            gap[rows, None],
            study.fixed_design(variable, rows),
            encode(variable, rows),
            study.strata(rows),
            **study.settings("gap", variable.name),
        )
    return make_row(
        variable,
        with_overlap(replace(effect, measure="partial_r2"), matched, groups, study),
        n=len(rows),
        against="gap",
        conditioning=study.conditioning(variable),
        overlap_ess=smallest(matched),
    )


def _within_strata(study, gap, present, site):
    """Return the row on site with the p of a test that asks less of the curve of age."""
    rows = study.complete_rows(study.site, present)
    measure = "partial_r2_within_strata"
    if site["status"] == "not_estimable":
        return site | {"measure": measure}
    covariates = study.fixed_design(study.site, rows)[:, 1:]
    result = site_effect_test(
        gap[rows],
        study.site.values[rows],
        study.target.values[rows],
        covariates=covariates[:, np.ptp(covariates, axis=0) > 0],
        method="stratified_permutation",
        n_permutations=study.n_permutations,
        random_state=int(study.generator("gap", "strata").integers(2**31 - 1)),
    )
    if result.status != "ok":
        effect = not_estimable(measure, result.note)
        common = {key: site[key] for key in ("n", "against", "conditioning", "overlap_ess")}
        return make_row(study.site, effect, **common)
    return site | {"measure": measure, "p": result.p_value}


def _errors(study, predictions, present):
    """Return bias and mean absolute error of every site, and whether their spread differs."""
    rows = study.complete_rows(study.site, present)
    fixed = study.fixed_design(study.site, rows)
    codes = study.site.values[rows].astype(int)
    common = {"against": "gap", "conditioning": study.conditioning(study.site)}
    gap = predictions.gap
    nothing = study.why_nothing_varies(study.site, present) if len(rows) == 0 else ""
    effect, n = not_estimable("dispersion_epsilon_squared", nothing), 0
    if len(rows):
        groups = np.unique(codes, return_inverse=True)[1]
        effect, n = dispersion(gap[rows, None], fixed, groups, **study.settings("gap", "spread"))
    made = [make_row(study.site, effect, n=n, **common)]
    everybody = study.rows_with_values(study.site, present)
    for measure, errors in (("mean_gap", gap), ("mean_absolute_error", predictions.error)):
        for code in range(len(study.site.levels)):
            level = level_of(study.site, code)
            inside = codes == code
            n = np.count_nonzero(study.site.values[everybody] == code)
            if n < FEWEST_AT_SITE:
                reason = f"People at the site with all values: {n}; {FEWEST_AT_SITE} are needed."
                effect = not_estimable(measure, reason)
            else:
                settings = study.settings("gap", measure, level.name)
                effect = site_error(measure, errors[rows], fixed, inside, **settings)
            made.append(make_row(level, effect, n=n, **common))
    return made
