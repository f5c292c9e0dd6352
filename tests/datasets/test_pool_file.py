"""A pool file holds no key that means nothing, and every mistake in it is named at once."""

import pytest

from mresklearn.datasets import pool_cohorts
from mresklearn.exceptions import DataError

GOOD = """
[studies.A]
root = "."
table = "people.csv"
columns = { age = "AGE" }
maps.stiffness = "{participant_id}.nii"
"""


def refused(write_pool, text):
    """Return the message that a pool file gets."""
    with pytest.raises(DataError) as error:
        pool_cohorts(write_pool(text))
    return str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"there is no pool file '.*absent.toml'"):
        pool_cohorts(tmp_path / "absent.toml")
    with pytest.raises(DataError, match="there is no pool file"):
        pool_cohorts(tmp_path)


def test_toml_errors_give_the_line_and_a_hint_for_folders(write_pool):
    message = refused(write_pool, GOOD.replace('"."', '"C:\\users\\maps"'))
    assert "pool.toml' is not valid TOML" in message
    assert "line 3" in message
    assert "folders with / or in 'single quotes'" in message


def test_text_in_another_encoding(tmp_path):
    (tmp_path / "pool.toml").write_bytes("[studies.Köln]".encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8 text"):
        pool_cohorts(tmp_path / "pool.toml")


def test_a_byte_order_mark_is_no_obstacle(tmp_path, write_brain):
    write_brain("1.nii")
    (tmp_path / "people.csv").write_text("participant_id,AGE\n1,20\n")
    (tmp_path / "pool.toml").write_text(GOOD, encoding="utf-8-sig")
    assert len(pool_cohorts(tmp_path / "pool.toml").participants) == 1


def test_all_mistakes_are_named_at_once(write_pool):
    text = """
        descripton = "typo"
        [studies.A]
        root = "."
        tabel = "people.csv"
        sheet = true
        layout = "bid"
        [studies.B]
        root = 3
        table = "people.csv"
        maps = { stiffness = 1 }
        unlisted = "ignore"
        """
    message = refused(write_pool, text)
    assert "pool.toml" in message
    assert "unknown key 'descripton'. Did you mean 'description'?" in message
    assert "study 'A': unknown key 'tabel'. Did you mean 'table'?" in message
    assert "study 'A': sheet must be the name or the number of a sheet" in message
    assert (
        "study 'A': layout must be one of 'table'; 'bids', not 'bid'. Did you mean 'bids'?"
        in message
    )
    assert "study 'A': lacks the key 'maps'" in message
    assert "study 'B': root must be text in quotes" in message
    assert "study 'B': maps stiffness must be text in quotes, or a list" in message
    assert "study 'B': unlisted must be one of" in message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("studies.A", "study.A", "unknown key 'study'. Did you mean 'studies'?"),
        ("studies.A", 'studies." A"', "the name is empty or has blanks at its ends"),
        ("maps.stiffness", "maps.stifness", "maps names 'stifness'. Did you mean 'stiffness'?"),
        ("{ age =", "{ ages =", "columns names 'ages'. Did you mean 'age'?"),
        ("{ age =", "{ study = 'x', age =", "columns may not name 'study'"),
        ("{ age =", "{ unit_mu = 'x', age =", "columns may not name 'unit_mu'"),
        ("root", "constants.feild_strength = 3\nroot", "Did you mean 'field_strength'?"),
        ("root", "constants.field_strength = '3 T'\nroot", "must be a positive number, not '3 T'"),
        ("root", "constants.voxel_size = -2\nroot", "must be a positive number, not -2"),
        ("root", "constants.age = 20\nroot", "may not name age, person or session"),
        ("root", "constants.sex = 'W'\nroot", "constants.sex must be 'F' or 'M', not 'W'"),
        ("root", "constants.scanner = [1]\nroot", "constants scanner must be one text or number"),
        ("root", "constants.sex = 'F'\nsex_codes = { 1 = 'F' }\nroot", "sex_codes is given"),
        ("root", "units.stiffness = 'kpa'\nroot", "not 'kpa'. Did you mean 'kPa'?"),
        ("root", "units.mu = 'kPa'\nroot", "units names 'mu', which maps does not"),
        (
            "root",
            "maps.t1 = '{participant_id}.nii'\nunits.t1 = 'kPa'\nroot",
            "units.t1: only moduli such as 'stiffness' are converted",
        ),
        ("root", "sex_codes = { 1 = 'W' }\nroot", "must be one of 'F'; 'M'; 'n/a', not 'W'"),
        ("root", "constants.stage = 1\ncolumns.stage = 'x'\nroot", "'stage' stands in columns"),
        ("root", "filters = { space = 'x' }\nroot", "filters is only for layout = 'bids'"),
        ("root", "columns = 'AGE'\nroot", "must be a table, as in { name = value }"),
    ],
)  # fmt: skip
def test_keys_that_cannot_be_meant(write_pool, old, new, message):
    text = GOOD.replace(old, new, 1)
    if "columns" in new:
        text = text.replace('columns = { age = "AGE" }', "")
    assert message in refused(write_pool, text)


def test_a_pool_without_studies(write_pool):
    assert "names no study" in refused(write_pool, "description = 'empty'")
    assert "study 'A': must be a table [studies.A]" in refused(write_pool, "[studies]\nA = 1")


def test_all_roots_that_are_not_there(write_pool):
    text = GOOD.replace('"."', '"nowhere"') + GOOD.replace('"."', '"never"').replace("s.A", "s.B")
    message = refused(write_pool, text)
    assert "study 'A': root" in message
    assert "study 'B': root" in message
    assert "relative to the folder of the pool file" in message


def test_a_table_that_is_not_there(write_pool, tmp_path):
    message = refused(write_pool, GOOD)
    assert "study 'A': there is no table" in message
    assert str(tmp_path / "people.csv") in message
