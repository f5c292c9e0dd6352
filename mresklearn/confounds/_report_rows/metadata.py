"""Question 1 of a report: which columns of metadata go together, and which repeat each other."""

from dataclasses import replace
from itertools import combinations

from .._association import associate, nesting
from .._effect import Effect
from .row import make_row

__all__ = ["metadata_rows"]


def metadata_rows(study):
    """Return a row for every pair of columns, and one for every id that repeats."""
    columns = [v for v in study.variables.values() if v.role != "id"]
    rows = [_pair(study, first, second) for first, second in combinations(columns, 2)]
    ids = [v for v in study.variables.values() if v.role == "id"]
    return rows + [row for row in map(_repeats, ids) if row]


def _pair(study, first, second):
    # the technical column stands first, what it is associated with second
    if first.role != "technical" and second.role == "technical":
        first, second = second, first
    effect, n = associate(first, second, **study.settings("metadata", first.name, second.name))
    if effect.status == "ok":
        nested = nesting(first, second)
        if nested:
            effect = replace(effect, status="nested", reason=_say(nested, first.name, second.name))
    return make_row(first, effect, n=n, against=second.name)


def _say(nested, first, second):
    if nested == "both":
        return f"{first} and {second} group people alike: two names of one thing."
    which, what = (first, second) if nested == "first" else (second, first)
    return f"{which} determines {what}: everybody with the same {which} has the same {what}."


def _repeats(variable):
    """Say where an id stands in more than one row, since people must be independent."""
    present = variable.values[variable.present]
    n_repeats = len(present) - variable.n_levels
    if not n_repeats:
        return None
    effect = Effect(
        "repeated_rows",
        value=n_repeats / len(present),
        null_mean=0.0,
        value_adj=n_repeats / len(present),
        reason=f"{n_repeats} of {len(present)} rows repeat a {variable.name}.",
    )
    return make_row(variable, effect, n=len(present), against="rows")
