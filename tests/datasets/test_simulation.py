"""The files and parameters of simulated cohorts: what is written, where, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mresklearn.datasets import make_mre_cohort
from mresklearn.datasets._simulation.anatomy import load_anatomy
from mresklearn.datasets._simulation.parameters import REGIONS, read_effects
from mresklearn.exceptions import DataError

# coarse maps of few people suffice where no effect is measured
SMALL = {"n_subjects": 6, "n_sites": 2, "voxel_size": 8, "random_state": 0}
ALL_MAPS = ["stiffness", "damping_ratio", "t1"]


def read(cohort, kind="stiffness"):
    return np.stack([nib.load(path).get_fdata(dtype=np.float32) for path in cohort.maps[kind]])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return make_mre_cohort(
        n_subjects=10,
        n_sites=3,
        maps=ALL_MAPS,
        folder=tmp_path_factory.mktemp("cohort"),
        repeat_share=0.3,
        n_repeats=2,
        random_state=1,
    )


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
    for kind, low, high in (("stiffness", 1, 5), ("damping_ratio", 0.05, 0.5), ("t1", 30, 150)):
        maps = read(cohort, kind)
        assert np.isfinite(maps).all()
        assert maps.min() == 0
        assert low < np.median(maps[maps > 0]) < high


def test_the_field_of_view_is_what_the_truth_says(cohort):
    affine = nib.load(cohort.regions).affine
    for image, (_, truth) in zip(read(cohort), cohort.truth.iterrows(), strict=True):
        _, y, z = affine[:3, :3] @ np.argwhere(image).T + affine[:3, 3:]
        height = z - truth["coverage_tilt"] * (y + 20)
        assert height.min() >= truth["coverage_bottom"]
        assert height.max() <= truth["coverage_top"]


def test_t1_covers_what_mre_misses(cohort):
    brain = np.asarray(nib.load(cohort.regions).dataobj) > 0
    assert (read(cohort, "t1") > 0).all(axis=0)[brain].all()


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
    expected = ["participant_id", "age", "sex", "site", "diagnosis", "person"]
    assert list(table.columns) == expected
    assert set(table["diagnosis"]) == {"CN"}


def test_repeated_scans_have_ids_of_their_own_and_a_common_person(cohort):
    people = cohort.participants
    counts = people.groupby("person").size()
    assert sorted(counts.unique()) == [1, 3]
    assert (counts == 3).sum() == 3
    person = counts[counts == 3].index[0]
    rows = people[people["person"] == person]
    assert list(rows.index) == [person, f"{person}_ses-2", f"{person}_ses-3"]
    assert (rows.drop(columns="person").nunique() == 1).all()


def test_every_region_is_labelled_at_every_voxel_size(cohort):
    table = pd.read_csv(Path(cohort.regions).with_name("desc-regions_dseg.tsv"), sep="\t")
    assert list(table["name"]) == list(cohort.region_names) == list(REGIONS)
    for size in (4, 6, 8, 10):
        assert set(load_anatomy(size).labels) == set(range(1, len(REGIONS) + 1))


def test_site_effects_are_maps_on_the_same_grid(cohort):
    assert list(cohort.site_effects.index) == sorted(cohort.participants["site"].unique())
    assert list(cohort.site_effects.columns) == ALL_MAPS
    labels = nib.load(cohort.regions)
    for kind in ("stiffness", "damping_ratio"):
        for site, path in cohort.site_effects[kind].items():
            image = nib.load(path)
            assert np.array_equal(image.affine, labels.affine)
            putamen = np.asarray(labels.dataobj) == REGIONS.index("putamen") + 1
            in_truth = cohort.truth[f"{kind}_putamen_site"][cohort.participants["site"] == site]
            assert image.get_fdata()[putamen].mean() == pytest.approx(in_truth.iloc[0], abs=1e-4)


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
        make_mre_cohort(
            **SMALL, folder=tmp_path / str(n_jobs), n_jobs=n_jobs, maps=ALL_MAPS, repeat_share=0.5
        )
        for n_jobs in (1, 3)
    )
    pd.testing.assert_frame_equal(first.participants, second.participants)
    pd.testing.assert_frame_equal(first.truth, second.truth)
    for kind in first.maps:
        assert np.array_equal(read(first, kind), read(second, kind))


def test_a_map_does_not_depend_on_which_others_are_written(tmp_path):
    both = make_mre_cohort(**SMALL, folder=tmp_path / "both", maps=ALL_MAPS)
    alone = make_mre_cohort(**SMALL, folder=tmp_path / "alone", maps=["damping_ratio"])
    assert list(alone.maps.columns) == ["damping_ratio"]
    assert np.array_equal(read(both, "damping_ratio"), read(alone, "damping_ratio"))
    t1 = make_mre_cohort(**SMALL, folder=tmp_path / "t1", maps=["t1"])
    assert np.array_equal(read(both, "t1"), read(t1, "t1"))


def test_a_first_scan_does_not_depend_on_later_ones(tmp_path):
    once = make_mre_cohort(**SMALL, folder=tmp_path / "once", maps=ALL_MAPS)
    again = make_mre_cohort(**SMALL, folder=tmp_path / "again", maps=ALL_MAPS, repeat_share=1)
    first = again.participants.index == again.participants["person"]
    for kind in ALL_MAPS:
        assert np.array_equal(read(once, kind), read(again, kind)[first])
        assert not np.array_equal(read(again, kind)[first], read(again, kind)[~first])


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
        ("n_sites", [2, 3]),
        ("n_sites", [6, 0]),
        ("maps", []),
        ("maps", "stiffness"),
        ("maps", ["t2"]),
        ("voxel_size", 3.5),
        ("voxel_size", 1),
        ("voxel_size", "4"),
        ("age_range", (60, 20)),
        ("age_range", (-1, 20)),
        ("site_effect", -1),
        ("age_effect", float("nan")),
        ("disease_effect", -1),
        ("diagnoses", {"PD": 0.1}),
        ("diagnoses", {"AD": 0.6, "MCI": 0.6}),
        ("diagnoses", ["AD"]),
        ("repeat_share", 2),
        ("n_repeats", 0),
        ("site_sex_correlation", -0.1),
        ("site_diagnosis_correlation", 0.5),
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
    with pytest.raises(ValueError, match=r"site_sex_correlation=0.5 needs at least two sites"):
        make_mre_cohort(4, [4], site_sex_correlation=0.5)


def test_too_few_old_people_for_the_patients_are_reported(tmp_path):
    with pytest.raises(DataError, match=r"diagnoses asks for 3 patients.*raise age_range"):
        make_mre_cohort(**SMALL, age_range=(20, 40), diagnoses={"AD": 0.5}, folder=tmp_path / "x")


# the table


def test_every_number_has_a_source_and_stands_once():
    table = read_effects()
    assert (
        table[["parameter", "map", "structure", "unit", "source", "verification"]]
        .notna()
        .all(axis=None)
    )
    assert not table.duplicated(["parameter", "map", "structure"]).any()
    assert set(table["verification"]) == {
        "assumed",
        "computed_from_data",
        "unverified",
        "verified_abstract",
    }
    assumed = table["verification"] == "assumed"
    assert table.loc[assumed, "source"].str.contains("assumed|calibrated").all()
    assert not table["source"].str.contains(r"(?:^|\s)[/~]\w").any()
