"""Run studies, show their tables, and draw their figures.

python -m benchmarks.studies {list,run,table,figure,page}
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from .. import _pages
from ._figures import draw
from ._page import PAGE, tables
from ._reporting import as_text, result_name, store_results, stored_results
from ._results import results_of
from ._runner import run_study
from .declared import declared, names

STORE = Path(__file__).parent.parent / "cells" / "studies"
IMAGES = _pages.DOCS / "images"


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m benchmarks.studies", description=__doc__)
    commands = found.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="declared studies, and how far each is")
    run = commands.add_parser("run", help="fit what is missing, then show and keep the results")
    run.add_argument("--jobs", type=int, default=1, help="processes on this machine")
    run.add_argument("--dask", metavar="ADDRESS", help="of a Dask scheduler, or its scheduler file")
    run.add_argument("--dry-run", action="store_true", help="list the cells and fit nothing")
    table = commands.add_parser("table", help="tables of what is there, from the cells")
    figure = commands.add_parser("figure", help="draw the picture, from stored results")
    figure.add_argument("--output", type=Path, help="PNG; default docs/images/study_NAME.png")
    for command in (run, table, figure):
        command.add_argument("study", help="one of: " + ", ".join(names()))
        scale = command.add_mutually_exclusive_group()
        for name, text in (("quick", "a run of a minute"), ("full", "for a machine with a GPU")):
            scale.add_argument(f"--{name}", dest="scale", action="store_const", const=name,
                               default="default", help=text)  # fmt: skip
    for command in commands.choices.values():
        command.add_argument("--cells", type=Path, default=STORE, help="where cells are kept")
    page = commands.add_parser("page", help="write docs/studies.md anew from stored results")
    page.add_argument("--check", action="store_true", help="fail if the page is out of date")
    return found


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.command == "list":
        return list_studies(options.cells)
    if options.command == "page":
        return write_page(options.check)
    try:
        study = declared(options.study).at_scale(options.scale)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return {"run": run, "table": show, "figure": picture}[options.command](study, options)


def list_studies(store: Path) -> int:
    for name in names():
        study = declared(name)
        cells = study.cells(store)
        finished = sum(cell.path(store).exists() for cell in cells)
        print(f"{name:20s} {finished:5d} of {len(cells):5d} cells   {study.question}")
    return 0


def run(study, options: argparse.Namespace) -> int:
    absent = [data.name for data in study.datasets if not data.available()]
    if absent:
        print(f"Without {', '.join(absent)}: set MRESKLEARN_DATA to the folder that holds them.")
    if options.dry_run:
        return plan(study, options.cells)
    try:
        fitted = run_study(study, options.cells, jobs=options.jobs, dask=options.dask)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    results = results_of(study, options.cells)
    print(as_text(results, all_tests=False))
    print(f"Fitted {fitted} cells; {results['finished'] - fitted} were there.")
    if options.scale != "quick":
        for path in store_results(results, result_name(study.name, options.scale)):
            print(f"Stored {path}")
    return 0


def plan(study, store: Path) -> int:
    cells = study.cells(store)
    there = [cell.path(store).exists() for cell in cells]
    for cell, known in zip(cells, there, strict=True):
        print(f"{cell.key}  {'there' if known else '     '}  {cell}")
    counts = Counter(cell.method for cell, known in zip(cells, there, strict=True) if not known)
    print(f"{len(cells)} cells, {len(cells) - sum(there)} to fit", dict(counts))
    return 0


def show(study, options: argparse.Namespace) -> int:
    print(as_text(results_of(study, options.cells)))
    return 0


def picture(study, options: argparse.Namespace) -> int:
    results = stored_results(result_name(study.name, options.scale))
    results = results_of(study, options.cells) if results is None else results
    if not results["summary"]:
        print(f"Nothing to draw: run the study {study.name} first.", file=sys.stderr)
        return 1
    path = options.output or IMAGES / f"{result_name(study.name, options.scale)}.png"
    draw(results, path)
    print(f"Drew {path}")
    return 0


def write_page(check: bool) -> int:
    updated = _pages.render(PAGE, tables())
    if check:
        current = PAGE.read_text() == updated
        if not current:
            print(f"{PAGE.name} is out of date: python -m benchmarks.studies page", file=sys.stderr)
        return 0 if current else 1
    PAGE.write_text(updated)
    return 0


if __name__ == "__main__":
    sys.exit(main())
