"""Checks of the rows of a participants table: ids, age, sex and site."""

import re
from dataclasses import dataclass, field

import pandas as pd

from ..exceptions import DataError
from ._messages import listing

__all__ = ["Finding", "as_ids", "check_age", "check_site", "normalise_sex"]

# older than anybody known; mistyped years (1954) and months (312) lie above
MAX_AGE = 120.0
SEX_NAMES = {"f": "F", "female": "F", "m": "M", "male": "M"}


@dataclass
class Finding:
    """One kind of problem with the rows that have it.

    Parameters
    ----------
    title : str
        What is wrong.
    rows : dict of int to str
        Row number -> detail of that row.
    """

    title: str
    rows: dict = field(default_factory=dict)

    def describe(self, ids):
        """Write the finding for a message, naming participants and rows."""
        offenders = [
            f"{ids[row]!r} (row {row}): {detail}" if ids[row] else f"row {row}: {detail}"
            for row, detail in self.rows.items()
        ]
        return f"{self.title}: {listing(offenders)}"


def as_ids(text, id_format, column, table_name):
    """Turn the id column into unique strings.

    Parameters
    ----------
    text : Series of str
        Ids as read, indexed by row number.
    id_format : str or None
        Format such as ``"{:0>3}"``, which pads ``"2"`` to ``"002"``.
    column, table_name : str
        What messages call the column and the table.

    Returns
    -------
    ids : Series of str
        Formatted ids; ``""`` where the cell is empty.

    Raises
    ------
    DataError
        If ids repeat or do not fit the format.

    Examples
    --------
    >>> import pandas as pd
    >>> as_ids(pd.Series(["2", "11"]), "{:0>3}", "ID", "the table").tolist()
    ['002', '011']
    """
    ids = text
    if id_format is not None:
        try:
            ids = text.map(lambda value: id_format.format(value) if value else "")
        except (ValueError, IndexError, KeyError) as error:
            raise DataError(
                f"id_format={id_format!r} does not fit ({error}). Ids are text: pad them with "
                "'{:0>3}', not '{:03d}'."
            ) from error
    repeated = ids[ids.duplicated(keep=False) & (ids != "")]
    if len(repeated):
        offenders = [
            f"{person!r} (rows {', '.join(map(str, rows.index))})"
            for person, rows in repeated.groupby(repeated, sort=False)
        ]
        raise DataError(
            f"column {column!r} of {table_name} repeats participant ids: {listing(offenders)}. "
            "Keep one row per map: remove the doubles, or name repeated sessions apart in this "
            "column (such as '001_ses-2')."
        )
    return ids


def check_age(text, column):
    """Find the ages that cannot be used.

    Parameters
    ----------
    text : Series of str
        The column as read.
    column : str
        Its name in the file.

    Returns
    -------
    age : Series of float
        Age in years, NaN where it cannot be read.
    finding : Finding
        Rows that are missing, not numeric, negative or above 120.

    Examples
    --------
    >>> import pandas as pd
    >>> age, finding = check_age(pd.Series(["27.5", "young"]), "AGE")
    >>> finding.rows
    {1: "'young' is not a number"}
    """
    age = pd.to_numeric(text.where(text != ""), errors="coerce").astype(float)
    rows = {}
    for row, cell in text.items():
        if cell == "":
            rows[row] = "missing"
        elif pd.isna(age[row]):
            point = ": write it with a point" if re.fullmatch(r"\d+,\d+", cell) else ""
            rows[row] = f"{cell!r} is not a number{point}"
        elif age[row] < 0:
            rows[row] = f"{cell} is negative"
        elif age[row] > MAX_AGE:
            rows[row] = f"{cell} is above {MAX_AGE:g} years"
    return age, Finding(f"column {column!r} (age in years) cannot be used", rows)


def check_site(text, column):
    """Find the rows without a site.

    Parameters
    ----------
    text : Series of str
        The column as read.
    column : str
        Its name in the file.

    Returns
    -------
    site : Series of str
        The site names; numbers stay text, because a site is a name.
    finding : Finding
        Rows without a site.

    Examples
    --------
    >>> import pandas as pd
    >>> check_site(pd.Series(["Delaware", ""]), "STUDY")[1].rows
    {1: 'missing'}
    """
    rows = dict.fromkeys(text.index[text == ""], "missing")
    return text.where(text != ""), Finding(f"column {column!r} (site) is empty", rows)


def normalise_sex(text, values, codes, column, table_name):
    """Write sex as "F" or "M" where it is spelt out, and nowhere guess a code.

    Parameters
    ----------
    text : Series of str
        The column as read.
    values : Series
        The column with numbers as numbers: returned as it is where nothing is known.
    codes : dict or None
        What codes mean, such as ``{1: "M", 2: "F"}``.
    column, table_name : str
        What messages call the column and the table.

    Returns
    -------
    sex : Series
        ``"F"`` and ``"M"`` for M/F/male/female in any case; other values unchanged.

    Raises
    ------
    DataError
        If ``codes`` is given and leaves values unexplained.

    Examples
    --------
    >>> import pandas as pd
    >>> sex = pd.Series(["male", "F", "f"])
    >>> normalise_sex(sex, sex, None, "SEX", "the table").tolist()
    ['M', 'F', 'F']
    """
    meaning = dict(SEX_NAMES)
    if codes is not None:
        meaning |= {str(code).strip().lower(): str(sex) for code, sex in codes.items()}
    sex = text.str.lower().map(meaning)
    unknown = (text != "") & sex.isna()
    if codes is not None and unknown.any():
        raise DataError(
            f"column {column!r} of {table_name} holds values that sex_codes does not explain: "
            f"{listing(map(repr, text[unknown].unique()))}. Add them to sex_codes, as in "
            "{'1': 'M', '2': 'F'}."
        )
    if not unknown.any():
        return sex
    return values if unknown.equals(text != "") else sex.where(~unknown, text)
