"""A file arrives complete or not at all, and a broken connection costs only what is missing."""

import urllib.error

import pytest

from mresklearn.datasets._download import download_file
from mresklearn.exceptions import DataError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def target(tmp_path):
    return tmp_path / "maps" / "001.nii"


@pytest.fixture
def part(target):
    """The partial file beside the target."""
    target.parent.mkdir()
    return target.with_name("001.nii.part")


def ranges(server):
    return [asked for _, asked in server.requests]


def test_a_file_is_downloaded_into_a_new_folder(server, target):
    server.files["001.nii"] = CONTENT
    assert download_file(f"{server.url}/001.nii", target) == target
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_an_earlier_part_is_continued(server, target, part):
    server.files["001.nii"] = CONTENT
    part.write_bytes(CONTENT[:1000])
    download_file(f"{server.url}/001.nii", target)
    assert ranges(server) == ["bytes=1000-"]
    assert target.read_bytes() == CONTENT
    assert not part.exists()


def test_a_connection_that_breaks_off_is_resumed(server, target):
    server.files["001.nii"] = CONTENT
    server.cut_after = [3000, 2000]
    download_file(f"{server.url}/001.nii", target, pause=0)
    assert ranges(server) == [None, "bytes=3000-", "bytes=5000-"]
    assert target.read_bytes() == CONTENT


def test_a_file_that_stays_cut_is_not_taken_for_complete(server, target):
    server.files["001.nii"] = CONTENT
    server.cut_after = [100, 100]
    with pytest.raises(DataError, match=r"001.nii could not be downloaded"):
        download_file(f"{server.url}/001.nii", target, pause=0, n_retries=1)
    assert not target.exists()
    assert target.with_name("001.nii.part").stat().st_size == 200


def test_a_server_without_ranges_sends_the_file_again(server, target, part):
    server.files["001.nii"] = CONTENT
    server.knows_ranges = False
    part.write_bytes(b"other bytes")
    download_file(f"{server.url}/001.nii", target)
    assert target.read_bytes() == CONTENT


def test_a_part_that_is_already_complete_is_taken(server, target, part):
    server.files["001.nii"] = CONTENT
    part.write_bytes(CONTENT)
    download_file(f"{server.url}/001.nii", target)
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_part_longer_than_the_file_is_discarded(server, target, part):
    server.files["001.nii"] = CONTENT
    part.write_bytes(CONTENT + b"more")
    download_file(f"{server.url}/001.nii", target, pause=0)
    assert target.read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={len(CONTENT) + 4}-", None]


def test_an_answer_to_another_range_is_discarded(server, target, part):
    server.files["001.nii"] = CONTENT
    server.wrong_range = True
    part.write_bytes(CONTENT[:10])
    download_file(f"{server.url}/001.nii", target, pause=0)
    assert target.read_bytes() == CONTENT


def test_passing_troubles_of_the_server_are_retried(server, target):
    server.files["001.nii"] = CONTENT
    server.failures = [503, 429]
    download_file(f"{server.url}/001.nii", target, pause=0)
    assert target.read_bytes() == CONTENT


def test_a_missing_file_is_not_retried(server, target):
    with pytest.raises(DataError, match=r"001\.nii could not be downloaded.*404") as error:
        download_file(f"{server.url}/001.nii", target)
    assert isinstance(error.value.__cause__, urllib.error.HTTPError)
    assert len(server.requests) == 1
    assert not target.exists()


def test_no_connection_says_where_to_put_the_file(target):
    with pytest.raises(DataError, match=r"Check the connection and call again.*put it at") as error:
        download_file("http://127.0.0.1:9/001.nii", target, pause=0, n_retries=1)
    assert str(target) in str(error.value)
