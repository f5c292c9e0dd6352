"""Moments of parts add up to those of the whole, and are all that a fit needs."""

import copy
import functools
import itertools
import operator
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from mresklearn.exceptions import HarmonizationWarning, MissingMetadataError
from mresklearn.harmonization import ComBat, SiteMoments
from mresklearn.persistence import load, save

NAMES = [f"region{k}" for k in range(7)]
ARRAYS = ("counts", "covariate_means", "covariate_scatter", "means", "cross_scatter", "squares")
LEARNED = ("centre_", "coefficients_", "deviation_", "shift_", "ratio_", "priors_", "n_people_")


def cohort(n_people=80, n_sites=4, seed=0):
    """Features on a large common offset; sites of unequal size."""
    random = np.random.default_rng(seed)
    codes = np.sort(random.choice(n_sites, n_people, p=np.arange(1, n_sites + 1) / 10))
    X = random.normal(size=(n_people, 7)) + random.normal(size=(n_sites, 7))[codes] + 1e3
    age, sex = random.uniform(20, 80, n_people), random.integers(0, 2, n_people)
    site = np.array([f"site{k}" for k in codes])
    return pd.DataFrame(X, columns=NAMES), site, pd.DataFrame({"age": age, "sex": sex})


X, SITE, COVARIATES = cohort()
WHOLE = SiteMoments.from_rows(X, SITE, COVARIATES)


def part(rows):
    return SiteMoments.from_rows(X.iloc[rows], SITE[rows], COVARIATES.iloc[rows])


def assert_same(first, second):
    assert first.sites == second.sites
    assert first.covariates == second.covariates
    assert first.features == second.features
    for name in ARRAYS:
        np.testing.assert_allclose(
            getattr(first, name), getattr(second, name), rtol=1e-9, atol=1e-9
        )


def test_moments_are_those_of_each_site():
    for k, name in enumerate(WHOLE.sites):
        rows = name == SITE
        x, z = X[rows].to_numpy(), COVARIATES[rows].to_numpy(float)
        x_left, z_left = x - x.mean(axis=0), z - z.mean(axis=0)
        assert WHOLE.counts[k] == rows.sum()
        np.testing.assert_allclose(WHOLE.means[k], x.mean(axis=0))
        np.testing.assert_allclose(WHOLE.covariate_means[k], z.mean(axis=0))
        np.testing.assert_allclose(WHOLE.squares[k], (x_left**2).sum(axis=0))
        np.testing.assert_allclose(WHOLE.covariate_scatter[k], z_left.T @ z_left)
        np.testing.assert_allclose(WHOLE.cross_scatter[k], z_left.T @ x_left)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=80, max_size=80), st.randoms(use_true_random=False))
def test_parts_add_up_in_every_order_and_grouping(hospital, random):
    parts = [part(np.flatnonzero(np.array(hospital) == k)) for k in set(hospital)]
    random.shuffle(parts)
    assert_same(sum(parts), WHOLE)
    while len(parts) > 1:  # two at a time, whichever
        first, second = (parts.pop(random.randrange(len(parts))) for _ in range(2))
        parts.append(first + second)
    assert_same(parts[0], WHOLE)


def test_sites_may_live_in_one_part_alone():
    parts = [part(np.flatnonzero(name == SITE)) for name in WHOLE.sites]
    for order in itertools.permutations(parts):
        assert_same(functools.reduce(operator.add, order), WHOLE)


def test_parts_stay_as_they_were():
    first, second = part(np.arange(40)), part(np.arange(40, 80))
    before = copy.deepcopy(first)
    first + second
    assert_same(first, before)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=80, max_size=80))
def test_a_fit_to_the_sum_is_the_fit_to_all_people(hospital):
    hospital = np.array(hospital)
    total = sum(part(np.flatnonzero(hospital == k)) for k in np.unique(hospital))
    model = ComBat().fit_moments(total)
    expected = ComBat().fit(X, site=SITE, covariates=COVARIATES)
    for name in LEARNED:
        np.testing.assert_allclose(getattr(model, name), getattr(expected, name), rtol=1e-7)
    np.testing.assert_allclose(
        model.transform(X, site=SITE, covariates=COVARIATES),
        expected.transform(X, site=SITE, covariates=COVARIATES),
        rtol=1e-11,
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"eb": False},
        {"parametric": False},
        {"location_only": True},
        {"ref_site": "site2"},
        {"stop_rule": "reference"},
        {"block_size": 2},
    ],
)
def test_every_variant_fits_to_moments(parameters):
    model = ComBat(**parameters).fit_moments(WHOLE)
    expected = ComBat(**parameters).fit(X, site=SITE, covariates=COVARIATES)
    for name in LEARNED:
        np.testing.assert_allclose(getattr(model, name), getattr(expected, name), rtol=1e-8)


def test_a_covariate_named_target_is_held_fixed_in_training_alone():
    moments = SiteMoments.from_rows(X, SITE, COVARIATES.rename(columns={"age": "target"}))
    model = ComBat().fit_moments(moments)
    assert model.target_ == "shrunk"
    expected = ComBat(covariate_columns=["sex"]).fit(
        X.assign(site=SITE, sex=COVARIATES["sex"]), COVARIATES["age"]
    )
    rows = X.assign(site=SITE, sex=COVARIATES["sex"])
    np.testing.assert_allclose(model.transform(rows), expected.transform(rows), rtol=1e-10)


# the ways in which new people come


MODEL = ComBat().fit_moments(WHOLE)
EVERYONE = MODEL.transform(X, site=SITE, covariates=COVARIATES)
TABLE = X.assign(site=SITE, **COVARIATES)


def test_a_dataframe_brings_site_and_covariates_by_name():
    np.testing.assert_array_equal(MODEL.transform(TABLE), EVERYONE)
    np.testing.assert_array_equal(MODEL.transform(TABLE[TABLE.columns[::-1]]), EVERYONE)
    np.testing.assert_allclose(MODEL.transform(TABLE[5:6]), EVERYONE[5:6], rtol=1e-13)
    named = ComBat(site_column="centre").fit_moments(WHOLE)
    renamed = TABLE.rename(columns={"site": "centre"})
    np.testing.assert_array_equal(named.transform(renamed), EVERYONE)


def test_an_array_goes_by_position():
    out = MODEL.transform(X.to_numpy(), site=SITE, covariates=COVARIATES)
    np.testing.assert_array_equal(out, EVERYONE)
    numbers = np.column_stack([X, [int(name[4:]) for name in SITE]])
    moments = SiteMoments.from_rows(X.to_numpy(), numbers[:, 7], COVARIATES)
    model = ComBat(site_column=7).fit_moments(moments)
    np.testing.assert_allclose(
        model.transform(numbers, covariates=COVARIATES), EVERYONE, rtol=1e-11
    )


def test_moments_without_names_take_any_names():
    model = ComBat().fit_moments(SiteMoments.from_rows(X.to_numpy(), SITE, COVARIATES))
    np.testing.assert_array_equal(model.transform(TABLE), EVERYONE)
    renamed = TABLE.set_axis([*"abcdefg", *TABLE.columns[7:]], axis=1)
    np.testing.assert_array_equal(model.transform(renamed), EVERYONE)
    assert list(model.get_feature_names_out()) == [f"x{k}" for k in range(7)]


@pytest.mark.parametrize("named", [True, False])
def test_other_features_are_refused(named):
    moments = SiteMoments.from_rows(X if named else X.to_numpy(), SITE, COVARIATES)
    model = ComBat().fit_moments(moments)
    for wrong in (TABLE.drop(columns="region3"), TABLE.assign(extra=0.0)):
        with pytest.raises(ValueError, match=r"extra|region3|fit saw 7"):
            model.transform(wrong)
    with pytest.raises(ValueError, match="6 features beside site and covariates, but fit saw 7"):
        model.transform(X.to_numpy()[:, :6], site=SITE, covariates=COVARIATES)


def test_what_is_missing_is_named():
    with pytest.raises(MissingMetadataError, match="pass site="):
        MODEL.transform(TABLE.drop(columns="site"))
    with pytest.raises(MissingMetadataError, match=r"'age'.*pass covariates="):
        MODEL.transform(TABLE.drop(columns="age"))
    with pytest.raises(MissingMetadataError, match="pass site="):
        MODEL.transform(X.to_numpy(), covariates=COVARIATES)
    with pytest.raises(ValueError, match=r"NaN or infinite features in 1 of 80 rows"):
        MODEL.transform(TABLE.assign(region0=TABLE["region0"].where(TABLE.index != 3)))


def test_names_output_and_saving(tmp_path):
    model = ComBat().set_output(transform="pandas").fit_moments(WHOLE)
    assert list(model.transform(TABLE).columns) == NAMES
    opened = load(save(MODEL, tmp_path / "model"))
    np.testing.assert_array_equal(opened.transform(TABLE), EVERYONE)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(MODEL)).transform(TABLE), EVERYONE)
    with_moments = pickle.loads(pickle.dumps(WHOLE))
    assert_same(with_moments, WHOLE)


def test_a_second_fit_forgets_the_first():
    model = ComBat().fit(TABLE.drop(columns=["age", "sex"]))
    model.fit_moments(SiteMoments.from_rows(X.to_numpy(), SITE))
    assert not hasattr(model, "feature_names_in_")
    again = clone(MODEL).fit_moments(WHOLE).fit(TABLE.drop(columns=["age", "sex"]))
    expected = ComBat().fit_transform(TABLE.drop(columns=["age", "sex"]))
    np.testing.assert_array_equal(again.transform(TABLE.drop(columns=["age", "sex"])), expected)


def test_adapting_after_a_fit_to_moments():
    new = TABLE[SITE == "site3"].assign(site="Essen")
    adapted = MODEL.adapt(new)
    expected = ComBat(covariate_columns=["age", "sex"]).fit(TABLE).adapt(new)
    np.testing.assert_allclose(adapted.transform(new), expected.transform(new), rtol=1e-11)
    np.testing.assert_array_equal(adapted.transform(TABLE), EVERYONE)


# bad input


def test_moments_of_other_columns_do_not_add():
    message = r"7 features given \['age', 'sex'\] do not add to .* \['age'\]"
    with pytest.raises(ValueError, match=message):
        WHOLE + SiteMoments.from_rows(X, SITE, COVARIATES[["age"]])
    with pytest.raises(ValueError, match="do not add to those of 6"):
        WHOLE + SiteMoments.from_rows(X.iloc[:, :6], SITE, COVARIATES)
    with pytest.raises(ValueError, match="one part has feature 'region0', another has 'region6'"):
        WHOLE + SiteMoments.from_rows(X[NAMES[::-1]], SITE, COVARIATES)
    with pytest.raises(TypeError):
        WHOLE + 1
    with pytest.raises(TypeError):
        WHOLE + np.zeros(3)


def test_a_part_without_names_takes_those_of_the_others():
    bare = SiteMoments.from_rows(X.to_numpy(), SITE, COVARIATES)
    assert (WHOLE + bare).features == (bare + WHOLE).features == tuple(NAMES)


def test_gaps_are_named():
    gaps = X.copy()
    gaps.loc[[4, 9], "region2"] = np.nan
    with pytest.raises(
        ValueError, match=r"in 2 of 80 rows \(4, 9\) and 1 of 7 columns \(region2\)"
    ):
        SiteMoments.from_rows(gaps, SITE, COVARIATES)
    with pytest.raises(ValueError, match="site is missing in 1 of 80 rows: 0"):
        SiteMoments.from_rows(X, [None, *SITE[1:]], COVARIATES)
    with pytest.raises(ValueError, match="'age' is missing or infinite in 1 of 80 rows: 7"):
        SiteMoments.from_rows(X, SITE, COVARIATES.assign(age=COVARIATES["age"].where(X.index != 7)))
    with pytest.raises(ValueError, match=r"'sex' holds .* values\. Code it as numbers"):
        SiteMoments.from_rows(X, SITE, {"sex": ["F", "M"] * 40})
    with pytest.raises(ValueError, match="covariates has 79 rows, but X has 80"):
        SiteMoments.from_rows(X, SITE, COVARIATES[:79])
    with pytest.raises(ValueError, match="80 rows of X"):
        SiteMoments.from_rows(X, SITE[:79], COVARIATES)


def test_what_a_fit_refuses_is_refused_of_moments():
    determined = COVARIATES.assign(field=[float(name[4:] > "1") for name in SITE])
    with pytest.raises(ValueError, match=r"\['field'\] do not vary within any site"):
        ComBat().fit_moments(SiteMoments.from_rows(X, SITE, determined))
    with pytest.raises(ValueError, match="ref_site is 'Mayo'"):
        ComBat(ref_site="Mayo").fit_moments(WHOLE)
    alone = SITE.copy()
    alone[0] = "Essen"
    with pytest.warns(HarmonizationWarning, match=r"\['Essen'\] have a single person"):
        ComBat().fit_moments(SiteMoments.from_rows(X, alone, COVARIATES))


# spread over processes and files


def test_a_sum_over_dask_is_the_fit_to_all_people():
    dask = pytest.importorskip("dask")
    hospitals = np.arange(80) % 5
    gather = dask.delayed(SiteMoments.from_rows)
    parts = [
        gather(X[hospitals == k], SITE[hospitals == k], COVARIATES[hospitals == k])
        for k in range(5)
    ]
    while len(parts) > 1:  # a tree, as Dask reduces
        parts = [dask.delayed(sum)(parts[k : k + 2]) for k in range(0, len(parts), 2)]
    model = ComBat().fit_moments(parts[0].compute(scheduler="threads"))
    np.testing.assert_allclose(model.transform(TABLE), EVERYONE, rtol=1e-11)


def test_moments_of_a_file_in_single_precision(tmp_path):
    values = X.to_numpy(np.float32)
    np.save(tmp_path / "features.npy", values)
    on_disk = np.load(tmp_path / "features.npy", mmap_mode="r")
    pieces = [
        SiteMoments.from_rows(on_disk[start : start + 30], SITE[start : start + 30])
        for start in range(0, 80, 30)
    ]
    expected = SiteMoments.from_rows(values.astype(np.float64), SITE)
    assert_same(sum(pieces), expected)


def test_site_codes_of_any_type_are_one_site():
    codes = np.array([int(name[4:]) for name in SITE])
    parts = [SiteMoments.from_rows(X, kind(codes)) for kind in (np.int8, np.float64, np.array)]
    assert (parts[0] + parts[1] + parts[2]).sites == ("0", "1", "2", "3")


def test_integers_are_taken():
    whole = X.round().astype(np.int16)
    assert_same(
        SiteMoments.from_rows(whole, SITE), SiteMoments.from_rows(whole.astype(float), SITE)
    )


def test_columns_that_are_numbers_are_those_of_the_frame():
    numbered = X.set_axis(range(7), axis=1)
    moments = sum(
        SiteMoments.from_rows(numbered.iloc[rows], SITE[rows])
        for rows in (np.arange(40), np.arange(40, 80))
    )
    model = ComBat().fit_moments(moments)
    expected = ComBat().fit(numbered, site=SITE).transform(numbered, site=SITE)
    for rows in (numbered, numbered[numbered.columns[::-1]]):
        np.testing.assert_allclose(model.transform(rows, site=SITE), expected, rtol=1e-9)
    with pytest.raises(ValueError, match="must be those of fit"):
        model.transform(X, site=SITE)


def test_sites_that_are_codes_are_those_of_their_text():
    codes = pd.Series(SITE).str[-1]
    expected = SiteMoments.from_rows(X, codes)
    for form in (codes.astype(int), codes.astype(float), codes.astype(float).astype(object)):
        assert_same(SiteMoments.from_rows(X, form), expected)
