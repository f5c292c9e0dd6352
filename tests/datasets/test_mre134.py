"""MRE134 is used where it lies, and only what is missing is downloaded."""

import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mresklearn.datasets import fetch_mre134
from mresklearn.exceptions import DataError

IDS = ["001", "002", "134"]


def table(ids=IDS):
    buffer = io.BytesIO()
    pd.DataFrame(
        {
            "SUBJECT ID": [int(person) for person in ids],
            "AGE": np.arange(20, 20 + len(ids)),
            "SEX": ["M", "F", "F"][: len(ids)],
            "ORIG STUDY": ["Study A ", "Study B", "Study B"][: len(ids)],
        }
    ).to_excel(buffer, index=False)
    return buffer.getvalue()


def files(ids=IDS, suffix=""):
    content = {}
    for person in ids:
        content[f"individual_stiffness_files/{person}Stiffness_warped.nii{suffix}"] = b"mu"
        content[f"individual_damping ratio_files/{person}DR_warped.nii{suffix}"] = b"xi"
    return content


def write(folder, content):
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture(autouse=True)
def _no_local_copy(monkeypatch, tmp_path):
    """Neither a real copy nor the home folder of whoever runs the tests."""
    monkeypatch.delenv("MRESKLEARN_DATA", raising=False)
    monkeypatch.setenv("MRESKLEARN_HOME", str(tmp_path / "home"))


@pytest.fixture
def repository(server):
    server.files = {"MRE134_Demographics.xlsx": table(), **files()}
    return server


def test_everything_is_downloaded_once(repository, tmp_path):
    cohort = fetch_mre134(tmp_path / "mre134", base_url=repository.url, verbose=0)
    assert cohort.participants.index.tolist() == IDS
    assert cohort.participants["age"].tolist() == [20.0, 21.0, 22.0]
    assert cohort.participants["site"].tolist() == ["Study A", "Study B", "Study B"]
    assert list(cohort.maps.columns) == ["stiffness", "damping_ratio"]
    assert all(Path(path).read_bytes() == b"xi" for path in cohort.maps["damping_ratio"])
    assert len(repository.requests) == 7
    fetch_mre134(tmp_path / "mre134", base_url=repository.url, verbose=0)
    assert len(repository.requests) == 7


def test_the_blank_in_the_folder_name_is_quoted(repository, tmp_path):
    fetch_mre134(tmp_path, maps=["damping_ratio"], base_url=repository.url + "/", verbose=0)
    assert "/individual_damping%20ratio_files/134DR_warped.nii" in dict(repository.requests)


def test_only_the_wanted_maps_are_downloaded(repository, tmp_path):
    cohort = fetch_mre134(tmp_path, maps=["stiffness"], base_url=repository.url, verbose=0)
    assert list(cohort.maps.columns) == ["stiffness"]
    assert not any("damping" in path for path, _ in repository.requests)


def test_only_missing_files_are_downloaded_and_compressed_ones_count(repository, tmp_path):
    write(tmp_path, {"MRE134_Demographics.xlsx": table(), **files(["001", "002"], ".gz")})
    cohort = fetch_mre134(tmp_path, base_url=repository.url, verbose=0)
    assert sorted(path for path, _ in repository.requests) == [
        "/individual_damping%20ratio_files/134DR_warped.nii",
        "/individual_stiffness_files/134Stiffness_warped.nii",
    ]
    suffixes = cohort.maps["stiffness"].str.rpartition(".")[2].tolist()
    assert suffixes == ["gz", "gz", "nii"]


def test_the_default_folder_lies_below_mresklearn_home(repository, tmp_path):
    cohort = fetch_mre134(base_url=repository.url, verbose=0)
    folder = tmp_path / "home" / "mre134" / "individual_stiffness_files"
    assert cohort.maps.loc["001", "stiffness"] == str(folder / "001Stiffness_warped.nii")


def test_a_local_copy_is_used_as_far_as_it_goes(repository, tmp_path, monkeypatch):
    write(tmp_path / "mre134", {"MRE134_Demographics.xlsx": table(), **files(["001", "002"])})
    monkeypatch.setenv("MRESKLEARN_DATA", str(tmp_path))
    cohort = fetch_mre134(base_url=repository.url, verbose=0)
    assert cohort.participants.index.tolist() == ["001", "002"]
    assert cohort.dropped["participant_id"].tolist() == ["134"]
    assert repository.requests == []


def test_missing_files_are_listed_when_nothing_may_be_downloaded(repository, tmp_path):
    write(tmp_path, {"MRE134_Demographics.xlsx": table(), **files(["001", "002"])})
    with pytest.raises(DataError, match=r"lacks 2 of .*134Stiffness_warped.nii.*download=True"):
        fetch_mre134(tmp_path, download=False, base_url=repository.url, verbose=0)
    with pytest.raises(DataError, match=r"lacks 1 of .*MRE134_Demographics.xlsx"):
        fetch_mre134(tmp_path / "empty", download=False, base_url=repository.url, verbose=0)
    assert repository.requests == []


@pytest.mark.usefixtures("no_waiting")
def test_offline_the_manual_way_out_is_named(tmp_path):
    with pytest.raises(DataError, match=r"github.com/mechneurolab/MRE134 .*as data_home"):
        fetch_mre134(tmp_path, base_url="http://127.0.0.1:9", verbose=0)


def test_verbose_shows_progress_and_silence_is_silent(repository, tmp_path, capsys):
    fetch_mre134(tmp_path / "a", base_url=repository.url, verbose=0)
    quiet = capsys.readouterr()
    assert quiet.out == quiet.err == ""
    fetch_mre134(tmp_path / "b", base_url=repository.url, verbose=1)
    assert "6/6" in capsys.readouterr().err


def test_the_description_says_how_to_cite_and_what_the_units_are(repository, tmp_path):
    description = fetch_mre134(tmp_path, base_url=repository.url, verbose=0).description
    for needed in ("Hiscox", "10.1002/hbm.25192", "in Pa", "no licence"):
        assert needed in description


@pytest.mark.parametrize("maps", ["stiffness", [], ["t1"]])
def test_unknown_map_kinds_are_refused(maps):
    with pytest.raises(ValueError, match="maps must be a sequence of"):
        fetch_mre134(maps=maps)


@pytest.mark.real_data
def test_the_real_maps(real_data, monkeypatch):
    monkeypatch.setenv("MRESKLEARN_DATA", str(real_data))
    cohort = fetch_mre134(verbose=0)
    people = cohort.participants
    assert len(people) == 100
    assert sorted(people["site"].unique()) == [f"Study {letter}" for letter in "ABCDE"]
    assert people["age"].between(18, 35).all()
    assert set(people["sex"]) == {"F", "M"}
    assert people.index.str.fullmatch(r"\d{3}").all()
    assert len(cohort.dropped) == len(cohort.unlisted_files) == 0
    stiffness = nib.load(cohort.maps["stiffness"].iloc[0]).get_fdata()
    damping = nib.load(cohort.maps["damping_ratio"].iloc[0]).get_fdata()
    assert 2000 < np.median(stiffness[stiffness > 0]) < 3500  # Pa, whatever its README says
    assert 0.1 < np.median(damping[damping > 0]) < 0.4
