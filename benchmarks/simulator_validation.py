"""Does make_mre_cohort look like real maps? Statistics of simulated cohorts beside those of mre134.

Simulated: 100 people of 18 to 35 years at five sites of the sizes of mre134, several seeds. Real:
the 100 people of mre134, brought by MapLoader to the same 4 mm grid. Both are averaged over the
same Desikan-Killiany regions and go through the same code. Every row states what difference is
tolerated; sites are drawn anew with every seed, so the column "seeds" shows what chance does.

    MRESKLEARN_DATA=/path/to/data python benchmarks/simulator_validation.py [--seeds 5] [--all]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from _results import store
from nilearn.image import resample_to_img
from scipy.stats import skew
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from mresklearn import MapLoader, MapMasker, fetch_mre134, make_mre_cohort, site_predictability

MAPS = {"stiffness": "mu", "damping_ratio": "xi"}
PAIRS = [
    ("putamen", "pallidum"),
    ("thalamus", "caudate"),
    ("hippocampus", "amygdala"),
    ("cerebral_wm", "cortex_frontal"),
    ("cerebellum_gm", "putamen"),
]
# statistic: tolerated difference, and whether it is relative to the real value
TOLERANCE = {
    # the simulator's regions overlap those of the atlas by Dice coefficients of 0.4 to 0.8
    "regional mean": (0.15, True),
    "regional SD": (0.35, True),
    # chance alone moves these by as much between seeds, because sites are drawn anew
    "study partial R2, region": (0.20, False),
    "study partial R2, median voxel": (0.08, False),
    "voxel CV": (0.04, False),
    "residual FWHM (mm)": (2.0, False),
    "residual correlation": (0.08, False),
    "residual skewness": (0.15, False),
    "variance of 20 components": (0.10, False),
    "correlation": (0.20, False),
    "correlation of mu and xi": (0.15, False),
    "coverage": (0.12, False),
    "coverage SD": (0.10, False),
    "study balanced accuracy, voxels": (0.10, False),
    "study balanced accuracy, mask": (0.10, False),
    "sex AUC": (0.10, False),
    "age slope (%/year)": (0.30, False),
}
EXPLAINED = {
    "age slope (%/year)": "published slopes (-0.3 %/year) hold for adults of all ages; between 18 "
    "and 35 years mre134 shows none",
}


def load(cohort, grid) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the maps on `grid` and the people."""
    maps = MapLoader(grid=grid, n_jobs=2, cache=None).fit_transform(cohort.maps)
    return np.asarray(maps), cohort.participants


def confounds(people: pd.DataFrame, *, with_site: bool) -> np.ndarray:
    """Return intercept, age, sex and, if wanted, site as columns."""
    columns = [np.ones(len(people)), people["age"], people["sex"] == "M"]
    if with_site:
        columns += list(pd.get_dummies(people["site"], drop_first=True).to_numpy().T)
    return np.column_stack(columns).astype(float)


def residual(y: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return what least squares leaves of every column of `y`."""
    return y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]


def partial_r2(y: np.ndarray, people: pd.DataFrame) -> np.ndarray:
    """Return the share of the variance left by age and sex that study explains."""
    full, reduced = (residual(y, confounds(people, with_site=flag)) for flag in (True, False))
    return 1 - (full**2).sum(axis=0) / (reduced**2).sum(axis=0)


def regions_of(maps, people, regions) -> dict:
    """Return means, spread, correlations, study effects and coverage of the regions."""
    statistics, adjusted = {}, {}
    inside = maps[:, 0] > 0
    covered = {name: inside[:, where].mean(axis=1) for name, where in regions.items()}
    for channel, short in enumerate(MAPS.values()):
        left = pd.DataFrame(index=range(len(maps)), columns=list(regions), dtype=float)
        for name, where in regions.items():
            seen = covered[name] > 0.05
            values, present = maps[seen, channel][:, where], inside[seen][:, where]
            means = np.where(present, values, 0).sum(axis=1) / present.sum(axis=1)
            statistics["regional mean", short, name] = means.mean()
            statistics["regional SD", short, name] = means.std(ddof=1)
            r2 = partial_r2(means, people[seen])
            statistics["study partial R2, region", short, name] = r2
            left.loc[seen, name] = residual(means, confounds(people[seen], with_site=True))
        adjusted[short] = left
        correlation = left.corr()
        for a, b in PAIRS:
            statistics["correlation", short, f"{a}-{b}"] = correlation.loc[a, b]
        whole = np.array([image[channel][image[0] > 0].mean() for image in maps])
        slope = np.linalg.lstsq(confounds(people, with_site=True), whole, rcond=None)[0][1]
        statistics["age slope (%/year)", short, "whole brain"] = 100 * slope / whole.mean()
    both = adjusted["mu"].corrwith(adjusted["xi"]).median()
    statistics["correlation of mu and xi", "both", "median region"] = both
    for name, share in covered.items():
        statistics["coverage", "mask", name] = share.mean()
        statistics["coverage SD", "mask", name] = share.std()
    return statistics


def voxels_of(maps, people, core) -> dict:
    """Return variation, smoothness and study effect of the voxels of `core` that all have."""
    statistics = {}
    common = core & (maps[:, 0] > 0).all(axis=0)
    for channel, short in enumerate(MAPS.values()):
        values = maps[:, channel][:, common].astype(float)
        variation = np.median(values.std(axis=0, ddof=1) / values.mean(axis=0))
        statistics["voxel CV", short, "brain"] = variation
        r2 = np.median(partial_r2(values, people))
        statistics["study partial R2, median voxel", short, "brain"] = r2
        left = residual(values, confounds(people, with_site=True))
        volume = np.zeros((len(maps), *common.shape))
        volume[:, common] = left
        for lag in (1, 2, 4):
            statistics["residual correlation", short, f"{4 * lag} mm"] = lagged(volume, common, lag)
        gradient = np.mean(np.diff(volume, axis=1)[:, common[1:] & common[:-1]] ** 2)
        # of a Gaussian field sampled every 4 mm
        fwhm = 4 * np.sqrt(4 * np.log(2) * np.mean(left**2) / gradient)
        statistics["residual FWHM (mm)", short, "brain"] = fwhm
        skewness = np.median(skew(left / left.std(axis=0), axis=0))
        statistics["residual skewness", short, "brain"] = skewness
        power = np.linalg.svd(values - values.mean(axis=0), compute_uv=False) ** 2
        statistics["variance of 20 components", short, "brain"] = power[:20].sum() / power.sum()
    return statistics


def lagged(volume, common, lag) -> float:
    """Return the median correlation over people between voxels `lag` apart along x."""
    both = common[lag:] & common[:-lag]
    a, b = volume[:, lag:][:, both], volume[:, :-lag][:, both]
    return np.median((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0)))


def probes_of(maps, people) -> dict:
    """Return how well study and sex are told from voxels, and study from the mask."""
    voxels = MapMasker().fit_transform(maps)
    # one study has four people
    folds = list(StratifiedKFold(4, shuffle=True, random_state=0).split(voxels, people["site"]))
    mask = (maps[:, 0] > 0).reshape(len(maps), -1).astype(np.float32)
    mask = mask[:, mask.std(axis=0) > 0]
    statistics = {
        ("study balanced accuracy, voxels", "both", "brain"): site_predictability(
            voxels, people["site"], cv=folds
        ).balanced_accuracy,
        ("study balanced accuracy, mask", "mask", "brain"): site_predictability(
            mask, people["site"], cv=folds
        ).balanced_accuracy,
    }
    male = (people["sex"] == "M").to_numpy()
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for channel, short in enumerate(MAPS.values()):
        table = MapMasker().fit_transform(maps[:, [channel]])
        # a tenth of the mean squared length of a centred row: no tuning on so few people
        alpha = 0.1 * table.var(axis=0).sum()
        model = make_pipeline(StandardScaler(with_std=False), RidgeClassifier(alpha))
        score = cross_val_predict(model, table, male, cv=folds, method="decision_function")
        statistics["sex AUC", short, "brain"] = roc_auc_score(male, score)
    return statistics


def describe(maps, people, regions, core) -> pd.Series:
    """Return all statistics of one cohort."""
    return pd.Series(
        regions_of(maps, people, regions) | voxels_of(maps, people, core) | probes_of(maps, people)
    )


def simulate(seed, sizes, correlation, **settings):
    """Simulate a cohort like mre134."""
    return make_mre_cohort(
        sum(sizes), sizes, age_range=(18, 35), site_sex_correlation=correlation,
        random_state=seed, n_jobs=2, **settings,
    )  # fmt: skip


def brain_age_error(n_people, seed) -> dict:
    """Return the error of ridge on voxels, ages 14 to 90 as in the published study of 311."""
    cohort = make_mre_cohort(
        n_people, 5, maps=("stiffness", "damping_ratio", "t1"), random_state=seed, n_jobs=2
    )
    age = cohort.participants["age"].to_numpy()
    errors = {}
    for name, kinds in (("MRE", list(MAPS)), ("T1", ["t1"])):
        maps = MapLoader(n_jobs=2, cache=None).fit_transform(cohort.maps[kinds])
        table = StandardScaler().fit_transform(MapMasker().fit_transform(maps))
        predicted = cross_val_predict(Ridge(table.shape[1] / 5), table, age, cv=5)
        errors[name] = float(np.abs(predicted - age).mean())
    return errors


def compare(real: pd.Series, simulated: pd.DataFrame) -> pd.DataFrame:
    """Return a row per statistic with its tolerance and whether it is met."""
    table = pd.DataFrame({"real": real, "simulated": simulated.mean(axis=1)})
    table["seeds"] = simulated.std(axis=1)
    names = table.index.get_level_values(0)
    size, relative = zip(*(TOLERANCE[name] for name in names), strict=True)
    table["tolerance"] = np.array(size) * np.where(relative, table["real"].abs(), 1)
    table["agrees"] = (table["simulated"] - table["real"]).abs() <= table["tolerance"]
    table["why"] = [
        "" if agrees else EXPLAINED.get(name, "")
        for name, agrees in zip(names, table["agrees"], strict=True)
    ]
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--people", type=int, default=311, help="for brain age; 0 leaves it out")
    parser.add_argument("--all", action="store_true", help="print the regions that agree, too")
    options = parser.parse_args()
    if "MRESKLEARN_DATA" not in os.environ:
        sys.exit("Set MRESKLEARN_DATA to the folder that holds mre134 and atlases.")
    data, start = Path(os.environ["MRESKLEARN_DATA"]), time.perf_counter()
    grid = nib.load(make_mre_cohort(1, 1, random_state=0).regions)
    atlas = nib.load(data / "atlases" / "dk_aparc+aseg_MNI152_2mm.nii.gz")
    atlas = nib.Nifti1Image(np.asarray(atlas.dataobj, dtype=np.int32), atlas.affine)
    labels = resample_to_img(atlas, grid, "nearest", force_resample=True, copy_header=True)
    ids = json.loads((data / "atlases" / "roi_dk.json").read_text())
    names = pd.read_csv(Path(grid.get_filename()).with_name("desc-regions_dseg.tsv"), sep="\t").name
    regions = {name: np.isin(np.asarray(labels.dataobj), ids[name]) for name in names}

    maps, people = load(fetch_mre134(data / "mre134", download=False), grid)
    core = (maps[:, 0] > 0).all(axis=0)
    real = describe(maps, people, regions, core)
    sizes = people.groupby("site").size().tolist()
    male = people["sex"] == "M"
    correlation = male.groupby(people["site"]).transform("mean").std() / male.std()
    simulated = {}
    for seed in tqdm(range(options.seeds), unit="cohort"):
        with tempfile.TemporaryDirectory() as folder:
            cohort = simulate(seed, sizes, float(correlation), folder=folder)
            simulated[seed] = describe(*load(cohort, grid), regions, core)
    table = compare(real, pd.DataFrame(simulated))
    whole = ~table.index.get_level_values(2).isin(names)
    shown = table if options.all else table[~table["agrees"] | whole]
    with pd.option_context("display.max_rows", None, "display.width", 160):
        print(shown.to_string(float_format="{:.3f}".format))
    print("\nagreement by statistic:")
    print(table.groupby(level=0)["agrees"].agg(["sum", "size"]).to_string())
    errors = brain_age_error(options.people, 0) if options.people else {}
    print(f"\nbrain age of {options.people} people, ridge, MAE in years: {errors}")
    store(
        "simulator_validation",
        {
            "table": [
                {"statistic": key[0], "map": key[1], "where": key[2], **row._asdict()}
                for key, row in zip(table.index, table.itertuples(index=False), strict=True)
            ],
            "brain_age_mae": errors,
            "seconds": time.perf_counter() - start,
        },
        seed=0,
        settings=vars(options),
    )


if __name__ == "__main__":
    main()
