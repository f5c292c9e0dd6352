"""A table is read as it was meant, and says what is wrong with it otherwise."""

import numpy as np
import pytest

from mresklearn.datasets import load_cohort
from mresklearn.exceptions import DataError

TEMPLATE = {"stiffness": "maps/{participant_id}_mu.nii.gz"}
FILES = ("maps/002_mu.nii.gz", "maps/011_mu.nii.gz")


def test_columns_are_renamed_and_others_kept(make_study):
    folder = make_study("ID,AGE ,MMSE,code\n002,24, 29,007\n", FILES[:1])
    cohort = load_cohort(
        folder / "people.csv", maps=TEMPLATE, participant_id="ID", columns={"age": "AGE"}
    )
    assert list(cohort.participants.columns) == ["age", "MMSE", "code"]
    assert cohort.participants.loc["002", "MMSE"] == 29
    assert cohort.participants.loc["002", "code"] == "007"


def test_a_missing_column_lists_those_that_exist_and_the_closest(make_study):
    folder = make_study("ID,Age (years),SEX\n002,24,F\n", FILES[:1])
    with pytest.raises(DataError) as error:
        load_cohort(
            folder / "people.csv", maps=TEMPLATE, participant_id="ID", columns={"age": "Age(years)"}
        )
    message = str(error.value)
    assert str(folder / "people.csv") in message
    assert "no column 'Age(years)'" in message
    assert "'ID'; 'Age (years)'; 'SEX'" in message
    assert "Did you mean 'Age (years)'?" in message


def test_a_missing_id_column_names_the_argument(make_study):
    folder = make_study("SUBJECT,age\n002,24\n", FILES[:1])
    with pytest.raises(DataError, match=r"no column 'participant_id'.*participant_id='name in"):
        load_cohort(folder / "people.csv", maps=TEMPLATE)


def test_another_separator_is_suspected(make_study):
    folder = make_study("participant_id\tage\n002\t24\n", FILES[:1])
    with pytest.raises(DataError, match="separated by another character"):
        load_cohort(folder / "people.csv", maps=TEMPLATE)


def test_semicolons_with_decimal_commas_are_read(make_study):
    text = ';;;;\nparticipant_id;age, years;code;"a;b";note\n002;24,5;007;1,5;1,5\n011;31;;n/a;x\n'
    folder = make_study(text, FILES)
    people = load_cohort(
        folder / "people.csv", maps=TEMPLATE, columns={"age": "age, years"}
    ).participants
    assert people["age"].tolist() == [24.5, 31]
    assert people["code"].tolist()[0] == "007"
    np.testing.assert_array_equal(people["a;b"], [1.5, np.nan])
    assert people["note"].tolist() == ["1,5", "x"], "no column of numbers"


def test_a_decimal_comma_elsewhere_is_named(make_study):
    folder = make_study('participant_id,age\n002,"24,5"\n', FILES[:1])
    with pytest.raises(DataError, match="'24,5' is not a number: write it with a point"):
        load_cohort(folder / "people.csv", maps=TEMPLATE)


def test_repeated_column_names_are_refused(make_study):
    folder = make_study("participant_id,age,age \n002,24,25\n", FILES[:1])
    with pytest.raises(DataError, match="several columns called 'age'"):
        load_cohort(folder / "people.csv", maps=TEMPLATE)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"age": "AGE"}, "a column called 'age' besides the one mapped"),
        ({"years": "AGE", "old": "AGE"}, "'AGE' of .* is mapped to several"),
        ({"participant_id": "ID"}, "pass participant_id='ID'"),
    ],
)
def test_ambiguous_column_names_are_refused(make_study, columns, message):
    folder = make_study("ID,age,AGE\n002,24,25\n", FILES[:1])
    with pytest.raises(DataError, match=message):
        load_cohort(folder / "people.csv", maps=TEMPLATE, participant_id="ID", columns=columns)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no table .*people\.csv"):
        load_cohort(tmp_path / "people.csv", maps=TEMPLATE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("people.sav", b"x", r"not a \.tsv, \.csv or \.xlsx file"),
        ("people.xlsx", b"not a workbook", r"cannot be read as a \.xlsx table"),
        ("people.csv", b"participant_id\n\xff\xfe\n", r"cannot be read as a \.csv table.*UTF-8"),
        ("people.csv", b"participant_id,age\n\n", "holds no participants"),
        ("people.csv", b"", r"cannot be read as a \.csv table"),
    ],
)
def test_unreadable_tables_are_explained(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_cohort(tmp_path / name, maps=TEMPLATE)


def test_byte_order_mark_and_empty_lines_are_harmless(make_study):
    folder = make_study("\ufeffparticipant_id,age,\n\n002,24,\n,,\n", FILES[:1])
    cohort = load_cohort(folder / "people.csv", maps=TEMPLATE)
    assert list(cohort.participants.columns) == ["age"]
    assert cohort.participants.index.tolist() == ["002"]


def test_other_columns_become_numbers_with_gaps(make_study):
    folder = make_study("participant_id,MMSE,dx\n002,29,CN\n011,n/a,\n", FILES)
    people = load_cohort(folder / "people.csv", maps=TEMPLATE).participants
    np.testing.assert_array_equal(people["MMSE"], [29, np.nan])
    assert people["dx"].isna().tolist() == [False, True]
