"""What each metadata column is: its kind, read from the values, and its role, which users declare.

No statistic can tell a scanner from a diagnosis, so roles are never guessed.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._metadata import labels_as_text, name_rows

__all__ = ["KINDS", "ROLES", "Variable", "describe_variables"]

KINDS = ("binary", "categorical", "ordinal", "continuous")
ROLES = ("technical", "biological", "target", "id")

MOST_ORDINAL_LEVELS = 10
ROWS_PER_ORDINAL_LEVEL = 3


@dataclass(frozen=True)
class Variable:
    """One metadata column as numbers: level codes, ranks of levels or measurements."""

    name: str
    kind: str
    role: str
    values: np.ndarray
    levels: tuple = ()

    @property
    def present(self):
        """Rows that have a value."""
        return ~np.isnan(self.values)

    @property
    def is_grouping(self):
        """Whether values are names without an order."""
        return self.kind in ("binary", "categorical")

    @property
    def n_levels(self):
        """Number of distinct values that occur."""
        return len(np.unique(self.values[self.present]))

    @property
    def min_level_n(self):
        """People at the rarest level; NaN for a measurement, which has none."""
        if self.kind == "continuous" or not self.present.any():
            return np.nan
        return int(np.unique(self.values[self.present], return_counts=True)[1].min())

    def counts(self):
        """People at each level, in the order of `levels`."""
        codes = self.values[self.present].astype(int)
        return np.bincount(codes, minlength=len(self.levels))


def describe_variables(participants, roles, *, target, kinds=None, site_column=None):
    """Give every column its kind and its declared role.

    Parameters
    ----------
    participants : DataFrame
        One row a person.
    roles : dict of str to {"technical", "biological", "target", "id"}
        Role of each column. The target and the site column need no entry. Values of an ``"id"``
        are names, whatever they look like.
    target : str
        Column that models predict, a number such as age in years.
    kinds : dict of str to {"binary", "categorical", "ordinal", "continuous"} or None
        Kinds that the values do not show, such as scanners numbered 1, 2, 3.
    site_column : str or None
        Column that names the site; its values are names, whatever they look like.

    Returns
    -------
    variables : dict of str to Variable
        In the order of the columns.

    Raises
    ------
    ValueError
        If a column has no role, a name or role is unknown, or values do not fit the kind.
    """
    if not isinstance(participants, pd.DataFrame):
        raise ValueError(
            f"participants must be a pandas DataFrame with one row a person, "
            f"not {type(participants).__name__}."
        )
    roles, kinds = dict(roles or {}), dict(kinds or {})
    roles.setdefault(target, "target")
    if site_column is not None:
        roles.setdefault(site_column, "technical")
        kinds.setdefault(site_column, "categorical")
    kinds.setdefault(target, "continuous")
    _check_declarations(participants, roles, kinds, target, site_column)
    return {
        name: _describe(participants[name], name, roles[name], kinds.get(name))
        for name in participants.columns
    }


def _check_declarations(participants, roles, kinds, target, site_column):
    columns = list(participants.columns)
    if len(set(columns)) < len(columns):
        twice = sorted({str(name) for name in columns if columns.count(name) > 1})
        raise ValueError(f"Columns of participants occur more than once: {twice}. Rename them.")
    for declared, what in ((roles, "roles"), (kinds, "kinds")):
        unknown = [name for name in declared if name not in columns]
        if unknown:
            raise ValueError(
                f"{what} names columns that participants does not have: {unknown}. It has {columns}"
                ". The target is named by target=, the site by site_column= (None: no site)."
            )
    for declared, allowed, what in ((roles, ROLES, "role"), (kinds, KINDS, "kind")):
        for name, value in declared.items():
            if value not in allowed:
                raise ValueError(f"The {what} of {name!r} must be one of {allowed}, got {value!r}.")
    missing = [name for name in columns if name not in roles]
    if missing:
        example = ", ".join(f"{str(name)!r}: ..." for name in missing)
        raise ValueError(
            f"These columns have no role: {missing}. Whether a variable is technical (scanner, "
            "protocol) or biological (sex, diagnosis) decides what may be done about it, and no "
            f"statistic can tell. Add them to roles={{{example}}} as 'technical', 'biological' or "
            "'id', or leave them out of participants."
        )
    if [name for name, role in roles.items() if role == "target"] != [target]:
        raise ValueError(
            f"Exactly one column has the role 'target', the one that target= names: {target!r}."
        )
    if site_column is not None and roles[site_column] != "technical":
        raise ValueError(
            f"The site column {site_column!r} must have the role 'technical', "
            f"got {roles[site_column]!r}. Name another column with site_column=, or pass None."
        )


def _describe(column, name, role, kind):
    # an id is a name even where it looks like a number; floats would round long ones to one person
    kind = "categorical" if role == "id" else kind or _infer_kind(column)
    if kind == "continuous":
        return Variable(str(name), kind, role, _numbers(column, name))
    values, levels = _level_codes(column, name, ordered=kind == "ordinal")
    if kind == "binary" and len(levels) > 2:
        raise ValueError(
            f"Column {name!r} is declared binary but has {len(levels)} levels: {levels[:5]}."
        )
    return Variable(str(name), kind, role, values, levels)


def _infer_kind(column):
    """Read the kind off the values: few repeated numbers are ordinal, text is categorical."""
    present = _text(column).dropna()
    n_levels = present.nunique()
    if n_levels <= 2:
        return "binary"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "ordinal" if column.dtype.ordered else "categorical"
    if pd.api.types.is_datetime64_any_dtype(column):
        return "continuous"
    if pd.to_numeric(present, errors="coerce").isna().any():
        return "categorical"
    few = n_levels <= MOST_ORDINAL_LEVELS and len(present) >= ROWS_PER_ORDINAL_LEVEL * n_levels
    return "ordinal" if few else "continuous"


def _text(column):
    """Values as stripped text; missing, blank and "nan" become missing."""
    text, missing = labels_as_text(column.astype(object))
    return pd.Series(text, index=column.index, dtype=object).mask(missing)


def _numbers(column, name):
    if pd.api.types.is_datetime64_any_dtype(column):
        days = (column - pd.Timestamp("2000-01-01", tz=column.dt.tz)) / pd.Timedelta(days=1)
        return days.to_numpy(dtype=float, na_value=np.nan)
    text = _text(column)
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = np.isnan(numbers) & text.notna().to_numpy()
    if wrong.any():
        raise ValueError(
            f"Column {name!r} must hold numbers, but does not in {wrong.sum()} rows: "
            f"{name_rows(wrong, column)}. Correct them, or declare kinds={{{name!r}: ...}}."
        )
    if np.isinf(numbers).any():
        raise ValueError(
            f"Column {name!r} is infinite in rows {name_rows(np.isinf(numbers), column)}. "
            "Correct them, or leave them empty."
        )
    return numbers


def _level_codes(column, name, *, ordered):
    """Codes in the order of the levels: as categories say, by size for numbers, else by name."""
    text = _text(column)
    if isinstance(column.dtype, pd.CategoricalDtype):
        occurring = set(text.dropna())
        levels = [str(level).strip() for level in column.cat.categories]
        levels = [level for level in dict.fromkeys(levels) if level in occurring]
    else:
        levels = sorted(text.dropna().unique())
        numbers = pd.to_numeric(pd.Series(levels, dtype=object), errors="coerce")
        if numbers.notna().all():
            levels = [levels[place] for place in np.argsort(numbers.to_numpy(), kind="stable")]
        elif ordered:
            raise ValueError(
                f"The levels of the ordinal column {name!r} are text without an order: "
                f"{levels[:5]}. Make it an ordered pandas Categorical, or declare it categorical."
            )
    codes = text.map({level: float(code) for code, level in enumerate(levels)})
    return codes.to_numpy(dtype=float, na_value=np.nan), tuple(levels)
