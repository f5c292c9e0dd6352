"""Diagnoses of any type: the same people are told apart, by labels of a plain type."""

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from mresklearn import NeurodegenerationClassifier
from mresklearn.estimators._diagnosis_labels import check_diagnoses, find_reference

SICK = np.arange(40) % 3 == 0
NAMES = np.where(SICK, "AD", "CN")

LABELS = {
    "int": (SICK.astype(int), "0", "int64"),
    "bool": (SICK, "False", "bool"),
    "float": (SICK.astype(float), "0", "float64"),
    "text": (NAMES, "CN", "<U2"),
    "list": (NAMES.tolist(), "CN", "<U2"),
    "object": (NAMES.astype(object), "CN", "object"),
    "Int64": (pd.Series(SICK).astype("Int64"), "0", "int64"),
    "Int8": (pd.Series(SICK).astype("Int8"), "0", "int8"),
    "boolean": (pd.Series(SICK).astype("boolean"), "False", "bool"),
    "Float64": (pd.Series(SICK.astype(float)).astype("Float64"), "0", "float64"),
    "string": (pd.Series(NAMES, dtype="string"), "CN", "object"),
    "category": (pd.Series(NAMES, dtype="category"), "CN", "object"),
    "category of int": (pd.Series(SICK.astype(int), dtype="category"), "0", "int64"),
    "extension array": (pd.array(SICK.astype(int), dtype="Int64"), "0", "int64"),
    "index": (pd.Index(NAMES), "CN", "object"),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_type_are_the_same_two_diagnoses(kind):
    y, reference, dtype = LABELS[kind]
    classes, codes = check_diagnoses(y, 40)
    assert classes.dtype == np.dtype(dtype)
    assert len(classes) == 2
    healthy = find_reference(classes, reference)
    np.testing.assert_array_equal(codes == healthy, ~SICK)


@pytest.mark.parametrize("kind", ["float", "Int64", "boolean", "string"])
def test_a_classifier_says_and_scores_labels_of_that_type(kind):
    y, reference, dtype = LABELS[kind]
    age = np.linspace(60, 90, 40)
    X = np.column_stack([age + 20 * SICK, np.sin(np.arange(40))])
    healthy = FrozenEstimator(Ridge().fit(X[~SICK], age[~SICK]))
    model = NeurodegenerationClassifier(
        brain_age=healthy, features=["gap"], reference=reference, cv=3, random_state=0
    ).fit(X, y, age=age)
    assert model.classes_.dtype == np.dtype(dtype)
    assert model.predict(X, age=age).dtype == np.dtype(dtype)
    assert model.score(X, y, age=age) == 1


@pytest.mark.parametrize("dtype", ["string", "object", "category"])
def test_a_missing_diagnosis_names_the_row(dtype):
    y = pd.Series(NAMES, dtype=dtype, index=[f"p{row}" for row in range(40)])
    y = y.mask(np.isin(np.arange(40), [3, 7]))
    with pytest.raises(ValueError, match="NaN in 2 of 40 rows: p3, p7"):
        check_diagnoses(y, 40)


@pytest.mark.parametrize(
    "y",
    [pd.Series([0, None, 1] * 4, dtype="Int64"), [0.0, np.nan, 1.0] * 4, ["AD", None, "CN"] * 4],
)
def test_missing_numbers_and_entries_of_lists_are_numbered(y):
    with pytest.raises(ValueError, match="NaN in 4 of 12 rows: 1, 4, 7, 10"):
        check_diagnoses(y, 12)


def test_labels_are_shown_as_one_would_write_them():
    with pytest.raises(ValueError, match="y has one class, 'CN': there"):
        check_diagnoses(np.array(["CN"] * 4), 4)
    model = NeurodegenerationClassifier(reference="healthy")
    with pytest.raises(ValueError, match=r"No diagnosis is 'healthy' among \['AD', 'CN'\]"):
        model.fit(np.zeros((40, 2)), NAMES)
