"""``mresklearn pool``: several studies as one table, with a report of what was found."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._command import command
from ._console import Console, Result
from ._derivative import write_table
from ._files import refuse_existing, refuse_files, write_atomically
from ._options import DropMissing, DryRun, Force, Jobs
from ._people import tables_of

if TYPE_CHECKING:
    from ..datasets import Cohort

__all__ = ["pool"]

TABLE, REPORT, FINDINGS, DROPPED = (
    "participants.tsv", "pooling_report.txt", "pooling_report.tsv", "dropped.tsv",
)  # fmt: skip


class Paths(StrEnum):
    """How the table names map files."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"


@command
def pool(
    file: Annotated[
        Path,
        typer.Argument(metavar="POOL.TOML", help="What each study is like.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder to write to.", show_default=False)
    ],
    console: Console,
    paths: Annotated[
        Paths, typer.Option(help="How participants.tsv names the maps; relative is to OUT.")
    ] = Paths.ABSOLUTE,
    drop_missing: DropMissing = False,
    keep_duplicates: Annotated[
        bool,
        typer.Option("--keep-duplicates", help="Keep scans that are in twice, as one person."),
    ] = False,
    n_jobs: Jobs = 1,
    force: Force = False,
    dry_run: DryRun = False,
) -> Result:
    """Pool studies of different conventions into one table.

    Maps are read once, and stay where they are. `train`, `predict` and `confounds` take the table,
    or the pool file itself.
    """
    refuse_existing(out, TABLE, force=force)
    written = [out / name for name in (TABLE, REPORT, FINDINGS, DROPPED)]
    refuse_files(written, sources=tables_of(file), force=True)
    from ..datasets import pool_cohorts

    cohort = pool_cohorts(
        file,
        missing="drop" if drop_missing else "raise",
        duplicates="report" if keep_duplicates else "raise",
        n_jobs=n_jobs,
        verbose=console.progress,
    )
    record = {
        "output": str(out),
        "table": str(out / TABLE),
        "n_rows": len(cohort.maps),
        "n_studies": int(cohort.participants["study"].nunique()),
        "n_sites": int(cohort.participants["site"].nunique()),
        "n_dropped": len(cohort.dropped),
        "maps": list(cohort.maps),
        "to_check": cohort.report.warnings,
    }
    what = f"{cohort!r} from {record['n_studies']} studies"
    if dry_run:
        text = f"{cohort.report}\nWould pool {what} into {out / TABLE}."
        return Result(text, {"dry_run": True, **record})
    _write(cohort, out, paths)
    return Result(f"{cohort.report}\nPooled {what}: {out / TABLE}", record)


def _write(cohort: Cohort, out: Path, paths: Paths) -> None:
    maps = cohort.maps
    if paths == Paths.RELATIVE:
        maps = maps.map(lambda path: os.path.relpath(path, out.absolute()))
    text = f"{cohort.report}\n"
    write_atomically(out / REPORT, lambda beside: beside.write_text(text, encoding="utf-8"))
    write_table(cohort.report.to_frame(), out / FINDINGS)
    write_table(cohort.dropped, out / DROPPED)
    write_table(cohort.participants.join(maps).reset_index(), out / TABLE)
