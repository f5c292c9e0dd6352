"""Data that would break ComBat quietly: refused with a reason, or kept from harm."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from mresklearn.exceptions import HarmonizationWarning
from mresklearn.harmonization import ComBat

NAMES = [f"region{k}" for k in range(8)]


def cohort(n_people=90, n_sites=3, seed=0):
    random = np.random.default_rng(seed)
    codes = random.permutation(np.arange(n_people) % n_sites)
    X = random.normal(size=(n_people, 8)) * random.uniform(0.6, 1.5, (n_sites, 1))[codes] + 3
    X += random.normal(size=(n_sites, 8))[codes]
    return pd.DataFrame(X, columns=NAMES).assign(
        site=np.array([f"site{k}" for k in codes]), age=random.uniform(20, 80, n_people)
    )


PEOPLE = cohort()
AGED = ComBat(covariate_columns=["age"])
VARIANTS = [
    {},
    {"eb": False},
    {"parametric": False},
    {"location_only": True},
    {"ref_site": "site1"},
    {"stop_rule": "reference"},
]


# features


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_features_are_counted_and_named(bad):
    gaps = PEOPLE.set_axis([f"sub-{k:02d}" for k in range(90)])
    gaps.loc[["sub-04", "sub-17"], "region3"] = bad
    gaps.loc["sub-04", "region5"] = bad
    model = clone(AGED).fit(PEOPLE)
    message = r"features in 2 of 90 rows \(sub-04, sub-17\) and 2 of 8 columns \(region3, region5\)"
    for call in (clone(AGED).fit, model.transform):
        with pytest.raises(ValueError, match=message):
            call(gaps)
    with pytest.raises(ValueError, match=r"2 of 90 rows \(4, 17\) and 2 of 8 columns \(3, 5\)"):
        ComBat().fit(gaps[NAMES].to_numpy(), site=gaps["site"])


def test_text_among_the_features_is_named():
    with pytest.raises(ValueError, match=r"Column\(s\) sex of X hold text. Name them as"):
        clone(AGED).fit(PEOPLE.assign(sex="F"))
    with pytest.raises(ValueError, match=r"Column\(s\) site of X hold text"):
        ComBat(site_column="age").fit(PEOPLE)


@pytest.mark.parametrize("parameters", VARIANTS)
def test_constant_features_pass_exactly_and_disturb_no_other(parameters):
    odd = PEOPLE.copy()
    for place, (name, value) in enumerate({"zero": 0.0, "tenth": 0.1, "big": 1e6 / 3}.items()):
        odd.insert(3 * place, name, value)
    model = clone(AGED).set_params(**parameters).set_output(transform="pandas")
    out = model.fit_transform(odd)
    for name in ("zero", "tenth", "big"):
        np.testing.assert_array_equal(out[name], odd[name])
    assert list(odd.columns[:-2][~model.varies_]) == ["zero", "tenth", "big"]
    plain = clone(model).fit_transform(PEOPLE)
    np.testing.assert_allclose(out[NAMES], plain, rtol=1e-13)
    np.testing.assert_allclose(model.priors_, clone(model).fit(PEOPLE).priors_, rtol=1e-9)


@pytest.mark.parametrize("mode", ["training", "shrunk"])
def test_constant_features_pass_exactly_whatever_is_done_with_the_target(mode):
    odd = PEOPLE[[*NAMES, "site"]].assign(zero=0.0, tenth=0.1, big=1e6 / 3)
    model = ComBat(target=mode).set_output(transform="pandas")
    out = model.fit_transform(odd, PEOPLE["age"])
    for name in ("zero", "tenth", "big"):
        np.testing.assert_array_equal(out[name], odd[name])
    np.testing.assert_array_equal(model.coefficients_[:, ~model.varies_], 0)


@pytest.mark.parametrize("parameters", VARIANTS)
def test_a_feature_that_is_constant_at_one_site_keeps_finite_and_near(parameters):
    odd = PEOPLE.assign(region2=PEOPLE["region2"].where(PEOPLE["site"] != "site0", 0.1))
    model = ComBat(**parameters).set_output(transform="pandas")
    out = model.fit_transform(odd[[*NAMES, "site"]])
    at = odd["site"] == "site0"
    assert np.ptp(out.loc[at, "region2"]) < 1e-12
    assert np.abs(out["region2"] - odd["region2"].mean()).max() < 10
    assert np.isfinite(out).all(axis=None)


@pytest.mark.parametrize("parameters", VARIANTS)
def test_a_feature_that_is_constant_within_sites_loses_its_shift_alone(parameters):
    values = PEOPLE["site"].map({"site0": 1.0, "site1": 2.0, "site2": 4.5})
    model = clone(AGED).set_params(**parameters).set_output(transform="pandas")
    out = model.fit_transform(PEOPLE.assign(coil=values)[["coil", *PEOPLE.columns]])
    middle = 2.0 if "ref_site" in parameters else values.mean()
    np.testing.assert_allclose(out["coil"], middle, rtol=1e-12)
    np.testing.assert_allclose(out[NAMES], clone(model).fit_transform(PEOPLE), rtol=1e-12)


@pytest.mark.parametrize("parameters", VARIANTS)
def test_a_feature_that_covariates_explain_is_kept_and_disturbs_no_other(parameters):
    """Year of birth beside age: beyond age nothing is left, so there is no scale to speak of."""
    born = 2000 - PEOPLE["age"] + PEOPLE["site"].map({"site0": 0, "site1": 3, "site2": 9})
    model = clone(AGED).set_params(**parameters).set_output(transform="pandas")
    out = model.fit_transform(PEOPLE.assign(born=born)[["born", *PEOPLE.columns]])
    shift = 3 if "ref_site" in parameters else 4
    np.testing.assert_allclose(out["born"], 2000 - PEOPLE["age"] + shift, atol=1e-8)
    np.testing.assert_allclose(out[NAMES], clone(model).fit_transform(PEOPLE), rtol=1e-12)


def test_one_feature_has_no_prior():
    one = PEOPLE[["region0", "site"]]
    np.testing.assert_array_equal(ComBat().fit_transform(one), ComBat(eb=False).fit_transform(one))
    assert ComBat().fit(one).priors_.isna().all(axis=None)


def test_two_equal_features_have_a_prior_without_spread():
    twice = PEOPLE[["region0", "site"]].assign(again=PEOPLE["region0"])
    model = ComBat().fit(twice)
    out = model.transform(twice)
    np.testing.assert_allclose(out[:, 0], out[:, 1], atol=1e-12)
    own = ComBat(eb=False).fit(twice)
    np.testing.assert_allclose(model.shift_, own.shift_, atol=1e-10)
    np.testing.assert_allclose(model.ratio_, own.ratio_, rtol=1e-10)


def test_duplicated_features_under_the_reference_rule_end():
    twice = PEOPLE[["region0", "site"]].assign(again=PEOPLE["region0"])
    assert np.isfinite(ComBat(stop_rule="reference").fit_transform(twice)).all()


# numbers


def test_single_precision_stays_single():
    single = PEOPLE.astype({name: np.float32 for name in NAMES})
    model = clone(AGED).fit(single)
    out = model.transform(single)
    assert out.dtype == np.float32
    table = clone(AGED).set_output(transform="pandas").fit_transform(single)
    assert (table.dtypes == np.float32).all()
    np.testing.assert_allclose(out, clone(AGED).fit_transform(PEOPLE), atol=2e-6)
    assert model.transform(PEOPLE).dtype == np.float64


def test_integers_become_double():
    whole = (PEOPLE[NAMES] * 1000).astype(int)
    out = ComBat().fit_transform(whole, site=PEOPLE["site"])
    assert out.dtype == np.float64
    np.testing.assert_array_equal(
        out, ComBat().fit_transform(whole.astype(float), site=PEOPLE["site"])
    )


def test_a_large_offset_costs_no_precision():
    moved = PEOPLE.copy()
    moved[NAMES] += 1e4
    out, plain = clone(AGED).fit_transform(moved), clone(AGED).fit_transform(PEOPLE)
    np.testing.assert_allclose(out - 1e4, plain, atol=1e-10)
    single = moved.astype({name: np.float32 for name in NAMES})
    rounding = np.spacing(np.float32(1e4))
    np.testing.assert_allclose(clone(AGED).fit_transform(single), out, atol=2 * rounding)


@pytest.mark.parametrize("parameters", VARIANTS)
def test_units_of_features_and_covariates_do_not_matter(parameters):
    other = PEOPLE.copy()
    other[NAMES] = other[NAMES] * 1e-6 - 1e-5
    other["age"] = other["age"] * 365.25 + 1000
    model = clone(AGED).set_params(**parameters)
    out, plain = clone(model).fit_transform(other), clone(model).fit_transform(PEOPLE)
    np.testing.assert_allclose((out + 1e-5) / 1e-6, plain, atol=1e-9)


def test_a_read_only_memmap_is_read_and_not_changed(tmp_path):
    path = tmp_path / "features.npy"
    np.save(path, PEOPLE[NAMES].to_numpy())
    on_disk = np.load(path, mmap_mode="r")
    out = ComBat().fit(on_disk, site=PEOPLE["site"]).transform(on_disk, site=PEOPLE["site"])
    np.testing.assert_array_equal(out, ComBat().fit_transform(PEOPLE[[*NAMES, "site"]]))
    np.testing.assert_array_equal(np.load(path), PEOPLE[NAMES])


def test_input_is_not_changed():
    before = PEOPLE.copy()
    values = PEOPLE[NAMES].to_numpy()
    ComBat().fit_transform(values, site=PEOPLE["site"])
    clone(AGED).fit_transform(PEOPLE)
    pd.testing.assert_frame_equal(PEOPLE, before)
    np.testing.assert_array_equal(values, before[NAMES])


def test_order_in_memory_does_not_matter():
    values = PEOPLE[NAMES].to_numpy()
    site = PEOPLE["site"]
    rows = ComBat().fit_transform(np.ascontiguousarray(values), site=site)
    columns = ComBat().fit_transform(np.asfortranarray(values), site=site)
    np.testing.assert_allclose(columns, rows, atol=1e-13)


# sites


def test_the_reference_site_stays_bit_for_bit():
    model = clone(AGED).set_params(ref_site="site1").fit(PEOPLE)
    at = (PEOPLE["site"] == "site1").to_numpy()
    np.testing.assert_array_equal(model.transform(PEOPLE)[at], PEOPLE.loc[at, NAMES])
    new = cohort(seed=1)
    at = (new["site"] == "site1").to_numpy()
    np.testing.assert_array_equal(model.transform(new)[at], new.loc[at, NAMES])
    single = PEOPLE.astype({name: np.float32 for name in NAMES})
    kept = single[(single["site"] == "site1").to_numpy()]
    np.testing.assert_array_equal(clone(model).fit(single).transform(kept), kept[NAMES])


def test_an_unknown_reference_site_is_refused():
    with pytest.raises(ValueError, match=r"ref_site is 'Mayo', but the sites are \['site0'"):
        ComBat(ref_site="Mayo").fit(PEOPLE)


def test_a_reference_site_may_be_a_number():
    codes = PEOPLE["site"].str[-1].astype(int)
    by_number = ComBat(ref_site=1).fit_transform(PEOPLE[NAMES], site=codes)
    by_name = ComBat(ref_site="site1").fit_transform(PEOPLE[NAMES], site=PEOPLE["site"])
    np.testing.assert_array_equal(by_number, by_name)


@pytest.mark.parametrize("parameters", VARIANTS[:5])
def test_a_single_person_loses_a_shift_alone_and_leaves_other_priors(parameters):
    alone = pd.concat([PEOPLE, PEOPLE[:1].assign(site="Essen")], ignore_index=True)
    alone.loc[90, NAMES] += 5.0
    model = ComBat(**parameters)
    with pytest.warns(HarmonizationWarning, match=r"\['Essen'\] have a single person"):
        model.fit(alone[[*NAMES, "site"]])
    here = list(model.sites_).index("Essen")
    np.testing.assert_array_equal(model.ratio_[here], 1)
    assert np.isfinite(model.transform(alone[[*NAMES, "site"]])).all()
    assert model.shift_[here].mean() > 1
    if not parameters:
        mean, variance = model.priors_.loc["Essen", ["shift_mean", "shift_variance"]]
        own = ComBat(eb=False)
        with pytest.warns(HarmonizationWarning):
            own.fit(alone[[*NAMES, "site"]])
        expected = (variance * own.shift_[here] + mean) / (variance + 1)
        np.testing.assert_allclose(model.shift_[here], expected)


def test_two_people_a_site_are_enough():
    few = pd.concat([PEOPLE[PEOPLE["site"] == f"site{k}"][:2] for k in range(3)])
    assert np.isfinite(ComBat().fit_transform(few[[*NAMES, "site"]])).all()


# covariates and site


def test_a_covariate_that_site_determines_is_refused():
    field = PEOPLE["site"].map({"site0": 1.5, "site1": 3.0, "site2": 3.0})
    with pytest.raises(ValueError, match=r"\['field'\] do not vary within any site"):
        ComBat(covariate_columns=["age", "field"]).fit(PEOPLE.assign(field=field))
    with pytest.raises(ValueError, match=r"\['age'\] do not vary within any site"):
        clone(AGED).fit(PEOPLE.assign(age=55.5))
    group = PEOPLE["site"].map({"site0": "AD", "site1": "HC", "site2": "MCI"})
    with pytest.raises(ValueError, match=r"\['group=HC', 'group=MCI'\] do not vary"):
        ComBat(covariate_columns=["age", "group"]).fit(PEOPLE.assign(group=group))


def test_covariates_that_determine_each_other_are_refused():
    people = PEOPLE.assign(
        born=2000 - PEOPLE["age"], noise=np.random.default_rng(0).normal(size=90)
    )
    with pytest.raises(ValueError, match="are determined by site and the other") as raised:
        ComBat(covariate_columns=["age", "noise", "born"]).fit(people)
    assert "'noise'" in str(raised.value).split("other covariates")[1]
    assert "'born'" in str(raised.value)


def test_more_covariates_than_people_are_refused():
    random = np.random.default_rng(0)
    few, many = PEOPLE[:12], pd.DataFrame(random.normal(size=(12, 15)))
    with pytest.raises(ValueError, match="are determined by"):
        ComBat().fit(few[NAMES], site=few["site"], covariates=many)


def ages_around_sites(width, n_sites=8, n_people=400):
    """Ages within `width` years of their site's centre, and the share that site explains."""
    random = np.random.default_rng(0)
    codes = np.arange(n_people) % n_sites
    age = 8.0 * codes + random.uniform(-width, width, n_people)
    overall = age.mean()
    between = sum((age[codes == k].mean() - overall) ** 2 for k in range(n_sites)) / n_sites
    X = random.normal(size=(n_people, 4))
    return X, codes, pd.DataFrame({"age": age + 100}), between / age.var()


@pytest.mark.parametrize(("width", "warned"), [(45, False), (15, False), (9, True), (2, True)])
def test_near_confounding_is_warned_of_with_its_size(width, warned):
    X, site, age, share = ages_around_sites(width)
    assert bool(share >= 0.9) is warned
    model = ComBat(site_column=None)
    if not warned:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.fit(X, site=site, covariates=age)
        return
    condition = np.sqrt((1 + np.sqrt(share)) / (1 - np.sqrt(share)))
    message = f"site explains {share:.0%} of the variance of 'age'.* is {condition:.0f}"
    with pytest.warns(HarmonizationWarning, match=message):
        model.fit(X, site=site, covariates=age)


def test_a_narrow_range_far_from_zero_is_no_confounding():
    X, site, _, _ = ages_around_sites(45)
    age = pd.DataFrame({"age": np.random.default_rng(0).normal(70, 2, len(X))})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ComBat(site_column=None).fit(X, site=site, covariates=age)


def test_covariates_that_go_together_are_no_confounding():
    X, site, _, _ = ages_around_sites(45)
    age = np.random.default_rng(0).uniform(20, 80, len(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ComBat(site_column=None).fit(
            X, site=site, covariates=pd.DataFrame({"age": age, "age2": age**2, "age3": age**3})
        )


def test_two_covariates_that_only_together_tell_site_are_warned_of():
    X, site, _, _ = ages_around_sites(45)
    random = np.random.default_rng(0)
    first = random.normal(size=len(X))
    table = pd.DataFrame(
        {"a": 30 * first, "b": site - 30 * first + random.normal(size=len(X)) / 10}
    )
    with pytest.warns(HarmonizationWarning, match="nearly confounded"):
        ComBat(site_column=None).fit(X, site=site, covariates=table)


# parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("site_column", 1.5), ("covariate_columns", "age"), ("target", "yes"), ("engine", "R"),
        ("parametric", 1.5), ("eb", "no"), ("ref_site", 1.5), ("smooth", "age"),
        ("smooth_penalty", -1), ("unseen", "ignore"), ("missing_covariates", "drop"),
        ("stop_rule", "never"), ("block_size", 0),
    ],
)  # fmt: skip
def test_parameters_are_validated(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of ComBat"):
        ComBat(**{name: value}).fit(PEOPLE)


def test_before_fit_there_is_nothing_to_apply():
    for call in (ComBat().transform, ComBat().adapt):
        with pytest.raises(ValueError, match="not fitted yet"):
            call(PEOPLE)


def test_warnings_point_at_the_line_of_the_user():
    alone = PEOPLE.assign(site=PEOPLE["site"].where(PEOPLE.index != 0, "Essen"))
    for call in (ComBat().fit, ComBat().fit_transform):
        with pytest.warns(HarmonizationWarning) as warned:
            call(alone[[*NAMES, "site"]])
        assert warned[0].filename == __file__
