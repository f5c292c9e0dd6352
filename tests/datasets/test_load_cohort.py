"""Every row of a table is checked before it becomes part of a cohort."""

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mresklearn.datasets import load_cohort
from mresklearn.exceptions import DataError

TEMPLATE = {"stiffness": "maps/{participant_id}_mu.nii.gz"}
TABLE = "participant_id,age,sex,site\n002,24,F,Delaware\n011,61.5,m,Berlin\n"
FILES = ("maps/002_mu.nii.gz", "maps/011_mu.nii.gz")


def test_paths_and_participants_of_every_row(make_study):
    folder = make_study(TABLE, FILES)
    cohort = load_cohort(folder / "people.csv", maps=TEMPLATE, description="two people")
    assert cohort.maps["stiffness"].to_dict() == {
        "002": str(folder / FILES[0]),
        "011": str(folder / FILES[1]),
    }
    assert cohort.participants["age"].tolist() == [24.0, 61.5]
    assert cohort.participants["sex"].tolist() == ["F", "M"]
    assert cohort.participants["site"].tolist() == ["Delaware", "Berlin"]
    assert cohort.description == "two people"
    assert len(cohort.dropped) == len(cohort.unlisted_files) == 0


def test_paths_are_absolute_so_that_the_working_folder_may_change(make_study, monkeypatch):
    folder = make_study(TABLE, FILES)
    monkeypatch.chdir(folder)
    cohort = load_cohort("people.csv", maps=TEMPLATE)
    assert cohort.maps.loc["002", "stiffness"] == str(folder / FILES[0])


def test_the_maps_may_lie_elsewhere(make_study, tmp_path):
    folder = make_study(TABLE, [f"elsewhere/{name}" for name in FILES])
    cohort = load_cohort(folder / "people.csv", maps=TEMPLATE, root=folder / "elsewhere")
    assert cohort.maps.loc["011", "stiffness"] == str(tmp_path / "elsewhere" / FILES[1])


def test_a_root_that_is_no_folder_is_refused(make_study):
    folder = make_study(TABLE, FILES)
    with pytest.raises(DataError, match=r"nowhere' is not a folder"):
        load_cohort(folder / "people.csv", maps=TEMPLATE, root=folder / "nowhere")


# ids


def test_leading_zeros_of_ids_survive(make_study):
    folder = make_study(TABLE, FILES)
    cohort = load_cohort(folder / "people.csv", maps=TEMPLATE)
    assert cohort.participants.index.tolist() == ["002", "011"]


@pytest.mark.parametrize(("name", "separator"), [("people.csv", ","), ("people.tsv", "\t")])
@given(ids=st.lists(st.from_regex(r"[0-9a-zA-Z]{1,6}", fullmatch=True), min_size=1, unique=True))
@settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_id_comes_back_as_it_was_written(tmp_path, name, separator, ids):
    ids = [person for person in ids if person not in {"NA", "NaN", "nan", "None", "NaT"}] or ["1"]
    lines = [separator.join(["participant_id", "file"])]
    lines += [separator.join([person, "map.nii"]) for person in ids]
    (tmp_path / name).write_text("\n".join(lines))
    (tmp_path / "map.nii").touch()
    cohort = load_cohort(tmp_path / name, maps={"stiffness": "{file}"})
    assert cohort.participants.index.tolist() == ids


def test_excel_numbers_are_ids_without_decimals_and_can_be_padded(tmp_path):
    table = pd.DataFrame(
        {"SUBJECT ID": [2, 11], "AGE ": [24, 31], "STUDY": ["Study A ", "Study B"]}
    )
    table.to_excel(tmp_path / "people.xlsx", index=False)
    for name in ("002.nii", "011.nii"):
        (tmp_path / name).touch()
    options = {
        "participant_id": "SUBJECT ID",
        "columns": {"age": "AGE", "site": "STUDY"},
    }
    with_format = load_cohort(
        tmp_path / "people.xlsx",
        maps={"stiffness": "{participant_id}.nii"},
        id_format="{:0>3}",
        **options,
    )
    in_template = load_cohort(
        tmp_path / "people.xlsx", maps={"stiffness": "{participant_id:0>3}.nii"}, **options
    )
    assert with_format.participants.index.tolist() == ["002", "011"]
    assert in_template.participants.index.tolist() == ["2", "11"]
    assert with_format.maps["stiffness"].tolist() == in_template.maps["stiffness"].tolist()
    assert with_format.participants["site"].tolist() == ["Study A", "Study B"]


def test_a_frame_is_a_table_too(make_study):
    folder = make_study(TABLE, ["1.nii", "2.nii"])
    table = pd.DataFrame({"age": [20, 30], "visit": pd.to_datetime(["2020-01-01", "2021-01-01"])})
    table.index = pd.Index([1, 2], name="participant_id")
    cohort = load_cohort(table, maps={"stiffness": "{participant_id}.nii"}, root=folder)
    assert cohort.participants.index.tolist() == ["1", "2"]
    assert cohort.participants["visit"].dtype.kind == "M"


def test_repeated_ids_raise_with_their_rows_even_when_rows_may_be_dropped(make_study):
    folder = make_study(TABLE + "002,25,F,Delaware\n", FILES)
    with pytest.raises(
        DataError, match=r"repeats participant ids: '002' \(rows 2, 4\)\. Keep one row"
    ):
        load_cohort(folder / "people.csv", maps=TEMPLATE, missing="drop")


def test_ids_that_become_equal_by_padding_are_repeated(make_study):
    folder = make_study("participant_id\n2\n002\n", FILES)
    with pytest.raises(DataError, match=r"repeats participant ids: '002' \(rows 2, 3\)"):
        load_cohort(folder / "people.csv", maps=TEMPLATE, id_format="{:0>3}")


def test_a_number_format_for_ids_is_explained(make_study):
    folder = make_study(TABLE, FILES)
    with pytest.raises(DataError, match=r"id_format='\{:03d\}'.*Ids are text.*'\{:0>3\}'"):
        load_cohort(folder / "people.csv", maps=TEMPLATE, id_format="{:03d}")


def test_an_empty_id_is_named_by_its_row(make_study):
    folder = make_study(TABLE + ",30,F,Berlin\n", FILES)
    with pytest.raises(DataError, match=r"'participant_id' \(participant id\) is empty: row 4"):
        load_cohort(folder / "people.csv", maps=TEMPLATE)
    cohort = load_cohort(folder / "people.csv", maps=TEMPLATE, missing="drop")
    assert cohort.dropped["participant_id"].tolist() == ["(row 4)"]


# age, site and sex


def test_all_bad_ages_are_named_at_once(make_study):
    ages = ["", "young", "-3", "1954", "24"]
    files = [f"maps/{k}_mu.nii.gz" for k in range(5)]
    table = "participant_id,AGE\n" + "".join(f"{k},{age}\n" for k, age in enumerate(ages))
    folder = make_study(table, files)
    with pytest.raises(DataError) as error:
        load_cohort(folder / "people.csv", maps=TEMPLATE, columns={"age": "AGE"})
    message = str(error.value)
    assert "column 'AGE' (age in years)" in message
    assert "'0' (row 2): missing" in message
    assert "'1' (row 3): 'young' is not a number" in message
    assert "'2' (row 4): -3 is negative" in message
    assert "'3' (row 5): 1954 is above 120 years" in message
    assert "row 6" not in message
    assert "missing='drop'" in message


@given(age=st.floats(0, 120))
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_possible_age_is_accepted_as_it_is(tmp_path, age):
    (tmp_path / "people.csv").write_text(f"participant_id,age\n1,{age!r}\n")
    (tmp_path / "1.nii").touch()
    cohort = load_cohort(tmp_path / "people.csv", maps={"stiffness": "{participant_id}.nii"})
    assert cohort.participants["age"].tolist() == [age]


def test_an_empty_site_is_named(make_study):
    folder = make_study(TABLE.replace("Berlin", "n/a"), FILES)
    with pytest.raises(DataError, match=r"'site' \(site\) is empty: '011' \(row 3\)"):
        load_cohort(folder / "people.csv", maps=TEMPLATE)


def test_site_numbers_are_names(make_study):
    folder = make_study(TABLE.replace("Delaware", "1").replace("Berlin", "02"), FILES)
    cohort = load_cohort(folder / "people.csv", maps=TEMPLATE)
    assert cohort.participants["site"].tolist() == ["1", "02"]


@pytest.mark.parametrize(
    ("written", "read"), [(["Female", "male "], ["F", "M"]), (["f", "M"], ["F", "M"])]
)
def test_spelt_out_sex_is_normalised(make_study, written, read):
    folder = make_study(TABLE.replace(",F,", f",{written[0]},").replace(",m,", f",{written[1]},"))
    for file in FILES:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).touch()
    cohort = load_cohort(folder / "people.csv", maps=TEMPLATE)
    assert cohort.participants["sex"].tolist() == read


def test_sex_codes_are_not_guessed(make_study):
    folder = make_study(TABLE.replace(",F,", ",1,").replace(",m,", ",2,"), FILES)
    left = load_cohort(folder / "people.csv", maps=TEMPLATE)
    told = load_cohort(folder / "people.csv", maps=TEMPLATE, sex_codes={1: "M", "2": "F"})
    assert left.participants["sex"].tolist() == [1, 2]
    assert told.participants["sex"].tolist() == ["M", "F"]


def test_a_code_that_is_not_explained_is_named(make_study):
    folder = make_study(TABLE.replace(",F,", ",1,").replace(",m,", ",9,"), FILES)
    with pytest.raises(DataError, match=r"'sex' of .* sex_codes does not explain: '9'"):
        load_cohort(folder / "people.csv", maps=TEMPLATE, sex_codes={1: "M", 2: "F"})


def test_sex_codes_without_a_sex_column_are_refused(make_study):
    folder = make_study("participant_id,SEX\n002,1\n", FILES[:1])
    with pytest.raises(DataError, match=r"no column 'sex'.*columns="):
        load_cohort(folder / "people.csv", maps=TEMPLATE, sex_codes={1: "M"})


def test_a_missing_sex_stays_missing(make_study):
    folder = make_study(TABLE.replace(",F,", ",,"), FILES)
    sex = load_cohort(folder / "people.csv", maps=TEMPLATE).participants["sex"]
    assert sex.isna().tolist() == [True, False]


# files


def test_rows_without_file_and_files_without_row_are_reported_in_one_error(make_study):
    folder = make_study(TABLE, ["maps/002_mu.nii.gz", "maps/044_mu.nii.gz", "maps/readme.txt"])
    with pytest.raises(DataError) as error:
        load_cohort(folder / "people.csv", maps=TEMPLATE)
    message = str(error.value)
    assert "there is no 'stiffness' file: '011' (row 3): maps/011_mu.nii.gz" in message
    assert "'maps/044_mu.nii.gz' (stiffness)" in message
    assert str(folder) in message
    assert "readme" not in message
    assert "missing='drop'" in message
    assert "unlisted='report'" in message


def test_dropping_keeps_the_usable_rows_and_a_record_of_the_others(make_study):
    table = TABLE + "012,n/a,F,Berlin\n013,,F,\n"
    folder = make_study(table, [*FILES, "maps/012_mu.nii.gz", "maps/044_mu.nii.gz"])
    cohort = load_cohort(folder / "people.csv", maps=TEMPLATE, missing="drop")
    assert cohort.participants.index.tolist() == ["002", "011"]
    assert cohort.dropped["participant_id"].tolist() == ["012", "013"]
    assert "age" in cohort.dropped["reason"][0]
    assert "no 'stiffness' file" in cohort.dropped["reason"][1]
    assert "site" in cohort.dropped["reason"][1]
    assert cohort.unlisted_files.to_dict("records") == [
        {"map": "stiffness", "file": "maps/044_mu.nii.gz"}
    ]
    assert len(cohort.participants) + len(cohort.dropped) == 4


def test_nothing_left_after_dropping_is_an_error(make_study):
    folder = make_study(TABLE)
    with pytest.raises(DataError, match="there is no 'stiffness' file"):
        load_cohort(folder / "people.csv", maps=TEMPLATE, missing="drop")


def test_a_table_may_select_people_from_a_larger_folder(make_study):
    folder = make_study(TABLE, [*FILES, "maps/044_mu.nii.gz"])
    cohort = load_cohort(folder / "people.csv", maps=TEMPLATE, unlisted="report")
    assert len(cohort.participants) == 2
    assert cohort.unlisted_files["file"].tolist() == ["maps/044_mu.nii.gz"]


def test_ids_that_differ_by_zeros_suggest_the_format(make_study):
    folder = make_study("participant_id\n2\n11\n", FILES)
    with pytest.raises(DataError, match=r"differ by leading zeros.*id_format='\{:0>3\}'"):
        load_cohort(folder / "people.csv", maps=TEMPLATE)


def test_one_map_kind_may_match_the_names_of_another(make_study):
    folder = make_study("participant_id\n002\n", ["002.nii.gz", "002_dr.nii.gz"])
    cohort = load_cohort(
        folder / "people.csv",
        maps={
            "stiffness": "{participant_id}.nii.gz",
            "damping_ratio": "{participant_id}_dr.nii.gz",
        },
    )
    assert list(cohort.maps.columns) == ["stiffness", "damping_ratio"]


def test_the_first_existing_alternative_is_taken(make_study):
    folder = make_study("participant_id\n002\n011\n", ["002.nii", "011.nii", "011.nii.gz"])
    cohort = load_cohort(
        folder / "people.csv",
        maps={"stiffness": ["{participant_id}.nii.gz", "{participant_id}.nii"]},
    )
    names = [path.rpartition("/")[2] for path in cohort.maps["stiffness"]]
    assert names == ["002.nii", "011.nii.gz"]


def test_templates_may_use_any_column_by_either_name(make_study):
    folder = make_study("ID,ORIG STUDY\n002,Study A \n", ["Study A/002.nii"])
    for template in ("{site}/{participant_id}.nii", "{ORIG STUDY}/{ID}.nii"):
        cohort = load_cohort(
            folder / "people.csv",
            maps={"stiffness": template},
            participant_id="ID",
            columns={"site": "ORIG STUDY"},
        )
        assert cohort.maps.loc["002", "stiffness"].endswith("Study A/002.nii")


def test_an_empty_column_in_a_file_name_is_named(make_study):
    folder = make_study("participant_id,session\n002,\n011,1\n", ["011_1.nii"])
    with pytest.raises(
        DataError, match=r"'002' \(row 2\): its file name needs the empty column ses"
    ):
        load_cohort(folder / "people.csv", maps={"stiffness": "{participant_id}_{session}.nii"})


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({}, "maps must name at least one map kind"),
        ("{participant_id}.nii", "maps must name at least one map kind"),
        ({"stiffness": []}, "file names of 'stiffness' must be a string or several"),
        ({"stiffness": "{participant}.nii"}, "uses 'participant'.*Did you mean 'participant_id'"),
        ({"stiffness": "{participant_id.nii"}, "cannot be read"),
        ({"stiffness": "{}.nii"}, "empty or converted field"),
        ({"stiffness": "{participant_id:03d}.nii"}, r"format '03d'.*\{participant_id:0>3\}"),
    ],
)
def test_impossible_templates_are_explained(make_study, maps, message):
    folder = make_study(TABLE, FILES)
    with pytest.raises(DataError, match=message):
        load_cohort(folder / "people.csv", maps=maps)


@pytest.mark.parametrize("argument", ["missing", "unlisted"])
def test_choices_are_checked(make_study, argument):
    folder = make_study(TABLE, FILES)
    with pytest.raises(ValueError, match=f"{argument} must be one of"):
        load_cohort(folder / "people.csv", maps=TEMPLATE, **{argument: "ignore"})


def test_people_who_are_predicted_may_lack_a_site(tmp_path):
    (tmp_path / "people.csv").write_text("ID,AGE,STUDY\n002,24,A\n011,31,\n")
    for name in ("002_mu.nii.gz", "011_mu.nii.gz"):
        (tmp_path / name).touch()
    arguments = {
        "maps": {"stiffness": "{participant_id}_mu.nii.gz"},
        "participant_id": "ID",
        "columns": {"age": "AGE", "site": "STUDY"},
    }
    with pytest.raises(DataError, match="site"):
        load_cohort(tmp_path / "people.csv", **arguments)
    cohort = load_cohort(tmp_path / "people.csv", unknown_sites=True, **arguments)
    assert cohort.participants.site.isna().tolist() == [False, True]
