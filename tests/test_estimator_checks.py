"""scikit-learn's checks and ours, over every public estimator; none is expected to fail."""

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

import mresklearn
from mresklearn import ContrastiveEncoder, MapLoader, MapMasker, MapScaler
from mresklearn.utils.estimator_checks import (
    check_map_estimator,
    expected_failed_checks,
    parametrize_with_map_checks,
)

INSTANCES = [
    MapLoader(),
    MapScaler(),
    MapMasker(),
    ContrastiveEncoder(max_epochs=3, width=2, embedding_dim=4),
]
VARIANTS = [
    ContrastiveEncoder(max_epochs=3, width=2, early_stopping=True, validation_fraction=0.3),
    MapMasker(coverage=1.0, fill=0.0),
]


def test_every_public_estimator_is_checked():
    public = {
        name
        for name in mresklearn.__all__
        if isinstance(getattr(mresklearn, name), type)
        and issubclass(getattr(mresklearn, name), BaseEstimator)
    }
    assert public == {type(estimator).__name__ for estimator in INSTANCES}


@parametrize_with_checks(INSTANCES, expected_failed_checks=expected_failed_checks)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@parametrize_with_map_checks(INSTANCES + VARIANTS)
def test_map_checks(estimator, check):
    check(type(estimator).__name__, estimator)


@pytest.mark.parametrize("estimator", INSTANCES, ids=lambda e: type(e).__name__)
def test_no_check_is_expected_to_fail(estimator):
    assert expected_failed_checks(estimator) == {}


class _Leaky(BaseEstimator):
    """Normalises by whoever is in the call: the mistake the checks exist for."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        import numpy as np

        values = np.asarray(X, dtype=np.float32)
        return (values - values.mean()).reshape(len(values), -1)


def test_the_suite_catches_an_estimator_that_looks_at_company():
    from mresklearn.utils.estimator_checks import check_company_does_not_matter

    with pytest.raises(AssertionError):
        check_company_does_not_matter("_Leaky", _Leaky())
    with pytest.raises(AssertionError):
        check_map_estimator(_Leaky())
