"""``mresklearn BIDS_DIR OUT_DIR participant|group``: the form that imaging workflows call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ._command import command
from ._console import Console, Result
from ._group_level import summarise_group
from ._model_folder import TrainedModel
from ._options import DryRun, Force, Jobs, PeopleOptions
from ._prediction_run import OutputOptions, predict_people

__all__ = ["BidsAppGroup", "bids"]

SEVERAL = ("--participant-label", "--participant_label", "--session", "--session-label",
           "--session_label")  # fmt: skip


class Level(StrEnum):
    """Levels of analysis of a BIDS App."""

    PARTICIPANT = "participant"
    GROUP = "group"


class BidsAppGroup(TyperGroup):
    """Commands, beside the form of BIDS Apps, whose first argument is a folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the command before arguments that have the form of a BIDS App."""
        named = bool(args) and args[0] in self.commands
        if not named and not set(Level).isdisjoint(args):
            args = ["bids", *args]
        if args and args[0] == "bids":
            args = _one_value_an_option(args)
        return super().parse_args(ctx, args)


def _one_value_an_option(args: Sequence[str]) -> list[str]:
    """Repeat options that BIDS Apps give several values: ``--participant-label 01 02``."""
    result, rest = [], list(args)
    while rest:
        word = rest.pop(0)
        if word not in SEVERAL:
            result.append(word)
            continue
        values = []
        while rest and not rest[0].startswith("-"):
            values.append(rest.pop(0))
        levels = [place for place, value in enumerate(values) if value in set(Level)]
        if levels:  # the option came first: folders and level follow its values
            start = max(levels[0] - 2, 1)
            values, rest = values[:start], values[start:] + rest
        result += [part for value in values or [""] for part in (word, value)]
    return result


@command
def bids(
    bids_dir: Annotated[
        Path, typer.Argument(metavar="BIDS_DIR", help="Folder in BIDS.", show_default=False)
    ],
    out_dir: Annotated[
        Path, typer.Argument(metavar="OUT_DIR", help="Folder to write to.", show_default=False)
    ],
    level: Annotated[
        Level,
        typer.Argument(
            metavar="participant|group",
            help="participant predicts each person; group sums up what it wrote.",
            show_default=False,
        ),
    ],
    options: PeopleOptions,
    output: OutputOptions,
    console: Console,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Model that `mresklearn train` wrote."),
    ] = None,
    work_dir: Annotated[
        Path | None, typer.Option("--work-dir", "-w", help="Folder that keeps loaded maps.")
    ] = None,
    skip_bids_validation: Annotated[
        bool,
        typer.Option(
            "--skip-bids-validation", "--skip_bids_validation", "--skip-bids-validator",
            "--skip_bids_validator", help="Accepted as other BIDS Apps do; nothing is validated.",
        ),
    ] = False,
    permutations: Annotated[
        int, typer.Option(min=19, help="Permutations of the confound report, at group level.")
    ] = 999,
    n_jobs: Jobs = 1,
    force: Force = False,
    dry_run: DryRun = False,
) -> Result:  # fmt: skip
    """Predict as a BIDS App; the word `bids` may be left out.

    participant: tables, pages and maps of people, as `mresklearn predict`. group: one table, a page
    and a report on confounds of all people who are finished.
    """
    if work_dir is not None and not dry_run:
        os.environ["MRESKLEARN_CACHE"] = str((work_dir / "maps").absolute())
    if not bids_dir.is_dir():
        raise typer.BadParameter(f"BIDS_DIR {bids_dir} is not a folder.")
    if level == Level.GROUP:
        return summarise_group(
            out_dir, console, permutations=permutations, n_jobs=n_jobs, force=force,
            dry_run=dry_run,
        )  # fmt: skip
    if model is None:
        raise typer.BadParameter(
            "the participant level needs --model, the folder of a model from `mresklearn train`."
        )
    return predict_people(
        TrainedModel(model), bids_dir, out_dir, options, output, console,
        n_jobs=n_jobs, force=force, dry_run=dry_run, group_table=False,
    )  # fmt: skip
