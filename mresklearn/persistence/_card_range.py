"""What sets people apart from those a model was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["reasons"]

# spellings of sex that mean the same; other labels are compared as they are
_SEX = {"female": "f", "woman": "f", "male": "m", "man": "m"}


def reasons(card: Any, *, age: Any, site: Any, sex: Any, maps: Any) -> list[list[str]]:
    """List reasons for each person; see `ModelCard.out_of_range`."""
    asked = {"age": age, "site": site, "sex": sex}
    columns = {name: _column(name, v) for name, v in asked.items() if v is not None}
    lengths = {name: len(values) for name, (values, is_one) in columns.items() if not is_one}
    if len(set(lengths.values())) > 1:
        named = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ValueError(f"Each must have one entry a person, but {named}.")
    n_people = next(iter(lengths.values()), 1)
    rows = {
        name: list(values) * (n_people if is_one else 1)
        for name, (values, is_one) in columns.items()
    }
    without = _maps(card, maps)
    nothing = [None] * n_people
    return [
        [*_age(card, person_age, person_site, "age" in rows), *_site(card, person_site),
         *_sex(card, person_sex), *without]
        for person_age, person_site, person_sex in zip(
            *(rows.get(name, nothing) for name in ("age", "site", "sex")), strict=True
        )
    ]  # fmt: skip


def _column(name: str, values: Any) -> tuple[list[Any], bool]:
    """Return entries, and whether there is one for everybody."""
    if isinstance(values, str) or np.ndim(values) == 0:
        return _column(name, [values])[0], True
    if np.ndim(values) != 1:
        raise ValueError(f"{name} must have one entry a person, got {np.ndim(values)} dimensions.")
    if name != "age":
        return [None if pd.isna(value) else str(value).strip() for value in list(values)], False
    numbers = pd.to_numeric(pd.Series(list(values), dtype=object), errors="coerce")
    return [float(value) for value in numbers], False


def _age(card: Any, age: float | None, site: str | None, was_asked: bool) -> Iterator[str]:
    if not was_asked or age is None:
        return
    if not math.isfinite(age):
        yield "age is unknown, so that it cannot be compared with the ages of training"
        return
    span = card.age_range
    if span and not span[0] <= age <= span[1]:
        yield f"age {age:g} lies outside the ages of training, {span[0]:g} to {span[1]:g}"
        return
    gap = _gap(card.age_bands, age)
    if gap:
        yield f"age {age:g}: nobody of {gap[0]} to {gap[1]} years was in training"
        return
    here = card.sites.get(site) if site is not None else None
    if here is not None and here.age_range is not None:
        low, high = here.age_range
        if not low <= age <= high:
            yield (
                f"age {age:g} lies outside the ages of training at site {site!r}, "
                f"{low:g} to {high:g}"
            )


def _gap(bands: Any, age: float) -> tuple[int, int] | None:
    """Return the first and last year of the empty bands around an age, None where people are."""
    parsed = sorted((*map(int, band.split("-")), n) for band, n in bands.items())
    run: list[tuple[int, int]] = []
    for low, high, n in parsed:
        run = [] if n else [*run, (low, high)]
        if run and low <= age < high + 1:
            following = [b for b in parsed if b[0] > high]
            for next_low, next_high, next_n in following:
                if next_n:
                    break
                run.append((next_low, next_high))
            return run[0][0], run[-1][1]
    return None


def _site(card: Any, site: str | None) -> Iterator[str]:
    if card.sites and site is not None and site not in card.sites:
        yield f"site {site!r} was not in training"


def _sex(card: Any, sex: str | None) -> Iterator[str]:
    if card.sex and sex is not None and _spelt(sex) not in {_spelt(name) for name in card.sex}:
        yield f"sex {sex!r} was not in training"


def _spelt(sex: str) -> str:
    return _SEX.get(sex.lower(), sex.lower())


def _maps(card: Any, maps: Any) -> list[str]:
    if maps is None or not card.maps:
        return []
    given = [maps] if isinstance(maps, str) else [str(kind) for kind in maps]
    missing = [kind for kind in card.maps if kind not in given]
    return [f"no map of {kind}, which the model needs" for kind in missing]
