"""MapArray: scikit-learn slices it, and only what is asked for is read."""

import pickle
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, train_test_split
from sklearn.utils import _safe_indexing

from mresklearn import MapArray
from mresklearn.exceptions import DataError


@dataclass
class CountingSource:
    array: np.ndarray
    reads: list = field(default_factory=list)

    @property
    def shape(self):
        return self.array.shape

    def read(self, row):
        self.reads.append(row)
        return self.array[row]

    def take(self, rows):
        return CountingSource(self.array[rows])


@pytest.fixture
def array():
    return np.random.default_rng(0).normal(size=(10, 2, 3, 4, 5)).astype(np.float32)


@pytest.fixture
def counted(array):
    metadata = pd.DataFrame({"site": list("AABBCCDDEE")})
    return MapArray(CountingSource(array), channels=("stiffness", "t1"), metadata=metadata)


def test_folds_and_splits_read_nothing(counted):
    for train, test in KFold(5).split(counted):
        assert len(counted[train]) + len(counted[test]) == 10
    train_test_split(counted, random_state=0)
    _safe_indexing(counted, [1, 2])
    _safe_indexing(counted, np.arange(10) > 4)
    assert counted._source.reads == []


@pytest.mark.parametrize(
    "key",
    [
        slice(2, 8, 3),
        [4, 4, 1],
        np.array([-1, 0]),
        np.arange(10) % 2 == 0,
        (np.array([3]), Ellipsis),
        [],
    ],
    ids=str,
)
def test_row_keys_mean_what_numpy_means(counted, array, key):
    rows = key[0] if isinstance(key, tuple) else key
    rows = np.array(rows, dtype=int) if isinstance(rows, list) else rows
    np.testing.assert_array_equal(np.asarray(counted[key]), array[rows])
    assert list(counted[key].metadata.site) == list(counted.metadata.site.to_numpy()[rows])


def test_an_integer_reads_one_row(counted, array):
    np.testing.assert_array_equal(counted[3], array[3])
    np.testing.assert_array_equal(counted[-1], array[-1])
    assert counted._source.reads == [3, 9]


def test_rows_only(counted):
    with pytest.raises(IndexError, match="row only"):
        counted[:, 0]
    with pytest.raises(IndexError):
        counted[10]


def test_slices_of_slices(counted, array):
    np.testing.assert_array_equal(np.asarray(counted[2:9][[1, 3]]), array[[3, 5]])


def test_steps_apply_on_reading_and_leave_the_original(counted, array):
    doubled = counted.with_step(lambda sample: sample * 2).with_step(lambda sample: sample + 1)
    np.testing.assert_allclose(np.asarray(doubled[4:6]), array[4:6] * 2 + 1)
    np.testing.assert_array_equal(np.asarray(counted[4:6]), array[4:6])


def test_a_pickled_fold_carries_only_its_rows(array):
    maps = MapArray.from_array(np.repeat(array, 50, axis=0))
    fold = maps[[3, 400]]
    copy = pickle.loads(pickle.dumps(fold))
    np.testing.assert_array_equal(np.asarray(copy), np.asarray(fold))
    assert list(copy.participants) == [3, 400]
    assert len(pickle.dumps(fold)) < len(pickle.dumps(maps)) / 50


def test_shapes_types_and_sizes(counted):
    assert counted.shape == (10, 2, 3, 4, 5)
    assert counted.ndim == 5
    assert len(counted) == 10
    assert counted.nbytes == np.asarray(counted).nbytes
    assert np.asarray(counted, dtype=np.float64).dtype == np.float64
    assert "stiffness, t1" in repr(counted)


def test_four_dimensions_are_one_channel():
    assert MapArray.from_array(np.ones((3, 2, 2, 2))).shape == (3, 1, 2, 2, 2)
    with pytest.raises(ValueError, match=r"shape \(n, x, y, z\)"):
        MapArray.from_array(np.ones((3, 2, 2)))
    with pytest.raises(ValueError, match="2 channel names"):
        MapArray.from_array(np.ones((3, 2, 2, 2)), channels=["a", "b"])


def test_a_nan_is_named_by_row(array):
    array[6, 0, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="row 6 contains NaN"):
        np.asarray(MapArray.from_array(array))


def test_a_memmap_is_not_copied_by_folds(tmp_path, array):
    np.save(tmp_path / "maps.npy", array)
    memmap = np.load(tmp_path / "maps.npy", mmap_mode="r")
    fold = MapArray.from_array(memmap)[[1, 2]][[0]]
    assert fold._source.array is memmap


@pytest.mark.parametrize("given", ["metadata", "participants"])
@pytest.mark.parametrize("number", [9, 11])
def test_one_line_for_each_map(array, given, number):
    values = {"metadata": pd.DataFrame({"site": range(number)}), "participants": range(number)}
    with pytest.raises(ValueError, match=f"{given} has {number} entries, but there are 10 maps"):
        MapArray.from_array(array, **{given: values[given]})
