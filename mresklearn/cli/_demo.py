"""``mresklearn demo``: simulated people, models of brain age compared at sites never seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._command import command
from ._console import Console, Result
from ._controls import predict_controls
from ._derivative import write_table
from ._files import atomic_folder, refuse_existing, write_atomically
from ._options import DryRun, Force, Jobs, PeopleOptions, Seed
from ._people import as_input, read_people
from ._recipes import Recipe, RecipeName
from ._titles import PROTOCOLS

if TYPE_CHECKING:
    import pandas as pd

    from ..datasets import Cohort

__all__ = ["demo"]

TABLE, PAGE, COHORT = "table.tsv", "study.html", "cohort"


@command
def demo(
    console: Console,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder to write to.")
    ] = Path("mresklearn_demo"),
    people: Annotated[int, typer.Option("--people", min=12, help="Number of people.")] = 60,
    sites: Annotated[int, typer.Option("--sites", min=2, help="Number of sites.")] = 3,
    voxel_size: Annotated[int, typer.Option(min=2, max=10, help="Voxels in mm.")] = 6,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the network.")] = 15,
    seed: Seed = 0,
    n_jobs: Jobs = 1,
    force: Force = False,
    dry_run: DryRun = False,
) -> Result:  # fmt: skip
    """Compare models of brain age on simulated people.

    A table and a page tell how far a network and a linear model are off, beside the mean age; the
    cohort stays, to try `train` on.
    """
    refuse_existing(out, TABLE, force=force)
    what = f"{people} people of {sites} sites at {voxel_size} mm"
    record: dict[str, Any] = {"output": str(out), "people": people, "sites": sites, "seed": seed}
    if dry_run:
        text = f"Would simulate {what}, cross-validate three models, and write {out}."
        return Result(text, {"dry_run": True, **record})
    import pandas as pd

    from ..datasets import make_mre_cohort

    console.note(f"Simulating {what}.")
    with atomic_folder(out) as new:
        make_mre_cohort(
            people, sites, folder=new / COHORT, voxel_size=voxel_size, site_age_correlation=0.3,
            random_state=seed, n_jobs=n_jobs, verbose=console.progress,
        )  # fmt: skip
        recipe = Recipe(RecipeName.RIDGE, None, epochs, seed, n_jobs, False)
        people_read = read_people(new / COHORT, PeopleOptions(), console, missing="raise")
        results = _compare(people_read, recipe, sites, console)
        errors = pd.DataFrame({name: found.summary["mae"] for name, found in results.items()}).T
        write_table(errors.rename_axis("model").reset_index(), new / TABLE)
        _write_page(people_read, results, new / PAGE)
    record["mean_absolute_error"] = errors.to_dict("index")
    return Result(_summary(errors, out), record)


def _summary(errors: pd.DataFrame, out: Path) -> str:
    table = errors.rename(columns=PROTOCOLS).rename_axis(columns=None)
    return "\n".join(
        [
            "Mean error in years (simulated maps)",
            table.to_string(float_format="{:.1f}".format),
            f"Table: {out / TABLE}, page: {out / PAGE}",
            "Go on with:",
            f"  mresklearn train {out / COHORT} model --model ridge",
            "  mresklearn simulate newcomers --people 4 --sites 2 --seed 1",
            "  mresklearn predict model newcomers predictions --saliency",
        ]
    )


def _write_page(cohort: Cohort, results: dict[str, Any], path: Path) -> None:
    from ..reporting import study_report

    page = study_report(
        participants=cohort.participants,
        results=results,
        title="Brain age on people and sites never seen",
        details={"data": "simulated: they show that methods work, not how well on real brains"},
    )
    write_atomically(path, page.to_html)


def _compare(people: Cohort, recipe: Recipe, sites: int, console: Console) -> dict[str, Any]:
    """Cross-validate the models; the first is the one that the others are tested against."""
    from sklearn.dummy import DummyRegressor

    X = as_input(people, list(people.maps), ["site"])
    models = {
        "network": replace(recipe, name=RecipeName.NETWORK).pipeline(n_sites=sites),
        "ridge": recipe.pipeline(n_sites=sites),
        "mean age": DummyRegressor(),
    }
    results = {}
    for name, model in models.items():
        console.note(f"Cross-validating: {name}.")
        results[name] = predict_controls(
            model, X, people.participants, folds=5, seed=recipe.seed, n_jobs=recipe.n_jobs,
            console=console,
        )  # fmt: skip
    return results
