"""``mresklearn report``: the page of a study or of people, from what train or predict wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._command import command
from ._confounds import confound_report, variables_of
from ._console import Console, Result
from ._files import refuse_files, write_atomically
from ._group_level import summarise_group
from ._model_folder import MODEL_SIGN, TrainedModel
from ._options import DryRun, Force, Jobs
from ._study_page import page_of_controls

__all__ = ["report"]

PAGE = "study.html"


@command
def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A model folder, or what `predict` wrote.", show_default=False
        ),
    ],
    console: Console,
    out: Annotated[
        Path | None,
        typer.Option(help=f"Page to write for a model; by default FOLDER/{PAGE}."),
    ] = None,
    permutations: Annotated[
        int, typer.Option(min=19, help="Permutations of the report on confounds.")
    ] = 999,
    n_jobs: Jobs = 1,
    force: Force = False,
    dry_run: DryRun = False,
) -> Result:
    """Write the page of a study that was trained or predicted.

    It shows the cohort, confounds, cross-validation and errors by site. For a folder of
    predictions: the same as the group level of the BIDS App. Pages of single people are written by
    `predict`.
    """
    if not (folder / MODEL_SIGN).is_file():
        return summarise_group(
            folder, console, permutations=permutations, n_jobs=n_jobs, force=force, dry_run=dry_run
        )
    path = out or folder / PAGE
    model = TrainedModel(folder)
    controls = model.controls
    several = "site" in controls and controls["site"].nunique() > 1
    link = f"{path.stem}_confounds.html" if several else None
    model_files = [one for one in folder.iterdir() if one.suffix != ".html"]
    refuse_files(
        [path, *([path.with_name(link)] if link else [])], sources=model_files, force=force
    )
    record = {"output": str(path), "n_rows": len(controls)}
    if dry_run:
        return Result(
            f"Would write the page of {len(controls)} rows: {path}", {"dry_run": True, **record}
        )
    found = None
    if link:
        found = confound_report(
            variables_of(controls, {}), {}, prediction=controls["prediction"].to_numpy(),
            permutations=permutations, seed=0, n_jobs=n_jobs, verbose=console.progress,
        )  # fmt: skip
        write_atomically(path.with_name(link), found.to_html)
    write_atomically(path, page_of_controls(model, found, link).to_html)
    return Result(f"Page: {path}", record)
