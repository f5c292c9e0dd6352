"""All people of a derivative together: one table, a page, and what confounds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._confounds import confound_report, variables_of
from ._console import Console, Result
from ._derivative import Derivative
from ._files import write_atomically
from ._model_folder import TrainedModel
from ._study_page import page_of_people

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["summarise_group"]

PAGE, CONFOUNDS = "group.html", "group_confounds.html"


def summarise_group(
    root: Path, console: Console, *, permutations: int, n_jobs: int, force: bool, dry_run: bool
) -> Result:
    """Write what a group level of a BIDS App writes.

    Parameters
    ----------
    root : Path
        Folder of the derivative.
    console : Console
        For notes.
    permutations : int
        Of the report on confounds.
    n_jobs : int
        Processes of that report.
    force : bool
        Write pages again that are there.
    dry_run : bool
        Only say what would be done.

    Returns
    -------
    result : Result
        What was written.
    """
    derivative = Derivative(root)
    people = derivative.collect()
    record: dict[str, Any] = {"output": str(root), "n_rows": len(people)}
    if dry_run:
        text = f"Would sum up {len(people)} rows in {root}: a table, {PAGE} and {CONFOUNDS}."
        return Result(text, {"dry_run": True, **record})
    record["table"] = str(derivative.write_group_table())
    latest = max(path.stat().st_mtime for path in derivative.tables())
    report, why = None, ""
    if force or not _is_newer(root / CONFOUNDS, latest):
        report, why = _confounds(people, permutations, n_jobs, console)
        if report is None:
            console.note(f"No report on confounds: {why}")
        else:
            write_atomically(root / CONFOUNDS, report.to_html)
    if force or not _is_newer(root / PAGE, latest):
        link = CONFOUNDS if (root / CONFOUNDS).is_file() else None
        page = page_of_people(_model_of(derivative), people, report, link)
        write_atomically(root / PAGE, page.to_html)
    record["page"] = str(root / PAGE)
    record["confounds"] = str(root / CONFOUNDS) if (root / CONFOUNDS).is_file() else None
    gaps = people["corrected_gap"]
    text = (
        f"{len(people)} people or sessions, corrected gap {gaps.min():+.1f} to {gaps.max():+.1f} "
        f"years, median {gaps.median():+.1f}.\nTable: {record['table']}\nPage: {record['page']}"
    )
    return Result(text, record)


def _is_newer(path: Path, time: float) -> bool:
    return path.is_file() and path.stat().st_mtime >= time


def _confounds(
    people: pd.DataFrame, permutations: int, n_jobs: int, console: Console
) -> tuple[Any, str]:
    """Report on confounds of the predictions; None with the reason where there is no such thing."""
    if "site" not in people or people["site"].nunique() < 2:
        return None, "the people are of one site, or their sites are not known."
    variables = variables_of(people, {})
    try:
        report = confound_report(
            variables, {}, prediction=people["predicted_age"].to_numpy(),
            permutations=permutations, seed=0, n_jobs=n_jobs, verbose=console.progress,
        )  # fmt: skip
    except ValueError as error:
        return None, str(error)
    return report, ""


def _model_of(derivative: Derivative) -> TrainedModel | None:
    """Find the model of the predictions, if it is still where it was."""
    folder = derivative.model_folder
    return TrainedModel(folder) if folder is not None and folder.is_dir() else None
