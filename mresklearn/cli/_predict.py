"""``mresklearn predict``: brain age of new people, as a BIDS derivative with a page for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._command import command
from ._console import Console, Result
from ._model_folder import TrainedModel
from ._options import DryRun, Force, Jobs, PeopleOptions, Source
from ._prediction_run import OutputOptions, predict_people

__all__ = ["predict"]


@command
def predict(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="Folder that `train` wrote.", show_default=False
        ),
    ],
    people: Source,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder to write to.", show_default=False)
    ],
    options: PeopleOptions,
    output: OutputOptions,
    console: Console,
    n_jobs: Jobs = 1,
    force: Force = False,
    dry_run: DryRun = False,
) -> Result:  # fmt: skip
    """Predict the brain age of new people with a trained model.

    OUT gets, for each person, a table with its JSON sidecar, a page, and with --saliency a map of
    what the prediction rests on; and one table of all. Finished people are skipped, so the same
    command goes on after a stop. Exit code 1: some people could not be predicted, others were.
    """
    return predict_people(
        TrainedModel(model), people, out, options, output, console,
        n_jobs=n_jobs, force=force, dry_run=dry_run, group_table=True,
    )  # fmt: skip
