"""What a comparison of groups holds fixed, and whether these people can answer it at all."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.preprocessing import SplineTransformer

from .._metadata import check_labels, name_rows
from ..exceptions import UnanswerableWarning
from ._checks import check_numbers, check_people
from ._cluster_robust import RobustLeastSquares

__all__ = ["AGE_TERMS", "GapDesign", "age_columns", "check_order", "gap_design"]

AGE_TERMS = ("linear", "quadratic", "spline")
KNOTS = 4  # of the spline, the two ends among them


@dataclass(frozen=True, eq=False)
class GapDesign:
    """Covariates, groups and comparisons, checked.

    Attributes
    ----------
    covariates : ndarray of shape (n_rows, n_covariates)
        Ones, terms of age, sex and site.
    codes, person : ndarray of int of shape (n_rows,)
        Group and person of each row.
    names : list of str
        Name of each group.
    pairs : list of tuple of int
        Group and the group that it is compared with.
    apart : ndarray of bool of shape (n_rows,)
        Patients without anybody of another group at their site.
    notes : dict of int to str
        What limits the comparisons of a group.
    held_fixed : tuple of str
        Names of the covariates.
    """

    covariates: np.ndarray
    codes: np.ndarray
    person: np.ndarray
    names: list[str]
    pairs: list[tuple[int, int]]
    apart: np.ndarray
    notes: dict[int, str]
    held_fixed: tuple[str, ...]

    @property
    def matrix(self) -> np.ndarray:
        """Covariates, and an indicator for every group but the first of the comparisons."""
        return np.column_stack([self.covariates, np.eye(len(self.names))[self.codes]])

    def contrast(self, group: int, other: int) -> np.ndarray:
        """Combine coefficients to the difference of two groups."""
        n_covariates = self.covariates.shape[1]
        contrast = np.zeros(n_covariates + len(self.names))
        contrast[n_covariates + group], contrast[n_covariates + other] = 1, -1
        return contrast

    def n_people(self, group: int) -> int:
        """Count the persons of a group."""
        return len(np.unique(self.person[self.codes == group]))


def gap_design(
    diagnosis: ArrayLike,
    *,
    age: ArrayLike,
    sex: ArrayLike | None,
    site: ArrayLike | None,
    groups: ArrayLike | None,
    reference: str,
    pairwise: bool,
    age_terms: str,
    stacklevel: int,
) -> GapDesign:
    """Check everything that does not depend on the gap itself; arguments of `compare_gaps`."""
    years = check_numbers(age, "age")
    codes, names = check_labels(diagnosis, len(years), name="diagnosis")
    person = check_people(groups, len(years))
    pairs = _pairs(names, str(reference).strip(), pairwise)
    _check_people(codes, names, person, groups)
    blocks = {"age": age_columns(years, age_terms)}
    for name, labels in (("sex", sex), ("site", site)):
        if labels is not None:
            levels = check_labels(labels, len(years), name=name)[0]
            blocks[name] = np.eye(levels.max() + 1)[levels][:, 1:]
    site_codes = None if site is None else check_labels(site, len(years), name="site")[0]
    apart = _apart(codes, site_codes, pairs)
    held_fixed = tuple(name for name, columns in blocks.items() if columns.shape[1])
    design = GapDesign(
        covariates=np.column_stack([np.ones(len(years)), *blocks.values()]),
        codes=codes,
        person=person,
        names=names,
        pairs=pairs,
        apart=apart,
        notes=_notes(years, codes, names, pairs, apart, person),
        held_fixed=held_fixed,
    )
    _check_estimable(design, blocks)
    if design.notes:
        warnings.warn(
            " ".join(f"{names[group]}: {note}." for group, note in design.notes.items()),
            UnanswerableWarning,
            stacklevel=stacklevel,
        )
    return design


def check_order(**columns: Any) -> None:
    """Refuse Series whose labels say that rows are not in one order."""
    series = {name: column for name, column in columns.items() if isinstance(column, pd.Series)}
    first = next(iter(series), None)
    for name, column in series.items():
        if first is not None and not column.index.equals(series[first].index):
            raise ValueError(
                f"{first} and {name} are pandas Series with different row labels, so it is not "
                "clear which entries belong together. Bring them into one order with .loc, or "
                "pass arrays that are in the same order."
            )


def _pairs(names: list[str], reference: str, pairwise: bool) -> list[tuple[int, int]]:
    """List the comparisons: with the reference, and then of all others."""
    if reference not in names:
        raise ValueError(
            f"Nobody has the reference diagnosis {reference!r}; there are {', '.join(names)}. "
            "Name the controls with reference=."
        )
    control = names.index(reference)
    others = [code for code in range(len(names)) if code != control]
    if not others:
        raise ValueError(
            f"Everybody is {reference!r}: there is no group to compare with. Pass patients too."
        )
    pairs = [(group, control) for group in others]
    if pairwise:
        pairs += [(b, a) for k, a in enumerate(others) for b in others[k + 1 :]]
    return pairs


def _check_people(
    codes: np.ndarray, names: list[str], person: np.ndarray, groups: ArrayLike | None
) -> None:
    """Two people a group, the least for a variance; one group a person."""
    first_row = np.unique(person, return_index=True)[1]
    several = codes != codes[first_row][person]
    if several.any():
        raise ValueError(
            f"Some persons have more than one diagnosis, in rows {name_rows(several, groups)}. "
            "Give each person one, such as that at baseline, or leave out the other rows."
        )
    sizes = np.bincount(codes[first_row], minlength=len(names))
    if sizes.min() < 2:
        few = names[int(sizes.argmin())]
        raise ValueError(
            f"Group {few!r} has one person, and a variance needs at least 2: leave the group out, "
            "or join it with another."
        )


def age_columns(age: np.ndarray, terms: str) -> np.ndarray:
    """Columns of age of like size, without the ones; none where all are of one age."""
    if np.ptp(age) == 0:
        return np.empty((len(age), 0))
    scaled = (age - age.mean()) / age.std()
    if terms == "spline":
        spline = SplineTransformer(n_knots=KNOTS, knots="quantile", include_bias=False)
        spline.set_output(transform="default")  # whatever frames the user asked for
        return spline.fit_transform(scaled[:, np.newaxis])
    return np.column_stack([scaled, scaled**2 - 1][: 1 + (terms == "quadratic")])


def _apart(codes: np.ndarray, site: np.ndarray | None, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Mark patients at sites where nobody is of another group."""
    if site is None:
        return np.zeros(len(codes), dtype=bool)
    counts = np.zeros((site.max() + 1, codes.max() + 1))
    np.add.at(counts, (site, codes), 1)
    return (np.count_nonzero(counts, axis=1)[site] == 1) & (codes != pairs[0][1])


def _notes(
    age: np.ndarray,
    codes: np.ndarray,
    names: list[str],
    pairs: list[tuple[int, int]],
    apart: np.ndarray,
    person: np.ndarray,
) -> dict[int, str]:
    """Say of each group what its comparison with the reference cannot tell."""
    notes = {}
    for group, other in pairs:
        if other != pairs[0][1]:
            continue
        said = []
        here, there = codes == group, codes == other
        if (here & apart).any():
            n_apart = len(np.unique(person[here & apart]))
            said.append(
                f"{n_apart} of {len(np.unique(person[here]))} people are at sites where nobody is "
                "of another group, and with site held fixed they say nothing of the difference"
            )
        if age[here].min() > age[there].max() or age[here].max() < age[there].min():
            said.append(
                f"nobody is of an age that {names[other]} have, so the difference rests on the "
                "curve of age beyond the people it was fitted on"
            )
        if said:
            notes[group] = "; ".join(said)
    return notes


def _check_estimable(design: GapDesign, blocks: dict[str, np.ndarray]) -> None:
    """Refuse comparisons that a covariate stands in for, naming it."""
    fit = RobustLeastSquares(design.matrix, np.zeros(len(design.codes)), design.person)
    for group, other in design.pairs:
        names = f"{design.names[group]} and {design.names[other]}"
        if fit.is_estimable(design.contrast(group, other)):
            _check_links(fit, design, (group, other), blocks)
            continue
        causes = [name for name in blocks if _is_cause(design, blocks, name, (group, other))]
        if causes == ["site"]:
            raise ValueError(
                f"No site links {names}: whoever has one of these diagnoses was scanned where "
                "nobody has the other, so the difference of diagnoses is that of sites, and site "
                "cannot be held fixed. Compare with controls of the same sites. With site=None "
                "the difference comes out, with that of the scanners in it."
            )
        raise ValueError(
            f"{names} cannot be told apart from {' or '.join(causes) or 'the covariates together'}"
            ": the covariates say of everybody which group it is. Leave that covariate out, and "
            "say so, or add people."
        )
    n_rows = len(design.codes)
    if min(fit.n_people, n_rows) <= fit.rank:
        raise ValueError(
            f"{fit.n_people} people are too few for {fit.rank} coefficients of groups and "
            f'{", ".join(design.held_fixed)}. Use age_terms="linear", or fewer covariates.'
        )


def _check_links(
    fit: RobustLeastSquares, design: GapDesign, pair: tuple[int, int], blocks: dict[str, np.ndarray]
) -> None:
    """Refuse comparisons that hang on one person, naming the row."""
    alone = fit.rests_on(design.contrast(*pair))
    if alone.any():
        raise ValueError(
            f"With {', '.join(blocks)} held fixed, the difference of {design.names[pair[0]]} and "
            f"{design.names[pair[1]]} rests on a single person (row {name_rows(alone, None)}), "
            "without whom nothing links the groups, so that its error cannot be told. Leave that "
            "person or a covariate out, and say so, or add people."
        )


def _is_cause(
    design: GapDesign, blocks: dict[str, np.ndarray], name: str, pair: tuple[int, int]
) -> bool:
    """Whether the difference could be estimated without this covariate."""
    kept = [columns for other, columns in blocks.items() if other != name]
    n_rows = len(design.codes)
    matrix = np.column_stack([np.ones(n_rows), *kept, np.eye(len(design.names))[design.codes]])
    n_dropped = design.matrix.shape[1] - matrix.shape[1]
    fit = RobustLeastSquares(matrix, np.zeros(n_rows), design.person)
    return fit.is_estimable(design.contrast(*pair)[n_dropped:])
