"""The command line: one group of commands a file."""

from __future__ import annotations

import typer

from ._cache import cache_app

app = typer.Typer(
    help="Brain age and early neurodegeneration from MR elastography maps.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(cache_app, name="cache")


@app.callback()
def main() -> None:
    """Brain age and early neurodegeneration from MR elastography maps."""
