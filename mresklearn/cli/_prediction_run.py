"""Prediction of many people: who is finished, who fails, what is left to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ._console import Console, Result
from ._derivative import Derivative, PersonFiles
from ._model_folder import TrainedModel
from ._options import PeopleOptions
from ._people import UNKNOWN, as_input, read_people

__all__ = ["OutputOptions", "predict_people"]


@dataclass
class OutputOptions:
    """What is written for each person."""

    saliency: Annotated[
        bool,
        typer.Option("--saliency", help="Also map what each prediction rests on, as NIfTI."),
    ] = False
    page: Annotated[
        bool, typer.Option("--page/--no-page", help="Write an HTML page for each person.")
    ] = True


@dataclass
class _Tally:
    """Who was predicted, was finished before, failed, or could not be read."""

    predicted: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    in_training: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def predict_people(
    model: TrainedModel, source: Path, out: Path, options: PeopleOptions, output: OutputOptions,
    console: Console, *, n_jobs: int, force: bool, dry_run: bool, group_table: bool,
) -> Result:  # fmt: skip
    """Predict everybody who is not finished yet.

    Parameters
    ----------
    model : TrainedModel
        The model.
    source : Path
        BIDS folder, table or pool file.
    out : Path
        Folder of the derivative.
    options : PeopleOptions
        How the source names things, and who is asked for.
    output : OutputOptions
        What to write.
    console : Console
        For progress and notes.
    n_jobs : int
        People at the same time.
    force : bool
        Predict finished people again.
    dry_run : bool
        Only say what would be done.
    group_table : bool
        Whether to write a table of all people at the end.

    Returns
    -------
    result : Result
        Who was done, and who was not.
    """
    derivative = Derivative(out)
    _ = model.estimator, model.controls  # a folder that is no model is said first
    _refuse_inside(source, out)
    derivative.check(model.fingerprint, force=force)
    cohort = read_people(
        source, options, console, missing="drop", n_jobs=n_jobs, unknown_sites=True
    )
    if "age" not in cohort.participants:
        raise typer.BadParameter(
            "there is no column age, and a gap needs one: name it with --column age=..."
        )
    X = as_input(cohort, list(model.loader.maps_), list(model.loader.metadata))
    if "site" in X:
        X["site"] = X["site"].fillna(UNKNOWN)
    files = _name_files(out, cohort.maps.index)
    finished = {
        row for row, one in files.items()
        if not force
        and one.is_finished(model.fingerprint, saliency=output.saliency, page=output.page)
    }  # fmt: skip
    dropped = cohort.get("dropped")
    tally = _Tally(skipped=sorted(finished), left_out=_left_out(dropped))
    to_do = [row for row in files if row not in finished]
    if dry_run:
        return _plan(tally, to_do, files, out)
    if to_do:
        derivative.describe(model.folder, model.fingerprint, source)
        _predict(model, to_do, files, X, cohort.participants, output, console, n_jobs, tally)
    if tally.in_training:
        console.note(
            f"Warning: {len(tally.in_training)} of these people were among the training people "
            "(column in_training), whom the model predicts too well: take their predictions from "
            "controls.tsv of the model."
        )
    for row, reason in {**tally.left_out, **tally.failed}.items():
        console.note(f"Not predicted: {row}: {reason}")
    table = derivative.write_group_table() if group_table and derivative.tables() else None
    return _result(tally, out, table)


def _predict(
    model: TrainedModel, to_do: list[str], files: dict[str, PersonFiles], X: Any, people: Any,
    output: OutputOptions, console: Console, n_jobs: int, tally: _Tally,
) -> None:  # fmt: skip
    from joblib import Parallel, delayed

    from ._person_prediction import PersonPredictor

    predictor = PersonPredictor(model, output.saliency, output.page)

    def predict(row: str) -> tuple[str, str, bool]:
        """Return the person, what went wrong, and whether the model knew them."""
        try:
            written = predictor.write(files[row], X.loc[[row]], people.loc[row])
        except (ValueError, OSError) as error:
            return row, str(error), False
        return row, "", bool(written["in_training"])

    # threads: reading, filtering and prediction release the interpreter lock
    results = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(predict)(row) for row in to_do
    )
    for row, error, seen in console.bar(results, len(to_do), "predicting", "person"):
        if error:
            tally.failed[row] = error
        else:
            tally.predicted.append(row)
            tally.in_training += [row] if seen else []


def _name_files(out: Path, rows: Any) -> dict[str, PersonFiles]:
    """Name the files of all rows, which must differ."""
    from ..exceptions import DataError

    files = {row: PersonFiles.of(out, row) for row in rows}
    by_name: dict[str, list[str]] = {}
    for row, one in files.items():
        by_name.setdefault(one.name, []).append(row)
    twice = [f"{' and '.join(names)} ({name})" for name, names in by_name.items() if len(names) > 1]
    if twice:
        raise DataError(
            f"files of several people would have one name: {'; '.join(twice)}. BIDS labels hold "
            "letters and digits only: give ids that differ in these."
        )
    return files


def _refuse_inside(source: Path, out: Path) -> None:
    if source.is_dir() and source.resolve() == out.resolve():
        raise typer.BadParameter("the output folder is the input folder: give another one.")


def _left_out(dropped: Any) -> dict[str, str]:
    if dropped is None or not len(dropped):
        return {}
    return dict(zip(dropped["participant_id"].astype(str), dropped["reason"], strict=True))


def _plan(tally: _Tally, to_do: list[str], files: dict[str, PersonFiles], out: Path) -> Result:
    lines = [f"Would predict {len(to_do)} people into {out}; {len(tally.skipped)} are finished."]
    lines += [f"  {row} -> {files[row].table}" for row in to_do]
    lines += [f"  not {row}: {reason}" for row, reason in tally.left_out.items()]
    record = {
        "dry_run": True,
        "output": str(out),
        "to_do": to_do,
        "skipped": tally.skipped,
        "left_out": tally.left_out,
    }
    return Result("\n".join(lines), record)


def _result(tally: _Tally, out: Path, table: Path | None) -> Result:
    n_failed = len(tally.failed) + len(tally.left_out)
    text = (
        f"Predicted {len(tally.predicted)} people, {len(tally.skipped)} were finished, "
        f"{n_failed} could not be: {out}"
    )
    record = {
        "output": str(out),
        "predicted": tally.predicted,
        "skipped": tally.skipped,
        "in_training": tally.in_training,
        "failed": tally.failed,
        "left_out": tally.left_out,
        "table": None if table is None else str(table),
    }
    return Result(text, record, n_failed)
