"""Question 2 of a report: what moves images or an embedding beyond age and biology."""

from dataclasses import replace

import numpy as np

from .._commonality import commonality
from .._coordinates import column_moments, coordinates
from .._dispersion import dispersion
from .._effect import not_estimable
from .._feature_share import feature_share
from .._redundancy import redundancy
from .row import make_row
from .study import encode

__all__ = ["FeatureRows", "smallest", "with_overlap"]

# share of the counterparts that a level could have
LEAST_MATCHED = 0.5


class FeatureRows:
    """Rows on one table of features: images, or the embedding of a model.

    Parameters
    ----------
    study : Study
        Variables and settings.
    table : FeatureTable
        Features of the people that have any.
    against : str
        What the features are: "features" or "embedding".
    standardize : bool
        Let all columns count alike in what is said of all of them, whatever their unit.
    """

    def __init__(self, study, table, against, *, standardize):
        self.study, self.table, self.against = study, table, against
        mean, spread = column_moments(table.values)
        scale = spread if standardize else np.ones_like(spread)
        self.coordinates = coordinates(table.values, mean, scale)

    def effects(self, variable):
        """Return what a variable explains beyond what is held fixed, and what it shares."""
        study, against = self.study, self.against
        rows = study.complete_rows(variable, self.table.rows)
        place = np.searchsorted(self.table.rows, rows)
        conditioning = study.conditioning(variable)
        matched = study.matched(variable, rows) if len(rows) else np.array([np.nan])

        def settings(name):
            return study.settings(against, variable.name, name)

        if len(rows) == 0 or len(np.unique(variable.values[rows])) < 2:
            reason = study.why_nothing_varies(variable, self.table.rows)
            effect = not_estimable("rda_partial_r2", reason)
            return [
                make_row(variable, effect, n=len(rows), against=against, conditioning=conditioning)
            ]
        fixed, added = study.fixed_design(variable, rows), encode(variable, rows)
        strata, values = study.strata(rows), self.coordinates[place]
        groups = None
        if variable.is_grouping:
            groups = np.unique(variable.values[rows], return_inverse=True)[1]
        features = self.table.values if len(place) == len(self.table.rows) else None
        shares, _ = feature_share(
            self.table.values[place] if features is None else features,
            fixed,
            added,
            groups,
            strata,
            **settings("columns"),
            n_jobs=study.n_jobs,
            verbose=study.verbose,
        )
        effects = [redundancy(values, fixed, added, strata, **settings("redundancy")), *shares]
        counts = [len(rows)] * len(effects)
        if groups is not None:
            spread, n_spread = dispersion(values, fixed, groups, **settings("dispersion"))
            effects.append(spread)
            counts.append(n_spread)
        made = [
            make_row(
                variable,
                with_overlap(effect, matched, groups, study),
                n=n,
                against=against,
                conditioning=conditioning,
                overlap_ess=smallest(matched),
            )
            for effect, n in zip(effects, counts, strict=True)
        ]
        if variable.role == "technical":
            made += self._split(variable, rows, values, added, strata, matched)
        return made

    def _split(self, variable, rows, values, added, strata, matched):
        """Return the parts unique to the target, unique to the variable, and shared."""
        study = self.study
        covariates = [v for v in study.held_fixed(variable) if v.name != study.target.name]
        fixed = np.hstack([np.ones((len(rows), 1)), *(encode(v, rows) for v in covariates)])
        parts = commonality(
            values,
            fixed,
            encode(study.target, rows),
            added,
            strata,
            **study.settings(self.against, variable.name, "commonality"),
        )
        names = f"unique_{study.target.name}", f"unique_{variable.name}", "shared"
        return [
            make_row(
                variable,
                replace(effect, measure=name),
                n=len(rows),
                against=self.against,
                conditioning=" + ".join(v.name for v in covariates) or "none",
                overlap_ess=smallest(matched),
            )
            for name, effect in zip(names, parts, strict=True)
        ]


def with_overlap(effect, matched, groups, study):
    """Mark an effect of groups most of whose people have no counterparts of their age."""
    if effect.status != "ok" or groups is None:
        return effect
    counts = np.bincount(groups)
    possible = counts * (len(groups) - counts) / len(groups)
    apart = matched < LEAST_MATCHED * possible
    people = counts[apart].sum()
    if 2 * people < len(groups):
        return effect
    reason = (
        f"{people} of {len(groups)} people are at levels where most have no counterparts of their "
        f"{study.target.name} elsewhere."
    )
    return replace(effect, status="low_overlap", reason=reason)


def smallest(matched):
    """Return the fewest people with counterparts at any level, NaN where that is no idea."""
    return float(np.nanmin(matched)) if np.isfinite(matched).any() else np.nan
