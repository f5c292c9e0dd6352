"""``mresklearn train``: a model of brain age, its error at new people and new sites, its card."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._command import command
from ._console import Console, Result
from ._controls import n_sites_of, predict_controls, select_controls, table_of_controls
from ._files import atomic_folder, refuse_existing
from ._model_folder import CONTROLS, CROSS_VALIDATION, MEAN_MAPS, MODEL_SIGN, brain_mean
from ._options import DropMissing, DryRun, Force, Jobs, PeopleOptions, Seed, Source
from ._people import as_input, read_people
from ._recipes import Recipe, RecipeName, usual_voxel_size
from ._titles import PROTOCOLS

if TYPE_CHECKING:
    from ..datasets import Cohort

__all__ = ["train"]

ModelFolder = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder to write the model to.", show_default=False)
]
Controls = Annotated[
    str,
    typer.Option(
        help="Diagnosis of the people to learn from, where diagnoses are known; '' is everybody."
    ),
]
Intervals = Annotated[
    bool | None,
    typer.Option(
        "--intervals/--no-intervals",
        help="Also learn how far predictions may be off, at known and at new sites: one more fit "
        "per fold and site. By default with ridge.",
        show_default=False,
    ),
]


@command
def train(
    people: Source,
    model_folder: ModelFolder,
    options: PeopleOptions,
    console: Console,
    recipe: Annotated[
        RecipeName,
        typer.Option(
            "--model",
            help="ridge on voxels: minutes. network: contrastive, kept from telling the site.",
        ),
    ] = RecipeName.NETWORK,
    voxel_size: Annotated[
        float | None,
        typer.Option(
            min=0.5, help="Voxels in mm; by default 4, or those of the maps if larger.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the network.")] = 30,
    folds: Annotated[int, typer.Option(min=2, help="Folds of cross-validation.")] = 5,
    controls: Controls = "CN",
    intervals: Intervals = None,
    drop_missing: DropMissing = False,
    seed: Seed = 0,
    n_jobs: Jobs = 1,
    force: Force = False,
    dry_run: DryRun = False,
) -> Result:  # fmt: skip
    """Train a model of brain age; measure it on unseen people.

    MODEL gets the model with its card (card.json, README.md), the out-of-fold predictions of all
    controls (controls.tsv), which gaps of new people are compared with, and the cross-validation.
    """
    refuse_existing(model_folder, MODEL_SIGN, force=force)
    missing = "drop" if drop_missing else "raise"
    cohort = read_people(people, options, console, missing=missing, n_jobs=n_jobs)
    n_dropped = len(cohort.get("dropped", ()))
    cohort = select_controls(cohort, controls or None, console)
    n_sites = n_sites_of(cohort.participants)
    made = Recipe(
        name=recipe,
        voxel_size=voxel_size or usual_voxel_size(cohort.maps.iloc[0, 0]),
        epochs=epochs,
        seed=seed,
        n_jobs=n_jobs,
        units_are_settled=any(name.startswith("unit_") for name in cohort.participants),
    )
    record: dict[str, Any] = {
        "model": str(model_folder),
        "recipe": recipe.value,
        "n_rows": len(cohort.maps),
        "n_dropped": n_dropped,
        "n_sites": n_sites,
        "maps": list(cohort.maps),
        "protocols": list(PROTOCOLS)[: 2 if n_sites > 1 else 1],
    }
    if dry_run:
        return Result(_plan(record, folds), {"dry_run": True, **record})
    _require_age(cohort)
    intervals = recipe == RecipeName.RIDGE if intervals is None else intervals
    with atomic_folder(model_folder) as new:  # before hours of fits that could not be kept
        record["scores"] = _train(made, cohort, new, folds, intervals, n_sites, console)
    return Result(_summary(record, cohort), record)


def _train(
    recipe: Recipe, cohort: Cohort, new: Path, folds: int, intervals: bool, n_sites: int,
    console: Console,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Cross-validate, fit on everybody, and fill the folder; return the scores by protocol."""
    import numpy as np

    from ..exceptions import SingleSiteWarning
    from ..persistence import save

    people = cohort.participants
    if n_sites < 2:
        console.note(
            "People are of one site, or it is not known (--column site=...): errors and intervals "
            "hold for people like these, and say nothing of a new site."
        )
    X = as_input(cohort, list(cohort.maps), ["site"] if n_sites else [])
    console.note(f"Reading {X.shape[0]} people and predicting each by models without them.")
    unfitted = recipe.pipeline(n_sites=n_sites)
    results = predict_controls(
        unfitted, X, people, folds=folds, seed=recipe.seed, n_jobs=recipe.n_jobs, console=console
    )
    console.note("Fitting the model on all of them.")
    model = _with_intervals(unfitted, folds, recipe, console) if intervals else unfitted
    keywords = {"groups": people["person"]} if intervals and "person" in people else {}
    with warnings.catch_warnings():
        if n_sites < 2:  # said above, in the words of the command line
            warnings.simplefilter("ignore", SingleSiteWarning)
        model.fit(X, people["age"], **keywords)
    point = getattr(model, "estimator_", model)
    save(model, new, card=_card(cohort, results, recipe, point, intervals))
    controls = table_of_controls(results.predictions, people)
    controls.to_csv(new / CONTROLS, sep="\t", na_rep="n/a")
    results.predictions.to_csv(new / CROSS_VALIDATION, sep="\t", index=False, na_rep="n/a")
    np.save(new / MEAN_MAPS, brain_mean(point[0].transform(X)))
    return _scores(results)


def _with_intervals(unfitted: Any, folds: int, recipe: Recipe, console: Console) -> Any:
    from ..intervals import SiteConformalRegressor

    return SiteConformalRegressor(
        estimator=unfitted, n_splits=folds, random_state=recipe.seed, n_jobs=recipe.n_jobs,
        verbose=console.progress,
    )  # fmt: skip


def _card(cohort: Cohort, results: Any, recipe: Recipe, point: Any, intervals: bool) -> Any:
    """Describe the model: who it learned from, and how good it is at whom."""
    from ..persistence import ModelCard

    people = cohort.participants
    steps = ", ".join(type(step).__name__ for step in point.named_steps.values())
    return ModelCard.from_cohort(
        people,
        metrics=results,
        groups=people.get("person"),
        title=f"Brain age by {recipe.name.value}",
        model=f"Pipeline({steps})" + (", conformal intervals" if intervals else ""),
        data=cohort.get("description", ""),
        seed=str(recipe.seed),
    )


def _scores(results: Any) -> dict[str, dict[str, float]]:
    """Take the scores of each protocol that are worth a line."""
    names = ["mae", "r", "relative_mae", "bias"]
    return {
        str(protocol): {name: float(row[name]) for name in names}
        for protocol, row in results.summary.iterrows()
    }


def _require_age(cohort: Cohort) -> None:
    if "age" not in cohort.participants:
        raise typer.BadParameter(
            "the table has no column age: name it with --column age='Age (years)'. Its columns "
            f"are {', '.join(map(str, cohort.participants.columns))}."
        )


def _plan(record: dict[str, Any], folds: int) -> str:
    return (
        f"Would train {record['recipe']} on {record['n_rows']} rows "
        f"({', '.join(record['maps'])}; sites: {record['n_sites'] or 'not known'}), "
        f"cross-validate over {folds} folds"
        + (" and each site left out" if record["n_sites"] > 1 else "")
        + f", and write {record['model']}. Left out for lack of a map, an age or "
        f"a site: {record['n_dropped']}."
    )


def _summary(record: dict[str, Any], cohort: Cohort) -> str:
    ages = cohort.participants["age"]
    lines = [
        f"Trained {record['recipe']} on {record['n_rows']} rows of {ages.min():.0f} to "
        f"{ages.max():.0f} years."
    ]
    for protocol, scores in record["scores"].items():
        lines.append(
            f"  {PROTOCOLS[protocol]:<28} mean error {scores['mae']:.1f} years, r {scores['r']:.2f}"
            f" ({scores['relative_mae']:.0%} of the error of the median age)"
        )
    if any(scores["relative_mae"] > 0.95 for scores in record["scores"].values()):
        lines.append("  It hardly tells age here: gaps made with it say little.")
    return "\n".join(
        [*lines, f"Model: {record['model']}; its page: mresklearn report {record['model']}"]
    )
