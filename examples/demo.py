"""Brain age on sites never seen: from NIfTI files to a table and a picture, in one go.

Writes a simulated multi-site MR elastography cohort, cross-validates three brain-age models
leaving one site out, and compares how much of the site their features give away.

    python examples/demo.py [--people 150] [--sites 5] [--output demo_output]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from tqdm import tqdm

from mresklearn import (
    ContrastiveEncoder,
    LeaveOneSiteOut,
    MapLoader,
    MapMasker,
    MapScaler,
    load_cohort,
    make_mre_cohort,
    site_predictability,
)

matplotlib.use("Agg")
SEED = 0
SIGN = "made_by_the_demo.txt"  # in the cohort: the demo may replace what is beside it


def models(cache: Path, epochs: int) -> dict:
    """Return the models to compare; all read the same maps through one cache."""
    loader = MapLoader(voxel_size=6, metadata=["site"], cache=cache, n_jobs=2)
    # kernel width and readout for a hundred people, chosen on another simulated cohort
    encoder = ContrastiveEncoder(sigma=10, max_epochs=epochs, random_state=SEED)
    return {
        "mean age": DummyRegressor(),
        "voxels, ridge": make_pipeline(loader, MapScaler(), MapMasker(), Ridge(alpha=1e4)),
        "contrastive encoder, ridge": make_pipeline(loader, MapScaler(), encoder, Ridge(alpha=10)),
    }


def simulate(folder: Path, n_people: int, n_sites: int):
    """Write a cohort to disk and load it back as a user would load a study."""
    simulated = make_mre_cohort(
        n_people, n_sites, folder=folder, site_age_correlation=0.3, random_state=SEED, verbose=1
    )
    relative = simulated.maps.map(lambda path: str(Path(path).relative_to(folder.absolute())))
    names = {
        kind: paths.iloc[0].replace(paths.index[0], "{participant_id}")
        for kind, paths in relative.items()
    }
    return load_cohort(folder / "participants.tsv", maps=names)


def cross_validate(candidates: dict, X: pd.DataFrame, age: pd.Series):
    """Leave each site out in turn; return predictions and what the features say of the site."""
    predictions = pd.DataFrame(index=X.index, columns=list(candidates), dtype=float)
    probes = []
    folds = list(LeaveOneSiteOut().split(X))
    with tqdm(total=len(folds) * len(candidates), unit="fit") as bar:
        for train, test in folds:
            for name, candidate in candidates.items():
                bar.set_description(f"{X.site.iloc[test[0]]} held out: {name}")
                model = clone(candidate).fit(X.iloc[train], age.iloc[train])
                predictions.loc[X.index[test], name] = model.predict(X.iloc[test])
                if hasattr(model, "steps"):
                    features = model[:-1].transform(X.iloc[train])
                    probe = site_predictability(
                        features, X.site.iloc[train], age=age.iloc[train], random_state=SEED
                    )
                    probes.append({"model": name, **probe})
                bar.update()
    return predictions, pd.DataFrame(probes).groupby("model").mean(numeric_only=True)


def tabulate(predictions: pd.DataFrame, age: pd.Series, probes: pd.DataFrame) -> pd.DataFrame:
    """Return one row per model."""
    rows = {
        name: {
            "MAE (years)": mean_absolute_error(age, predicted),
            "R2": r2_score(age, predicted),
            "site balanced accuracy": probes.balanced_accuracy.get(name, np.nan),
            "from age alone": probes.age_floor.get(name, np.nan),
            "chance": probes.chance.get(name, np.nan),
        }
        for name, predicted in predictions.items()
    }
    return pd.DataFrame(rows).T


def draw(predictions: pd.DataFrame, age: pd.Series, site: pd.Series, path: Path) -> None:
    """Draw predicted against true age, a panel per model, coloured by site."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, predictions.shape[1], figsize=(4 * predictions.shape[1], 4.4), sharex=True, sharey=True,
        layout="constrained",
    )  # fmt: skip
    both = np.append(predictions.to_numpy().ravel(), age)
    limits = [both.min() - 4, both.max() + 4]
    for axis, (name, predicted) in zip(axes, predictions.items(), strict=True):
        axis.plot(limits, limits, color="0.6", linewidth=1)
        for number, (label, rows) in enumerate(site.groupby(site)):
            axis.scatter(
                age[rows.index], predicted[rows.index], s=16, alpha=0.8, color=f"C{number}",
                label=label,
            )  # fmt: skip
        error = mean_absolute_error(age, predicted)
        axis.set(title=f"{name}\nMAE {error:.1f} years", xlabel="true age (years)")
        axis.set(xlim=limits, ylim=limits, aspect="equal")
    axes[0].set_ylabel("predicted age (years), site held out")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle("Simulated MR elastography: brain age on sites never seen")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def make_room(output: Path) -> Path:
    """Remove the cohort of an earlier demo, and refuse a folder that holds anything else."""
    cohort = output / "cohort"
    if output.exists() and any(output.iterdir()) and not (cohort / SIGN).is_file():
        sys.exit(f"{output} holds other things than a demo wrote: give a new folder as --output.")
    shutil.rmtree(cohort, ignore_errors=True)
    return cohort


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=150)
    parser.add_argument("--sites", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    options = parser.parse_args()
    start = time.perf_counter()
    cohort_folder = make_room(options.output)
    try:
        cohort = simulate(cohort_folder, options.people, options.sites)
    except BaseException:  # half a cohort has no sign, and would stop the next demo
        shutil.rmtree(cohort_folder, ignore_errors=True)
        raise
    (cohort_folder / SIGN).write_text("Simulated by examples/demo.py, which replaces it.\n")
    print(f"{cohort}\nwritten to {cohort_folder}")

    people = cohort.participants
    X = cohort.maps.join(people.site)
    predictions, probes = cross_validate(
        models(options.output / "cache", options.epochs), X, people.age
    )
    table = tabulate(predictions, people.age, probes)
    predictions.join(people).to_csv(options.output / "predictions.tsv", sep="\t")
    table.to_csv(options.output / "table.tsv", sep="\t")
    picture = options.output / "predicted_age.png"
    draw(predictions, people.age, people.site, picture)

    print("\nBrain age, each site predicted by models that never saw it (simulated maps)\n")
    print(table.to_string(float_format="{:.2f}".format, na_rep="-"))
    print(
        "\nSite balanced accuracy: how well a linear probe reads the site from the features of the"
        "\ntraining people. Compare it with what age alone says of the site, not with chance."
        f"\n\nPicture: {picture}   ({time.perf_counter() - start:.0f} s in all)"
    )


if __name__ == "__main__":
    main()
