"""What all rows of a report share: the variables, what is held fixed, and the settings."""

import zlib
from dataclasses import dataclass

import numpy as np

from .._age_spline import age_spline
from .._overlap import matched_people_by_level
from .._roles import Variable

__all__ = ["FEWEST_MATCHED", "Study"]

# below this many effective counterparts a site cannot be told from the age of its people
FEWEST_MATCHED = 10
COMPLETE_ENOUGH = 0.9
FEWEST_ROWS_PER_LEVEL = 10


@dataclass(frozen=True)
class Study:
    """The variables of all participants, and how effects are to be measured."""

    variables: dict
    target: Variable
    site: Variable | None
    covariates: tuple
    n_permutations: int
    confidence: float
    seed: int
    n_jobs: int | None = None
    verbose: int = 0

    @classmethod
    def of(cls, variables, target, site, covariates, **settings):
        """Look the variables up, and choose what is held fixed where the user does not."""
        target = variables[target]
        if covariates is None:
            covariates = _choose_covariates(variables, target)
        kept = [name for name, v in variables.items() if v.role in ("technical", "biological")]
        if not set(covariates) <= set(kept) - {site}:
            raise ValueError(
                "covariates must be columns of participants other than the target, the site and "
                f"ids, got {list(covariates)}."
            )
        site = None if site is None else variables[site]
        return cls(variables, target, site, tuple(covariates), **settings)

    @property
    def examined(self):
        """Variables that are neither the target nor an id."""
        return [v for v in self.variables.values() if v.role in ("technical", "biological")]

    def generator(self, *key):
        """Return a random stream of its own, so that no row depends on which others are made."""
        return np.random.default_rng([self.seed, zlib.crc32("/".join(key).encode())])

    def settings(self, *key):
        """Return what every measurement of an effect takes."""
        return {
            "n_permutations": self.n_permutations,
            "confidence": self.confidence,
            "random_state": self.generator(*key),
        }

    def held_fixed(self, variable):
        """Return the variables that are held fixed while one is examined: target, covariates."""
        fixed = [self.target, *(self.variables[name] for name in self.covariates)]
        return [other for other in fixed if other.name != variable.name]

    def conditioning(self, variable):
        """Name what is held fixed."""
        return " + ".join(other.name for other in self.held_fixed(variable)) or "none"

    def complete_rows(self, variable, among):
        """Return the row numbers with all values, without people who are alone at their level."""
        rows = self.rows_with_values(variable, among)
        if variable.is_grouping and len(rows):
            codes = variable.values[rows].astype(int)
            rows = rows[np.bincount(codes)[codes] > 1]
        return rows

    def rows_with_values(self, variable, among):
        """Return the row numbers that have the variable and all that is held fixed."""
        present = variable.present.copy()
        for other in self.held_fixed(variable):
            present &= other.present
        return among[present[among]]

    def why_nothing_varies(self, variable, among):
        """Say why an effect of a variable has no rows, or no two values."""
        rows = self.rows_with_values(variable, among)
        if len(among) == 0:
            return "Nobody has what it would be an effect on."
        if len(rows) == 0:
            needed = [variable, *self.held_fixed(variable)]
            lacking = [v.name for v in needed if not v.present[among].any()]
            return f"Nobody of the {len(among)} people has {' or '.join(lacking) or 'all values'}."
        if len(np.unique(variable.values[rows])) == 1:
            return f"{variable.name} is constant over the {len(rows)} people who have all values."
        kept = self.complete_rows(variable, among)
        if len(kept):
            return f"{variable.name} is constant over the {len(kept)} people who are not alone."
        return f"Each of the {len(rows)} people is alone at their level of {variable.name}."

    def fixed_design(self, variable, rows):
        """Return the columns that are held fixed, a constant first."""
        parts = [encode(other, rows) for other in self.held_fixed(variable)]
        return np.hstack([np.ones((len(rows), 1)), *parts])

    def matched(self, variable, rows):
        """Count people with counterparts of their age, at each level: NaN where that is no idea."""
        if not variable.is_grouping:
            return np.array([np.nan])
        codes = np.unique(variable.values[rows], return_inverse=True)[1]
        return matched_people_by_level(self.target.values[rows], codes)

    def strata(self, rows):
        """Return the groups that a jackknife keeps: the sites."""
        if self.site is None:
            return np.zeros(len(rows), dtype=int)
        return np.where(np.isnan(self.site.values), -1, self.site.values)[rows].astype(int)


def encode(variable, rows):
    """Return a variable as columns of a design: indicators, a straight line, or a curve."""
    values = variable.values[rows]
    if len(values) == 0:
        return np.empty((0, 0))
    if variable.is_grouping:
        levels, codes = np.unique(values, return_inverse=True)
        return np.eye(len(levels))[codes]
    if variable.kind == "ordinal":
        return (values - values.mean())[:, None]
    return age_spline(values)[:, 1:]


def _choose_covariates(variables, target):
    """Return the biological columns that nearly everybody has and that do vary."""
    n_rows = len(target.values)
    return tuple(
        v.name
        for v in variables.values()
        if v.role == "biological"
        and v.present.mean() >= COMPLETE_ENOUGH
        and v.n_levels > 1
        and not (v.is_grouping and v.n_levels * FEWEST_ROWS_PER_LEVEL > n_rows)
    )
