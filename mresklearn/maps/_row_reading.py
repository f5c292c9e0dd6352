"""Read many rows once, in parallel, and report every bad one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from ..exceptions import DataError
from ._cache import MapCache
from ._opening import is_path
from ._reading import MapReader, describe

_MAX_LISTED = 8

Units = dict[str, str]


def read_rows(
    rows: tuple[tuple[Any, ...], ...],
    reader: MapReader,
    cache: MapCache | None,
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> tuple[tuple[str | None, ...], list[Units]]:
    """Read every row that the cache lacks.

    Parameters
    ----------
    rows : tuple of tuple
        One path or image per column of the reader.
    reader : MapReader
        What a row becomes.
    cache : MapCache or None
        Where samples are kept; without one, rows are read to check them, and read again later.
    n_jobs : int or None
        Threads; decompression and file reads release the interpreter lock.
    verbose : int
        1 shows a progress bar.

    Returns
    -------
    keys : tuple of (str or None)
        Cache key of each row, None for rows that are not cached.
    units : list of dict
        Unit found on disk for each column of each row.

    Raises
    ------
    DataError
        Listing every row that cannot be read.
    """
    work = tqdm(rows, desc="Reading maps", unit="person", disable=not verbose)
    results = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_read_row)(row, reader, cache) for row in work
    )
    problems = [result for result in results if isinstance(result, DataError)]
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise DataError(
            f"{len(problems)} of {len(rows)} rows cannot be loaded:\n"
            + _bullets(str(problem) for problem in problems)
        )
    return tuple(key for key, _ in results), [units for _, units in results]


def refuse_mixed_units(files: pd.DataFrame, units: list[Units]) -> None:
    """Raise if some files of a column are in Pa and others in kPa, naming them."""
    for column in files.columns:
        by_unit: dict[str, list[str]] = {}
        for source, found in zip(files[column], units, strict=True):
            if column in found:
                by_unit.setdefault(found[column], []).append(describe(source))
        if len(by_unit) > 1:
            fewest = min(by_unit, key=lambda unit: len(by_unit[unit]))
            counts = ", ".join(f"{len(names)} in {unit}" for unit, names in sorted(by_unit.items()))
            raise DataError(
                f"Column '{column}' mixes units: {counts}. The files in {fewest} are\n"
                f"{_bullets(by_unit[fewest])}\n"
                "If that is right (studies that store maps differently), allow it with "
                "MapLoader(mixed_units='convert'); else correct these files."
            )


def summarise_units(units: list[Units]) -> Units:
    """Return the one unit of each column, or "mixed"."""
    seen: dict[str, set[str]] = {}
    for found in units:
        for column, unit in found.items():
            seen.setdefault(column, set()).add(unit)
    return {column: kinds.pop() if len(kinds) == 1 else "mixed" for column, kinds in seen.items()}


def _read_row(
    row: tuple[Any, ...], reader: MapReader, cache: MapCache | None
) -> tuple[str | None, Units] | DataError:
    """Read one row into the cache; errors are returned, so that all rows are tried."""
    try:
        if cache is None or not all(is_path(source) for source in row):
            return None, reader.read(row).units
        try:
            key = cache.key(row, reader)
        except FileNotFoundError as error:
            raise DataError(
                f"There is no file {error.filename}. Correct the path, or leave this row out."
            ) from error
        sample = cache.get(key)
        if sample is None:
            sample = reader.read(row)
            cache.put(key, sample)
        return key, sample.units
    except DataError as error:
        return error


def _bullets(lines: Iterable[str]) -> str:
    listed = list(lines)
    shown = [f"- {line}" for line in listed[:_MAX_LISTED]]
    if len(listed) > _MAX_LISTED:
        shown.append(f"- and {len(listed) - _MAX_LISTED} more")
    return "\n".join(shown)
