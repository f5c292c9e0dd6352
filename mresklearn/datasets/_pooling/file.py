"""The pool file, read into one entry per study with its paths resolved."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from ...exceptions import DataError
from .._messages import listing
from .keys import check_study, check_top

__all__ = ["PoolFile", "StudyEntry", "read_pool_file"]


@dataclass(frozen=True)
class StudyEntry:
    """What the pool file says of one study.

    Parameters
    ----------
    name : str
        Name of the study.
    root : Path
        Folder of the study.
    layout : {"table", "bids"}
        Where files are: named by templates, or found by their BIDS names.
    table : Path
        Participants table.
    sheet : str or int
        Sheet of an Excel table.
    participant_id : str
        Name of the id column.
    id_format : str or None
        Format of the ids.
    columns : dict of str to str
        Standard name -> name in the table.
    maps : dict of str to list of str
        Map kind -> templates, or endings of BIDS names; empty takes the usual BIDS names.
    units : dict of str to str
        Map kind -> "Pa", "kPa" or "mixed".
    sex_codes, diagnosis_codes, site_codes : dict of str to str, or None
        What the values of a column mean.
    constants : dict
        Columns with one value for the whole study.
    filters : dict of str to str
        BIDS entities that files must have.
    folder : str
        BIDS folder of the maps.
    unlisted : {"raise", "report"}
        What to do with files without a row.
    description : str
        Where the data come from.
    """

    name: str
    root: Path
    layout: str = "table"
    table: Path | None = None
    sheet: str | int = 0
    participant_id: str = "participant_id"
    id_format: str | None = None
    columns: dict = field(default_factory=dict)
    maps: dict = field(default_factory=dict)
    units: dict = field(default_factory=dict)
    sex_codes: dict | None = None
    diagnosis_codes: dict | None = None
    site_codes: dict | None = None
    constants: dict = field(default_factory=dict)
    filters: dict = field(default_factory=dict)
    folder: str = "anat"
    unlisted: str = "raise"
    description: str = ""


@dataclass(frozen=True)
class PoolFile:
    """A pool file whose keys were checked.

    Parameters
    ----------
    path : Path
        The file.
    studies : tuple of StudyEntry
        Its studies, in the order of the file.
    maps : tuple of str or None
        Map kinds to pool; None means that all studies have the same.
    description : str
        What the pool is for.
    """

    path: Path
    studies: tuple
    maps: tuple | None = None
    description: str = ""


def read_pool_file(file):
    r"""Read a pool file and refuse every key or value that cannot be meant, all in one error.

    Parameters
    ----------
    file : str or path-like
        TOML file with a table ``[studies.<name>]`` per study.

    Returns
    -------
    pool : PoolFile
        Its content, with the paths resolved.

    Raises
    ------
    DataError
        If the file is not there, is no TOML, or has unknown, missing or impossible keys.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "pool.toml"
    ...     _ = file.write_text("[studies.A]\ntabel = 'people.tsv'")
    ...     read_pool_file(file)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    mresklearn.exceptions.DataError: pool.toml: ... Did you mean 'table'?
    """
    path = Path(file).expanduser().absolute()
    content = _parse(path)
    problems = check_top(content)
    studies = content.get("studies")
    if not isinstance(studies, dict) or not studies:
        problems.append("it names no study: give each one a table [studies.<name>]")
        studies = {}
    for name, keys in studies.items():
        problems += check_study(name, keys)
    if problems:
        raise DataError(
            f"the pool file {str(path)!r} cannot be used:\n"
            + "\n".join(f"- {problem}" for problem in problems)
        )
    entries = tuple(_as_entry(name, keys, path.parent) for name, keys in studies.items())
    problems = [
        f"study {entry.name!r}: root {str(entry.root)!r} is not a folder"
        for entry in entries
        if not entry.root.is_dir()
    ]
    if problems:
        raise DataError(
            f"folders named in the pool file {str(path)!r} are not there: {listing(problems)}. "
            "A root is absolute, or relative to the folder of the pool file."
        )
    maps = tuple(content["maps"]) if "maps" in content else None
    return PoolFile(path, entries, maps, content.get("description", ""))


def _parse(path):
    try:
        # spreadsheets and editors of some systems put a byte order mark before the text
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DataError(f"there is no pool file {str(path)!r}: check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"the pool file {str(path)!r} is not UTF-8 text: save it again.") from error
    except tomllib.TOMLDecodeError as error:
        raise DataError(
            f"the pool file {str(path)!r} is not valid TOML: {error}. Put text in quotes, folders "
            "with / or in 'single quotes', and keys that hold other characters than letters, "
            "digits, - and _ in quotes."
        ) from error


def _as_entry(name, keys, folder):
    keys = dict(keys)
    layout = keys.get("layout", "table")
    root = (folder / Path(keys.pop("root")).expanduser()).absolute()
    table = root / Path(keys.pop("table", "participants.tsv")).expanduser()
    maps = {
        kind: [names] if isinstance(names, str) else list(names)
        for kind, names in keys.pop("maps", {}).items()
    }
    return StudyEntry(name=name, root=root, table=table, maps=maps, **{**keys, "layout": layout})
