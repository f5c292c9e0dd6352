"""Four small studies as labs store them, pooled, reported and loaded; and real maps."""

import json

import numpy as np
import pandas as pd
import pytest
from synthetic import MNI_2MM_MIRRORED

from mresklearn import LeaveOneSiteOut, MapLoader, pool_cohorts

POOL = """
description = "stiffness and damping ratio of four studies"

[studies.MRE134]                       # Pa, ids padded in files but not in the table
root = "mre134"
table = "MRE134_Demographics.xlsx"
participant_id = "SUBJECT ID"
id_format = "{:0>3}"
columns = { age = "AGE", sex = "SEX", site = "ORIG STUDY" }
units = { stiffness = "Pa" }
constants = { vibration_frequency = 50, inversion = "NLI", diagnosis = "CN" }
[studies.MRE134.maps]
stiffness = "individual_stiffness_files/{participant_id}Stiffness_warped.nii"
damping_ratio = "individual_damping ratio_files/{participant_id}DR_warped.nii"

[studies.OA]                           # kPa, coded sex, all files in one folder
root = "older adults"
table = "../tables/OA.xlsx"
participant_id = "Participant ID"
columns = { age = "Age (years)", sex = "Sex", diagnosis = "Group" }
sex_codes = { 1 = "M", 2 = "F" }
diagnosis_codes = { 0 = "CN", 1 = "AD" }
constants = { site = "Delaware", vibration_frequency = 50, inversion = "NLI" }
[studies.OA.maps]
stiffness = "{participant_id}_stiffness2MNI_warped_v2.nii"
damping_ratio = "{participant_id}_dr2MNI_warped.nii"

[studies.MIMS]                         # kPa, NaN background, two visits
root = "mims"
table = "labels_final.csv"
participant_id = "ID"
columns = { age = "Age", sex = "Antipodal_Sex", session = "Visit" }
sex_codes = { 0 = "M", 1 = "F" }
constants = { site = "Delaware", vibration_frequency = 50, inversion = "NLI", diagnosis = "MCI" }
[studies.MIMS.maps]
stiffness = "Stiffness_FINAL/{ID}_{Visit}.nii.gz"
damping_ratio = "DR_FINAL/{ID}_{Visit}.nii.gz"

[studies.Bids]                         # units and frequency in sidecars
root = "bids"
layout = "bids"
constants = { diagnosis = "CN" }
"""


@pytest.fixture
def four_studies(tmp_path, write_brain, write_pool):
    def write_both(stiffness, damping_ratio, mean, **options):
        write_brain(stiffness, mean=mean, **options)
        write_brain(damping_ratio, mean=0.2, **options)

    for person in ("002", "004", "011"):
        write_both(
            f"mre134/individual_stiffness_files/{person}Stiffness_warped.nii",
            f"mre134/individual_damping ratio_files/{person}DR_warped.nii",
            mean=2700,
            codes=(0, 1),
        )
    columns = ["SUBJECT ID", "AGE", "SEX", "ORIG STUDY"]
    rows = [[2, 24, "M", "Study A "], [4, 31, "F", "Study A"], [11, 19, "F", "Study B "]]
    pd.DataFrame(rows, columns=columns).to_excel(
        tmp_path / "mre134" / "MRE134_Demographics.xlsx", index=False
    )
    for person in ("OA1", "OA2", "OA3"):
        write_both(
            f"older adults/{person}_stiffness2MNI_warped_v2.nii",
            f"older adults/{person}_dr2MNI_warped.nii",
            mean=2.5,
        )
    (tmp_path / "tables").mkdir()
    rows = [["OA1", 69, 1, 0], ["OA2", 74, 2, 1], ["OA3", 71, 2, 0]]
    columns = ["Participant ID", "Age (years)", "Sex", "Group"]
    pd.DataFrame(rows, columns=columns).to_excel(tmp_path / "tables" / "OA.xlsx", index=False)
    for scan in ("m1_1", "m1_2", "m2_1"):
        write_both(
            f"mims/Stiffness_FINAL/{scan}.nii.gz",
            f"mims/DR_FINAL/{scan}.nii.gz",
            mean=2.4,
            background=np.nan,
        )
    (tmp_path / "mims" / "labels_final.csv").write_text(
        'ID,Age,Antipodal_Sex,Visit\n"m1",66,1,1\n"m1",67,1,2\n"m2",80,0,1\n'
    )
    unmirrored = np.diag([2.0, 2, 2, 1])
    unmirrored[:3, 3] = MNI_2MM_MIRRORED[:3, 3] - [22, 0, 0]
    for person in ("sub-01", "sub-02"):
        start = f"bids/{person}/anat/{person}_space-MNI152_desc"
        write_both(f"{start}-stiffness_mre.nii.gz", f"{start}-dampingratio_mre.nii.gz", mean=3.0,
                   affine=unmirrored)  # fmt: skip
    (tmp_path / "bids" / "participants.tsv").write_text(
        "participant_id\tage\tsex\nsub-01\t33\tM\nsub-02\t35\tM\n"
    )
    sidecar = {"VibrationFrequency": 60, "InversionMethod": "DI"}
    (tmp_path / "bids" / "mre.json").write_text(json.dumps(sidecar))
    (tmp_path / "bids" / "desc-stiffness_mre.json").write_text(json.dumps({"Units": "kPa"}))
    return write_pool(POOL)


def test_four_studies_become_one_cohort(four_studies):
    cohort = pool_cohorts(four_studies)
    people = cohort.participants
    assert people.groupby("study", sort=False).size().to_dict() == {
        "MRE134": 3, "OA": 3, "MIMS": 3, "Bids": 2,
    }  # fmt: skip
    assert people["site"].unique().tolist() == [
        "MRE134_Study A", "MRE134_Study B", "Delaware", "Bids",
    ]  # fmt: skip
    assert people["person"].nunique() == 10
    assert people["sex"].tolist() == list("MFFMFFFFMMM")
    assert people["diagnosis"].value_counts().to_dict() == {"CN": 7, "MCI": 3, "AD": 1}
    assert people["vibration_frequency"].tolist() == [50] * 9 + [60] * 2
    assert people["unit_stiffness"].tolist() == ["Pa"] * 3 + ["kPa"] * 8


def test_the_report_says_what_was_found(four_studies):
    report = pool_cohorts(four_studies).report
    text = str(report)
    assert text == report.summary()
    for line in (
        "kept 3, people 2, dropped 0",
        "unit, stiffness Pa 3 (medians 2",
        "found from the values and stated; MapLoader converts to kPa",
        "NaN 3 (files with NaN voxels)",
        "orientation, stiffness qform 3",
        "12x14x10 voxels of 2x2x2 mm",
        "To check",
        "all studies: site 'Bids' has men only (2)",
        "all studies: site 'MRE134_Study B' has one person",
        "diagnoses that one study alone has: 'AD' (OA); 'MCI' (MIMS)",
        "load with       MapLoader(mixed_units='convert')",
    ):
        assert line in text, line
    frame = report.to_frame()
    assert list(frame.columns) == ["study", "item", "map", "name", "value", "detail"]
    ages = frame.query("item == 'age' and name == 'mean'").set_index("study")["value"]
    assert ages["MRE134"] == pytest.approx((24 + 31 + 19) / 3)


def test_what_the_report_advises_loads_the_pool(four_studies):
    cohort = pool_cohorts(four_studies)
    loader = MapLoader(mixed_units="convert", metadata=["site"])
    maps = loader.fit_transform(cohort.maps.join(cohort.participants["site"]))
    assert maps.shape == (11, 2, 12, 14, 10)
    values = np.asarray(maps)
    assert np.isfinite(values).all()
    for study, mean in {"MRE134": 2.7, "OA": 2.5, "MIMS": 2.4, "Bids": 3.0}.items():
        stiffness = values[(cohort.participants["study"] == study).to_numpy(), 0]
        assert np.median(stiffness[stiffness > 0]) == pytest.approx(mean, rel=0.05)
    people = cohort.participants
    folds = list(LeaveOneSiteOut().split(people, people["age"], groups=people["site"]))
    assert len(folds) == 4


@pytest.mark.real_data
def test_real_maps_of_two_halves_of_a_cohort(real_data, tmp_path, write_pool):
    table = pd.read_excel(real_data / "mre134" / "MRE134_Demographics.xlsx", dtype=str)
    table.columns = table.columns.str.strip()
    folder = real_data / "mre134" / "individual_stiffness_files"
    there = [
        (folder / f"{person:0>3}Stiffness_warped.nii.gz").is_file()
        for person in table["SUBJECT ID"]
    ]
    table = table[there]
    study = table["ORIG STUDY"].str.strip()
    studies = ""
    for name in ("Study A", "Study D"):
        part = table[study == name].head(6)
        part.to_csv(tmp_path / f"{name}.csv", index=False)
        studies += f"""
            [studies.{name[-1]}]
            root = '{real_data / "mre134"}'
            table = '{tmp_path / f"{name}.csv"}'
            participant_id = "SUBJECT ID"
            id_format = "{{:0>3}}"
            columns = {{ age = "AGE", sex = "SEX", site = "ORIG STUDY" }}
            unlisted = "report"
            units.stiffness = "Pa"
            maps.stiffness = "individual_stiffness_files/{{participant_id}}Stiffness_warped.nii.gz"
            maps.damping_ratio = "individual_damping ratio_files/{{participant_id}}DR_warped.nii.gz"
            """
    cohort = pool_cohorts(write_pool(studies), n_jobs=2)
    assert len(cohort.participants) == 12
    assert cohort.participants["site"].unique().tolist() == ["A_Study A", "D_Study D"]
    frame = cohort.report.to_frame()
    assert frame.query("item == 'unit' and map == 'stiffness'")["name"].unique().tolist() == ["Pa"]
    assert frame.query("item == 'grid'")["name"].nunique() == 1
    assert frame.query("item == 'orientation'")["name"].unique().tolist() == ["qform"]
    assert "duplicate" not in set(frame["item"])
    assert frame.query("item == 'brain voxels'")["value"].between(140_000, 240_000).all()


@pytest.mark.real_data
def test_real_t1_with_repeated_sessions(real_data, write_pool):
    pool = write_pool(f"""
        [studies.OASIS1]
        root = '{real_data / "oasis1_t1_4mm"}'
        table = "participants.csv"
        participant_id = "ID"
        maps.t1 = "t1/{{participant_id}}_T1w.nii.gz"
        [studies.OASIS1.columns]
        age = "Age"
        sex = "M/F"
        diagnosis = "dx"
        person = "subject"
        mmse = "MMSE"
        """)
    cohort = pool_cohorts(pool, n_jobs=2)
    people = cohort.participants
    assert len(people) == 322
    assert people["person"].nunique() < 322
    assert "unit_t1" not in people
    assert set(people["diagnosis"]) == {"CN", "CDR0.5", "AD_CDR1+"}
    assert people["mmse"].dtype.kind == "f"
