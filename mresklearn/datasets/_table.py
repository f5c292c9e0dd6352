"""Reading a participants table so that no id, blank or odd cell changes on the way."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..exceptions import DataError
from ._messages import close_match, listing

__all__ = ["Table", "read_table", "rename_columns"]

# "n/a" is BIDS; the others are what spreadsheets and pandas write
MISSING_MARKERS = frozenset({"", "n/a", "N/A", "NA", "NaN", "nan", "#N/A", "<NA>", "NaT", "None"})
SEPARATORS = {".tsv": "\t", ".csv": ","}
NUMBER = r"[+-]?\d+(?:[.,]\d+)?"


@dataclass(frozen=True)
class Table:
    """A table as text, with its values beside it.

    Parameters
    ----------
    name : str
        What messages call the table.
    folder : Path or None
        Folder of the file; None for a DataFrame.
    text : DataFrame of str
        Every cell as trimmed text, ``""`` where it is missing; the index is the row number a
        spreadsheet shows (the header is row 1), or the position in a DataFrame.
    values : DataFrame
        The same columns with numbers as numbers.
    """

    name: str
    folder: Path | None
    text: pd.DataFrame
    values: pd.DataFrame


def read_table(table, sheet_name=0):
    """Read a table as text first, because numbers would lose the zeros of an id like ``"002"``.

    Parameters
    ----------
    table : str, path-like or DataFrame
        A ``.tsv``, ``.csv`` or ``.xlsx`` file, or a DataFrame. A ``.csv`` file may have
        semicolons, and decimal commas with them, as spreadsheets of many countries write it.
    sheet_name : str or int, default=0
        Sheet of an Excel file.

    Returns
    -------
    table : Table
        Cells and column names without leading and trailing blanks, empty rows left out.

    Raises
    ------
    DataError
        If the file cannot be read, is empty, or repeats a column name.

    Examples
    --------
    >>> import pandas as pd
    >>> read_table(pd.DataFrame({" ID ": ["002 "], "AGE": [27]})).text
       ID AGE
    0  002  27
    """
    if isinstance(table, pd.DataFrame):
        source = table
        if table.index.name is not None and table.index.name not in table.columns:
            source = table.reset_index()
        cells = source.map(_cell_text)
        cells.index = range(len(cells))
        header = [_cell_text(column) for column in source.columns]
        return _finish(cells, header, "the table", None, source.reset_index(drop=True))
    path = Path(table)
    if not path.is_file():
        raise DataError(f"there is no table {str(path)!r}: check the path.")
    cells = _read_cells(path, sheet_name)
    cells.index = cells.index + 1  # the row number that a spreadsheet shows
    cells = cells[(cells != "").any(axis=1)]
    if len(cells) < 2:
        raise DataError(f"{str(path)!r} holds no participants: it needs a header and rows.")
    header = cells.iloc[0].tolist()
    return _finish(cells.iloc[1:], header, repr(str(path)), path.parent, None)


def _read_cells(path, sheet_name):
    suffix = path.suffix.lower()
    try:
        if suffix in SEPARATORS:
            separator = _separator(path, suffix)
            cells = pd.read_csv(
                path,
                sep=separator,
                dtype=str,
                header=None,
                keep_default_na=False,
                skip_blank_lines=False,
                encoding="utf-8-sig",
            )
            if separator == ";":
                cells = _with_decimal_points(cells)
        elif suffix in {".xlsx", ".xlsm"}:
            cells = pd.read_excel(
                path, sheet_name=sheet_name, header=None, dtype=object, keep_default_na=False
            )
        else:
            raise DataError(
                f"{str(path)!r} is not a .tsv, .csv or .xlsx file: save it as one of these, or "
                "read it with pandas and pass the DataFrame."
            )
    except DataError:
        raise
    except Exception as error:  # pandas, openpyxl and zipfile each raise their own
        raise DataError(
            f"{str(path)!r} cannot be read as a {suffix} table ({error}). Save it again as UTF-8 "
            ".tsv or .csv with one header row, or pass a DataFrame."
        ) from error
    return cells.astype(object).map(_cell_text)


def _separator(path, suffix):
    """Find what separates the cells: where commas are decimal, .csv files have semicolons."""
    if suffix != ".csv":
        return SEPARATORS[suffix]
    with path.open(encoding="utf-8-sig") as file:
        header = next((line for line in file if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", header)
    return ";" if bare.count(";") > bare.count(",") else SEPARATORS[suffix]


def _with_decimal_points(cells):
    """Write points for decimal commas, in columns that hold numbers alone below their names."""
    cells = cells.astype(object).map(_cell_text)
    names = (cells != "").any(axis=1).argmax()  # the first row that is not empty
    for column in cells:
        rows = cells[column].iloc[names + 1 :]
        present = rows[rows != ""]
        if present.str.fullmatch(NUMBER).all() and present.str.contains(",").any():
            cells.loc[rows.index, column] = rows.str.replace(",", ".")
    return cells


def _cell_text(value):
    """Write a cell as it reads in a spreadsheet: 2.0 is "2", and a missing cell is ""."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = (os.fspath(value) if isinstance(value, os.PathLike) else str(value)).strip()
    return "" if text in MISSING_MARKERS else text


def _finish(cells, header, name, folder, values):
    nameless = [k for k, title in enumerate(header) if not title]
    empty = [k for k in nameless if (cells.iloc[:, k] == "").all()]
    kept = [k for k in range(len(header)) if k not in empty]
    header = [header[k] or f"column {k + 1}" for k in kept]
    repeated = sorted({title for title in header if header.count(title) > 1})
    if repeated:
        raise DataError(
            f"{name} has several columns called {listing(map(repr, repeated))} (blanks around "
            "names do not count): rename them."
        )
    cells = cells.iloc[:, kept].set_axis(header, axis=1)
    if values is None:
        values = cells.apply(_typed)
    else:
        values = values.iloc[:, kept].set_axis(header, axis=1)
        words = [name for name in header if pd.api.types.infer_dtype(values[name]) == "string"]
        values = values.assign(**{name: cells[name].where(cells[name] != "") for name in words})
    return Table(name, folder, cells, values)


def _typed(text):
    """Turn a column of text into numbers where that loses nothing."""
    present = text != ""
    padded = text.str.match(r"[+-]?0\d")  # "007" is a code, not the number 7
    if present.any() and not padded.any():
        numbers = pd.to_numeric(text.where(present), errors="coerce")
        if numbers.notna().equals(present):
            return numbers
    return text.where(present)


def rename_columns(table, names):
    """Give the columns their standard names.

    Parameters
    ----------
    table : Table
        The table as read.
    names : dict of str to str
        Standard name -> name in the file.

    Returns
    -------
    table : Table
        The same table with the standard names.

    Raises
    ------
    DataError
        If a column does not exist, is claimed twice, or a standard name is taken already.

    Examples
    --------
    >>> import pandas as pd
    >>> table = read_table(pd.DataFrame({"AGE": [27]}))
    >>> list(rename_columns(table, {"age": "AGE"}).text)
    ['age']
    """
    existing = list(table.text.columns)
    names = {standard: str(name).strip() for standard, name in names.items()}
    absent = [name for name in names.values() if name not in existing]
    if absent:
        hints = "".join(close_match(name, existing) for name in absent)
        if len(existing) == 1 and (";" in existing[0] or "\t" in existing[0]):
            hints += " The columns seem to be separated by another character than the file type."
        raise DataError(
            f"{table.name} has no column {listing(map(repr, absent))}. "
            f"Its columns are {listing(map(repr, existing), limit=40)}.{hints} "
            "Map the standard names with columns={'age': 'name in the file', ...} and the ids with "
            "participant_id='name in the file'."
        )
    claimed = list(names.values())
    twice = sorted({name for name in claimed if claimed.count(name) > 1})
    if twice:
        raise DataError(
            f"column {listing(map(repr, twice))} of {table.name} is mapped to several standard "
            "names: map each column once."
        )
    taken = [standard for standard in names if standard in existing and standard not in claimed]
    if taken:
        raise DataError(
            f"{table.name} has a column called {listing(map(repr, taken))} besides the one mapped "
            "to this name: leave that out of columns= or rename it in the table."
        )
    new_names = {name: standard for standard, name in names.items()}
    return Table(
        table.name,
        table.folder,
        table.text.rename(columns=new_names),
        table.values.rename(columns=new_names),
    )
