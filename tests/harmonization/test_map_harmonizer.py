"""MapHarmonizer: ComBat on the voxels of each channel, and maps that stay maps."""

import inspect
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from mresklearn import MapArray, MapLoader, MapMasker, load, make_mre_cohort, save
from mresklearn.exceptions import (
    DataError,
    HarmonizationWarning,
    MissingMetadataError,
    SingleSiteWarning,
)
from mresklearn.harmonization import ComBat
from mresklearn.harmonization._covbat import CovBat
from mresklearn.harmonization._harmonized_maps import fill_absent, hold_in_range
from mresklearn.harmonization._map_harmonizer import MapHarmonizer
from mresklearn.maps._grid import Grid
from mresklearn.maps._writing import write_maps
from mresklearn.utils import estimator_checks

CHANNELS = ("stiffness", "damping_ratio")
SITES = ("Delaware", "Mayo", "Utah")


def study(n=36, *, absent=0.0, shift=0.3, seed=0):
    """Three sites of people whose brains hold 60 voxels, of which each may lack some."""
    rng = np.random.default_rng(seed)
    code = np.arange(n) % 3
    age = rng.uniform(20, 80, n)
    brain = np.zeros((6, 6, 5), bool)
    brain[1:5, 1:6, 1:4] = True
    present = (rng.random((n, *brain.shape)) >= absent) & brain
    values = np.empty((n, 2, *brain.shape))
    values[:, 0] = 3 + rng.normal(0, 0.2, values[:, 0].shape)
    values[:, 0] -= (age / 100)[:, None, None, None]
    values[:, 1] = 0.2 + rng.normal(0, 0.02, values[:, 1].shape)
    moved = shift * rng.normal(1, 0.3, (3, *brain.shape)) * [[[[-1]]], [[[0]]], [[[1]]]]
    values[:, 0] += moved[code]
    values[:, 1] -= 0.1 * moved[code]
    people = pd.DataFrame(
        {"site": np.array(SITES)[code], "sex": rng.choice(["F", "M"], n), "age": age},
        index=[f"sub-{k:02d}" for k in range(n)],
    )
    maps = MapArray.from_array(
        (values * present[:, None]).astype(np.float32),
        channels=CHANNELS,
        participants=people.index,
        metadata=people[["site", "sex"]],
    )
    return maps, people, present


def test_each_channel_is_combat_on_the_voxels_of_the_masker():
    maps, people, _ = study()
    harmonised = np.asarray(MapHarmonizer().fit_transform(maps, people.age))
    masker = MapMasker().fit(maps)
    voxels = masker.transform(maps)
    n_voxels = int(masker.mask_.sum())
    for channel in range(2):
        table = voxels[:, channel * n_voxels : (channel + 1) * n_voxels]
        expected = ComBat().fit_transform(table, people.age, site=people.site)
        np.testing.assert_allclose(harmonised[:, channel][:, masker.mask_], expected, rtol=1e-6)


def test_one_table_of_both_channels_would_be_something_else():
    maps, people, _ = study()
    voxels = MapMasker().fit_transform(maps)
    apart = MapMasker().fit_transform(MapHarmonizer().fit_transform(maps))
    together = ComBat().fit_transform(voxels, site=people.site)
    assert np.abs(apart - together).max() > 0.01


def test_site_effects_go_and_background_stays_zero():
    maps, people, present = study(absent=0.05)
    harmonised = MapHarmonizer().fit_transform(maps, people.age)
    array = np.asarray(harmonised)
    assert array.dtype == np.float32
    outside = ~np.broadcast_to(present[:, None], array.shape)
    assert (array[outside] == 0).all()
    assert not np.signbit(array[outside]).any()
    assert (array[~outside] > 0).all()
    means = [
        [np.mean([m[0][m[0] > 0].mean() for m in some[people.site == site]]) for site in SITES]
        for some in (maps, harmonised)
    ]
    assert np.ptp(means[1]) < 0.15 * np.ptp(means[0])


def test_people_grid_metadata_and_channels_are_kept(tmp_path):
    cohort = make_mre_cohort(n_subjects=9, n_sites=3, voxel_size=10, random_state=0)
    maps = MapLoader(metadata=["site"]).fit_transform(cohort.maps.join(cohort.participants.site))
    harmonised = MapHarmonizer().fit_transform(maps)
    assert isinstance(harmonised, MapArray)
    assert harmonised.grid is maps.grid
    assert harmonised.channels == maps.channels
    assert harmonised.participants.equals(maps.participants)
    pd.testing.assert_frame_equal(harmonised.metadata, maps.metadata)
    assert harmonised.shape == maps.shape


def test_voxels_outside_the_mask_are_left_as_they_were():
    maps, _, present = study(absent=0.1)
    fitted = MapHarmonizer(coverage=0.95).fit(maps)
    assert 0 < fitted.mask_.sum() < present.any(axis=0).sum()
    np.testing.assert_array_equal(fitted.mask_, present.mean(axis=0) >= 0.95)
    harmonised, raw = np.asarray(fitted.transform(maps)), np.asarray(maps)
    np.testing.assert_array_equal(harmonised[:, :, ~fitted.mask_], raw[:, :, ~fitted.mask_])
    assert np.abs(harmonised - raw)[:, :, fitted.mask_].max() > 0.1


def test_nothing_is_read_by_transform_and_one_person_at_a_time_later():
    maps, _, _ = study()
    fitted = MapHarmonizer().fit(maps)
    reads = []

    def count(sample):
        reads.append(1)
        return sample

    harmonised = fitted.transform(maps.with_step(count))
    part = harmonised[[3, 30]]
    assert not reads
    assert part[1].shape == (2, 6, 6, 5)
    assert len(reads) == 1


def test_a_person_does_not_depend_on_the_others():
    maps, people, _ = study(absent=0.1)
    fitted = MapHarmonizer().fit(maps[:24], people.age[:24])
    together = np.asarray(fitted.transform(maps[24:]))
    alone = np.concatenate([np.asarray(fitted.transform(maps[[k]])) for k in range(24, 36)])
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(np.asarray(fitted.transform(maps)[24:]), together)
    later = np.asarray(pickle.loads(pickle.dumps(fitted.transform(maps)[[35, 26]])))
    np.testing.assert_array_equal(later, together[[11, 2]])


def test_site_and_covariates_by_keyword_or_with_the_rows():
    maps, people, _ = study()
    array = np.asarray(maps)
    riding = MapHarmonizer(harmonizer=ComBat(covariate_columns=["sex"]))
    by_rows = np.asarray(riding.fit_transform(maps, people.age))
    for covariates in (people[["sex"]], people[["sex", "age"]]):
        given = {"site": people.site.to_numpy(), "covariates": covariates}
        by_keyword = clone(riding).fit_transform(array, people.age, **given)
        np.testing.assert_array_equal(np.asarray(by_keyword), by_rows)
    assert by_keyword.metadata is None
    # a keyword goes before what rides along
    other = np.roll(people.site.to_numpy(), 1)
    np.testing.assert_array_equal(
        np.asarray(MapHarmonizer().fit_transform(maps, site=other)),
        np.asarray(MapHarmonizer().fit_transform(array, site=other)),
    )


def test_what_is_missing_is_said_with_the_way_out():
    maps, people, _ = study()
    array = np.asarray(maps)
    with pytest.raises(MissingMetadataError, match=r"MapLoader\(metadata=\['site'\]\).*site="):
        MapHarmonizer().fit(array)
    with_sex = MapHarmonizer(harmonizer=ComBat(covariate_columns=["sex"]))
    with pytest.raises(MissingMetadataError, match=r"\['sex'\].*covariates="):
        with_sex.fit(array, site=people.site)
    fitted = clone(with_sex).fit(maps)
    with pytest.raises(MissingMetadataError, match="site="):
        fitted.transform(array)
    with pytest.raises(MissingMetadataError, match="sex"):
        fitted.transform(array, site=people.site)
    with pytest.raises(ValueError, match="35 rows"):
        fitted.transform(array, site=people.site, covariates=people[["sex"]][1:])
    lenient = MapHarmonizer(
        harmonizer=ComBat(covariate_columns=["sex"], missing_covariates="mean")
    ).fit(maps)
    assert np.isfinite(np.asarray(lenient.transform(array, site=people.site))).all()


def test_sites_are_checked_when_transform_is_called():
    maps, people, _ = study()
    fitted = MapHarmonizer().fit(maps)
    array = np.asarray(maps)
    elsewhere = people.site.where(people.index != "sub-04", "Leeds")
    with pytest.raises(ValueError, match=r"Leeds \(1\)"):
        fitted.transform(array, site=elsewhere)
    gap = people.site.where(people.index != "sub-04", None)
    with pytest.raises(ValueError, match="sub-04"):
        fitted.transform(array, site=gap)
    passing = MapHarmonizer(harmonizer=ComBat(unseen="passthrough")).fit(maps)
    with pytest.warns(HarmonizationWarning, match="passed on"):
        harmonised = passing.transform(array, site=elsewhere)
    np.testing.assert_array_equal(harmonised[4], array[4])
    np.testing.assert_array_equal(harmonised[5], fitted.transform(maps)[5])


def test_an_age_beyond_training_is_said_once_and_not_at_every_reading():
    maps, people, _ = study()
    harmonizer = MapHarmonizer(
        harmonizer=ComBat(covariate_columns=["age"], smooth=["age"], smooth_penalty=1.0)
    )
    fitted = harmonizer.fit(maps, covariates=people[["age"]])
    with pytest.warns(HarmonizationWarning, match="outside the training range"):
        harmonised = fitted.transform(maps, covariates=people[["age"]] + 5)
    assert np.isfinite(harmonised[0]).all()


def test_the_mean_of_the_site_stands_in_for_absent_voxels():
    """Half of one site lack a voxel: its effect there must come from those who have it."""
    maps, people, _ = study(n=90, shift=1.0)
    array = np.asarray(maps).copy()
    lacking = (people.site == "Utah").to_numpy() & (np.arange(90) % 2 == 0)
    complete = MapHarmonizer(harmonizer=ComBat(eb=False)).fit(maps)
    array[lacking, :, 2, 2, 2] = 0
    fitted = MapHarmonizer(harmonizer=ComBat(eb=False), coverage=0.5).fit(array, site=people.site)
    assert fitted.mask_[2, 2, 2]
    place = fitted.mask_.ravel()[: np.ravel_multi_index((2, 2, 2), fitted.mask_.shape)].sum()
    removed = [
        one.harmonizers_[0].shift_ * one.harmonizers_[0].deviation_ for one in (complete, fitted)
    ]
    np.testing.assert_allclose(removed[1][2, place], removed[0][2, place], rtol=0.15)
    filled = MapMasker(coverage=0.5).fit_transform(array)[:, : fitted.mask_.sum()]
    everybody = ComBat(eb=False).fit(filled, site=people.site)
    naive = (everybody.shift_ * everybody.deviation_)[2, place]
    assert abs(naive - removed[0][2, place]) > 2 * abs(removed[1][2, place] - removed[0][2, place])


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), n_sites=st.integers(1, 4))
def test_fill_is_the_mean_over_those_who_have_the_voxel(seed, n_sites):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(n_sites), rng.integers(0, n_sites, 8)])
    present = rng.random((len(codes), 7)) < 0.6
    present[rng.integers(len(codes))] = True
    tables = (rng.normal(size=(2, len(codes), 7)) * present).astype(np.float32)
    before = tables.copy()
    fill = fill_absent(tables, present, codes)
    for channel in range(2):
        for voxel in range(7):
            here = present[:, voxel]
            for code in range(n_sites):
                own = before[channel, here & (codes == code), voxel]
                if not len(own):
                    own = before[channel, here, voxel]
                assert fill[code, channel, voxel] == pytest.approx(own.mean(), abs=1e-6)
            np.testing.assert_array_equal(
                tables[channel, here, voxel], before[channel, here, voxel]
            )
            expected = fill[codes[~here], channel, voxel]
            np.testing.assert_array_equal(tables[channel, ~here, voxel], expected)


def test_stiffness_stays_positive_and_that_is_counted():
    maps, people, _ = study(shift=0.0)
    array = np.asarray(maps).copy()
    utah = (people.site == "Utah").to_numpy()
    array[utah, 0] *= 1.5  # a site far above the others ...
    array[np.flatnonzero(utah)[0], 0, 2, 2, 2] = 0.11  # ... and a failed inversion there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HarmonizationWarning)
        fitted = MapHarmonizer(harmonizer=ComBat(location_only=True)).fit(array, site=people.site)
    harmonised = np.asarray(fitted.transform(array, site=people.site))
    np.testing.assert_array_equal(harmonised != 0, array != 0)
    assert (harmonised[:, 0][array[:, 0] > 0]).min() >= array[:, 0][array[:, 0] > 0].min()
    assert fitted.held_.loc["Utah", "map0"] == pytest.approx(1 / (12 * 60))
    assert fitted.held_.drop("Utah").to_numpy().max() == 0


def test_limits_follow_the_kind_of_map_and_the_training_values():
    maps, people, _ = study()
    named = MapHarmonizer().fit(maps)
    np.testing.assert_allclose(named.limits_, [[0.1, 10], [0, 1]])
    array = np.asarray(maps)
    unnamed = MapHarmonizer().fit(array, site=people.site)
    lowest = [array[:, k][array[:, k] > 0].min() for k in range(2)]
    np.testing.assert_array_equal(unnamed.limits_, [[low, np.inf] for low in lowest])
    signed = MapHarmonizer().fit((array - 2) * (array != 0), site=people.site)
    np.testing.assert_array_equal(signed.limits_, [[-np.inf, np.inf]] * 2)


def test_many_held_voxels_are_a_warning():
    maps, people, _ = study(shift=0.0)
    array = np.asarray(maps).copy()
    low = np.random.default_rng(0).random(array[:, 0].shape) < 0.05
    array[:, 0][low & (array[:, 0] > 0)] = 0.11
    array[(people.site == "Utah").to_numpy(), 0] *= 2
    loaded = MapArray.from_array(array, channels=CHANNELS, metadata=people[["site"]])
    with pytest.warns(HarmonizationWarning, match=r"'stiffness' at site '.*quality_report"):
        MapHarmonizer().fit(loaded)


@settings(deadline=None, max_examples=50)
@given(
    moved=st.floats(-5, 20, width=32), raw=st.floats(-5, 20, width=32),
    low=st.floats(0, 1, width=32), high=st.floats(2, 10, width=32),
)  # fmt: skip
def test_harmonising_never_leaves_the_range(moved, raw, low, high):
    held = float(hold_in_range(np.float32([moved]), np.float32([raw]), np.float32([low, high]))[0])
    assert min(low, raw) <= held <= max(high, raw)
    if low <= moved <= high:
        assert held == moved


def test_one_site_stays_as_it_is():
    maps, _, _ = study(absent=0.1)
    with pytest.warns(SingleSiteWarning):
        harmonised = MapHarmonizer(harmonizer=ComBat(site_column=None)).fit_transform(maps)
    np.testing.assert_array_equal(np.asarray(harmonised), np.asarray(maps))


def test_covbat_and_location_only_may_take_the_place_of_combat():
    maps, people, _ = study(n=90, absent=0.03)
    for harmonizer in (CovBat(), ComBat(location_only=True, ref_site="Mayo")):
        fitted = MapHarmonizer(harmonizer=harmonizer).fit(maps, people.age)
        assert [type(one) for one in fitted.harmonizers_] == [type(harmonizer)] * 2
        assert fitted.harmonizers_[0] is not harmonizer
        harmonised = np.asarray(fitted.transform(maps))
        raw = np.asarray(maps)
        np.testing.assert_array_equal(harmonised == 0, raw == 0)
        gap = [
            np.ptp([z[people.site == site, 0].mean() for site in SITES]) for z in (raw, harmonised)
        ]
        assert gap[1] < 0.2 * gap[0]
    mayo = (people.site == "Mayo").to_numpy()
    np.testing.assert_array_equal(harmonised[mayo], raw[mayo])


class Centre(TransformerMixin, BaseEstimator):
    """A harmoniser that needs site in training only."""

    def fit(self, X, y=None, *, site=None):
        self.n_features_in_ = X.shape[1]
        self.sites_seen_ = sorted(set(site))
        self.offset_ = X.mean(axis=0) - X.mean()
        return self

    def transform(self, X):
        return X - self.offset_


def test_a_harmoniser_that_needs_no_site_for_new_people():
    maps, _, _ = study(absent=0.05)
    fitted = MapHarmonizer(harmonizer=Centre()).fit(maps)
    assert fitted.harmonizers_[0].sites_seen_ == list(SITES)
    assert fitted.fill_.shape[0] == 1
    new = np.asarray(maps)
    harmonised = np.asarray(fitted.transform(new))
    np.testing.assert_array_equal(harmonised == 0, new == 0)
    present = new[:, 0][:, fitted.mask_] != 0
    values = harmonised[:, 0][:, fitted.mask_]
    assert np.ptp(values.sum(axis=0) / present.sum(axis=0)) < 1e-5


def test_from_files_to_files(tmp_path):
    """Simulated cohort on disk -> harmonised NIfTI -> the same values, and less site."""
    cohort = make_mre_cohort(n_subjects=45, n_sites=3, voxel_size=8, random_state=1)
    people = cohort.participants
    frame = cohort.maps.join(people.site)
    fitted = MapHarmonizer().fit(frame, people.age)
    harmonised = fitted.transform(frame)
    loader = MapLoader()
    written = write_maps(harmonised, tmp_path)
    again = loader.fit_transform(written)
    np.testing.assert_array_equal(np.asarray(again), np.asarray(harmonised))
    assert again.participants.equals(people.index)
    assert again.grid.same_as(harmonised.grid)
    differences = []
    for maps in (MapLoader().fit_transform(cohort.maps), again):
        voxels = MapMasker().fit_transform(maps)
        means = np.array(
            [voxels[people.site == site].mean(axis=0) for site in people.site.unique()]
        )
        differences.append(np.sqrt(np.mean(means.var(axis=0) / voxels.var(axis=0))))
    assert differences[1] < 0.5 * differences[0]


def test_in_a_pipeline_with_cross_validation():
    maps, people, _ = study()
    model = make_pipeline(MapHarmonizer(), MapMasker(), Ridge(alpha=1e-3))
    predicted = cross_val_predict(model, maps, people.age, cv=3)
    assert np.corrcoef(predicted, people.age)[0, 1] > 0.9
    with config_context(enable_metadata_routing=True):
        routed = make_pipeline(MapHarmonizer(), MapMasker(), Ridge(alpha=1e-3))
        routed.fit(np.asarray(maps), people.age, site=people.site.to_numpy())
        again = routed.predict(np.asarray(maps), site=people.site.to_numpy())
    np.testing.assert_allclose(again, model.fit(maps, people.age).predict(maps), rtol=1e-5)


def test_tables_go_to_the_harmoniser_as_they_are():
    maps, people, _ = study()
    table = pd.DataFrame(MapMasker().fit_transform(maps)[:, :5], columns=list("abcde"))
    table["site"] = people.site.to_numpy()
    fitted = MapHarmonizer().fit(table, people.age)
    expected = ComBat().fit(table, people.age)
    np.testing.assert_array_equal(fitted.transform(table), expected.transform(table))
    assert fitted.get_feature_names_out().tolist() == list("abcde")
    assert fitted.n_features_in_ == 6
    with pytest.raises(ValueError, match="shape"):
        fitted.transform(maps)
    with pytest.raises(ValueError, match="fitted on maps"):
        MapHarmonizer().fit(maps).transform(table[list("abcde")], site=people.site)


def test_a_mask_that_nobody_shares_is_refused():
    array = np.zeros((4, 1, 2, 2, 1))
    for person in range(4):
        array[person, 0, person // 2, person % 2] = 1.0
    with pytest.raises(ValueError, match="Lower coverage"):
        MapHarmonizer(coverage=0.9).fit(array, site=list("aabb"))


def test_saved_and_opened(tmp_path):
    maps, people, _ = study(absent=0.05)
    fitted = MapHarmonizer(harmonizer=ComBat(covariate_columns=["sex"])).fit(maps, people.age)
    expected = np.asarray(fitted.transform(maps))
    for copy in (load(save(fitted, tmp_path / "maps")), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(np.asarray(copy.transform(maps)), expected)


def test_names_of_the_output():
    maps, _, _ = study()
    assert MapHarmonizer().fit(maps).get_feature_names_out().tolist() == list(CHANNELS)


def test_every_parameter_has_a_constraint():
    assert set(MapHarmonizer().get_params(deep=False)) == set(MapHarmonizer._parameter_constraints)
    with pytest.raises(ValueError, match="coverage"):
        MapHarmonizer(coverage=0).fit(np.ones((4, 2, 2, 2)), site=list("aabb"))


ONE_SITE = MapHarmonizer(harmonizer=ComBat(site_column=None))
# these give no site to transform, or compare nested estimators by identity
REPLACED = (
    "check_site_keyword_equals_rows",  # test_site_and_covariates_by_keyword_or_with_the_rows
    "check_site_must_fit",  # test_sites_must_fit
    "check_clone_is_unfitted",  # test_a_clone_is_unfitted
)


@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.SingleSiteWarning")
@parametrize_with_checks([ONE_SITE])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.SingleSiteWarning")
@pytest.mark.parametrize(
    "check",
    [
        check
        for name, check in inspect.getmembers(estimator_checks, inspect.isfunction)
        if name.startswith("check_") and name not in ("check_map_estimator", *REPLACED)
    ],
    ids=lambda check: check.__name__,
)
def test_checks_of_maps(check):
    check("MapHarmonizer", clone(ONE_SITE))


def test_sites_must_fit():
    estimator_checks.check_site_must_fit("MapHarmonizer", MapHarmonizer())


def test_a_clone_is_unfitted():
    maps, _, _ = study()
    fitted = MapHarmonizer(harmonizer=ComBat(eb=False), coverage=0.9).fit(maps)
    copy = clone(fitted)
    assert repr(copy) == repr(fitted)
    assert not [name for name in vars(copy) if name.endswith("_")]
    assert not hasattr(fitted.harmonizer, "shift_")


@pytest.mark.parametrize("form", [float, int, str, object, "Int64", "category"])
def test_sites_may_be_codes_of_any_type(form):
    maps, people, _ = study()
    expected = np.asarray(MapHarmonizer().fit_transform(maps, people.age, site=people.site))
    codes = people.site.map({"Delaware": 1, "Mayo": 2, "Utah": 3}).astype(int).astype(form)
    fitted = MapHarmonizer().fit(maps, people.age, site=codes)
    np.testing.assert_array_equal(np.asarray(fitted.transform(maps, site=codes)), expected)
    assert list(fitted.sites_) == ["1", "2", "3"]
    carried = MapArray.from_array(
        np.asarray(maps), channels=CHANNELS, metadata=pd.DataFrame({"site": codes})
    )
    one = MapHarmonizer().fit(carried, people.age).transform(carried[4:5])
    np.testing.assert_array_equal(np.asarray(one), expected[4:5])


def test_covariates_of_an_array_and_of_a_frame_are_held_fixed_alike():
    maps, people, _ = study()
    frame = pd.DataFrame({"sex": (people.sex == "F").to_numpy(float)})
    given = {"site": people.site}
    for harmonizer in (ComBat(covariate_columns=["sex"]), ComBat()):
        by_frame, by_array = (
            MapHarmonizer(harmonizer=harmonizer).fit(maps, people.age, covariates=form, **given)
            for form in (frame, frame.to_numpy())
        )
        assert len(by_array.harmonizers_[0].covariate_names_) == 2  # and the age
        np.testing.assert_array_equal(
            np.asarray(by_array.transform(maps, covariates=frame.to_numpy(), **given)),
            np.asarray(by_frame.transform(maps, covariates=frame, **given)),
        )
    with pytest.raises(ValueError, match="2 columns without names"):
        MapHarmonizer(harmonizer=ComBat(covariate_columns=["sex"])).fit(
            maps, people.age, covariates=np.ones((36, 2)), **given
        )


class Doubler(TransformerMixin, BaseEstimator):
    """A harmoniser of the user's own, which makes frames where they are asked for."""

    def fit(self, X, y=None):
        self.n_features_in_ = np.shape(X)[1]
        return self

    def transform(self, X):
        return 2 * np.asarray(X)

    def get_feature_names_out(self, input_features=None):
        return np.array([f"x{k}" for k in range(self.n_features_in_)], dtype=object)


@pytest.mark.parametrize("harmonizer", [ComBat(), Doubler()])
def test_maps_stay_maps_where_frames_are_asked_for(harmonizer):
    maps, people, _ = study()
    expected = np.asarray(MapHarmonizer(harmonizer=harmonizer).fit_transform(maps, people.age))
    with config_context(transform_output="pandas"):
        harmonised = MapHarmonizer(harmonizer=harmonizer).fit_transform(maps, people.age)
        assert isinstance(harmonised, MapArray)
        np.testing.assert_array_equal(np.asarray(harmonised), expected)


def test_maps_of_another_place_are_refused():
    maps, people, _ = study()
    here, there = (
        MapArray(
            maps._source,
            channels=CHANNELS,
            grid=Grid.from_arrays((6, 6, 5), np.diag([size, size, size, 1])),
            metadata=people[["site"]],
        )
        for size in (2.0, 3.0)
    )
    fitted = MapHarmonizer().fit(here, people.age)
    with pytest.raises(DataError, match="MapHarmonizer was fitted on maps of"):
        fitted.transform(there)
    assert fitted.transform(maps).shape == maps.shape, "maps that do not know their place"
