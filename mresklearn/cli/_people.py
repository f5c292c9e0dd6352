"""People and their maps from whatever the command line names: a BIDS folder, a table, a pool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ._console import Console
from ._options import PeopleOptions, as_pairs

if TYPE_CHECKING:
    import pandas as pd

    from ..datasets import Cohort

__all__ = ["UNKNOWN", "as_input", "read_people", "tables_of"]

UNKNOWN = "unknown"  # site of people of whom none is known

SUFFIX_OF_POOL = ".toml"
IN_POOL_FILE = {
    "maps": "--map", "root": "--root", "id_column": "--id-column", "id_format": "--id-format",
    "columns": "--column", "sex_codes": "--sex-code",
}  # fmt: skip


def read_people(
    source: Path, options: PeopleOptions, console: Console, *, missing: str, n_jobs: int = 1,
    unknown_sites: bool = False,
) -> Cohort:  # fmt: skip
    """Read who there is, and where their maps are.

    Parameters
    ----------
    source : Path
        BIDS folder, table, or pool file.
    options : PeopleOptions
        How it names things, and who is asked for.
    console : Console
        For progress and notes.
    missing : {"raise", "drop"}
        What to do with people who lack a map or an age.
    n_jobs : int, default=1
        Threads that read the maps of a pool.
    unknown_sites : bool, default=False
        Whether people may lack a site where others have one; it is NaN then.

    Returns
    -------
    cohort : Cohort
        With ``dropped``: who is left out, and why.

    Raises
    ------
    DataError
        If table and files do not fit.
    typer.BadParameter
        If nobody has a label that was asked for, or an option says what a pool file says itself.
    """
    who: dict[str, Any] = {"missing": missing, "unknown_sites": unknown_sites}
    if source.is_dir():
        cohort = _from_bids(source, options, who)
    elif source.suffix.lower() == SUFFIX_OF_POOL:
        from ..datasets import pool_cohorts

        _refuse_options(source, options)
        cohort = pool_cohorts(source, n_jobs=n_jobs, verbose=console.progress, **who)
    else:
        cohort = _from_table(source, options, who)
    return _select(cohort, options)


def tables_of(source: Path) -> list[Path]:
    """Name the tables that stand behind a source: its own, or those of the studies of a pool."""
    if source.is_dir():
        return [source / "participants.tsv"]
    if source.suffix.lower() == SUFFIX_OF_POOL:
        from ..datasets._pooling.file import read_pool_file

        return [source, *(entry.table for entry in read_pool_file(source).studies)]
    return [source]


def as_input(cohort: Cohort, kinds: list[str], metadata: list[str]) -> pd.DataFrame:
    """Make the table that a model takes: paths of maps, and what rides along.

    Parameters
    ----------
    cohort : Cohort
        People.
    kinds : list of str
        Map kinds that the model was trained on.
    metadata : list of str
        Columns that ride along; ``"unknown"`` where the people have no such column.

    Returns
    -------
    X : DataFrame
        A row a person.
    """
    from ..exceptions import DataError

    lacking = [kind for kind in kinds if kind not in cohort.maps]
    if lacking:
        raise DataError(
            f"the model was trained on {', '.join(kinds)}, but there is no {', '.join(lacking)} "
            f"here, only {', '.join(cohort.maps)}. Name the files with --map {lacking[0]}=..."
        )
    X = cohort.maps[kinds].copy()
    for name in metadata:
        X[name] = cohort.participants.get(name, UNKNOWN)
    return X


def _from_table(source: Path, options: PeopleOptions, who: dict[str, Any]) -> Cohort:
    from ..datasets import load_cohort

    maps: dict[str, Any] = as_pairs(options.maps, "--map") or _columns_of_paths(source)
    return load_cohort(
        source,
        maps=maps,
        root=options.root,
        participant_id=options.id_column,
        id_format=options.id_format,
        columns=as_pairs(options.columns, "--column"),
        sex_codes=as_pairs(options.sex_codes, "--sex-code") or None,
        unlisted="report",
        **who,
    )


def _columns_of_paths(source: Path) -> dict[str, str]:
    """Take the columns that are named like map kinds, as `mresklearn pool` writes them."""
    from ..datasets._pooling.keys import MAP_KINDS
    from ..datasets._table import read_table

    columns = read_table(source).text.columns
    maps = {kind: f"{{{kind}}}" for kind in MAP_KINDS if kind in columns}
    if not maps:
        raise typer.BadParameter(
            f"{source} has no column of map files (stiffness, damping_ratio, t1, ...): say where "
            "they are with --map stiffness='maps/{participant_id}_mu.nii.gz'."
        )
    return maps


def _refuse_options(source: Path, options: PeopleOptions) -> None:
    """Refuse options on a pool file, which would be read over: each study has its own."""
    usual = PeopleOptions()
    given = [option for name, option in IN_POOL_FILE.items()
             if getattr(options, name) not in (getattr(usual, name), [])]  # fmt: skip
    if given:
        raise typer.BadParameter(
            f"{', '.join(given)} do{'es' if len(given) == 1 else ''} nothing here: these stand in "
            f"the pool file {source}, for each study."
        )


def _from_bids(source: Path, options: PeopleOptions, who: dict[str, Any]) -> Cohort:
    """Read one BIDS folder as a pool of one study, whose name is taken off again."""
    from ..datasets import Cohort
    from ..datasets._pooling.bids import USUAL_NAMES, bids_maps
    from ..datasets._pooling.file import StudyEntry
    from ..datasets._pooling.study import load_study
    from ..exceptions import DataError

    root = source.absolute()
    entry = StudyEntry(
        name="study",
        root=options.root or root,
        layout="bids",
        table=root / "participants.tsv",
        participant_id=options.id_column,
        id_format=options.id_format,
        columns=as_pairs(options.columns, "--column"),
        maps={kind: [end] for kind, end in as_pairs(options.maps, "--map").items()},
        sex_codes=as_pairs(options.sex_codes, "--sex-code") or None,
        unlisted="report",
    )
    maps = bids_maps(entry)
    if not maps:
        usual = ", ".join(f"sub-*_{end}.nii.gz" for ends in USUAL_NAMES.values() for end in ends)
        raise DataError(
            f"{root} holds no map with a usual name ({usual}, in sub-*/[ses-*/]anat/). Name the "
            "endings, as in --map stiffness=mymap or --map t1=T1w."
        )
    try:
        rows = load_study(entry, maps, **who)
    except DataError as error:
        raise DataError(_with_options(str(error))) from error
    participants = _without_prefix(rows.participants, f"{entry.name}_")
    if (participants["site"] == entry.name).all():  # the table names no site
        participants = participants.drop(columns="site")
    return Cohort(
        maps=rows.maps.set_axis(participants.index),
        participants=participants,
        dropped=rows.dropped,
        unlisted_files=rows.unlisted,
    )


def _with_options(message: str) -> str:
    """Name the options that stand for keys of a pool file, of which the message speaks."""
    for key, option in (("columns.", "--column NAME=COLUMN"), ("sex_codes", "--sex-code CODE=F")):
        if key in message:
            message += f" On the command line: {option}."
    return message


def _without_prefix(participants: pd.DataFrame, prefix: str) -> pd.DataFrame:
    """Give ids, sites and persons back the names that they have in the folder."""
    participants = participants.set_axis(participants.index.str.removeprefix(prefix))
    for name in ("site", "person"):
        participants[name] = participants[name].str.removeprefix(prefix)
    return participants


def _select(cohort: Cohort, options: PeopleOptions) -> Cohort:
    """Keep the people and sessions that were asked for."""
    from ..datasets import Cohort

    if not options.labels and not options.sessions:
        return cohort
    ids = cohort.maps.index.to_series()
    keep = _asked(ids, options.labels, _labels_of)
    keep &= _asked(ids, options.sessions, _sessions_of)
    dropped = cohort.get("dropped")
    lost: set[str] = set()
    if dropped is not None and len(dropped):
        names = dropped["participant_id"]
        asked = _asked(names, options.labels, _labels_of)
        dropped = dropped[asked & _asked(names, options.sessions, _sessions_of)]
        lost = {label for one in dropped["participant_id"] for label in _labels_of(one)}
    found = {label for one in ids[keep] for label in _labels_of(one)}
    absent = [
        label for label in options.labels or [] if label.removeprefix("sub-") not in found | lost
    ]
    if absent or not keep.any():
        raise typer.BadParameter(
            f"nobody here is called {', '.join(absent)}."
            if absent
            else "nobody is left with these labels and sessions."
        )
    details = {
        name: value
        for name, value in cohort.items()
        if name not in ("maps", "participants", "dropped")
    }
    return Cohort(
        maps=cohort.maps[keep], participants=cohort.participants[keep], dropped=dropped, **details
    )


def _asked(ids: Any, wanted: list[str] | None, names_of: Any) -> Any:
    if not wanted:
        return ids.notna()
    plain = {one.removeprefix("sub-").removeprefix("ses-") for one in wanted}
    return ids.map(lambda one: bool(names_of(one) & plain))


def _labels_of(row: str) -> set[str]:
    """Names that a person may be asked for by."""
    plain = row.removeprefix("sub-")
    return {plain, plain.partition("_ses-")[0]}


def _sessions_of(row: str) -> set[str]:
    return {row.partition("_ses-")[2]}
