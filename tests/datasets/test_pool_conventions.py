"""Every convention that loaders of this field meet: units, backgrounds, names, layouts, tables."""

import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mresklearn.datasets import pool_cohorts
from mresklearn.exceptions import DataError

STUDY = """
[studies.S]
root = "."
table = "people.csv"
participant_id = "ID"
columns = {{ age = "AGE" }}
maps.stiffness = "{{ID}}.nii"
{more}
"""


@pytest.fixture
def study(tmp_path, write_brain, write_pool):
    """Write a study of two people with further keys; returns its pool file."""

    def make(more="", table="ID,AGE\n1,20\n2,30\n", text=STUDY, **options):
        for person in ("1", "2"):
            write_brain(f"{person}.nii", **options)
        (tmp_path / "people.csv").write_text(table, encoding="utf-8")
        return write_pool(text.format(more=more))

    return make


def rows(report, item):
    """Return name -> value of the rows of an item."""
    frame = report.to_frame()
    frame = frame[frame["item"] == item]
    return dict(zip(frame["name"], frame["value"], strict=True))


# units


@pytest.mark.parametrize(("mean", "unit"), [(3.0, "kPa"), (3000.0, "Pa")])
@pytest.mark.parametrize("stated", [True, False])
def test_units_are_found_and_reported(study, mean, unit, stated):
    cohort = pool_cohorts(study(f'units.stiffness = "{unit}"' if stated else "", mean=mean))
    assert cohort.participants["unit_stiffness"].tolist() == [unit, unit]
    frame = cohort.report.to_frame()
    found = frame[frame["item"] == "unit"].squeeze()
    assert (found["map"], found["name"], found["value"]) == ("stiffness", unit, 2)
    assert "found from the values" in found["detail"]
    assert ("stated" in found["detail"]) == stated
    assert ("converts to kPa" in found["detail"]) == (unit == "Pa")


def test_a_stated_unit_that_the_values_contradict_is_refused(study):
    pool = study('units.stiffness = "kPa"', mean=3000)
    with pytest.raises(DataError) as error:
        pool_cohorts(pool)
    message = str(error.value)
    assert "study 'S': 'stiffness' is stated to be in kPa" in message
    assert "1.nii (median " in message
    assert "2.nii (median " in message
    assert "units.stiffness" in message


def test_an_unclear_unit_must_be_stated(study):
    with pytest.raises(DataError, match=r"unit of these 'stiffness' files is unclear.*1\.nii"):
        pool_cohorts(study(mean=30))
    cohort = pool_cohorts(study('units.stiffness = "Pa"', mean=30))
    assert cohort.participants["unit_stiffness"].tolist() == ["Pa", "Pa"]
    assert "the values do not tell" in str(cohort.report)
    assert rows(cohort.report, "load with") == {"MapLoader(units={'stiffness': 'Pa'})": ""}


def test_a_stated_unit_that_a_loader_cannot_be_told_by_row_is_a_warning(study, write_brain):
    pool = study('units.stiffness = "Pa"', mean=30)
    write_brain("kpa/1.nii")
    shutil.copy(pool.parent / "people.csv", pool.parent / "kpa" / "people.csv")
    write_brain("kpa/2.nii")
    other = STUDY.format(more="").replace("studies.S", "studies.T").replace('"."', '"kpa"')
    pool.write_text(pool.read_text() + other)
    warnings = pool_cohorts(pool).report.warnings
    assert any("cannot tell the unit of 'stiffness' for 'S_1'; 'S_2'" in text for text in warnings)


def test_mixed_units_in_one_study_must_be_stated(study, write_brain):
    pool = study()
    write_brain("2.nii", mean=3000)
    with pytest.raises(DataError, match=r"mixes units, 1 in Pa and 1 in kPa.*= 'mixed'"):
        pool_cohorts(pool)
    pool.write_text(pool.read_text() + 'units.stiffness = "mixed"')
    cohort = pool_cohorts(pool)
    assert cohort.participants["unit_stiffness"].tolist() == ["kPa", "Pa"]
    assert rows(cohort.report, "load with") == {"MapLoader(mixed_units='convert')": ""}


def test_a_damping_ratio_in_percent_is_refused(study, write_brain):
    for person in ("1", "2"):
        write_brain(f"{person}_dr.nii", mean=21)
    with pytest.raises(DataError, match=r"'damping_ratio' has no unit and lies below 1.*percent"):
        pool_cohorts(study('maps.damping_ratio = "{ID}_dr.nii"'))


# backgrounds


@pytest.mark.parametrize(("background", "name"), [(0.0, "zero"), (np.nan, "NaN")])
def test_background_of_zero_or_nan_is_reported(study, background, name):
    cohort = pool_cohorts(study(background=background))
    assert rows(cohort.report, "background") == {name: 2}
    assert rows(cohort.report, "brain voxels") == {"mean": 480.0, "min": 480.0, "max": 480.0}
    assert rows(cohort.report, "brain volume (ml)")["mean"] == pytest.approx(480 * 8 / 1000)


def test_negative_voxels_are_reported(study, tmp_path):
    pool = study()
    image = nib.load(tmp_path / "1.nii")
    values = image.get_fdata()
    values[5, 5, 5] = -0.1
    nib.Nifti1Image(values, image.affine).to_filename(tmp_path / "1.nii")
    assert rows(pool_cohorts(pool).report, "background")["negative"] == 1


def test_little_coverage_is_a_warning(study, write_brain, tmp_path):
    pool = study(table="ID,AGE\n1,20\n2,30\n3,40\n")
    write_brain("3.nii")
    image = nib.load(tmp_path / "3.nii")
    values = image.get_fdata()
    values[:7] = 0
    nib.Nifti1Image(values, image.affine).to_filename(tmp_path / "3.nii")
    assert any(
        "less than half" in text and "'S_3'" in text for text in pool_cohorts(pool).report.warnings
    )


# names and layouts


def test_folders_with_blanks_padded_ids_and_both_endings(write_brain, write_pool, tmp_path):
    for person, ending in (("002", ".nii"), ("011", ".nii.gz")):
        write_brain(
            f"MRE 134/individual_stiffness_files/{person}Stiffness_warped{ending}", mean=2700
        )
        write_brain(f"MRE 134/individual_damping ratio_files/{person}DR_warped{ending}", mean=0.2)
    table = pd.DataFrame(
        {
            "SUBJECT ID": [2, 11],
            "AGE ": [24, 31],
            "SEX": ["M ", "F"],
            "ORIG STUDY": ["Study A ", "Study B"],
        }
    )
    table.to_excel(tmp_path / "MRE 134" / "Demographics.xlsx", index=False, sheet_name="People")
    pool = write_pool("""
        [studies.MRE134]
        root = "MRE 134"
        table = "Demographics.xlsx"
        sheet = "People"
        participant_id = "SUBJECT ID"
        id_format = "{:0>3}"
        columns = { age = "AGE", sex = "SEX", site = "ORIG STUDY" }
        units.stiffness = "Pa"
        [studies.MRE134.maps]
        stiffness = [
            "individual_stiffness_files/{participant_id}Stiffness_warped.nii.gz",
            "individual_stiffness_files/{participant_id}Stiffness_warped.nii",
        ]
        damping_ratio = [
            "individual_damping ratio_files/{participant_id}DR_warped.nii.gz",
            "individual_damping ratio_files/{participant_id}DR_warped.nii",
        ]
        """)
    cohort = pool_cohorts(pool)
    assert list(cohort.participants.index) == ["MRE134_002", "MRE134_011"]
    assert cohort.participants["site"].tolist() == ["MRE134_Study A", "MRE134_Study B"]
    assert cohort.participants["sex"].tolist() == ["M", "F"]
    assert cohort.maps.loc["MRE134_002", "stiffness"].endswith("002Stiffness_warped.nii")
    assert cohort.maps.loc["MRE134_011", "damping_ratio"].endswith("011DR_warped.nii.gz")


@pytest.mark.parametrize(
    ("id_column", "age_column", "name"),
    [
        ("SUBJECT ID", "AGE", "{participant_id}_Stiffness2MNI.nii"),
        ("Participant ID", "Age", "{participant_id}_stiffness2MNI_warped_v2.nii"),
        ("Subject ID", "Age (years)", "Stiffness_FINAL/{participant_id}.nii.gz"),
        (
            "Subject",
            "Age (yr)",
            "{participant_id}/{participant_id}_MRE_AP_50Hz/{participant_id}_MRE_AP_50Hz_"
            "props_shear_stiff.nii.gz",
        ),
    ],
)
def test_names_of_columns_and_files_per_study(
    write_brain, write_pool, tmp_path, id_column, age_column, name
):
    people = ["U01_UDEL_0001_01", "U01_UDEL_0002_01"]
    for person in people:
        write_brain(name.format(participant_id=person))
    pd.DataFrame({id_column: people, age_column: [14, 90]}).to_excel(
        tmp_path / "t.xlsx", index=False
    )
    pool = write_pool(
        f'[studies.U01]\nroot = "."\ntable = "t.xlsx"\nparticipant_id = "{id_column}"\n'
        f'columns.age = "{age_column}"\nmaps.stiffness = "{name}"\n'
    )
    cohort = pool_cohorts(pool)
    assert cohort.participants["original_id"].tolist() == people
    assert cohort.participants["age"].tolist() == [14.0, 90.0]


def test_quoted_ids_and_blanks_around_cells(study):
    table = 'ID ,AGE,Sex\n\'1\' , 20," F"\n"""2""",30 ,M \n'
    pool = study(table=table)
    text = pool.read_text().replace("{ID}", "{participant_id}")
    pool.write_text(text.replace('age = "AGE"', 'age = "AGE", sex = "Sex"'))
    people = pool_cohorts(pool).participants
    assert people["original_id"].tolist() == ["1", "2"]
    assert people["sex"].tolist() == ["F", "M"]


@pytest.mark.parametrize("ending", [".nii.zip", ".mat", ".dcm"])
def test_files_that_are_no_nifti_are_refused_with_advice(study, ending):
    pool = study(text=STUDY.replace(".nii", ending))
    with pytest.raises(DataError, match=rf"maps.stiffness: '{{ID}}{ending}' is not a NIfTI file; "):
        pool_cohorts(pool)


# tables


@pytest.mark.parametrize(
    ("written", "codes"),
    [
        (("1", "2"), "{ 1 = 'M', 2 = 'F' }"),
        (("0", "1"), "{ 0 = 'M', 1 = 'F' }"),
        (("Mann", "frau"), "{ mann = 'M', Frau = 'F' }"),
    ],
)
def test_codings_of_sex(study, written, codes):
    table = f"ID,AGE,SEX\n1,20,{written[0]}\n2,30,{written[1]}\n"
    text = STUDY.replace('age = "AGE"', 'age = "AGE", sex = "SEX"')
    assert pool_cohorts(study(f"sex_codes = {codes}", table, text)).participants[
        "sex"
    ].tolist() == ["M", "F"]
    with pytest.raises(DataError) as error:
        pool_cohorts(study("", table, text))
    message = str(error.value)
    assert "study 'S': column 'SEX' (sex) of " in message
    assert f"{written[0]!r} (rows 2)" in message
    assert "sex_codes = {" in message


def test_sex_and_diagnosis_may_be_coded_as_missing(study):
    table = "ID,AGE,SEX,DX\n1,20,1,0.5\n2,30,9,9\n"
    text = STUDY.replace('age = "AGE"', 'age = "AGE", sex = "SEX", diagnosis = "DX"')
    more = "sex_codes = { 1 = 'M', 9 = 'n/a' }\ndiagnosis_codes = { '0.5' = 'MCI', 9 = 'n/a' }"
    cohort = pool_cohorts(study(more, table, text))
    assert cohort.participants["sex"].isna().tolist() == [False, True]
    assert cohort.participants["diagnosis"].tolist()[0] == "MCI"
    assert rows(cohort.report, "sex") == {"M": 1, "missing": 1}
    assert any("sex is missing for 1 of 2 rows" in text for text in cohort.report.warnings)


def test_diagnosis_codes_explain_every_value(study):
    text = STUDY.replace('age = "AGE"', 'age = "AGE", diagnosis = "DX"')
    pool = study("diagnosis_codes = { 0 = 'CN' }", "ID,AGE,DX\n1,20,0\n2,30,7\n", text)
    with pytest.raises(DataError, match=r"'DX' \(diagnosis\).*diagnosis_codes does not .*: '7'"):
        pool_cohorts(pool)


def test_a_study_without_age_names_the_likely_column(study):
    text = STUDY.replace('columns = {{ age = "AGE" }}', "")
    pool = study("", "ID,Age (years)\n1,20\n2,30\n", text)
    with pytest.raises(DataError, match=r"no column 'age'.*columns.age.*mean 'Age \(years\)'"):
        pool_cohorts(pool)


def test_a_forgotten_sex_column_is_a_warning(study):
    cohort = pool_cohorts(study(table="ID,AGE,Gender\n1,20,F\n2,30,M\n"))
    assert "sex" not in cohort.participants
    assert any("no sex" in text and "'Gender'" in text for text in cohort.report.warnings)


def test_missing_age_is_refused_or_dropped(study):
    pool = study(table="ID,AGE\n1,20\n2,n/a\n")
    with pytest.raises(DataError, match=r"'AGE' \(age in years\) cannot be used: '2' \(row 3\)"):
        pool_cohorts(pool)
    assert pool_cohorts(pool, missing="drop").dropped["participant_id"].tolist() == ["2"]


def test_other_columns_are_kept_where_they_are_named(study):
    text = STUDY.replace('age = "AGE"', 'age = "AGE", mmse = "MMSE total"')
    pool = study("", "ID,AGE,MMSE total,Comment\n1,20,30,fine\n2,30,,late\n", text)
    people = pool_cohorts(pool).participants
    assert people["mmse"].tolist()[0] == 30
    assert "Comment" not in people


def test_several_sessions_of_a_person(write_brain, write_pool, tmp_path):
    for name in ("07_v1", "07_v2", "08_v1"):
        write_brain(f"{name[:2]}/{name}.nii")
    (tmp_path / "people.csv").write_text(
        "Subject,Visit,Age\n7,v1,70\n7,v2,72.5\n8,v1,66\n", encoding="utf-8"
    )
    text = """
        [studies.L]
        root = "."
        table = "people.csv"
        participant_id = "Subject"
        id_format = "{:0>2}"
        columns = { age = "Age", session = "Visit" }
        maps.stiffness = "{participant_id}/{participant_id}_{session}.nii"
        """
    cohort = pool_cohorts(write_pool(text))
    people = cohort.participants
    assert list(people.index) == ["L_07_ses-v1", "L_07_ses-v2", "L_08_ses-v1"]
    assert people["person"].tolist() == ["L_07", "L_07", "L_08"]
    assert people["session"].tolist() == ["v1", "v2", "v1"]
    assert people["original_id"].tolist() == ["07", "07", "08"]
    assert rows(cohort.report, "participants")["people"] == 2
    with pytest.raises(DataError, match=r"'07' \(rows 2, 3\).*columns.session"):
        pool_cohorts(write_pool(text.replace(', session = "Visit"', "")))


def test_ids_of_sessions_with_a_column_for_the_person(study):
    text = STUDY.replace('age = "AGE"', 'age = "AGE", person = "subject"')
    pool = study("", "ID,AGE,subject\n1,20,a\n2,21,a\n", text)
    assert pool_cohorts(pool).participants["person"].tolist() == ["S_a", "S_a"]
    pool = study("", "ID,AGE,subject\n1,20,a\n2,21,\n", text)
    with pytest.raises(DataError, match=r"'subject' \(person\) .* is empty in rows 3"):
        pool_cohorts(pool)


def test_sites_with_one_person_or_one_sex_are_warnings(study, write_brain):
    text = STUDY.replace('age = "AGE"', 'age = "AGE", sex = "SEX", site = "SITE"')
    write_brain("3.nii")
    pool = study("", "ID,AGE,SEX,SITE\n1,20,F,x\n2,30,F,x\n3,40,M,y\n", text)
    warnings = pool_cohorts(pool).report.warnings
    assert any("site 'S_x' has women only (2)" in text for text in warnings)
    assert any("site 'S_y' has one person" in text for text in warnings)


def test_a_constant_may_not_repeat_a_column(study):
    pool = study('constants = { sex = "F" }', "ID,AGE,sex\n1,20,F\n2,30,M\n")
    with pytest.raises(DataError, match=r"constants name 'sex', which .* has as a column"):
        pool_cohorts(pool)


def test_a_study_of_one_sex_and_diagnosis(study):
    people = pool_cohorts(
        study('constants = { sex = "F", diagnosis = "CN", site = 3 }')
    ).participants
    assert people["sex"].tolist() == ["F", "F"]
    assert people["diagnosis"].tolist() == ["CN", "CN"]
    assert people["site"].tolist() == ["3", "3"]


# space


@pytest.mark.parametrize(
    ("codes", "found", "n_warnings"),
    [((1, 1), "sform", 0), ((0, 1), "qform", 0), ((0, 0), "none", 1)],
)
def test_orientation_of_the_header(study, codes, found, n_warnings):
    cohort = pool_cohorts(study(codes=codes))
    assert rows(cohort.report, "orientation") == {found: 2}
    assert sum("oriented" in text for text in cohort.report.warnings) == n_warnings


def test_one_grid_needs_no_resampling(study):
    cohort = pool_cohorts(study())
    assert list(rows(cohort.report, "grid").values()) == [2]
    assert rows(cohort.report, "load with") == {"MapLoader()": ""}


def test_grids_of_one_space_are_resampled(study, write_brain):
    pool = study(affine=np.diag([2.0, 2, 2, 1]))
    coarse = np.diag([4.0, 4, 4, 1])
    coarse[:3, 3] = 1.0
    write_brain("2.nii", affine=coarse, shape=(6, 7, 5))
    cohort = pool_cohorts(pool)
    assert sorted(rows(cohort.report, "grid").values()) == [1, 1]
    assert rows(cohort.report, "load with") == {"MapLoader(voxel_size=4)": ""}
    assert any("2 different grids" in text for text in cohort.report.warnings)


def test_native_and_standard_space_are_told_apart(study, write_brain):
    pool = study()
    write_brain("2.nii", affine=np.diag([1.5, 1.5, 1.5, 1]), shape=(16, 16, 8))
    cohort = pool_cohorts(pool)
    assert "native space?" in str(cohort.report)
    assert rows(cohort.report, "load with") == {"MapLoader(grid=template)": ""}
    assert any("different fields of view" in text for text in cohort.report.warnings)
