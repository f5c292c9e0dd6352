"""How many patients a study needs, were the effects of MCI and AD on maps of the published size.

The effects are put in by the simulator: published where there are figures, assumed elsewhere (see
make_mre_cohort). So the curves say what effects of such sizes imply for a study, and never that MR
elastography finds disease better than T1 does, or that either finds it at all: T1 follows a brain
age that the simulator sets 5 (MCI) or 10 years (AD) higher.

A cohort: six studies of 52 people of 20 to 90 years, and a clinic of 900, at 8 mm. Models of brain
age learn from the controls of the six studies; the clinic, its scanner and its controls, are unseen
(leave_study_out). From its patients of 55 years and more, and as many controls of like age, studies
are drawn, each person once. Four ways to find the disease:

gap, regions     ridge on averages of 16 regions (RegionAverager)
gap, voxels      ridge on 100 principal components of all voxels
hippocampus      its mean value alone, chosen beforehand; no model of age
classifier       logistic regression on the regions, trained within the study by 5-fold
                 cross-validation, judged by its out-of-fold scores

All compare patients with controls of the same age and sex (compare_gaps, p < 0.05, two-sided; the
classifier must score patients higher, so that its level is 0.025). Intervals are t intervals over
cohorts, whose models differ. No effect: patients shifted to the controls (classifier: diagnoses
permuted, at the published sizes).

A gap sees a disease as far as it moves what the model of age looks at. In the simulator damping
ratio changes with age in the hippocampus alone, where MCI raises it: a gap from regional damping
ratio is a detector of MCI by that assumption.

    python benchmarks/diagnosis_power.py [--cohorts 8] [--studies 240]
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _cells import run_cells
from _results import store
from matplotlib.lines import Line2D
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn import MapLoader, make_mre_cohort
from mresklearn._plot_style import FAINT, HUES, INK, LINE, STYLE
from mresklearn.datasets._simulation.parameters import REGIONS
from mresklearn.evaluation import leave_study_out, power_curve
from mresklearn.maps import RegionAverager
from mresklearn.metrics import compare_gaps

KINDS = ("stiffness", "damping_ratio", "t1")
MAPS = {
    "stiffness": (0,), "damping ratio": (1,), "stiffness + damping ratio": (0, 1), "T1": (2,),
}  # fmt: skip
STUDIES, CLINIC, PATIENTS = 6 * [52], 900, 220
SIZES = (8, 11, 16, 20, 32, 45, 64)
CLASSIFIED = (11, 20, 64)
PUBLISHED = {"AD": (11, 12), "MCI": (20, 40)}  # patients and controls of the same study
ALPHAS = np.logspace(-1, 5, 13)
WAYS = ("gap, regions", "gap, voxels", "hippocampus", "classifier")
NAMES = {"AD": "Alzheimer's disease", "MCI": "Mild cognitive impairment"}
# where disease lowers a value, so that areas are over 0.5 where patients look ill
SOFTER = {"hippocampus|stiffness": -1, "hippocampus|T1": -1}
FIGURE = Path(__file__).parent.parent / "docs" / "images" / "diagnosis_power.png"


# ------------------------------------------------------------------------------------- one cohort


def simulate(seed: int) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Return voxels (people, map, voxel), regions (people, map, region) and the people."""
    share = PATIENTS / (sum(STUDIES) + CLINIC) / 2
    with tempfile.TemporaryDirectory() as folder:
        cohort = make_mre_cohort(
            sum(STUDIES) + CLINIC, [CLINIC, *STUDIES], folder=folder, voxel_size=8, maps=KINDS,
            age_range=(20, 90), diagnoses={"AD": share, "MCI": share}, random_state=seed,
        )  # fmt: skip
        people = cohort.participants.copy()
        people["clinic"] = people.site == people.site.value_counts().idxmax()
        maps = MapLoader().fit_transform(cohort.maps)
        voxels = np.asarray(maps, np.float32)
        names = dict(enumerate(cohort.region_names, start=1))
        averager = RegionAverager(labels=cohort.regions, names=names)
        trained = np.flatnonzero((~people.clinic & (people.diagnosis == "CN")).to_numpy())
        regions = averager.fit(maps[trained]).transform(maps)
    inside = (voxels[:, 2] != 0).any(axis=0)  # the brain, which T1 covers whole
    regions = np.asarray(regions).reshape(len(people), len(KINDS), -1)
    return voxels[:, :, inside], regions, people


def alike(people: pd.DataFrame) -> np.ndarray:
    """Rows of the clinic's patients, and for each the control who is nearest in age."""
    here = people.clinic.to_numpy()
    patients = np.flatnonzero(here & (people.diagnosis != "CN").to_numpy())
    free = list(np.flatnonzero(here & (people.diagnosis == "CN").to_numpy()))
    age = people.age.to_numpy()
    chosen = []
    for row in np.random.default_rng(0).permutation(patients):
        chosen.append(free.pop(int(np.abs(age[free] - age[row]).argmin())))
    return np.sort(np.concatenate([patients, chosen]))


def models() -> dict:
    """Models of brain age; voxels out of a person's field of view, 0, become the mean."""
    voxels = make_pipeline(
        SimpleImputer(missing_values=0.0), StandardScaler(), PCA(100, random_state=0),
        RidgeCV(ALPHAS),
    )  # fmt: skip
    return {
        "gap, regions": make_pipeline(StandardScaler(), RidgeCV(ALPHAS)),
        "gap, voxels": voxels,
    }


def fill_cohort(seed: int, n_classified: int) -> dict:
    """Return scores of the people that studies are drawn from, and drawn classifiers."""
    start = time.process_time()
    voxels, regions, people = simulate(seed)
    kept = people.clinic | (people.diagnosis == "CN")
    voxels, regions, people = voxels[kept], regions[kept], people[kept].reset_index(drop=True)
    pool = alike(people)
    scores, error = {}, {}
    for name, channels in MAPS.items():
        for way, model in models().items():
            X = (regions if way == "gap, regions" else voxels)[:, channels]
            result = leave_study_out(
                model, X.reshape(len(X), -1), people.age, study=people.site, sex=people.sex,
                diagnosis=people.diagnosis, out_of_fold="person", n_splits=2,
            )  # fmt: skip
            gap = result.predictions.set_index("row").corrected_gap
            scores[f"{way}|{name}"] = gap.loc[pool].tolist()
            error[f"{way}|{name}"] = float(result.scores.mae.iloc[0])
        if len(channels) == 1:
            hippocampus = regions[pool, channels[0], REGIONS.index("hippocampus")]
            scores[f"hippocampus|{name}"] = hippocampus.astype(float).tolist()
    here = people.iloc[pool]
    drawn = classify(regions[pool], here, seed, n_classified)
    return {
        "people": {name: here[name].tolist() for name in ("age", "sex", "diagnosis")},
        "scores": scores,
        "error": error,
        "classifier": drawn,
        "cpu": time.process_time() - start,
    }


def classify(regions: np.ndarray, people: pd.DataFrame, seed: int, n_studies: int) -> list[dict]:
    """Draw studies, train and test a classifier within each, also with permuted diagnoses."""
    random = np.random.default_rng([seed, 1])
    diagnosis = people.diagnosis.to_numpy(str)
    controls = np.flatnonzero(diagnosis == "CN")
    found = []
    for group, published in PUBLISHED.items():
        patients = np.flatnonzero(diagnosis == group)
        for size in [*((n, n) for n in CLASSIFIED), published]:
            for _ in range(n_studies):
                rows = np.concatenate(
                    [
                        random.choice(patients, size[0], False),
                        random.choice(controls, size[1], False),
                    ]
                )
                here, truth = people.iloc[rows], diagnosis[rows]
                shuffled = random.permutation(truth)
                for name, channels in MAPS.items():
                    X = regions[rows][:, channels].reshape(len(rows), -1)
                    # the level costs as much as the power, so it is checked at one size
                    for permuted, labels in ((False, truth), (True, shuffled))[
                        : 1 + (size == published)
                    ]:
                        row = compare_gaps(
                            out_of_fold(X, labels != "CN"), labels, age=here.age, sex=here.sex
                        ).table.iloc[0]
                        found.append(
                            {"group": group, "n_patients": size[0], "n_controls": size[1],
                             "maps": name, "permuted": permuted, "p": row.p_value, "auc": row.auc}
                        )  # fmt: skip
    return found


def out_of_fold(X: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """Return scores of a logistic regression by 5-fold cross-validation."""
    scores = np.empty(len(X))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, patient):
        mean, sd = X[train].mean(axis=0), X[train].std(axis=0) + 1e-12
        model = LogisticRegression(C=0.1, class_weight="balanced", solver="newton-cholesky")
        model.fit((X[train] - mean) / sd, patient[train])
        scores[test] = model.decision_function((X[test] - mean) / sd)
    return scores


# ------------------------------------------------------------------------------------ all cohorts


def curves(cells: dict, n_studies: int, jobs: int) -> pd.DataFrame:
    """Return power, level and area by way, maps, group, size and cohort."""
    tables = []
    for key in next(iter(cells.values()))["scores"]:
        way, maps = key.split("|")
        people = pd.concat(
            [
                pd.DataFrame(cell["people"]).assign(
                    score=SOFTER.get(key, 1) * np.array(cell["scores"][key]), cohort=seed
                )
                for seed, cell in cells.items()
            ]
        )
        given = {
            "age": people.age, "sex": people.sex, "site": people.cohort, "one_site": True,
            "replacement": False, "n_jobs": jobs,
        }  # fmt: skip
        shared = [people.score, people.diagnosis]
        curve = power_curve(*shared, **given, sizes=SIZES, n_studies=n_studies)
        parts = [curve.by_unit.assign(balanced=True)]
        for group, (n_patients, n_controls) in PUBLISHED.items():
            only = people[people.diagnosis.isin([group, "CN"])]
            given |= {"age": only.age, "sex": only.sex, "site": only.cohort}
            size = power_curve(
                only.score, only.diagnosis, **given, sizes=[n_patients], n_controls=n_controls,
                n_studies=n_studies,
            )  # fmt: skip
            parts.append(size.by_unit.assign(balanced=False))
        effect = curve.at_hand.hedges_g.groupby("group").mean()
        table = pd.concat(parts).reset_index().assign(way=way, maps=maps)
        tables.append(table.assign(hedges_g=table.group.map(effect)))
    return pd.concat([*tables, classifiers(cells)], ignore_index=True)


def classifiers(cells: dict) -> pd.DataFrame:
    """Bring the drawn classifiers into the form of the curves."""
    drawn = pd.concat(
        [pd.DataFrame(cell["classifier"]).assign(unit=str(seed)) for seed, cell in cells.items()]
    )
    drawn["found"] = ((drawn.p < 0.05) & (drawn.auc > 0.5)).astype(float)
    drawn["balanced"] = drawn.n_patients == drawn.n_controls
    keys = ["group", "n_patients", "unit", "balanced", "maps"]
    table = drawn[~drawn.permuted].groupby(keys)[["found", "auc"]].mean()
    table["level"] = drawn[drawn.permuted].groupby(keys).found.mean()
    return table.rename(columns={"found": "power"}).reset_index().assign(way="classifier")


def over_cohorts(table: pd.DataFrame) -> pd.DataFrame:
    """Average over cohorts, with t intervals of power."""
    keys = ["group", "maps", "way", "balanced", "n_patients"]
    grouped = table.groupby(keys)
    mean = grouped[["power", "level", "auc", "hedges_g"]].mean()
    counts = grouped.power.count()
    margin = stats.t.ppf(0.975, counts - 1) * grouped.power.std() / np.sqrt(counts)
    mean["power_low"] = (mean.power - margin).clip(lower=0)
    mean["power_high"] = (mean.power + margin).clip(upper=1)
    return mean


# ----------------------------------------------------------------------------------------- figure


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw power over patients by group and maps; stars are studies of the published size.

    Open markers: patients look younger, so that the gap finds a difference that is no ageing.
    """
    marks = dict(zip(WAYS, "osD^", strict=True))
    hues = dict(zip(WAYS, (HUES[0], HUES[4], HUES[1], HUES[2]), strict=True))
    with plt.rc_context(STYLE | {"font.size": 10}):
        figure, axes = plt.subplots(
            2, len(MAPS), figsize=(12.5, 6.4), sharex=True, sharey=True, layout="constrained"
        )
        for axis_row, group in zip(axes, NAMES, strict=True):
            for axis, maps in zip(axis_row, MAPS, strict=True):
                axis.axhline(0.8, color=INK, linewidth=0.8, linestyle="--", zorder=1)
                axis.axhline(0.05, color=FAINT, linewidth=0.8, zorder=1)
                axis.axvline(PUBLISHED[group][0], color=LINE, linewidth=7, zorder=0)
                for way in WAYS:
                    if (group, maps, way, True) in table.index:
                        draw_way(axis, table.loc[(group, maps, way)], hues[way], marks[way], way)
                if group == "AD":
                    axis.set_title(maps[0].upper() + maps[1:], fontweight="bold", fontsize=11)
                axis.grid(axis="y", color=LINE, linewidth=0.5)
            axis_row[0].set_ylabel(f"{NAMES[group]}\nstudies that find a difference")
        for axis in axes[-1]:
            axis.set_xlabel("patients (as many controls)")
        axis.set_xscale("log")
        axis.set_xticks(SIZES, [str(size) for size in SIZES])
        axis.minorticks_off()
        axis.set_ylim(-0.02, 1.03)
        axis.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes[0, 1].annotate("80 %", (66, 0.8), va="bottom", ha="right", fontsize=8)
        axes[0, 3].annotate("level 5 %", (66, 0.05), va="bottom", ha="right", fontsize=8)
        free = {"AD": (axes[0, 1], 6, "left"), "MCI": (axes[1, 2], -6, "right")}
        for group, (axis, apart, side) in free.items():
            n_patients, n_controls = PUBLISHED[group]
            axis.annotate(
                f"★ {n_patients} patients,\n{n_controls} controls", (n_patients, 1.0), (apart, 0),
                textcoords="offset points", va="top", ha=side, fontsize=9,
            )  # fmt: skip
        handles = [Line2D([], [], color=hues[way], marker=marks[way], label=way) for way in WAYS]
        plain = {"color": FAINT, "linestyle": "none"}
        handles += [
            Line2D([], [], marker="*", markersize=11, label="published size", **plain),
            Line2D([], [], marker="o", markerfacecolor="white", label="patients look younger",
                   **plain),
        ]  # fmt: skip
        figure.legend(
            handles=handles, loc="outside lower center", ncols=len(handles), fontsize=10,
            columnspacing=1.4, handletextpad=0.5,
        )  # fmt: skip
        figure.savefig(path, dpi=120)


def draw_way(axis: plt.Axes, table: pd.DataFrame, hue: str, mark: str, name: str) -> None:
    """Draw one way to find the disease; ways stand a little apart, so that bars are seen."""
    curve, published = table.loc[True], table.loc[False]
    apart = 1.02 ** (WAYS.index(name) - 1.5)
    younger = name.startswith("gap") and curve.hedges_g.iloc[0] < -0.2
    fill = {"markerfacecolor": "white"} if younger else {}
    axis.vlines(
        curve.index * apart, curve.power_low, curve.power_high, color=hue, alpha=0.35, linewidth=1.2
    )
    axis.plot(
        curve.index * apart, curve.power, color=hue, marker=mark, markersize=5, linewidth=1.6,
        **fill,
    )  # fmt: skip
    axis.plot(
        published.index * apart, published.power, color=hue, marker="*", markersize=14,
        linestyle="none", markeredgecolor="white", markeredgewidth=0.8, zorder=5,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=8)
    parser.add_argument("--studies", type=int, default=240, help="drawn for each size")
    parser.add_argument("--classified", type=int, default=10, help="drawn for each size and cohort")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--finished", action="store_true", help="simulate nothing more, tabulate")
    parser.add_argument("--cells", type=Path, default=Path("benchmarks/cells"))
    options = parser.parse_args()
    tasks = {(seed, options.classified): (seed, options.classified)
             for seed in range(options.cohorts)}  # fmt: skip
    found = run_cells(
        fill_cohort, tasks, folder=options.cells, jobs=options.jobs, name="diagnosis_power",
        finished_only=options.finished,
    )  # fmt: skip
    cells = {seed: cell for (seed, _), cell in found.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = over_cohorts(curves(cells, options.studies, options.jobs))
    errors = pd.DataFrame([cell["error"] for cell in cells.values()]).mean()
    at_hand = pd.concat([pd.Series(cell["people"]["diagnosis"]) for cell in cells.values()])
    counts = at_hand.value_counts() / len(cells)
    print(errors.round(2).to_string(), counts.to_string(), sep="\n\n")
    shown = table[["power", "power_low", "power_high", "level", "auc", "hedges_g"]]
    print(shown.to_string(float_format="{:.2f}".format))
    draw(table, FIGURE)
    store(
        "diagnosis_power",
        {"table": table.reset_index().to_dict("records"),
         "mae_of_clinic_controls": errors.to_dict(),
         "people_at_hand": counts.to_dict(),
         "cpu_seconds_a_cohort": float(np.mean([cell["cpu"] for cell in cells.values()]))},
        seed=0,
        settings={key: value for key, value in vars(options).items() if key != "cells"},
    )  # fmt: skip


if __name__ == "__main__":
    main()
