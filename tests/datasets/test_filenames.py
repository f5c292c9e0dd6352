"""A template writes file names and finds them again."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mresklearn.datasets._filenames import FilenameTemplate

ids = st.lists(st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=5)


@given(ids=ids)
@settings(deadline=None, max_examples=20)
def test_every_file_that_a_template_names_is_found_again(ids):
    template = FilenameTemplate.parse("sub-{participant_id}/anat (1)/x_{participant_id}.[mre].nii")
    names = {template.fill({"participant_id": person}) for person in ids}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).touch()
        assert template.matching_files(Path(folder)) == sorted(names)


def test_a_field_holds_the_same_text_everywhere_in_the_path(tmp_path):
    (tmp_path / "sub-1").mkdir()
    (tmp_path / "sub-1" / "1.nii").touch()
    (tmp_path / "sub-1" / "2.nii").touch()
    template = FilenameTemplate.parse("sub-{participant_id}/{participant_id}.nii")
    assert template.matching_files(tmp_path) == ["sub-1/1.nii"]


def test_hidden_files_and_folders_of_that_name_do_not_match(tmp_path):
    (tmp_path / "._1.nii").touch()
    (tmp_path / "2.nii").mkdir()
    assert FilenameTemplate.parse("{participant_id}.nii").matching_files(tmp_path) == []


def test_a_missing_folder_holds_no_files(tmp_path):
    assert FilenameTemplate.parse("maps/{participant_id}.nii").matching_files(tmp_path) == []


def test_doubled_braces_are_literal():
    assert FilenameTemplate.parse("{{x}}_{participant_id}").fill({"participant_id": "1"}) == "{x}_1"
