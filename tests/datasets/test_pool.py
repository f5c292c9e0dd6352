"""Studies with different conventions become one cohort that a loader can read."""

import gzip
import shutil

import numpy as np
import pandas as pd
import pytest

from mresklearn import MapLoader, pool_cohorts
from mresklearn.datasets import Cohort, PoolingReport
from mresklearn.exceptions import DataError

TWO_STUDIES = """
description = "two studies"

[studies.Delaware]
root = "delaware"
table = "people.csv"
participant_id = "ID"
columns = { age = "AGE", sex = "SEX", site = "SITE" }
maps.stiffness = "{participant_id}_mu.nii.gz"
constants = { vibration_frequency = 50, inversion = "NLI" }
description = "as published"

[studies.Berlin]
root = "berlin"
table = "people.tsv"
columns = { sex = "gender" }
maps.stiffness = "{participant_id}.nii"
constants = { vibration_frequency = 60.0, scanner = "Trio" }
"""


@pytest.fixture
def two_studies(tmp_path, write_brain, write_pool):
    """Delaware in Pa with two sites, Berlin in kPa; returns the pool file."""
    for person in ("001", "002", "003"):
        write_brain(f"delaware/{person}_mu.nii.gz", mean=2800)
    for person in ("001", "p9"):
        write_brain(f"berlin/{person}.nii")
    (tmp_path / "delaware" / "people.csv").write_text(
        "ID,AGE,SEX,SITE\n001,24,F,1\n002,31,M,1\n003,70,F,2\n"
    )
    (tmp_path / "berlin" / "people.tsv").write_text(
        "participant_id\tage\tgender\n001\t45.5\tfemale\np9\t52\tMale\n"
    )
    return write_pool(TWO_STUDIES)


def test_one_cohort_with_harmonised_columns(two_studies, tmp_path):
    cohort = pool_cohorts(two_studies)
    people = cohort.participants
    assert isinstance(cohort, Cohort)
    assert list(people.index) == [
        "Delaware_001", "Delaware_002", "Delaware_003", "Berlin_001", "Berlin_p9",
    ]  # fmt: skip
    assert people["study"].tolist() == ["Delaware"] * 3 + ["Berlin"] * 2
    assert people["original_id"].tolist() == ["001", "002", "003", "001", "p9"]
    assert people["age"].tolist() == [24.0, 31.0, 70.0, 45.5, 52.0]
    assert people["sex"].tolist() == ["F", "M", "F", "F", "M"]
    assert people["person"].is_unique
    assert people["vibration_frequency"].tolist() == [50, 50, 50, 60, 60]
    assert people["unit_stiffness"].tolist() == ["Pa"] * 3 + ["kPa"] * 2
    assert cohort.maps.loc["Berlin_p9", "stiffness"] == str(tmp_path / "berlin" / "p9.nii")
    assert cohort.description == "two studies\nDelaware: as published"
    assert len(cohort.dropped) == len(cohort.unlisted_files) == 0


def test_a_constant_of_one_study_is_missing_in_the_other(two_studies):
    cohort = pool_cohorts(two_studies)
    assert cohort.participants["scanner"].isna().tolist() == [True] * 3 + [False] * 2
    assert "all studies: 'scanner' is not known for 'Delaware'" in cohort.report.warnings


def test_nothing_on_disk_changes(two_studies, tmp_path):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    pool_cohorts(two_studies, n_jobs=2)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_same_cohort_from_any_folder_and_any_number_of_threads(two_studies, monkeypatch):
    expected = pool_cohorts(two_studies)
    monkeypatch.chdir(two_studies.parent)
    found = pool_cohorts("pool.toml", n_jobs=2)
    pd.testing.assert_frame_equal(found.participants, expected.participants)
    pd.testing.assert_frame_equal(found.maps, expected.maps)
    pd.testing.assert_frame_equal(found.report.to_frame(), expected.report.to_frame())


# sites


def test_sites_of_a_table_are_those_of_its_study(two_studies, write_pool):
    sites = pool_cohorts(two_studies).participants["site"]
    assert sites.tolist() == ["Delaware_1", "Delaware_1", "Delaware_2", "Berlin", "Berlin"]


def test_sites_that_the_pool_file_names_are_common_to_its_studies(two_studies, write_pool):
    text = TWO_STUDIES.replace(
        'description = "as', 'site_codes = { 1 = "Newark", 2 = "Berlin" }\ndescription = "as'
    )
    text = text.replace('scanner = "Trio"', 'site = "Berlin"')
    sites = pool_cohorts(write_pool(text)).participants["site"]
    assert sites.tolist() == ["Newark", "Newark", "Berlin", "Berlin", "Berlin"]


def test_site_codes_explain_every_site(two_studies, write_pool):
    text = TWO_STUDIES.replace(
        'description = "as', "site_codes = { 1 = 'Newark' }\ndescription = \"as"
    )
    with pytest.raises(DataError, match=r"'SITE' \(site\).* holds values that site_codes .*: '2'"):
        pool_cohorts(write_pool(text))


def test_names_that_run_together_are_refused(tmp_path, write_brain, write_pool):
    write_brain("a/1_2.nii")
    write_brain("b/2.nii")
    (tmp_path / "a" / "t.csv").write_text("participant_id,age\n1_2,20\n")
    (tmp_path / "b" / "t.csv").write_text("participant_id,age\n2,20\n")
    study = 'table = "t.csv"\nmaps.stiffness = "{participant_id}.nii"\n'
    pool = write_pool(f'[studies.A]\nroot = "a"\n{study}[studies.A_1]\nroot = "b"\n{study}')
    with pytest.raises(DataError, match="run together to the same 'A_1_2': rename"):
        pool_cohorts(pool)


# rows and files that cannot be used


def test_problems_of_all_studies_are_one_error(two_studies, tmp_path):
    (tmp_path / "delaware" / "002_mu.nii.gz").unlink()
    (tmp_path / "berlin" / "people.tsv").write_text("participant_id\tage\n001\t45.5\np9\t\n")
    text = two_studies.read_text().replace('columns = { sex = "gender" }\n', "")
    two_studies.write_text(text)
    with pytest.raises(DataError) as error:
        pool_cohorts(two_studies)
    message = str(error.value)
    assert "2 of 2 studies" in message
    assert str(two_studies) in message
    assert "study 'Delaware'" in message
    assert "no 'stiffness' file: '002' (row 3): 002_mu.nii.gz" in message
    assert "study 'Berlin'" in message
    assert "column 'age' (age in years) cannot be used: 'p9' (row 3): missing" in message
    assert "missing= is an argument of pool_cohorts" in message


def test_dropped_rows_are_in_the_cohort_and_in_the_report(two_studies, tmp_path, write_brain):
    (tmp_path / "delaware" / "002_mu.nii.gz").unlink()
    (tmp_path / "berlin" / "people.tsv").write_text(
        "participant_id\tage\tgender\n001\t45.5\tF\np9\t\tM\n"
    )
    write_brain("berlin/extra.nii")
    cohort = pool_cohorts(two_studies, missing="drop")
    assert len(cohort.participants) == 3
    assert cohort.dropped["study"].tolist() == ["Delaware", "Berlin"]
    assert cohort.dropped["participant_id"].tolist() == ["002", "p9"]
    assert cohort.unlisted_files.to_dict("records") == [
        {"study": "Berlin", "map": "stiffness", "file": "extra.nii"}
    ]
    frame = cohort.report.to_frame()
    dropped = frame[frame["item"] == "dropped"]
    assert dropped["name"].tolist() == ["002", "p9"]
    assert dropped["detail"].str.contains("no 'stiffness' file|missing").all()
    assert "extra.nii" in str(cohort.report)


def test_a_study_may_allow_files_without_a_row(two_studies, write_brain):
    write_brain("berlin/extra.nii")
    with pytest.raises(DataError, match=r"'extra.nii' \(stiffness\)"):
        pool_cohorts(two_studies)
    text = two_studies.read_text() + 'unlisted = "report"\n'
    two_studies.write_text(text)
    assert pool_cohorts(two_studies).unlisted_files["file"].tolist() == ["extra.nii"]


def test_files_that_cannot_be_used_are_all_named_or_dropped(two_studies, tmp_path, write_brain):
    whole = (tmp_path / "delaware" / "001_mu.nii.gz").read_bytes()
    (tmp_path / "delaware" / "001_mu.nii.gz").write_bytes(whole[: len(whole) // 2])
    write_brain("berlin/p9.nii", mean=0.0)
    with pytest.raises(DataError) as error:
        pool_cohorts(two_studies)
    assert "001_mu.nii.gz is truncated or corrupt" in str(error.value)
    assert "p9.nii has no positive voxel" in str(error.value)
    assert "missing='drop'" in str(error.value)
    cohort = pool_cohorts(two_studies, missing="drop")
    assert list(cohort.maps.index) == ["Delaware_002", "Delaware_003", "Berlin_001"]
    assert cohort.dropped["participant_id"].tolist() == ["001", "p9"]
    frame = cohort.report.to_frame()
    assert frame.query("item == 'dropped' and study == 'Berlin'")["name"].tolist() == ["p9"]


def test_a_study_that_would_vanish_is_an_error(two_studies, write_brain):
    for person in ("001", "p9"):
        write_brain(f"berlin/{person}.nii", mean=0.0)
    with pytest.raises(DataError, match="as long as every study keeps some"):
        pool_cohorts(two_studies, missing="drop")


@pytest.mark.parametrize("argument", ["missing", "duplicates"])
def test_choices_are_checked(two_studies, argument):
    with pytest.raises(ValueError, match=f"{argument} must be one of"):
        pool_cohorts(two_studies, **{argument: "ignore"})


# the same scan twice


def test_the_same_scan_in_two_studies_is_refused_under_any_name(two_studies, tmp_path):
    content = gzip.decompress((tmp_path / "delaware" / "003_mu.nii.gz").read_bytes())
    (tmp_path / "berlin" / "p9.nii").write_bytes(content)
    two_studies.write_text(two_studies.read_text() + 'units.stiffness = "mixed"\n')
    with pytest.raises(
        DataError, match=r"'Delaware_003' and 'Berlin_p9' \(same stiffness map\).*duplicates="
    ):
        pool_cohorts(two_studies)


def test_reported_copies_belong_to_one_person(two_studies, tmp_path):
    shutil.copy(tmp_path / "delaware" / "003_mu.nii.gz", tmp_path / "delaware" / "001_mu.nii.gz")
    cohort = pool_cohorts(two_studies, duplicates="report")
    person = cohort.participants["person"]
    assert person["Delaware_003"] == person["Delaware_001"]
    assert person.nunique() == 4
    frame = cohort.report.to_frame()
    duplicate = frame[frame["item"] == "duplicate"].squeeze()
    assert (duplicate["study"], duplicate["name"]) == (
        "all studies",
        "Delaware_001 = Delaware_003",
    )
    assert any("same scan" in warning for warning in cohort.report.warnings)


def test_people_who_look_the_same_are_a_hint(two_studies, tmp_path, write_brain):
    # the same brain in another unit: other bytes, but age, sex and the count of voxels agree
    (tmp_path / "berlin" / "people.tsv").write_text(
        "participant_id\tage\tgender\n001\t70\tF\np9\t52\tM\n"
    )
    for person, margin in (("001", 0), ("002", 2), ("003", 4)):
        write_brain(f"delaware/{person}_mu.nii.gz", mean=2800, shape=(12 + margin, 14, 10))
    write_brain("berlin/001.nii", shape=(16, 14, 10))
    cohort = pool_cohorts(two_studies)
    frame = cohort.report.to_frame()
    alike = frame[frame["item"] == "look-alike"]
    assert alike["name"].tolist() == ["Delaware_003 = Berlin_001"]
    assert alike["detail"].item() == "same age, sex and number of brain voxels"


def test_age_and_sex_alone_are_no_hint(two_studies, tmp_path):
    (tmp_path / "berlin" / "people.tsv").write_text(
        "participant_id\tage\tgender\n001\t24\tF\np9\t31\tM\n"
    )
    frame = pool_cohorts(two_studies).report.to_frame()
    assert "look-alike" not in set(frame["item"])


# kinds of maps


def test_studies_with_other_kinds_are_refused_with_the_common_ones(
    two_studies, write_pool, write_brain
):
    for person in ("001", "002", "003"):
        write_brain(f"delaware/{person}_dr.nii.gz", mean=0.2)
    text = TWO_STUDIES.replace(
        "constants = { vibration_frequency = 50",
        'maps.damping_ratio = "{participant_id}_dr.nii.gz"\nconstants = { vibration_frequency = 50',
    )
    with pytest.raises(
        DataError, match=r"study 'Berlin' has no 'damping_ratio'.*maps = \[\"stiffness\"\] on top"
    ):
        pool_cohorts(write_pool(text))
    cohort = pool_cohorts(write_pool('maps = ["stiffness"]\n' + text))
    assert list(cohort.maps.columns) == ["stiffness"]


def test_the_loader_reads_the_pool_in_one_unit(two_studies):
    cohort = pool_cohorts(two_studies)
    X = cohort.maps.join(cohort.participants["site"])
    loader = MapLoader(metadata=["site"], mixed_units="convert")
    maps = np.asarray(loader.fit_transform(X))
    medians = [np.median(sample[sample > 0]) for sample in maps]
    assert np.allclose(medians, 3, rtol=0.1)
    assert loader.units_ == {"stiffness": "mixed"}
    assert (
        loader.quality_["unit_stiffness"].tolist() == cohort.participants["unit_stiffness"].tolist()
    )


def test_the_report_has_a_type_of_its_own(two_studies):
    report = pool_cohorts(two_studies).report
    assert isinstance(report, PoolingReport)
    assert repr(report) == f"PoolingReport(2 studies, {len(report.warnings)} warnings)"
