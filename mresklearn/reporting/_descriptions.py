"""Mappings as groups of terms, such as where a model comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ._numbers import as_text

__all__ = ["describe"]


def describe(values: Mapping[str, Any] | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """List groups of (term, text); what is in no group comes first, in one without a name.

    Parameters
    ----------
    values : mapping or None
        Values that may be mappings; deeper ones are joined with their names.
    """
    groups: dict[str, list[tuple[str, str]]] = {"": []}
    for name, value in (values or {}).items():
        if isinstance(value, Mapping | pd.Series):
            terms = [(_words(term), _text(inner)) for term, inner in value.items()]
            groups.setdefault(_words(name), []).extend(terms)
        else:
            groups[""].append((_words(name), _text(value)))
    return [(name, terms) for name, terms in groups.items() if terms]


def _text(value: Any) -> str:
    if isinstance(value, Mapping | pd.Series):
        return "; ".join(f"{_words(name)} {_text(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        return " | ".join(map(_text, value))
    return as_text(value)


def _words(name: Any) -> str:
    return str(name).replace("_", " ")
