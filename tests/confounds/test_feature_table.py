import numpy as np
import pandas as pd
import pytest

from mresklearn.confounds._feature_table import as_feature_table, as_prediction
from mresklearn.maps import MapArray, MapMasker

PEOPLE = pd.DataFrame({"age": np.arange(6.0)}, index=list("abcdef"))


def test_columns_are_centred_and_what_cannot_be_used_is_counted():
    X = np.random.default_rng(0).normal(7, 2, size=(6, 5))
    X[:, 1] = 3.0
    X[2, 2] = np.nan
    X[4] = np.nan
    table = as_feature_table(X, PEOPLE, "X")
    kept = [0, 1, 2, 3, 5]
    np.testing.assert_array_equal(table.rows, kept)
    expected = X[kept][:, [0, 3, 4]]
    np.testing.assert_allclose(table.values, expected - expected.mean(axis=0), atol=1e-5)
    assert table.values.dtype == np.float32
    assert table.note == (
        "1 person without any value left out; 1 column with missing values left out; "
        "1 constant column left out"
    )


def test_whole_numbers_with_gaps_are_features():
    X = pd.DataFrame({"left": pd.array([1, 2, None, 4, 5, 6], dtype="Int64"), "right": range(6)})
    table = as_feature_table(X, PEOPLE, "X")
    assert table.note == "1 column with missing values left out"
    np.testing.assert_array_equal(table.values, np.arange(6.0)[:, None] - 2.5)


def test_columns_of_very_different_units_are_kept():
    X = np.random.default_rng(0).normal(size=(6, 2)) * [1e6, 1e-3] + [1e7, 2.5e-3]
    assert as_feature_table(X, PEOPLE, "X").n_features == 2


def test_the_input_is_not_changed():
    X = np.ones((6, 3), np.float32) + np.eye(6, 3, dtype=np.float32)
    X.setflags(write=False)
    as_feature_table(X, PEOPLE, "X")


def test_maps_become_the_voxels_that_most_people_have():
    rng = np.random.default_rng(0)
    array = rng.uniform(1, 3, size=(6, 2, 3, 3, 3)).astype(np.float32)
    array[:, :, 0] = 0
    array[:3, :, 1, 0] = 0
    maps = MapArray.from_array(array, participants=PEOPLE.index)
    expected = MapMasker().fit_transform(maps)
    for X in (maps, array):
        table = as_feature_table(X, PEOPLE, "X")
        np.testing.assert_allclose(table.values, expected - expected.mean(axis=0), atol=1e-6)
    assert as_feature_table(array[:, 0], PEOPLE, "X").n_features == expected.shape[1] / 2


def test_people_in_another_order_are_refused():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(6, 2)), index=PEOPLE.index)
    assert as_feature_table(X, PEOPLE, "X").n_features == 2
    with pytest.raises(ValueError, match=r"X are the same people in another order.*first at row 0"):
        as_feature_table(X[::-1], PEOPLE, "X")
    with pytest.raises(ValueError, match="embedding are other people"):
        as_feature_table(X.rename({"c": "z"}), PEOPLE, "embedding")
    maps = MapArray.from_array(np.ones((6, 2, 2, 2)), participants=list("fedcba"))
    with pytest.raises(ValueError, match=r"participants.loc\[maps.participants\]"):
        as_feature_table(maps, PEOPLE, "X")
    with pytest.raises(ValueError, match="prediction are the same people in another order"):
        as_prediction(pd.Series(np.arange(6.0), index=PEOPLE.index[::-1]), PEOPLE)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((5, 2)), "X has 5 rows, but participants has 6"),
        (np.zeros((6, 2, 2)), "must have shape"),
        (np.full((6, 2), "a"), "must hold numbers"),
    ],
)
def test_features_that_cannot_be_used(X, message):
    with pytest.raises(ValueError, match=message):
        as_feature_table(X, PEOPLE, "X")


def test_predictions_are_one_number_a_person():
    np.testing.assert_array_equal(
        as_prediction([[1], [2], [np.inf], [4], [5], [np.nan]], PEOPLE),
        [1, 2, np.nan, 4, 5, np.nan],
    )
    whole = pd.Series([1, 2, None, 4, 5, None], index=PEOPLE.index)
    for dtype in ("Int64", "Float64", object):
        found = as_prediction(whole.astype("Int64").astype(dtype), PEOPLE)
        np.testing.assert_array_equal(found, [1, 2, np.nan, 4, 5, np.nan])
    with pytest.raises(ValueError, match="prediction must hold numbers"):
        as_prediction(list("abcdef"), PEOPLE)
    with pytest.raises(ValueError, match="one number for each of the 6"):
        as_prediction(np.zeros((6, 2)), PEOPLE)
