"""A cohort cannot be made of tables that do not belong together."""

import copy
import pickle
from pathlib import Path

import pandas as pd
import pytest

from mresklearn.datasets import Cohort
from mresklearn.exceptions import DataError


def tables(ids=("001", "002", "003")):
    maps = pd.DataFrame({"stiffness": [f"{person}.nii.gz" for person in ids]}, index=list(ids))
    participants = pd.DataFrame({"age": [20.0 + k for k in range(len(ids))]}, index=list(ids))
    return maps, participants


def test_parts_are_attributes_and_keys():
    maps, participants = tables()
    cohort = Cohort(maps, participants, "about", truth=1)
    assert cohort.maps.equals(cohort["maps"])
    assert cohort.participants.index.name == cohort.maps.index.name == "participant_id"
    assert cohort.description == "about"
    assert cohort.truth == 1


def test_the_tables_given_are_left_alone():
    maps, participants = tables()
    Cohort(maps, participants)
    assert maps.index.name is None
    assert participants.index.name is None


def test_paths_become_strings():
    maps, participants = tables()
    maps["stiffness"] = [Path(name) for name in maps["stiffness"]]
    assert Cohort(maps, participants).maps["stiffness"].tolist() == [
        "001.nii.gz",
        "002.nii.gz",
        "003.nii.gz",
    ]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_and_pickles_are_cohorts(duplicate):
    again = duplicate(Cohort(*tables()))
    assert isinstance(again, Cohort)
    assert again.maps.equals(Cohort(*tables()).maps)


def test_repr_is_one_line_with_the_essentials():
    maps, participants = tables()
    participants["site"] = ["A", "B", "B"]
    assert repr(Cohort(maps, participants)) == (
        "Cohort(3 participants, maps: stiffness, 2 sites, ages 20-22)"
    )
    dropped = pd.DataFrame({"participant_id": ["004"], "reason": ["no file"]})
    assert "1 dropped" in repr(Cohort(maps, participants, dropped=dropped))


def test_ids_that_are_numbers_are_refused():
    maps, participants = tables()
    with pytest.raises(DataError, match=r"participants .*strings.*: 1; 2; 3.*astype\(str\)"):
        Cohort(maps, participants.set_axis([1, 2, 3]))


def test_repeated_ids_are_named():
    maps, participants = tables(("001", "002", "001"))
    with pytest.raises(DataError, match=r"maps repeats participant ids: '001'\."):
        Cohort(maps, participants)


def test_different_ids_are_named_on_both_sides():
    maps, _ = tables(("001", "002"))
    _, participants = tables(("002", "003"))
    with pytest.raises(DataError, match=r"Only in maps: '001'\. Only in participants: '003'\."):
        Cohort(maps, participants)


def test_another_order_is_refused_because_ages_would_be_swapped():
    maps, participants = tables()
    with pytest.raises(DataError, match=r"different order.*'001'; '003'.*\.loc\[maps\.index\]"):
        Cohort(maps, participants[::-1])


def test_a_missing_path_is_named():
    maps, participants = tables()
    maps.loc["002", "stiffness"] = None
    with pytest.raises(DataError, match="'stiffness' of maps has no path for participants '002'"):
        Cohort(maps, participants)


def test_no_map_kind_is_refused():
    maps, participants = tables()
    with pytest.raises(DataError, match="maps has no column"):
        Cohort(maps[[]], participants)


def test_anything_but_a_frame_is_refused():
    with pytest.raises(DataError, match=r"maps must be a pandas DataFrame.*not list.*load_cohort"):
        Cohort(["a.nii"], tables()[1])


def test_long_lists_of_offenders_are_cut_with_a_count():
    maps, participants = tables([f"{k:03d}" for k in range(40)])
    with pytest.raises(DataError, match=r"and 28 more \(38 in all\)"):
        Cohort(maps.iloc[:2], participants)
