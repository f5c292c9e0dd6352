"""scikit-learn's checks and ours, over every public estimator; none is expected to fail."""

import nibabel as nib
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

import mresklearn
from mresklearn import (
    ComBat,
    ContrastiveEncoder,
    DomainInvariantRegressor,
    MapLoader,
    MapMasker,
    MapScaler,
    NeurodegenerationClassifier,
    RegionalBrainAge,
    RegionAverager,
    RegionCropper,
    SiteProjector,
)
from mresklearn.utils.estimator_checks import (
    check_map_estimator,
    expected_failed_checks,
    parametrize_with_map_checks,
)

# for maps these need a label image, which test_map_checks_with_labels gives them
LABELLED = [RegionalBrainAge(), RegionAverager(), RegionCropper()]
INSTANCES = [
    *LABELLED,
    MapLoader(),
    MapScaler(),
    MapMasker(),
    SiteProjector(),
    ContrastiveEncoder(max_epochs=3, width=2, embedding_dim=4),
    DomainInvariantRegressor(
        # scikit-learn's targets are of unit variance, not years
        encoder=ContrastiveEncoder(sigma=0.3, max_epochs=8, width=8, random_state=0)
    ),
    NeurodegenerationClassifier(
        # a threshold that was set in folds is not the one that the checks compare with
        encoder=ContrastiveEncoder(max_epochs=4, width=4, random_state=0),
        threshold=0.5,
        cv=2,
    ),
]
# they take tables only
TABLES = [ComBat(site_column=None)]
VARIANTS = [
    ContrastiveEncoder(max_epochs=3, width=2, early_stopping=True, validation_fraction=0.3),
    MapMasker(coverage=1.0, fill=0.0),
]
LABELLED_VARIANTS = [
    RegionAverager(statistics=("median", "std", "coverage"), missing="nan"),
    RegionCropper(region=[1, 2], margin=1, mask=False),
]


def test_every_public_estimator_is_checked():
    public = {
        name
        for name in mresklearn.__all__
        if isinstance(getattr(mresklearn, name), type)
        and issubclass(getattr(mresklearn, name), BaseEstimator)
    }
    assert public == {type(estimator).__name__ for estimator in [*INSTANCES, *TABLES]}


# the checks know no sites
@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.SingleSiteWarning")
@parametrize_with_checks([*INSTANCES, *TABLES], expected_failed_checks=expected_failed_checks)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.SingleSiteWarning")
@parametrize_with_map_checks(INSTANCES[len(LABELLED) :] + VARIANTS)
def test_map_checks(estimator, check):
    check(type(estimator).__name__, estimator)


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Path of a label image with two regions, on the grid of the maps of our checks."""
    data = np.zeros((8, 8, 8), np.int16)
    data[1:4, 2:6, 2:6], data[4:7, 2:6, 2:6] = 1, 2
    path = tmp_path_factory.mktemp("atlas") / "labels.nii.gz"
    nib.Nifti1Image(data, np.diag([4.0, 4, 4, 1])).to_filename(path)
    return str(path)


@parametrize_with_map_checks(LABELLED + LABELLED_VARIANTS)
def test_map_checks_with_labels(estimator, check, labels):
    estimator.set_params(labels=labels)
    if isinstance(estimator, RegionCropper) and estimator.region is None:
        estimator.set_params(region=["region1"])
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
