"""The command line: one command a file."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import __version__
from ._bids_app import BidsAppGroup, bids
from ._cache import cache_app
from ._confounds import confounds
from ._demo import demo
from ._pool import pool
from ._predict import predict
from ._report import report
from ._simulate import simulate
from ._train import train

app = typer.Typer(
    cls=BidsAppGroup,
    help="Brain age and early neurodegeneration from MR elastography maps.",
    epilog="As a BIDS App: mresklearn BIDS_DIR OUT_DIR participant|group --model MODEL. "
    "Exit codes: 0 done, 1 done except for some people, 2 wrong use, 3 data that cannot be used, "
    "4 a defect of this program.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes leave no room for the words at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)
for function in (simulate, pool, confounds, train, predict, report, demo, bids):
    app.command()(function)
app.add_typer(cache_app, name="cache", short_help="Inspect the store of loaded maps.")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mresklearn {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Brain age and early neurodegeneration from MR elastography maps."""
