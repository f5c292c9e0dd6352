"""What was put into the simulated maps can be read out of them again."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mresklearn.datasets import make_mre_cohort
from mresklearn.datasets._simulation_model import draw_design, load_anatomy
from mresklearn.datasets._simulation_parameters import PARAMETERS, REGIONS, parameter
from mresklearn.exceptions import DataError

# coarse maps of few people suffice where no effect is measured
SMALL = {"n_subjects": 6, "n_sites": 2, "voxel_size": 8, "random_state": 0}


def read(cohort, kind="stiffness"):
    return np.stack([nib.load(path).get_fdata(dtype=np.float32) for path in cohort.maps[kind]])


def regional_mean(cohort, kind, region):
    """Mean of every person over the covered voxels of a region."""
    labels = np.asarray(nib.load(cohort.regions).dataobj)
    values = read(cohort, kind)[:, labels == REGIONS.index(region) + 1]
    return values.sum(axis=1) / (values > 0).sum(axis=1)


def ordinary_least_squares(design, y):
    """Coefficients and their standard errors."""
    coefficients, (residual,), *_ = np.linalg.lstsq(design, y, rcond=None)
    variance = residual / (len(y) - design.shape[1]) * np.linalg.inv(design.T @ design)
    return coefficients, np.sqrt(np.diag(variance))


def age_term(age):
    """Years as the model counts them: more than one per year after 60."""
    late = np.maximum(age - parameter("age_acceleration_from"), 0)
    return age - parameter("age_reference") + parameter("age_acceleration") * late**2


def correlation_ratio_squared(values, groups):
    means = values.groupby(groups).transform("mean")
    return means.var() / values.var()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return make_mre_cohort(
        n_subjects=150, n_sites=3, folder=tmp_path_factory.mktemp("cohort"), random_state=1
    )


@pytest.fixture(scope="module")
def design_columns(cohort):
    """Intercept, age term, sex, and site against the first one."""
    people = cohort.participants
    sites = pd.get_dummies(people["site"], drop_first=True).to_numpy(float)
    others = [np.ones(len(people)), age_term(people["age"]), people["sex"] == "M"]
    return np.column_stack([*others, sites]).astype(float)


# effects


@pytest.mark.parametrize("region", ["white_matter", "cortex", "deep_grey"])
def test_the_age_slope_of_stiffness_is_recovered(cohort, design_columns, region):
    slope, error = (
        values[1]
        for values in ordinary_least_squares(
            design_columns, regional_mean(cohort, "stiffness", region)
        )
    )
    # tissue shares mix regions in a voxel, so the truth is the slope of the noiseless regional mean
    own, _ = ordinary_least_squares(design_columns, cohort.truth[f"stiffness_{region}"])
    expected = parameter("mean", "stiffness", region) * parameter("age_slope", "stiffness", region)
    assert abs(slope - own[1]) < 3 * error
    assert slope == pytest.approx(expected, rel=0.35)
    assert slope < -5 * error


def test_damping_does_not_change_with_age(cohort, design_columns):
    slope, error = (
        values[1]
        for values in ordinary_least_squares(
            design_columns, regional_mean(cohort, "damping_ratio", "white_matter")
        )
    )
    assert abs(slope) < 3 * error


@pytest.mark.parametrize("kind", ["stiffness", "damping_ratio"])
@pytest.mark.parametrize("region", ["white_matter", "cortex"])
def test_the_site_shift_is_recovered(cohort, design_columns, kind, region):
    observed, error = ordinary_least_squares(design_columns, regional_mean(cohort, kind, region))
    by_site = cohort.truth[f"{kind}_{region}_site"].groupby(cohort.participants["site"]).mean()
    expected = by_site.to_numpy()[1:] - by_site.iloc[0]
    # four standard errors of the regression: persons differ, and the texture does not average out
    np.testing.assert_array_less(np.abs(observed[3:] - expected), 4 * error[3:])


def test_sites_differ_more_in_damping_than_in_stiffness(cohort):
    site = cohort.participants["site"]
    share = {
        kind: correlation_ratio_squared(
            pd.Series(regional_mean(cohort, kind, "white_matter"), index=site.index), site
        )
        for kind in cohort.maps
    }
    # 0.70 and 0.06 in the public maps
    assert share["damping_ratio"] > 0.4
    assert share["stiffness"] < 0.25


@pytest.mark.parametrize(("kind", "published"), [("stiffness", 0.162), ("damping_ratio", 0.298)])
def test_young_adults_vary_as_in_the_public_maps(tmp_path, kind, published):
    young = make_mre_cohort(
        60, 5, folder=tmp_path / "x", maps=[kind], voxel_size=8, age_range=(18, 35), random_state=0
    )
    maps = read(young, kind)
    maps = maps[:, (maps > 0).all(axis=0)]
    variation = np.median(maps.std(axis=0) / maps.mean(axis=0))
    # sites are drawn anew here: within a fifth of the published variation
    assert variation == pytest.approx(published, rel=0.2)


def test_observed_regional_means_follow_the_truth(cohort):
    for kind, tolerance in (("stiffness", 0.15), ("damping_ratio", 0.02)):
        truth = cohort.truth[f"{kind}_white_matter"] + cohort.truth[f"{kind}_white_matter_site"]
        difference = regional_mean(cohort, kind, "white_matter") - truth
        # about 150 independent patches of texture: 0.035 kPa and 0.005, and the cut slices
        assert np.abs(difference).max() < tolerance
        assert np.abs(difference.mean()) < tolerance / 10


def test_without_site_effect_sites_are_alike(tmp_path):
    none = make_mre_cohort(**SMALL | {"site_effect": 0, "folder": tmp_path / "none"})
    assert (none.truth.filter(like="_site") == 0).all(axis=None)
    assert none.truth["texture_fwhm"].nunique() == 1
    # the field of view still varies by person, around the same height everywhere
    bottom = none.truth["coverage_bottom"] - parameter("coverage_bottom")
    assert np.abs(bottom).max() < 4 * parameter("person_bottom_sd")


def test_site_effect_changes_the_site_part_alone(tmp_path):
    once, twice = (
        make_mre_cohort(**SMALL | {"site_effect": size, "folder": tmp_path / str(size)})
        for size in (1, 2)
    )
    pd.testing.assert_frame_equal(once.participants, twice.participants)
    sites = once.truth.filter(like="_site")
    np.testing.assert_allclose(2 * sites, twice.truth[sites.columns], rtol=1e-6)
    biology = ["stiffness_cortex", "damping_ratio_white_matter"]
    pd.testing.assert_frame_equal(once.truth[biology], twice.truth[biology])


def test_without_age_effect_stiffness_does_not_depend_on_age(tmp_path):
    with_age, without = (
        make_mre_cohort(**SMALL | {"age_effect": size, "folder": tmp_path / str(size)})
        for size in (1, 0)
    )
    change = with_age.truth["stiffness_cortex"] - without.truth["stiffness_cortex"]
    ages = with_age.participants["age"]
    assert np.corrcoef(change, age_term(ages))[0, 1] < -0.999
    assert np.array_equal(
        with_age.truth["damping_ratio_cortex"], without.truth["damping_ratio_cortex"]
    )


@given(correlation=st.floats(0, 1), n_sites=st.integers(2, 8), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=10)
def test_site_age_correlation_is_the_correlation_ratio(correlation, n_sites, seed):
    people = draw_design(
        np.random.default_rng(seed),
        load_anatomy(8),
        n_subjects=1000,
        n_sites=n_sites,
        age_range=(20, 80),
        site_age_correlation=correlation,
        site_effect=0,
    ).participants
    # the share of variance has a standard error of at most 0.03 with 1000 people
    assert correlation_ratio_squared(people["age"], people["site"]) == pytest.approx(
        correlation**2, abs=0.1
    )
    assert people["age"].between(20, 80).all()
    assert people["site"].value_counts().agg(np.ptp) <= 1


# files


def test_background_and_what_is_out_of_view_are_exactly_zero(cohort):
    brain = np.asarray(nib.load(cohort.regions).dataobj) > 0
    stiffness, damping = read(cohort), read(cohort, "damping_ratio")
    assert (stiffness[:, ~brain] == 0).all()
    assert np.array_equal(stiffness > 0, damping > 0)
    seen = (stiffness > 0).sum(axis=(1, 2, 3)) / brain.sum()
    assert seen.min() > 0.5
    assert seen.max() < 1


def test_values_are_finite_and_in_kpa(cohort):
    for kind, low, high in (("stiffness", 1, 5), ("damping_ratio", 0.05, 0.5)):
        maps = read(cohort, kind)
        assert np.isfinite(maps).all()
        assert maps.min() == 0
        assert low < np.median(maps[maps > 0]) < high


def test_the_field_of_view_is_what_the_truth_says(cohort):
    affine = nib.load(cohort.regions).affine
    for image, (_, truth) in zip(read(cohort)[:10], cohort.truth.iterrows(), strict=False):
        height = affine[2, 3] + affine[2, 2] * np.flatnonzero(image.any(axis=(0, 1)))
        assert height.min() >= truth["coverage_bottom"]
        assert height.max() <= truth["coverage_top"]


def test_images_are_float32_in_mni_space(cohort):
    path = cohort.maps["stiffness"].iloc[0]
    image = nib.load(path)
    assert path.endswith("sub-0001/anat/sub-0001_desc-stiffness_mre.nii.gz")
    assert image.get_data_dtype() == np.float32
    assert image.header["sform_code"] == image.header["qform_code"] == 4
    assert image.header.get_zooms() == (4, 4, 4)
    np.testing.assert_allclose(image.affine[:3, 3], [-98, -134, -72])


def test_the_folder_says_that_its_maps_are_simulated(cohort):
    folder = Path(cohort.regions).parent
    assert "Simulated" in (folder / "dataset_description.json").read_text()
    assert "not measurements" in cohort.description
    table = pd.read_csv(folder / "participants.tsv", sep="\t")
    assert list(table.columns) == ["participant_id", "age", "sex", "site"]


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "sub-0001").mkdir()
    with pytest.raises(DataError, match=r"is not empty.*give a new folder"):
        make_mre_cohort(**SMALL, folder=tmp_path)


def test_the_temporary_folder_is_removed_at_exit():
    code = (
        "from mresklearn.datasets import make_mre_cohort\n"
        "print(make_mre_cohort(1, 1, voxel_size=10).regions)"
    )
    command = [sys.executable, "-c", code]
    path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert path.endswith("desc-regions_dseg.nii.gz")
    assert not Path(path).parent.exists()


# reproducibility


def test_a_seed_gives_the_same_files_whatever_the_number_of_threads(tmp_path):
    first, second = (
        make_mre_cohort(**SMALL, folder=tmp_path / str(n_jobs), n_jobs=n_jobs) for n_jobs in (1, 3)
    )
    pd.testing.assert_frame_equal(first.participants, second.participants)
    pd.testing.assert_frame_equal(first.truth, second.truth)
    for kind in first.maps:
        assert np.array_equal(read(first, kind), read(second, kind))


def test_a_map_does_not_depend_on_which_others_are_written(tmp_path):
    both = make_mre_cohort(**SMALL, folder=tmp_path / "both")
    alone = make_mre_cohort(**SMALL, folder=tmp_path / "alone", maps=["damping_ratio"])
    assert list(alone.maps.columns) == ["damping_ratio"]
    assert np.array_equal(read(both, "damping_ratio"), read(alone, "damping_ratio"))


def test_another_seed_gives_other_people(tmp_path):
    first = make_mre_cohort(**SMALL, folder=tmp_path / "a")
    second = make_mre_cohort(**SMALL | {"random_state": 1}, folder=tmp_path / "b")
    assert not np.array_equal(read(first), read(second))


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_generators_are_accepted_and_advanced(tmp_path, make):
    generator, same = make(0), make(0)
    few = {"n_subjects": 2, "n_sites": 1, "voxel_size": 10, "maps": ["stiffness"]}
    first = make_mre_cohort(**few, folder=tmp_path / "a", random_state=generator)
    next_one = make_mre_cohort(**few, folder=tmp_path / "b", random_state=generator)
    again = make_mre_cohort(**few, folder=tmp_path / "c", random_state=same)
    assert np.array_equal(read(first), read(again))
    assert not np.array_equal(read(first), read(next_one))


def test_the_global_random_state_is_untouched(tmp_path):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make_mre_cohort(2, 1, voxel_size=10, folder=tmp_path / "x")
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_verbose_shows_progress_and_silence_is_silent(tmp_path, capsys):
    make_mre_cohort(2, 1, voxel_size=10, folder=tmp_path / "a")
    quiet = capsys.readouterr()
    assert quiet.out == quiet.err == ""
    make_mre_cohort(2, 1, voxel_size=10, folder=tmp_path / "b", verbose=1)
    assert "2/2" in capsys.readouterr().err


# parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_subjects", 0),
        ("n_subjects", 2.5),
        ("n_subjects", 1),
        ("n_sites", 0),
        ("maps", []),
        ("maps", "stiffness"),
        ("maps", ["t1"]),
        ("voxel_size", 3.5),
        ("voxel_size", 1),
        ("voxel_size", "4"),
        ("age_range", (60, 20)),
        ("age_range", (-1, 20)),
        ("site_effect", -1),
        ("age_effect", float("nan")),
        ("site_age_correlation", 1.5),
        ("random_state", -1),
    ],
)
def test_impossible_parameters_are_named(tmp_path, name, value):
    with pytest.raises(ValueError, match=name):
        make_mre_cohort(**SMALL | {name: value}, folder=tmp_path)
    assert not os.listdir(tmp_path)


def test_entanglement_needs_two_sites():
    with pytest.raises(ValueError, match=r"site_age_correlation=0.5 needs at least two sites"):
        make_mre_cohort(4, 1, site_age_correlation=0.5)


def test_every_number_has_a_source_and_stands_once():
    assert all(row.source and row.unit for row in PARAMETERS)
    keys = [row[:3] for row in PARAMETERS]
    assert len(keys) == len(set(keys))
