"""Who studies are drawn from, how many of them, and what these people show already."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils import Bunch

from .._metadata import check_labels
from ..exceptions import UnanswerableWarning
from ..metrics._checks import check_numbers
from ..metrics._gap_comparison import compare_by_design
from ..metrics._gap_design import gap_design
from ._power_curve_draws import People

__all__ = ["at_hand", "check_enough", "check_people", "check_sizes"]

CALLER = 4  # stack level: two functions and the check of parameters lie before the caller
FEWEST = 2  # people of a group, the least for a variance


def check_sizes(sizes: Any, n_controls: Any) -> tuple[list[int], list[int]]:
    """Return the patients and controls of each size, in ascending order."""
    patients = _whole_numbers(sizes, "sizes")
    if len(set(patients)) < len(patients):
        raise ValueError(f"sizes must be distinct, to draw a curve over; got {sizes!r}.")
    if n_controls is None:
        controls = patients
    elif isinstance(n_controls, Integral):
        controls = [int(n_controls)] * len(patients)
    else:
        controls = _whole_numbers(n_controls, "n_controls")
    if len(controls) != len(patients):
        raise ValueError(
            f"n_controls has {len(controls)} entries for {len(patients)} sizes: give one for each, "
            "or a single number."
        )
    order = np.argsort(patients)
    return [patients[k] for k in order], [controls[k] for k in order]


def _whole_numbers(values: Any, name: str) -> list[int]:
    """Check a list of numbers of people."""
    listed = np.asarray(values)
    valid = listed.ndim == 1 and listed.size and np.issubdtype(listed.dtype, np.integer)
    if not valid or listed.min() < FEWEST:
        raise ValueError(
            f"{name} must be a list of whole numbers of people, at least {FEWEST} for a variance; "
            f"got {values!r}."
        )
    return [int(value) for value in listed]


def check_people(
    gap: Any,
    diagnosis: Any,
    age: Any,
    sex: Any,
    site: Any,
    one_site: bool,
    reference: str,
    age_terms: str,
) -> Bunch:
    """Check the rows, and code what is drawn by and what is held fixed."""
    years = check_numbers(gap, "gap")
    codes, names = check_labels(diagnosis, len(years), name="diagnosis")
    labels = np.array(names, dtype=object)[codes]
    ages = check_numbers(age, "age", len(years))
    unit, units = np.zeros(len(years), dtype=int), ["everybody"]
    if one_site:
        if site is None:
            raise ValueError(
                "one_site=True draws each study from one site, and needs the site of each person: "
                "pass site=."
            )
        unit, units = check_labels(site, len(years), name="site")
    held = {"sex": sex, "site": None if one_site else site}
    levels, at = [np.empty((len(years), 0))], np.zeros(len(years), dtype=int)
    for name, given in held.items():
        if given is not None:
            found = check_labels(given, len(years), name=name)[0]
            levels.append(np.eye(found.max() + 1)[found][:, 1:])
            held[name] = np.asarray(given, dtype=object)
            at = found if name == "site" else at
    reference = reference.strip()
    if reference not in names or len(names) < 2:
        raise ValueError(
            f"There must be controls ({reference!r}) and patients to draw from, and there are "
            f"{', '.join(names)}. Name the controls with reference=."
        )
    return Bunch(
        people=People(years, ages, np.column_stack(levels), at, age_terms),
        diagnosis=labels,
        reference=reference,
        groups=[name for name in names if name != reference],
        held=held,
        unit=unit,
        units=units,
    )


def at_hand(cohort: Bunch, group: str, alpha: float) -> Bunch:
    """Find who is drawn from for a group, and the difference of these people, by unit."""
    pools, rows = [], []
    for code, name in enumerate(cohort.units):
        here = cohort.unit == code
        patients = np.flatnonzero(here & (cohort.diagnosis == group))
        controls = np.flatnonzero(here & (cohort.diagnosis == cohort.reference))
        if min(len(patients), len(controls)) < FEWEST:
            continue
        both = np.concatenate([patients, controls])
        design = gap_design(
            cohort.diagnosis[both],
            age=cohort.people.age[both],
            sex=None if cohort.held["sex"] is None else cohort.held["sex"][both],
            site=None if cohort.held["site"] is None else cohort.held["site"][both],
            groups=None,
            reference=cohort.reference,
            pairwise=False,
            age_terms=cohort.people.age_terms,
            stacklevel=CALLER + 1,
        )
        found = compare_by_design(cohort.people.gap[both], design, 1 - alpha).table.iloc[0]
        pools.append((patients, controls))
        rows.append(
            {"group": group, "unit": name, "n_patients": len(patients), "n_controls": len(controls)}
            | found[["difference", "standard_error", "df", "hedges_g"]].to_dict()
        )
    if not pools:
        raise ValueError(
            f"{group} and {cohort.reference} have nowhere two people each, the least to draw a "
            "study from. Leave the group out, or add people."
        )
    table = pd.DataFrame(rows).set_index(["group", "unit"])
    size = len(table)
    error = np.sqrt((table.standard_error**2).sum()) / size
    mean = table.difference.mean()
    margin = stats.t.ppf(1 - alpha / 2, table["df"].sum()) * error
    ends = mean - margin, mean + margin
    near, far = sorted(ends, key=abs)
    return Bunch(
        group=group,
        pools=pools,
        names=[name for _, name in table.index],
        difference=table.difference.to_numpy(),
        weakest=0.0 if ends[0] < 0 < ends[1] else near,
        strongest=far,
        table=table.drop(columns="df"),
    )


def check_enough(
    hands: list[Bunch], patients: list[int], controls: list[int], replacement: bool
) -> None:
    """Say so where studies have more people than there are at hand."""
    short = []
    for hand in hands:
        n_patients, n_controls = hand.table[["n_patients", "n_controls"]].min()
        if max(patients) > n_patients:
            short.append(f"{max(patients)} {hand.group} of {n_patients}")
        if max(controls) > n_controls:
            short.append(f"{max(controls)} controls of {n_controls} beside {hand.group}")
    if short and not replacement:
        raise ValueError(
            f"Studies have more people than are at hand: {'; '.join(short)}. Try smaller sizes, "
            "bring more people, or draw with replacement=True."
        )
    if short:
        warnings.warn(
            f"Studies have more people than are at hand, so that people come several times: "
            f"{'; '.join(short)}. Such power holds if everybody is like these few, and is known no "
            "better than their difference: see power_weakest, give the difference= to plan for, or "
            "bring more people, such as simulated ones.",
            UnanswerableWarning,
            stacklevel=CALLER,
        )
