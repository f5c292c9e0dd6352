"""Checks that estimators of brain maps must pass, beside those of scikit-learn.

scikit-learn's checks see 2-D features alone. These see what users give: lazy arrays of maps, NIfTI
files, memmaps, and rows that carry their site.
"""

from __future__ import annotations

import pickle
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_classifier

from ..maps import MapArray

__all__ = [
    "check_map_estimator",
    "expected_failed_checks",
    "map_estimator_checks",
    "parametrize_with_map_checks",
]

Check = Callable[[str, BaseEstimator], None]

_N_PEOPLE = 12
_SHAPE = (8, 8, 8)


def expected_failed_checks(estimator: BaseEstimator) -> dict[str, str]:
    """Return the checks of scikit-learn that an estimator is known to fail, each with its reason.

    This is the only place for such exceptions. There are none.

    Parameters
    ----------
    estimator : estimator
        Any public estimator of mresklearn.

    Returns
    -------
    exceptions : dict
        Name of the check -> why it fails and which check of ours replaces it.

    Examples
    --------
    >>> from mresklearn import MapScaler
    >>> from mresklearn.utils.estimator_checks import expected_failed_checks
    >>> expected_failed_checks(MapScaler())
    {}
    """
    return {}


def map_estimator_checks(estimator: BaseEstimator) -> Iterator[tuple[BaseEstimator, Check]]:
    """Yield each check with a clone of the estimator.

    Parameters
    ----------
    estimator : estimator
        Takes maps in `fit`, and has `transform` or `predict`. Give small settings: the checks fit
        it many times on 12 people of 8 x 8 x 8 voxels.

    Yields
    ------
    estimator, check : estimator, callable
        Call ``check(name, estimator)``; it raises AssertionError when it fails.
    """
    for check in _CHECKS:
        yield clone(estimator), check


def check_map_estimator(estimator: BaseEstimator) -> None:
    """Run all checks for estimators of maps, and raise at the first that fails.

    Parameters
    ----------
    estimator : estimator
        Takes maps in `fit`, and has `transform` or `predict`.

    Raises
    ------
    AssertionError
        If a check fails.

    Examples
    --------
    >>> from mresklearn import MapScaler
    >>> from mresklearn.utils.estimator_checks import check_map_estimator
    >>> check_map_estimator(MapScaler())
    """
    for copy, check in map_estimator_checks(estimator):
        check(type(estimator).__name__, copy)


def parametrize_with_map_checks(estimators: list[BaseEstimator]) -> Any:
    """Return a pytest decorator that runs every check on every estimator as a test of its own.

    Parameters
    ----------
    estimators : list of estimator
        Estimators with small settings.

    Returns
    -------
    decorator : pytest mark
        For a test function with arguments ``estimator`` and ``check``.
    """
    import pytest

    cases = [
        pytest.param(copy, check, id=f"{type(copy).__name__}-{check.__name__}")
        for estimator in estimators
        for copy, check in map_estimator_checks(estimator)
    ]
    return pytest.mark.parametrize(("estimator", "check"), cases)


def _people(channels: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return maps with a background of zeros, ages and sites."""
    rng = np.random.default_rng(0)
    maps = np.zeros((_N_PEOPLE, channels, *_SHAPE), np.float32)
    brain = (slice(None), slice(None), slice(1, 7), slice(1, 7), slice(1, 7))
    maps[brain] = rng.uniform(2.0, 4.0, size=maps[brain].shape)
    age = rng.uniform(20, 80, size=_N_PEOPLE)
    site = np.array(["Delaware", "Edinburgh", "Mayo"])[np.arange(_N_PEOPLE) % 3]
    return maps, age, site


def _fit(estimator: BaseEstimator, X: Any, y: np.ndarray, **metadata: Any) -> BaseEstimator:
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    if is_classifier(estimator):
        y = np.where(y > 50, "AD", "CN")
    return estimator.fit(X, y, **metadata)


def _output(estimator: BaseEstimator, X: Any) -> np.ndarray:
    method = estimator.transform if hasattr(estimator, "transform") else estimator.predict
    return np.asarray(method(X))


def _assert_close(actual: np.ndarray, desired: np.ndarray) -> None:
    np.testing.assert_allclose(actual, desired, rtol=1e-4, atol=1e-5)


def _assert_raises(message: str, call: Callable[[], Any]) -> str:
    try:
        call()
    except ValueError as error:
        return str(error)
    raise AssertionError(message)


def check_fit_twice_is_equal(name: str, estimator: BaseEstimator) -> None:
    """Check that two fits with one seed give the same output, bit for bit."""
    X, y, _ = _people()
    first = _output(_fit(estimator, X, y), X)
    np.testing.assert_array_equal(_output(_fit(clone(estimator), X, y), X), first)


def check_order_does_not_matter(name: str, estimator: BaseEstimator) -> None:
    """Check that output rows follow input rows."""
    X, y, _ = _people()
    order = np.random.default_rng(1).permutation(_N_PEOPLE)
    _fit(estimator, X, y)
    _assert_close(_output(estimator, X[order]), _output(estimator, X)[order])


def check_company_does_not_matter(name: str, estimator: BaseEstimator) -> None:
    """Check that one person alone gets what they get in a group."""
    X, y, _ = _people()
    _fit(estimator, X, y)
    alone = np.concatenate([_output(estimator, X[row : row + 1]) for row in range(_N_PEOPLE)])
    _assert_close(alone, _output(estimator, X))


def check_pickle(name: str, estimator: BaseEstimator) -> None:
    """Check that a pickled estimator gives the same output."""
    X, y, _ = _people()
    _fit(estimator, X, y)
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(_output(copy, X), _output(estimator, X))


def check_clone_is_unfitted(name: str, estimator: BaseEstimator) -> None:
    """Check that a clone has the parameters and nothing that was learned."""
    X, y, _ = _people()
    _fit(estimator, X, y)
    copy = clone(estimator)
    plain = [
        {key: value for key, value in one.get_params().items() if not hasattr(value, "get_params")}
        for one in (copy, estimator)
    ]
    assert plain[0] == plain[1]
    learned = [key for key in vars(copy) if key.endswith("_")]
    assert not learned, f"{name}: clone carries {learned}"


def check_float64_input(name: str, estimator: BaseEstimator) -> None:
    """Check that input in float64 gives the output of float32, as float32."""
    X, y, _ = _people()
    single = _output(_fit(estimator, X, y), X)
    double = _output(_fit(clone(estimator), X.astype(np.float64), y), X.astype(np.float64))
    assert double.dtype == single.dtype == np.float32, f"{name}: {double.dtype}, {single.dtype}"
    _assert_close(double, single)


def check_paths_equal_arrays(name: str, estimator: BaseEstimator) -> None:
    """Check that NIfTI paths and images give the output of the array that they hold."""
    X, y, _ = _people(channels=1)
    images = [nib.Nifti1Image(sample[0], np.diag([4.0, 4, 4, 1])) for sample in X]
    expected = _output(_fit(estimator, X, y), X)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"sub-{row:02d}.nii.gz" for row in range(_N_PEOPLE)]
        for image, path in zip(images, paths, strict=True):
            image.to_filename(path)
        for form in (paths, pd.DataFrame({"stiffness": paths}), images):
            _assert_close(_output(_fit(clone(estimator), form, y), form), expected)


def check_lazy_rows_equal_arrays(name: str, estimator: BaseEstimator) -> None:
    """Check that a slice of a MapArray gives the output of the same rows of an array."""
    X, y, _ = _people()
    rows = np.array([7, 1, 4, 10, 2, 0])
    expected = _output(_fit(estimator, X[rows], y[rows]), X)
    lazy = MapArray.from_array(X)
    _assert_close(_output(_fit(clone(estimator), lazy[rows], y[rows]), lazy), expected)


def check_wrong_shape(name: str, estimator: BaseEstimator) -> None:
    """Check that samples of another shape raise an error that names both shapes."""
    X, y, _ = _people()
    _fit(estimator, X, y)
    other = X[:, :, :6]
    text = _assert_raises(
        f"{name} accepts maps of another shape than in fit", lambda: _output(estimator, other)
    )
    for shape in (X.shape[1:], other.shape[1:]):
        assert str(shape) in text, f"{name}: the error does not name {shape}: {text}"


def check_nan_map(name: str, estimator: BaseEstimator) -> None:
    """Check that a map with NaN raises an error that names its row."""
    X, y, _ = _people()
    X[5, 0, 3, 3, 3] = np.nan
    text = _assert_raises(
        f"{name} accepts a map with NaN", lambda: _output(_fit(estimator, X, y), X)
    )
    assert "row 5" in text, f"{name}: the error does not name the row: {text}"


def check_read_only_memmap(name: str, estimator: BaseEstimator) -> None:
    """Check that a read-only memmap on disk gives the output of the array."""
    X, y, _ = _people()
    expected = _output(_fit(estimator, X, y), X)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "maps.npy"
        np.save(path, X)
        memmap = np.load(path, mmap_mode="r")
        np.testing.assert_array_equal(_output(_fit(clone(estimator), memmap, y), memmap), expected)


def check_global_random_state(name: str, estimator: BaseEstimator) -> None:
    """Check that the global streams of Python, NumPy and torch stay as they were."""
    import torch

    X, y, _ = _people()
    before = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    _output(_fit(estimator, X, y), X)
    assert random.getstate() == before[0], f"{name} moves Python's random state"
    after = np.random.get_state()  # noqa: NPY002
    assert str(after) == str(before[1]), f"{name} moves NumPy's global random state"
    assert torch.equal(torch.get_rng_state(), before[2]), f"{name} moves torch's random state"


def check_site_keyword_equals_rows(name: str, estimator: BaseEstimator) -> None:
    """Check that site as a keyword of fit equals site that rides with the rows."""
    if not _takes_site(estimator):
        return
    X, y, site = _people()
    order = np.random.default_rng(2).permutation(_N_PEOPLE)
    riding = MapArray.from_array(X, metadata=pd.DataFrame({"site": site}))[order]
    by_keyword = _fit(estimator, X[order], y[order], site=site[order])
    by_rows = _fit(clone(estimator), riding, y[order])
    np.testing.assert_array_equal(by_rows.sites_, by_keyword.sites_)
    np.testing.assert_array_equal(_output(by_rows, riding), _output(by_keyword, X[order]))


def check_site_must_fit(name: str, estimator: BaseEstimator) -> None:
    """Check that sites of another length or with gaps raise an error."""
    if not _takes_site(estimator):
        return
    X, y, site = _people()
    _assert_raises(f"{name} accepts too few sites", lambda: _fit(estimator, X, y, site=site[:-1]))
    gap = site.astype(object)
    gap[4] = None
    text = _assert_raises(f"{name} accepts a missing site", lambda: _fit(estimator, X, y, site=gap))
    assert "4" in text, f"{name}: the error does not name the row: {text}"


def _takes_site(estimator: BaseEstimator) -> bool:
    return bool(estimator.get_metadata_routing().fit.requests.get("site"))


_CHECKS: tuple[Check, ...] = (
    check_fit_twice_is_equal,
    check_order_does_not_matter,
    check_company_does_not_matter,
    check_pickle,
    check_clone_is_unfitted,
    check_float64_input,
    check_paths_equal_arrays,
    check_lazy_rows_equal_arrays,
    check_wrong_shape,
    check_nan_map,
    check_read_only_memmap,
    check_global_random_state,
    check_site_keyword_equals_rows,
    check_site_must_fit,
)
