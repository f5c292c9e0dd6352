"""Labels of rows: the same text for the same code, whoever else is in the call."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mresklearn._metadata import check_labels, label_text, labels_as_text

LABELS = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([0.0, 1.0, -2.0, 1.5, np.float32(3.0), np.float64(4.0), np.int8(1), True]),
    st.sampled_from(["Mayo", "Mayo ", "1", "1.0", "2"]),
)


def names_of(values):
    codes, names = check_labels(values, len(values), name="site")
    return [names[code] for code in codes]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"), (1.0, "1"), (np.float32(1), "1"), (np.int64(1), "1"), (-0.0, "0"), (1.5, "1.5"),
        (2.0**53, "9007199254740992.0"), (90071992547409931, "90071992547409931"),
        (np.inf, "inf"), ("1", "1"), ("1.0", "1.0"), (" Mayo ", "Mayo"), (True, "True"),
    ],
)  # fmt: skip
def test_a_whole_number_is_one_label_and_text_stays_as_it_is(value, text):
    assert label_text(value) == text


@given(st.lists(LABELS, min_size=1, max_size=20), st.data())
def test_any_choice_of_rows_has_the_labels_of_the_whole(values, data):
    labels = np.array(values, dtype=object)
    rows = data.draw(st.lists(st.integers(0, len(labels) - 1), min_size=1, max_size=20))
    assert names_of(labels[rows]) == [names_of(labels)[row] for row in rows]


def test_a_column_that_became_floats_has_the_sites_of_whole_numbers():
    whole, fraction = np.array([1, 2, 3, 1]), np.array([1.0, 2.0, 2.5, 1.0])
    for kind in (float, np.float32, str, object, "Int64", "category"):
        assert names_of(pd.Series(whole).astype(kind)) == ["1", "2", "3", "1"]
    assert names_of(fraction) == ["1", "2", "2.5", "1"]


def test_what_is_missing_stays_missing():
    text, missing = labels_as_text(["a", "", "  ", "nan", None, np.nan, pd.NA, 1.0])
    assert missing.tolist() == [False, *[True] * 6, False]
    assert text[[0, -1]].tolist() == ["a", "1"]
