"""Arguments and options that several commands have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "DropMissing", "DryRun", "Force", "Jobs", "PeopleOptions", "Seed", "Source", "as_pairs",
]  # fmt: skip

Source = Annotated[
    Path,
    typer.Argument(
        metavar="PEOPLE",
        help="Who: a BIDS folder, a table (.tsv, .csv, .xlsx) or a pool file (.toml).",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be done; write nothing.")
]
DropMissing = Annotated[
    bool,
    typer.Option(
        "--drop-missing",
        help="Leave people out who lack a map, an age or, where the table has sites, a site.",
    ),
]
Jobs = Annotated[
    int, typer.Option("--n-jobs", "--n_jobs", help="Threads or processes; -1 takes all cores.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]


@dataclass
class PeopleOptions:
    """How a table or folder names people, ages and files."""

    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="KIND=NAME",
            help="Map files, as stiffness='{participant_id}_mu.nii.gz' with columns of the table "
            "in braces; in a BIDS folder an ending, as t1=T1w. Repeat for each kind. By default "
            "the columns of the table that are named like map kinds, or the usual BIDS names.",
        ),
    ] = None
    root: Annotated[
        Path | None,
        typer.Option(help="Folder of the maps; by default that of the table."),
    ] = None
    id_column: Annotated[str, typer.Option(help="Column that holds the ids.")] = "participant_id"
    id_format: Annotated[
        str | None,
        typer.Option(help="Form of the ids in file names: '{:0>3}' makes 002 of 2."),
    ] = None
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="NAME=COLUMN",
            help="What age, sex, site, diagnosis, person or session are called in the table, as "
            "age='Age (years)'.",
        ),
    ] = None
    sex_codes: Annotated[
        list[str] | None,
        typer.Option(
            "--sex-code", metavar="CODE=F|M", help="What other words for sex mean, as 1=M."
        ),
    ] = None
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--participant-label",
            "--participant_label",
            metavar="ID",
            help="Only these people, with or without sub-. Repeat for several.",
        ),
    ] = None
    sessions: Annotated[
        list[str] | None,
        typer.Option(
            "--session",
            "--session-label",
            "--session_label",
            metavar="ID",
            help="Only these sessions, with or without ses-.",
        ),
    ] = None


def as_pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` options.

    Parameters
    ----------
    texts : list of str or None
        As given.
    option : str
        Name of the option, for the message.

    Returns
    -------
    pairs : dict of str to str
        Name -> value.

    Raises
    ------
    typer.BadParameter
        If one of them has no ``=``.
    """
    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise typer.BadParameter(f"{option} {text!r} is not of the form NAME=VALUE.")
        pairs[name.strip()] = value.strip()
    return pairs
