"""``mresklearn simulate``: a cohort of simulated maps in BIDS-like folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._command import command
from ._console import Console, Result
from ._files import atomic_folder, refuse_existing
from ._options import DryRun, Force, Jobs, Seed, as_pairs

__all__ = ["simulate"]

KINDS = ("stiffness", "damping_ratio", "t1")
SIGN = "desc-regions_dseg.tsv"


@command
def simulate(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="New folder.", show_default=False)
    ],
    console: Console,
    people: Annotated[int, typer.Option("--people", min=2, help="Number of people.")] = 60,
    sites: Annotated[int, typer.Option("--sites", min=1, help="Number of sites.")] = 3,
    maps: Annotated[
        str, typer.Option("--maps", help=f"Map kinds, of {', '.join(KINDS)}, with commas.")
    ] = "stiffness,damping_ratio",
    voxel_size: Annotated[int, typer.Option(min=2, max=10, help="Voxels in mm.")] = 4,
    diagnoses: Annotated[
        list[str] | None,
        typer.Option(
            "--diagnosis", metavar="NAME=SHARE", help="Share of patients, as AD=0.1 or MCI=0.1."
        ),
    ] = None,
    site_age: Annotated[
        float,
        typer.Option("--site-age", min=0, max=1, help="How far site and age go together, 0 to 1."),
    ] = 0.0,
    seed: Seed = 0,
    n_jobs: Jobs = 1,
    force: Force = False,
    dry_run: DryRun = False,
) -> Result:  # fmt: skip
    """Simulate people of several sites, to try methods on.

    Age, sex, disease and site have published effects. Simulated maps show whether a method works,
    never that MRE tells more than MRI.
    """
    refuse_existing(out, SIGN, force=force)
    kinds = [kind.strip() for kind in maps.split(",") if kind.strip()]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise typer.BadParameter(f"--maps takes {', '.join(KINDS)}, not {maps!r}.")
    record = {
        "output": str(out), "people": people, "sites": sites, "maps": kinds,
        "voxel_size": voxel_size, "seed": seed,
    }  # fmt: skip
    what = f"{people} people of {sites} sites ({', '.join(kinds)}, {voxel_size} mm)"
    shares = _shares(diagnoses)
    if dry_run:
        return Result(f"Would simulate {what} in {out}.", {"dry_run": True, **record})
    from ..datasets import make_mre_cohort

    with atomic_folder(out) as new:
        make_mre_cohort(
            people, sites, folder=new, maps=kinds, voxel_size=voxel_size, diagnoses=shares,
            site_age_correlation=site_age, random_state=seed, n_jobs=n_jobs,
            verbose=console.progress,
        )  # fmt: skip
    return Result(f"Simulated {what}: {out}", record)


def _shares(diagnoses: list[str] | None) -> dict[str, float] | None:
    pairs = as_pairs(diagnoses, "--diagnosis")
    try:
        return {name: float(share) for name, share in pairs.items()} or None
    except ValueError as error:
        raise typer.BadParameter(f"--diagnosis takes shares such as AD=0.1: {error}.") from error
