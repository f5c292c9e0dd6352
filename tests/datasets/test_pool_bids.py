"""BIDS folders load through the same door: sessions, sidecars, filters, people without maps."""

import json

import pytest

from mresklearn.datasets import make_mre_cohort, pool_cohorts
from mresklearn.exceptions import DataError

POOL = '[studies.B]\nroot = "bids"\nlayout = "bids"\n'
SPACE = "space-MNI152NLin6Asym_res-2"


@pytest.fixture
def bids(tmp_path, write_brain, write_pool):
    """Three people, one of them with two sessions; returns the pool file."""
    scans = ("sub-01/ses-1", "sub-01/ses-2", "sub-02", "sub-03")
    for scan in scans:
        name = f"{scan.replace('/', '_')}_{SPACE}"
        write_brain(f"bids/{scan}/anat/{name}_desc-stiffness_mremap.nii.gz")
        write_brain(f"bids/{scan}/anat/{name}_desc-dampingratio_mremap.nii.gz", mean=0.2)
    root = tmp_path / "bids"
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\tsite\nsub-01\t70\tF\tX\nsub-02\t41\tM\tX\nsub-03\t33\tF\tY\n"
    )
    (root / "sub-01" / "sub-01_sessions.tsv").write_text(
        "session_id\tage\nses-1\t70\nses-2\t71.5\n"
    )
    return write_pool(POOL)


def add_sidecar(pool, name, **content):
    (pool.parent / "bids" / name).write_text(json.dumps(content))


def test_sessions_people_and_maps_are_found(bids, tmp_path):
    cohort = pool_cohorts(bids)
    people = cohort.participants
    assert list(people.index) == ["B_sub-01_ses-1", "B_sub-01_ses-2", "B_sub-02", "B_sub-03"]
    assert people["person"].tolist() == ["B_sub-01", "B_sub-01", "B_sub-02", "B_sub-03"]
    assert people["age"].tolist() == [70.0, 71.5, 41.0, 33.0]
    assert people["site"].tolist() == ["B_X", "B_X", "B_X", "B_Y"]
    assert list(cohort.maps.columns) == ["stiffness", "damping_ratio"]
    assert cohort.maps.loc["B_sub-01_ses-2", "damping_ratio"] == str(
        tmp_path / f"bids/sub-01/ses-2/anat/sub-01_ses-2_{SPACE}_desc-dampingratio_mremap.nii.gz"
    )


def test_sidecars_give_units_and_constants(bids):
    add_sidecar(
        bids,
        f"sub-02/anat/sub-02_{SPACE}_desc-stiffness_mremap.json",
        Units="kPa",
        VibrationFrequency=60,
        InversionMethod="NLI",
    )
    people = pool_cohorts(bids).participants
    assert people["vibration_frequency"].isna().tolist() == [True, True, False, True]
    assert people.loc["B_sub-02", "inversion"] == "NLI"
    assert "stated" in str(pool_cohorts(bids).report)


def test_a_sidecar_above_applies_and_a_nearer_one_wins(bids):
    add_sidecar(bids, "mremap.json", VibrationFrequency=50, MagneticFieldStrength=3)
    add_sidecar(bids, "desc-stiffness_mremap.json", Units="kPa")
    add_sidecar(bids, "desc-other_mremap.json", VibrationFrequency=99)
    add_sidecar(bids, "sub-02/anat/sub-02_mremap.json", VibrationFrequency=60)
    people = pool_cohorts(bids).participants
    assert people["vibration_frequency"].tolist() == [50, 50, 60, 50]
    assert people["field_strength"].tolist() == [3, 3, 3, 3]


def test_a_sidecar_with_the_wrong_unit_is_refused(bids):
    add_sidecar(bids, "desc-stiffness_mremap.json", Units="Pa")
    with pytest.raises(DataError, match=r"stated to be in Pa, but .*Units of the JSON sidecars"):
        pool_cohorts(bids)
    add_sidecar(bids, "desc-stiffness_mremap.json", Units="m/s")
    with pytest.raises(DataError, match=r"'sub-01_ses-1': Units 'm/s' of 'stiffness'"):
        pool_cohorts(bids)


def test_a_sidecar_that_contradicts_the_pool_file_is_refused(bids):
    add_sidecar(bids, "mremap.json", VibrationFrequency=50)
    bids.write_text(POOL + "constants.vibration_frequency = 60\n")
    with pytest.raises(
        DataError, match=r"vibration_frequency of 'sub-01_ses-1': 50 in the sidecar, 60"
    ):
        pool_cohorts(bids)
    add_sidecar(bids, "mremap.json", Units="kPa")
    bids.write_text(POOL + "units.stiffness = 'Pa'\n")
    with pytest.raises(DataError, match=r"the sidecar says kPa, units.stiffness Pa"):
        pool_cohorts(bids)


def test_sidecars_of_one_scan_must_agree(bids):
    add_sidecar(bids, "desc-stiffness_mremap.json", VibrationFrequency=50)
    add_sidecar(bids, "desc-dampingratio_mremap.json", VibrationFrequency=60)
    with pytest.raises(DataError, match=r"contradict each other: .*dampingratio.*60, not 50"):
        pool_cohorts(bids)


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_broken_sidecar_is_named(bids, tmp_path, content):
    (tmp_path / "bids" / "mremap.json").write_text(content)
    with pytest.raises(DataError, match=r"study 'B': the sidecar '.*mremap.json'"):
        pool_cohorts(bids)


def test_people_without_maps_and_maps_without_people(bids, write_brain, tmp_path):
    table = tmp_path / "bids" / "participants.tsv"
    table.write_text(table.read_text().replace("sub-03", "sub-04"))
    with pytest.raises(DataError) as error:
        pool_cohorts(bids)
    message = str(error.value)
    assert "no 'stiffness' file: 'sub-04' (row 4): sub-*/[ses-*/]anat/" in message
    assert f"'sub-03/anat/sub-03_{SPACE}_desc-stiffness_mremap.nii.gz' (stiffness)" in message
    cohort = pool_cohorts(bids, missing="drop")
    assert cohort.dropped["participant_id"].tolist() == ["sub-04"]
    assert len(cohort.unlisted_files) == 2


def test_several_files_of_a_scan_need_a_filter(bids, write_brain):
    for kind, mean in (("stiffness", 3.0), ("dampingratio", 0.2)):
        write_brain(f"bids/sub-02/anat/sub-02_space-native_desc-{kind}_mremap.nii.gz", mean=mean)
    with pytest.raises(
        DataError, match=r"several 'stiffness' files .*sub-02_space-native.*filters = "
    ):
        pool_cohorts(bids)
    bids.write_text(POOL + 'filters = { space = "MNI152NLin6Asym" }\n')
    assert "native" not in " ".join(pool_cohorts(bids).maps["stiffness"])


def test_names_of_ones_own(bids, write_brain):
    for scan in ("sub-02", "sub-03"):
        write_brain(f"bids/{scan}/anat/{scan}_T1w.nii")
    bids.write_text(POOL + 'maps = { t1 = "T1w" }\n')
    with pytest.raises(DataError, match=r"no 't1' file: 'sub-01_ses-1'"):
        pool_cohorts(bids)
    cohort = pool_cohorts(bids, missing="drop")
    assert list(cohort.maps.columns) == ["t1"]
    assert list(cohort.maps.index) == ["B_sub-02", "B_sub-03"]


def test_a_folder_with_glob_characters(bids, tmp_path):
    (tmp_path / "bids").rename(tmp_path / "bids [v2]*")
    bids.write_text(POOL.replace('"bids"', '"bids [v2]*"', 1))
    assert len(pool_cohorts(bids).participants) == 4


def test_a_folder_without_maps_or_id_column(bids, tmp_path, write_pool):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "participants.tsv").write_text("id\tage\nsub-01\t3\n")
    with pytest.raises(DataError, match=r"study 'B' has no map with a usual name, desc-stiff"):
        pool_cohorts(write_pool(POOL.replace('"bids"', '"empty"', 1)))
    text = POOL.replace('"bids"', '"empty"', 1) + 'maps.stiffness = "desc-stiffness_*"\n'
    with pytest.raises(DataError, match=r"no column 'participant_id'.*with participant_id"):
        pool_cohorts(write_pool(text))


def test_a_simulated_cohort_is_a_bids_folder(tmp_path, write_pool):
    folder = tmp_path / "bids"
    made = make_mre_cohort(4, 2, folder=folder, voxel_size=10, random_state=0)
    cohort = pool_cohorts(write_pool(POOL))
    assert cohort.participants["age"].tolist() == made.participants["age"].tolist()
    assert cohort.maps["stiffness"].tolist() == made.maps["stiffness"].tolist()
