"""``mresklearn confounds``: what confounds a study, as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._command import command
from ._console import Console, Result
from ._derivative import write_table
from ._files import refuse_files, write_atomically
from ._options import DropMissing, DryRun, Force, Jobs, PeopleOptions, Seed, Source, as_pairs
from ._people import as_input, read_people, tables_of
from ._recipes import usual_voxel_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["confound_report", "confounds", "variables_of"]

USUAL_ROLES = {"sex": "biological", "diagnosis": "biological"}


@command
def confounds(
    people: Source,
    out: Annotated[
        Path, typer.Argument(metavar="OUT.html", help="Page to write.", show_default=False)
    ],
    options: PeopleOptions,
    console: Console,
    roles: Annotated[
        list[str] | None,
        typer.Option(
            "--role",
            metavar="COLUMN=ROLE",
            help="Further columns, as scanner=technical or bmi=biological.",
        ),
    ] = None,
    with_maps: Annotated[
        bool, typer.Option("--with-maps/--table-only", help="Also look into the maps.")
    ] = True,
    voxel_size: Annotated[
        float | None,
        typer.Option(
            min=0.5, help="Voxels in mm; by default 4, or those of the maps.", show_default=False
        ),
    ] = None,
    permutations: Annotated[int, typer.Option(min=19, help="Permutations of each test.")] = 999,
    drop_missing: DropMissing = False,
    seed: Seed = 0,
    n_jobs: Jobs = 1,
    force: Force = False,
    dry_run: DryRun = False,
) -> Result:  # fmt: skip
    """Report what goes with site and age, in table and maps.

    Beside OUT.html, all effects are written to a table of the same name (.tsv).
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"{out} is no page: end it in .html.")
    table = out.with_suffix(".tsv")
    refuse_files([out, table], sources=tables_of(people), force=force)
    missing = "drop" if drop_missing else "raise"
    cohort = read_people(people, options, console, missing=missing, n_jobs=n_jobs)
    variables = variables_of(cohort.participants, as_pairs(roles, "--role"))
    record: dict[str, Any] = {
        "output": str(out), "n_rows": len(variables), "columns": list(map(str, variables)),
        "maps": list(cohort.maps) if with_maps else [],
    }  # fmt: skip
    if dry_run:
        text = (
            f"Would look for confounds in {', '.join(record['columns'])} of {len(variables)} rows"
            f"{' and in their maps' if with_maps else ''}, and write {out} and {table}."
        )
        return Result(text, {"dry_run": True, **record})
    X = _load(cohort, voxel_size, n_jobs, console.progress) if with_maps else None
    report = confound_report(
        variables, as_pairs(roles, "--role"), X=X, permutations=permutations, seed=seed,
        n_jobs=n_jobs, verbose=console.progress,
    )  # fmt: skip
    write_atomically(out, report.to_html)
    write_table(report.to_frame(), table)
    record["verdicts"] = report.verdicts_["verdict"].to_dict()
    return Result(f"{report.summary()}\n\nPage: {out}", record)


def variables_of(participants: pd.DataFrame, roles: dict[str, str]) -> pd.DataFrame:
    """Take age, site, sex and diagnosis where they say something, and what has a role.

    Parameters
    ----------
    participants : DataFrame
        What is known of the people.
    roles : dict of str to str
        Further columns.

    Returns
    -------
    variables : DataFrame
        For :class:`ConfoundReport`.

    Raises
    ------
    typer.BadParameter
        If there is no age or no site, or a column with a role is not there.
    """
    lacking = [name for name in ("age", "site", *roles) if name not in participants]
    if lacking:
        raise typer.BadParameter(
            f"there is no column {', '.join(lacking)}: name it with --column {lacking[0]}=... The "
            f"columns are {', '.join(map(str, participants.columns))}."
        )
    names = ["age", "site", *(name for name in USUAL_ROLES if name in participants), *roles]
    kept = [
        name for name in dict.fromkeys(names)
        if name in roles or participants[name].nunique() > 1
    ]  # fmt: skip
    return participants[kept]


def confound_report(
    variables: pd.DataFrame, roles: dict[str, str], *, X: Any = None, prediction: Any = None,
    permutations: int, seed: int, n_jobs: int, verbose: int,
) -> Any:  # fmt: skip
    """Fit the report of the library on these columns."""
    from ..confounds import ConfoundReport

    known = {name: role for name, role in (USUAL_ROLES | roles).items() if name in variables}
    return ConfoundReport(
        roles=known, site_column="site" if "site" in variables else None,
        n_permutations=permutations, random_state=seed, n_jobs=n_jobs, verbose=verbose,
    ).fit(variables, X, prediction=prediction)  # fmt: skip


def _load(cohort: Any, voxel_size: float | None, n_jobs: int, verbose: int) -> Any:
    from ..maps import MapLoader

    settled = any(name.startswith("unit_") for name in cohort.participants)
    loader = MapLoader(
        voxel_size=voxel_size or usual_voxel_size(cohort.maps.iloc[0, 0]),
        mixed_units="convert" if settled else "raise",
        n_jobs=n_jobs,
        verbose=verbose,
    )
    return loader.fit_transform(as_input(cohort, list(cohort.maps), []))
