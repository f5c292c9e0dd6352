"""Baselines see a confound and nothing else, and agree with what can be computed by hand."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from mresklearn import (
    LeaveOneSiteOut,
    MapArray,
    MapLoader,
    RegionAverager,
    StratifiedSiteKFold,
    fetch_mre134,
)
from mresklearn.baselines import (
    BrainCoverage,
    BrainMask,
    BrainVolume,
    CoverageRegressor,
    HeadSizeRegressor,
    MaskOnlyRegressor,
    SiteMeanRegressor,
)
from mresklearn.exceptions import MissingMetadataError, SingleSiteWarning
from mresklearn.utils.estimator_checks import (
    check_nan_map,
    check_site_keyword_equals_rows,
    parametrize_with_map_checks,
)

OF_MAPS = [
    BrainMask(),
    BrainCoverage(n_blocks=2),
    BrainVolume(),
    MaskOnlyRegressor(),
    CoverageRegressor(n_blocks=2),
    HeadSizeRegressor(),
]
REGRESSORS = [MaskOnlyRegressor(), CoverageRegressor(n_blocks=3), HeadSizeRegressor()]
SITE = np.repeat(["Delaware", "Mayo", "Utah"], [12, 8, 10])


@pytest.fixture
def maps():
    """Thirty people with holes of random size in the corner of the field of view."""
    rng = np.random.default_rng(0)
    values = rng.uniform(2, 4, size=(30, 2, 6, 6, 6))
    for person, size in enumerate(rng.integers(0, 4, 30)):
        values[person, :, :size, :size, :size] = 0
    return values


@pytest.fixture
def age():
    return np.random.default_rng(1).uniform(20, 80, 30)


# nothing but the confound


@pytest.mark.parametrize("estimator", OF_MAPS, ids=lambda e: type(e).__name__)
def test_values_inside_the_brain_do_not_matter(estimator, maps, age):
    other = np.where(maps != 0, np.random.default_rng(2).uniform(1, 9, maps.shape), 0)
    method = "transform" if hasattr(estimator, "transform") else "predict"
    expected = getattr(estimator.fit(maps, age), method)(maps)
    np.testing.assert_array_equal(getattr(estimator, method)(other), expected)
    np.testing.assert_array_equal(getattr(estimator.fit(other, age), method)(maps), expected)


@pytest.mark.parametrize("estimator", REGRESSORS, ids=lambda e: type(e).__name__)
def test_equal_masks_predict_the_mean(estimator, age):
    maps = np.random.default_rng(2).uniform(1, 9, (30, 1, 4, 4, 4))
    maps[:, :, 0] = 0
    np.testing.assert_allclose(estimator.fit(maps, age).predict(maps), age.mean(), rtol=1e-6)
    assert estimator.alpha_ == np.inf


@pytest.mark.parametrize("estimator", REGRESSORS, ids=lambda e: type(e).__name__)
def test_a_confound_that_tells_age_is_found(estimator):
    rng = np.random.default_rng(0)
    maps, age = np.ones((60, 1, 9, 3, 3)), rng.uniform(20, 80, 60)
    for person in range(60):
        maps[person, 0, int(age[person] // 10) :] = 0
    error = np.abs(cross_val_predict(estimator, maps, age, cv=5) - age).mean()
    assert error < 4, "steps of ten years leave an error of 2.5"


# transformers


def test_mask_keeps_the_voxels_that_anybody_has(maps):
    maps[:, :, 5] = 0
    masks = BrainMask().fit(maps)
    brain = (maps != 0).any(axis=1)
    np.testing.assert_array_equal(masks.voxels_, brain.any(axis=0))
    np.testing.assert_array_equal(masks.transform(maps), brain[:, brain.any(axis=0)])
    assert masks.get_feature_names_out()[0] == "voxel0_0_0"


def test_a_voxel_is_brain_where_any_channel_is():
    maps = np.zeros((1, 2, 2, 2, 2))
    maps[0, 1, 0, 0, 1] = 0.2
    assert BrainMask().fit_transform(maps).sum() == BrainVolume().fit_transform(maps)[0, 0] == 1


@given(side=st.integers(1, 7), n_blocks=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_blocks_weighted_by_size_add_up_to_the_volume(side, n_blocks):
    maps = np.random.default_rng(side).integers(0, 2, (3, 1, side, side + 1, 3)).astype(float)
    coverage = BrainCoverage(n_blocks=n_blocks).fit(maps)
    shares = coverage.transform(maps)
    assert ((shares >= 0) & (shares <= 1)).all()
    np.testing.assert_allclose(
        shares @ coverage._sizes, BrainVolume().fit_transform(maps).ravel(), rtol=1e-5
    )


def test_blocks_by_hand():
    maps = np.zeros((1, 1, 4, 4, 2))
    maps[0, 0, :2, 2:] = 1  # first half of x, second half of y
    coverage = BrainCoverage(n_blocks=2).fit(maps)
    shares = dict(zip(coverage.get_feature_names_out(), coverage.transform(maps)[0], strict=True))
    assert {name for name, share in shares.items() if share} == {"block0_1_0", "block0_1_1"}


def test_regions_are_those_of_the_region_averager(maps):
    labels = np.zeros((6, 6, 6), np.int16)
    labels[:3, :3, :3], labels[3:] = 1, 2
    atlas = nib.Nifti1Image(labels, np.eye(4))
    images = [nib.Nifti1Image(person[0].astype(np.float32), np.eye(4)) for person in maps]
    loaded = MapLoader(cache=None).fit_transform(pd.DataFrame({"stiffness": images}))
    ours = BrainCoverage(labels=atlas).fit(loaded)
    theirs = RegionAverager(labels=atlas, statistics=("coverage",))
    np.testing.assert_array_equal(ours.transform(loaded), theirs.fit_transform(loaded))
    assert list(ours.get_feature_names_out()) == ["region1_coverage", "region2_coverage"]
    model = CoverageRegressor(labels=atlas, regions=["region1"]).fit(loaded, np.arange(30.0))
    assert model.coef_.shape == (1,)


def test_head_size_from_maps_is_the_number_of_voxels(maps):
    counted = (maps != 0).any(axis=1).sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(BrainVolume().fit_transform(maps).ravel(), counted)


@pytest.mark.parametrize("form", ["frame", "maps"])
def test_head_size_from_a_column(form, maps, age):
    size = pd.Series(1500 + 3 * age, name="eTIV")
    people = pd.DataFrame({"eTIV": size, "path": "nowhere.nii.gz"})
    X = people if form == "frame" else MapArray.from_array(maps, metadata=people[["eTIV"]])
    model = HeadSizeRegressor(column="eTIV").fit(X, age)
    expected = LinearRegression().fit(size.to_frame(), age)
    np.testing.assert_allclose(model.predict(X), expected.predict(size.to_frame()), atol=0.1)
    assert model.confound_.get_feature_names_out() == ["eTIV"]


def test_a_missing_head_size_is_named(maps, age):
    people = pd.DataFrame({"eTIV": np.full(30, 1500.0)}, index=[f"sub-{i:02d}" for i in range(30)])
    people.iloc[7] = np.nan
    with pytest.raises(ValueError, match="no number in 1 of 30 rows: sub-07"):
        HeadSizeRegressor(column="eTIV").fit(people, age)
    with pytest.raises(MissingMetadataError, match=r"carry \['eTIV'\]. Load maps with MapLoader"):
        HeadSizeRegressor(column="volume").fit(people, age)
    with pytest.raises(MissingMetadataError, match="carry no metadata"):
        HeadSizeRegressor(column="eTIV").fit(maps, age)


# ridge


def test_ridge_is_that_of_scikit_learn_with_its_penalty_left_one_out(maps, age):
    age = age + 20 * (maps[:, 0, 0, 0, 0] == 0)
    model = MaskOnlyRegressor().fit(maps, age)
    masks = BrainMask().fit_transform(maps).astype(float)
    centred = masks - masks.mean(axis=0)
    unit = np.mean(np.sum(centred**2, axis=1))
    expected = Ridge(alpha=model.alpha_ * unit).fit(masks, age)
    np.testing.assert_allclose(model.predict(maps), expected.predict(masks), rtol=1e-4)

    def error(alpha):
        ridge = Ridge(alpha=alpha * unit)
        return np.mean((cross_val_predict(ridge, centred, age, cv=LeaveOneOut()) - age) ** 2)

    assert error(model.alpha_) < min(error(model.alpha_ * 4), error(model.alpha_ / 4)) * 1.02


# site mean


def studies():
    rng = np.random.default_rng(0)
    mean = pd.Series({"Delaware": 30, "Mayo": 60, "Utah": 45})
    table = pd.DataFrame({"site": SITE, "stiffness": [f"{i}.nii.gz" for i in range(30)]})
    return table, mean[SITE].to_numpy() + rng.normal(0, 5, 30)


def test_site_mean_is_the_grouped_mean_and_reads_no_file():
    table, age = studies()
    model = SiteMeanRegressor().fit(table, age)
    expected = pd.Series(age).groupby(SITE).transform("mean")
    np.testing.assert_allclose(model.predict(table), expected, rtol=1e-6)
    assert list(model.sites_) == ["Delaware", "Mayo", "Utah"]


def test_a_new_site_gets_the_overall_mean():
    table, age = studies()
    model = SiteMeanRegressor().fit(table, age)
    row = table.iloc[[0]].assign(site="Edinburgh")
    assert model.predict(row)[0] == pytest.approx(age.mean())


@pytest.mark.parametrize("routing", [False, True])
def test_site_as_a_keyword_equals_site_with_the_rows(maps, routing):
    table, age = studies()
    rows = MapArray.from_array(maps, metadata=table[["site"]])
    with sklearn.config_context(enable_metadata_routing=routing):
        riding = SiteMeanRegressor().fit(rows, age).predict(rows)
        keyword = SiteMeanRegressor().fit(maps, age, site=SITE).predict(maps, site=SITE)
    np.testing.assert_array_equal(riding, keyword)


def test_maps_are_never_read(maps):
    maps[3] = np.nan  # which reading refuses
    table, age = studies()
    rows = MapArray.from_array(maps, metadata=table[["site"]])
    assert np.isfinite(SiteMeanRegressor().fit(rows, age).predict(rows)).all()


def test_rows_without_site_are_refused_where_sites_were_learned(maps, age):
    model = SiteMeanRegressor().fit(maps, age, site=SITE)
    with pytest.raises(MissingMetadataError, match="needs the site of each row to predict"):
        model.predict(maps)


def test_without_site_everybody_gets_the_mean_and_it_says_so(maps, age):
    with pytest.warns(SingleSiteWarning, match="overall mean for everybody"):
        model = SiteMeanRegressor().fit(maps, age)
    np.testing.assert_allclose(model.predict(maps), age.mean(), rtol=1e-6)


def test_random_folds_flatter_the_site_mean_and_left_out_sites_do_not():
    table, age = studies()
    error = {
        name: -cross_validate(
            SiteMeanRegressor(), table, age, cv=cv, scoring="neg_mean_absolute_error"
        )["test_score"].mean()
        for name, cv in (("folds", StratifiedSiteKFold(4)), ("sites", LeaveOneSiteOut()))
    }
    assert error["folds"] < 6
    assert error["sites"] > 12


# on paths, through pipelines


def test_paths_in_a_frame(people):
    X = people[["stiffness", "site"]]
    for baseline in (MaskOnlyRegressor(), SiteMeanRegressor()):
        model = make_pipeline(MapLoader(metadata=["site"], voxel_size=8), baseline)
        assert np.isfinite(model.fit(X, people.age).predict(X)).all()


@pytest.mark.real_data
def test_on_mre134_a_mask_tells_the_study_and_no_more_of_age_than_the_study(real_data):
    cohort = fetch_mre134(real_data / "mre134", download=False)
    site, age = cohort.participants.site, cohort.participants.age
    X = cohort.maps[["stiffness"]].join(site)
    maps = MapLoader(voxel_size=8, metadata=["site"]).fit_transform(X)
    masks = BrainMask().fit_transform(maps)
    folds = list(StratifiedSiteKFold(5, random_state=0).split(maps, age))
    found = cross_val_predict(LogisticRegression(C=0.1, max_iter=2000), masks, site, cv=folds)
    recall = (found == site).groupby(site.to_numpy()).mean()
    assert recall.mean() > 0.6, "five studies: 0.2 by chance"

    def error(model, cv):
        return np.abs(cross_val_predict(model, maps, age, cv=cv) - age).mean()

    study = error(SiteMeanRegressor(), folds)
    assert study < error(MaskOnlyRegressor(), folds) < np.abs(age - age.mean()).mean()
    left_out = LeaveOneSiteOut()
    assert error(MaskOnlyRegressor(), left_out) > 0.95 * error(SiteMeanRegressor(), left_out)


# checks


@parametrize_with_map_checks(OF_MAPS)
def test_map_checks(estimator, check):
    check(type(estimator).__name__, estimator)


@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.SingleSiteWarning")
@parametrize_with_map_checks([SiteMeanRegressor()])
def test_map_checks_of_the_site_mean(estimator, check):
    name = type(estimator).__name__
    if check is check_nan_map:  # it reads no map: test_maps_are_never_read
        with pytest.raises(AssertionError, match="accepts a map with NaN"):
            check(name, estimator)
    elif check is check_site_keyword_equals_rows:  # it needs the site to predict, and says so:
        # test_site_as_a_keyword_equals_site_with_the_rows
        with pytest.raises(MissingMetadataError):
            check(name, estimator)
    else:
        check(name, estimator)


@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.SingleSiteWarning")
@parametrize_with_checks([*OF_MAPS, SiteMeanRegressor()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)
