"""Who is in a regional report: checked rows, their persons, and the covariates of a comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from .._metadata import check_labels, name_rows
from ..metrics._checks import check_numbers, check_people

__all__ = [
    "average_by_person",
    "check_order",
    "check_people_and_regions",
    "covariates_of",
    "find_apart",
]


def check_people_and_regions(
    predicted: Any, age: Any, region_names: Any, diagnosis: Any, reference: str, groups: Any
) -> Bunch:
    """Check what needs no covariates; groups are coded with the reference as 0."""
    regions, ages = _check_predicted(predicted, region_names)
    years = check_numbers(age, "age", len(ages))
    check_order(predicted, age=age, diagnosis=diagnosis, groups=groups)
    person = check_people(groups, len(years))
    first_row = np.unique(person, return_index=True)[1]
    codes, names = np.zeros(len(years), dtype=int), ["everybody"]
    if diagnosis is not None:
        found, labels = check_labels(diagnosis, len(years), name="diagnosis")
        wanted = reference.strip()
        if wanted not in labels:
            raise ValueError(
                f"Nobody has the reference diagnosis {wanted!r}; there are {', '.join(labels)}. "
                "Name the controls with reference=."
            )
        names = [wanted, *(label for label in labels if label != wanted)]
        codes = np.array([names.index(label) for label in labels])[found]
    several = codes != codes[first_row][person]
    if several.any():
        raise ValueError(
            f"Some persons have more than one diagnosis, in rows {name_rows(several, groups)}. "
            "Give each person one, such as that at baseline, or leave out the other rows."
        )
    sizes = np.bincount(codes[first_row], minlength=len(names))
    least = 3 if len(names) == 1 else 2
    if sizes.min() < least or sizes[0] < 3:
        few = int(sizes.argmin())
        raise ValueError(
            f"Only {sizes[few]} person(s) are {names[few]!r}: 3 reference people and 2 of every "
            "other diagnosis are the least. Leave the diagnosis out, or join it with another."
        )
    return Bunch(
        regions=regions,
        predicted=ages,
        age=years,
        codes=codes,
        names=names,
        person=person,
        first_row=first_row,
    )


def _check_predicted(predicted: Any, region_names: Any) -> tuple[list[str], np.ndarray]:
    """Return region names and ages, or name the region whose ages are missing."""
    table = predicted if isinstance(predicted, pd.DataFrame) else None
    array = np.asarray(predicted)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"predicted must have a row a person and a column a region, got shape {array.shape}. "
            "RegionalBrainAge predicts such ages."
        )
    known = [f"region{k}" for k in range(array.shape[1])] if table is None else list(table.columns)
    regions = [str(name) for name in (known if region_names is None else region_names)]
    if len(regions) != array.shape[1] or len(set(regions)) < len(regions):
        raise ValueError(
            f"region_names must name each of the {array.shape[1]} columns of predicted once, got "
            f"{regions}."
        )
    columns = array.T if table is None else [table.iloc[:, k] for k in range(array.shape[1])]
    checked = [
        check_numbers(column, f"The predicted age from region '{name}'")
        for name, column in zip(regions, columns, strict=True)
    ]
    return regions, np.column_stack(checked)


def check_order(predicted: Any, **columns: Any) -> None:
    """Refuse labels that say that rows are not in one order."""
    for name, column in columns.items():
        both = isinstance(predicted, pd.DataFrame) and isinstance(column, pd.Series)
        if both and not column.index.equals(predicted.index):
            raise ValueError(
                f"predicted and {name} have different row labels, so it is not clear which rows "
                "belong together. Bring them into one order with .loc, or pass arrays in the same "
                "order."
            )


def covariates_of(people: Bunch, sex: Any, site: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Ones, age and its square, sex and site, by rows, and the names of those that vary."""
    centred = people.age - people.age.mean()
    blocks = {}
    if np.ptp(people.age) > 0:
        scaled = centred / centred.std()
        blocks["age"] = np.column_stack([scaled, scaled**2 - 1])
    for name, labels in (("sex", sex), ("site", site)):
        if labels is not None:
            levels = check_labels(labels, len(people.age), name=name)[0]
            if levels.max() > 0:
                blocks[name] = np.eye(levels.max() + 1)[levels][:, 1:]
    ones = np.ones((len(people.age), 1))
    return np.column_stack([ones, *blocks.values()]), tuple(blocks)


def average_by_person(values: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Average the rows of each person, so that everybody counts once."""
    sums = np.zeros((person.max() + 1, values.shape[1]))
    np.add.at(sums, person, values)
    return sums / np.bincount(person)[:, None]


def find_apart(people: Bunch, site: Any) -> np.ndarray:
    """Mark patients at sites where nobody is of another diagnosis: site stands in for them."""
    if site is None:
        return np.zeros(len(people.first_row), dtype=bool)
    sites = check_labels(site, len(people.age), name="site")[0]
    counts = np.zeros((sites.max() + 1, len(people.names)))
    np.add.at(counts, (sites, people.codes), 1)
    alone = (np.count_nonzero(counts, axis=1) == 1)[sites] & (people.codes > 0)
    linked = np.bincount(people.person, weights=~alone) > 0
    return ~linked
