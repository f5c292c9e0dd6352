"""Read many rows once, in parallel, and report every bad one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from ..exceptions import DataError
from ._cache import MapCache
from ._image_files import absent_file, describe, unreadable_file
from ._opening import is_path
from ._reading import MapReader

_MAX_LISTED = 8


class Found(NamedTuple):
    """What reading a row found, without its voxels."""

    key: str | None
    units: dict[str, str]
    quality: dict[str, float]
    written: bool


def read_rows(
    rows: tuple[tuple[Any, ...], ...],
    reader: MapReader,
    cache: MapCache | None,
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> list[Found]:
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
    found : list of Found
        Cache key (None for rows that are not cached), units and quality of each row.

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
    if cache is not None and any(result.written for result in results):
        cache.keep_within_limit()
    return results


def refuse_mixed_units(files: pd.DataFrame, found: list[Found]) -> None:
    """Raise if some files of a column are in Pa and others in kPa, naming them."""
    for column in files.columns:
        by_unit: dict[str, list[str]] = {}
        for source, row in zip(files[column], found, strict=True):
            if column in row.units:
                by_unit.setdefault(row.units[column], []).append(describe(source))
        if len(by_unit) > 1:
            fewest = min(by_unit, key=lambda unit: len(by_unit[unit]))
            counts = ", ".join(f"{len(names)} in {unit}" for unit, names in sorted(by_unit.items()))
            raise DataError(
                f"Column '{column}' mixes units: {counts}. The files in {fewest} are\n"
                f"{_bullets(by_unit[fewest])}\n"
                "If that is right (studies that store maps differently), allow it with "
                "MapLoader(mixed_units='convert'); else correct these files."
            )


def summarise_units(found: list[Found]) -> dict[str, str]:
    """Return the one unit of each column, or "mixed"."""
    seen: dict[str, set[str]] = {}
    for row in found:
        for column, unit in row.units.items():
            seen.setdefault(column, set()).add(unit)
    return {column: kinds.pop() if len(kinds) == 1 else "mixed" for column, kinds in seen.items()}


def quality_table(participants: pd.Index, found: list[Found]) -> pd.DataFrame:
    """Return a row per participant with volume, outliers, gaps and units."""
    rows = [
        {**row.quality, **{f"unit_{column}": unit for column, unit in row.units.items()}}
        for row in found
    ]
    return pd.DataFrame(rows, index=participants)


def _read_row(row: tuple[Any, ...], reader: MapReader, cache: MapCache | None) -> Found | DataError:
    """Read one row into the cache; errors are returned, so that all rows are tried."""
    try:
        if cache is None or not all(is_path(source) for source in row):
            sample = reader.read(row)
            return Found(None, sample.units, sample.quality, written=False)
        try:
            key = cache.key(row, reader)
        except FileNotFoundError as error:
            raise absent_file(error.filename) from error
        except OSError as error:
            raise unreadable_file(error) from error
        kept = cache.check(key)
        if kept is not None:
            return Found(key, kept["units"], kept["quality"], written=False)
        sample = reader.read(row)
        cache.put(key, sample)
        return Found(key, sample.units, sample.quality, written=True)
    except DataError as error:
        return error


def _bullets(lines: Iterable[str]) -> str:
    listed = list(lines)
    shown = [f"- {line}" for line in listed[:_MAX_LISTED]]
    if len(listed) > _MAX_LISTED:
        shown.append(f"- and {len(listed) - _MAX_LISTED} more")
    return "\n".join(shown)
