"""How site and covariates reach ComBat, and that each row is harmonised by itself."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from mresklearn.exceptions import HarmonizationWarning, MissingMetadataError, SingleSiteWarning
from mresklearn.harmonization import ComBat
from mresklearn.persistence import load, save
from mresklearn.utils.estimator_checks import expected_failed_checks

NAMES = [f"region{k}" for k in range(6)]


def cohort(n_people=60, seed=0):
    random = np.random.default_rng(seed)
    codes = random.permutation(np.arange(n_people) % 3)
    age = random.uniform(20, 80, n_people)
    X = random.normal(size=(n_people, 6)) * random.uniform(0.6, 1.5, (3, 1))[codes] + 3
    X += random.normal(size=(3, 6))[codes] + np.outer(age, random.normal(size=6)) / 30
    return pd.DataFrame(X, columns=NAMES).assign(
        site=np.array(["Mayo", "Utah", "Cork"])[codes],
        age=age,
        sex=np.where(random.random(n_people) < 0.5, "F", "M"),
    )


PEOPLE = cohort()
X, SITE, COVARIATES = PEOPLE[NAMES], PEOPLE["site"], PEOPLE[["age", "sex"]]
COLUMNS = ComBat(covariate_columns=["age", "sex"]).fit(PEOPLE)
EVERYONE = COLUMNS.transform(PEOPLE)


# rows by themselves


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(PEOPLE) - 1), min_size=1, max_size=80))
def test_any_choice_and_order_of_rows_gives_the_same_rows(rows):
    np.testing.assert_allclose(
        COLUMNS.transform(PEOPLE.iloc[rows]), EVERYONE[rows], rtol=1e-13, atol=1e-13
    )


def test_every_person_alone():
    alone = [COLUMNS.transform(PEOPLE.iloc[[row]]) for row in range(len(PEOPLE))]
    np.testing.assert_allclose(np.vstack(alone), EVERYONE, rtol=1e-13, atol=1e-13)


def test_the_order_of_training_people_and_the_size_of_blocks_do_not_matter():
    order = np.random.default_rng(1).permutation(len(PEOPLE))
    for model in (
        clone(COLUMNS).fit(PEOPLE.iloc[order]),
        clone(COLUMNS).set_params(block_size=1).fit(PEOPLE),
        clone(COLUMNS).set_params(block_size=4).fit(PEOPLE),
    ):
        np.testing.assert_allclose(model.transform(PEOPLE), EVERYONE, atol=1e-11)


def test_fit_transform_is_fit_and_transform():
    np.testing.assert_array_equal(clone(COLUMNS).fit_transform(PEOPLE), EVERYONE)


# ways in


def as_numbers(frame):
    """The same rows as an array of numbers: sites as codes, sex as 0 and 1."""
    sites = {"Cork": 0, "Mayo": 1, "Utah": 2}
    return frame.assign(site=frame["site"].map(sites), sex=frame["sex"] == "M").to_numpy(float)


def as_objects(frame):
    return frame.to_numpy(object)


@pytest.mark.parametrize("form", [as_numbers, as_objects])
def test_an_array_gives_site_and_covariates_by_position(form):
    rows = form(PEOPLE)
    model = ComBat(site_column=6, covariate_columns=[7, 8]).fit(rows)
    np.testing.assert_allclose(model.transform(rows), EVERYONE, atol=1e-12)
    np.testing.assert_allclose(model.transform(rows[4:5]), EVERYONE[4:5], atol=1e-12)
    from_the_end = ComBat(site_column=-3, covariate_columns=[-2, -1]).fit_transform(rows)
    np.testing.assert_allclose(from_the_end, EVERYONE, atol=1e-12)
    assert model.n_features_in_ == 9
    assert list(model.get_feature_names_out()) == [f"x{k}" for k in range(6)]


def test_columns_between_the_features_are_left_out():
    shuffled = PEOPLE[["sex", "region3", "site", "region0", "age", "region5"]]
    out = clone(COLUMNS).set_output(transform="pandas").fit_transform(shuffled)
    assert list(out.columns) == ["region3", "region0", "region5"]
    assert out.index.equals(shuffled.index)


def test_keywords_give_the_same():
    model = ComBat(site_column=None).fit(X, site=SITE, covariates=COVARIATES)
    np.testing.assert_array_equal(model.transform(X, site=SITE, covariates=COVARIATES), EVERYONE)
    out = ComBat().fit_transform(X.to_numpy(), site=SITE, covariates=COVARIATES)
    np.testing.assert_array_equal(out, EVERYONE)
    mixed = ComBat(covariate_columns=["age", "sex"]).fit(PEOPLE.drop(columns="site"), site=SITE)
    rows = mixed.transform(PEOPLE.drop(columns="site"), site=SITE)
    np.testing.assert_array_equal(rows, EVERYONE)


def test_after_a_fit_on_columns_new_people_may_come_with_keywords():
    rows = COLUMNS.transform(X, site=SITE.to_numpy(), covariates=COVARIATES)
    np.testing.assert_array_equal(rows, EVERYONE)


def test_covariates_as_an_array_go_by_position():
    numbers = np.column_stack([PEOPLE["age"], PEOPLE["sex"] == "M"])
    for names in ((), ("age", "sex")):
        model = ComBat(covariate_columns=names).fit(X, site=SITE, covariates=numbers)
        rows = model.transform(X[:3], site=SITE[:3], covariates=numbers[:3])
        np.testing.assert_allclose(rows, EVERYONE[:3], atol=1e-12)


@pytest.mark.parametrize("order", [["sex", "age"], ["age", "sex"]])
def test_covariates_are_matched_by_name(order):
    model = ComBat(site_column=None).fit(X, site=SITE, covariates=COVARIATES)
    wide = COVARIATES.assign(handedness="right")[[*order, "handedness"]]
    np.testing.assert_array_equal(model.transform(X, site=SITE, covariates=wide), EVERYONE)


def test_columns_are_matched_by_name():
    reordered = PEOPLE[PEOPLE.columns[::-1]]
    np.testing.assert_array_equal(COLUMNS.transform(reordered), EVERYONE)
    other = clone(COLUMNS).fit(reordered)
    np.testing.assert_array_equal(other.transform(PEOPLE), other.transform(reordered))
    np.testing.assert_allclose(other.transform(PEOPLE), EVERYONE[:, ::-1], atol=1e-12)


def test_both_ways_at_once_are_refused_unless_tools_hand_on_what_is_there():
    with pytest.raises(ValueError, match="site comes twice"):
        ComBat().fit(PEOPLE[[*NAMES, "site"]], site=SITE)
    with pytest.raises(ValueError, match="site comes twice"):
        ComBat(site_column=6).fit(as_numbers(PEOPLE)[:, :7], site=SITE)
    with pytest.raises(ValueError, match="covariates come twice"):
        ComBat(covariate_columns=["age", "sex"]).fit(PEOPLE, covariates=COVARIATES)
    np.testing.assert_array_equal(COLUMNS.transform(PEOPLE, site=SITE), EVERYONE)
    with pytest.raises(ValueError, match="site comes twice"):
        COLUMNS.transform(PEOPLE, site=SITE[::-1].to_numpy())


def test_what_is_in_neither_place_is_named_with_both_ways():
    for call in (
        lambda: ComBat().fit(X),
        lambda: COLUMNS.transform(PEOPLE.drop(columns="site")),
        lambda: ComBat().fit(X.to_numpy()),
        lambda: ComBat(site_column=9).fit(as_numbers(PEOPLE)),
    ):
        with pytest.raises(MissingMetadataError, match=r"(?s)with the rows.*pass site="):
            call()
    with pytest.raises(MissingMetadataError, match=r"'age'.*pass covariates="):
        ComBat(covariate_columns=["age"]).fit(PEOPLE[[*NAMES, "site"]])
    with pytest.raises(MissingMetadataError, match=r"'age'.*pass covariates="):
        COLUMNS.transform(PEOPLE.drop(columns="age"))
    keyword = ComBat().fit(X, site=SITE)
    with pytest.raises(MissingMetadataError, match="pass site="):
        keyword.transform(X)
    bare = ComBat(site_column=None).fit(X, site=SITE)
    with pytest.raises(MissingMetadataError, match="was fitted with the site of each row"):
        bare.transform(X)


@pytest.mark.parametrize("keyword", ["site", "covariates"])
def test_lengths_must_match(keyword):
    values = {"site": SITE, "covariates": COVARIATES}
    short = {**values, keyword: values[keyword][:-1]}
    with pytest.raises(ValueError, match=rf"{keyword} has .*59.* X has 60"):
        ComBat().fit(X, **short)


def test_other_columns_are_refused_by_name():
    with pytest.raises(ValueError, match=r"Missing: region2; not seen in fit: regionX"):
        COLUMNS.transform(PEOPLE.rename(columns={"region2": "regionX"}))
    with pytest.raises(ValueError, match=r"Missing: none; not seen in fit: regionX"):
        COLUMNS.transform(PEOPLE.assign(regionX=0.0))
    with pytest.raises(ValueError, match=r"Missing: region0, region1"):
        COLUMNS.transform(PEOPLE.drop(columns=["region0", "region1"]))
    with pytest.raises(ValueError, match="expecting 9 features"):
        ComBat(site_column=6).fit(as_numbers(PEOPLE)).transform(as_numbers(PEOPLE)[:, :8])
    numbered = ComBat(site_column=6).fit(pd.DataFrame(as_numbers(PEOPLE)))
    with pytest.raises(ValueError, match="Missing: 7, 8"):
        numbered.transform(pd.DataFrame(as_numbers(PEOPLE)[:, :7]))


def test_a_column_that_comes_twice_is_refused():
    twice = PEOPLE.rename(columns={"region1": "region0"})
    with pytest.raises(ValueError, match=r"\['region0'\] occur twice"):
        clone(COLUMNS).fit(twice)
    with pytest.raises(ValueError, match=r"\['region0'\] occur twice"):
        COLUMNS.transform(twice)


def test_names_and_positions_mix_as_in_scikit_learn():
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        rows = COLUMNS.transform(as_objects(PEOPLE))
    np.testing.assert_array_equal(rows, EVERYONE)
    by_position = ComBat(site_column=6, covariate_columns=[7, 8])
    np.testing.assert_array_equal(by_position.fit_transform(PEOPLE), EVERYONE)
    reordered = PEOPLE[PEOPLE.columns[::-1]]
    np.testing.assert_array_equal(by_position.fit(PEOPLE).transform(reordered), EVERYONE)
    on_array = ComBat(site_column=6, covariate_columns=[7, 8]).fit(as_objects(PEOPLE))
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        np.testing.assert_array_equal(on_array.transform(PEOPLE), EVERYONE)


# labels


@pytest.mark.parametrize(
    "relabel",
    [
        lambda site: site.map({"Cork": 1, "Mayo": 2, "Utah": 3}),
        lambda site: site.map({"Cork": 1.0, "Mayo": 2.0, "Utah": 3.0}),
        lambda site: site.map({"Cork": 1, "Mayo": 2, "Utah": 3}).astype("Int64"),
        lambda site: site.astype("category"),
        lambda site: site.astype(object),
        lambda site: "  " + site + " ",
        lambda site: list(site),
        lambda site: tuple(site),
    ],
)
def test_labels_of_any_kind_mean_the_same(relabel):
    out = ComBat().fit_transform(X, site=relabel(SITE), covariates=COVARIATES)
    np.testing.assert_array_equal(out, EVERYONE)


def test_a_number_is_one_label_in_whatever_type():
    codes = SITE.map({"Cork": 1, "Mayo": 2, "Utah": 3})
    model = ComBat().fit(X, site=codes, covariates=COVARIATES)
    for kind in (float, str, object, np.int8):
        form = codes.to_numpy(kind)
        rows = model.transform(X, site=form, covariates=COVARIATES)
        np.testing.assert_array_equal(rows, EVERYONE)
    assert list(model.sites_) == ["1", "2", "3"]


def test_missing_sites_are_counted_and_named():
    gaps = PEOPLE.set_axis([f"sub-{k:02d}" for k in range(60)])
    gaps.loc[["sub-03", "sub-40"], "site"] = [None, " "]
    for call in (clone(COLUMNS).fit, COLUMNS.transform):
        with pytest.raises(ValueError, match="site is missing in 2 of 60 rows: sub-03, sub-40"):
            call(gaps)


# sites that training lacked


def test_unseen_sites_are_refused_with_names_and_counts():
    new = PEOPLE[:5].assign(site=["Essen", "Mayo", "Lyon", "Essen", "Utah"])
    message = r"Essen \(2\), Lyon \(1\); fit saw \['Cork', 'Mayo', 'Utah'\]"
    with pytest.raises(ValueError, match=message):
        COLUMNS.transform(new)


def test_unseen_sites_may_be_passed_on_as_they_are():
    model = clone(COLUMNS).set_params(unseen="passthrough").fit(PEOPLE)
    new = PEOPLE[:5].assign(site=["Essen", "Mayo", "Lyon", "Essen", PEOPLE["site"][4]])
    with pytest.warns(HarmonizationWarning, match=r"Essen \(2\), Lyon \(1\) are passed on"):
        out = model.transform(new)
    np.testing.assert_array_equal(out[[0, 2, 3]], new[NAMES].iloc[[0, 2, 3]])
    np.testing.assert_allclose(out[4], EVERYONE[4], atol=1e-13)
    with pytest.warns(HarmonizationWarning):
        alone = model.transform(new[:1])
    np.testing.assert_array_equal(alone, out[:1])


def test_without_site_there_is_one_and_one_warning():
    with pytest.warns(SingleSiteWarning, match="got no site") as warned:
        model = ComBat(site_column=None).fit(X)
    assert len(warned) == 1
    np.testing.assert_array_equal(model.transform(X), X)
    np.testing.assert_array_equal(model.transform(X[:1]), X[:1])
    with pytest.warns(SingleSiteWarning):
        out = ComBat(site_column=None).fit_transform(X, covariates=COVARIATES.assign(one=1))
    np.testing.assert_array_equal(out, X)


def test_one_site_stays_as_it_is():
    np.testing.assert_array_equal(ComBat().fit_transform(X, site=["Mayo"] * 60), X)


# covariates


def test_unknown_categories_are_named():
    new = PEOPLE[:4].assign(sex=["F", "X", "M", "f"])
    with pytest.raises(ValueError, match=r"'sex' has values \['X', 'f'\].*\['F', 'M'\]"):
        COLUMNS.transform(new)


@pytest.mark.parametrize("kind", ["category", object, str])
def test_categories_of_any_type_mean_the_same(kind):
    people = PEOPLE.assign(sex=(" " + PEOPLE["sex"]).astype(kind))
    np.testing.assert_array_equal(clone(COLUMNS).fit_transform(people), EVERYONE)
    np.testing.assert_array_equal(COLUMNS.transform(people), EVERYONE)


def test_numbers_that_are_declared_categories_are_indicators():
    group = np.random.default_rng(0).integers(0, 3, 60)
    model = ComBat().fit(X, site=SITE, covariates={"group": pd.Categorical(group)})
    assert list(model.covariate_names_) == ["group=1", "group=2"]
    plain = ComBat().fit(X, site=SITE, covariates={"group": group})
    assert list(plain.covariate_names_) == ["group"]
    new = ComBat().fit(X, site=SITE, covariates={"group": pd.Categorical(group.astype(float))})
    np.testing.assert_array_equal(new.coefficients_, model.coefficients_)


def test_text_where_fit_saw_numbers_is_named():
    new = PEOPLE.astype({"age": object})
    new.loc[[7, 9], "age"] = "unknown"
    with pytest.raises(ValueError, match=r"'age' held numbers in fit, but text in 2 .* 7, 9"):
        COLUMNS.transform(new)


@pytest.mark.parametrize(
    ("column", "gap"), [("age", np.nan), ("age", np.inf), ("sex", None), ("sex", " ")]
)
def test_missing_covariates_are_counted_and_named(column, gap):
    gaps = PEOPLE.copy()
    gaps.loc[[2, 11], column] = gap
    for call in (clone(COLUMNS).fit, COLUMNS.transform):
        with pytest.raises(ValueError, match=rf"'{column}' is missing .* in 2 of 60 rows: 2, 11"):
            call(gaps)


def test_missing_covariates_may_take_their_training_mean():
    model = clone(COLUMNS).set_params(missing_covariates="mean").fit(PEOPLE)
    mean = pd.DataFrame({"age": [PEOPLE["age"].mean()], "male": [(PEOPLE["sex"] == "M").mean()]})
    numbers = pd.DataFrame({"age": PEOPLE["age"], "male": (PEOPLE["sex"] == "M").astype(float)})
    by_hand = ComBat().fit(X, site=SITE, covariates=numbers)
    for row in range(5):
        site = SITE[[row]]
        expected = by_hand.transform(X.iloc[[row]], site=site, covariates=mean)
        for person in (
            PEOPLE.iloc[[row]].assign(age=np.nan, sex=None),
            PEOPLE.iloc[[row]].drop(columns=["age", "sex"]),
            PEOPLE.iloc[[row]].drop(columns="age").assign(sex=None),
        ):
            np.testing.assert_allclose(model.transform(person), expected, atol=1e-12)
    some = PEOPLE.copy()
    some.loc[3, "age"] = np.nan
    others = np.arange(60) != 3
    np.testing.assert_allclose(model.transform(some)[others], EVERYONE[others], atol=1e-13)
    with pytest.raises(ValueError, match="missing or infinite"):
        model.fit(some)


def test_missing_covariates_in_an_array_may_take_their_mean_too():
    rows = as_numbers(PEOPLE)
    model = ComBat(site_column=6, covariate_columns=[7, 8], missing_covariates="mean").fit(rows)
    named = clone(COLUMNS).set_params(missing_covariates="mean").fit(PEOPLE)
    rows[::2, 7] = np.nan
    gaps = PEOPLE.copy()
    gaps.loc[::2, "age"] = np.nan
    np.testing.assert_allclose(model.transform(rows), named.transform(gaps), atol=1e-12)


@pytest.mark.parametrize("parameters", [{}, {"eb": False}, {"parametric": False}])
def test_shifts_alone_need_no_covariates(parameters):
    model = clone(COLUMNS).set_params(location_only=True, **parameters).fit(PEOPLE)
    np.testing.assert_array_equal(
        model.transform(PEOPLE.drop(columns=["age", "sex"])), model.transform(PEOPLE)
    )


# scikit-learn


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    CHECKED = [
        ComBat(site_column=None),
        ComBat(site_column=None, parametric=False, target="ignore"),
        ComBat(site_column=None, location_only=True, stop_rule="reference"),
    ]


@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.SingleSiteWarning")
@parametrize_with_checks(CHECKED, expected_failed_checks=expected_failed_checks)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_no_check_is_expected_to_fail():
    assert expected_failed_checks(ComBat(site_column=None)) == {}


def test_output_may_be_a_dataframe():
    model = clone(COLUMNS).set_output(transform="pandas").fit(PEOPLE)
    people = PEOPLE.set_axis([f"sub-{k:02d}" for k in range(60)])
    out = model.transform(people)
    pd.testing.assert_frame_equal(out, pd.DataFrame(EVERYONE, people.index, NAMES))
    assert list(model.get_feature_names_out()) == NAMES
    assert list(model.get_feature_names_out(list(PEOPLE.columns))) == NAMES
    with pytest.raises(ValueError, match="input_features"):
        model.get_feature_names_out(["a"] * 9)


def test_saved_pickled_and_cloned(tmp_path):
    smooth = ComBat(covariate_columns=["age", "sex"], smooth=["age"], ref_site="Mayo").fit(PEOPLE)
    by_position = ComBat(site_column=6).fit(as_numbers(PEOPLE))
    for number, model in enumerate((COLUMNS, smooth, by_position)):
        rows = as_numbers(PEOPLE) if model is by_position else PEOPLE
        out = model.transform(rows)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(rows), out)
        opened = load(save(model, tmp_path / str(number)))
        np.testing.assert_array_equal(opened.transform(rows), out)
        pd.testing.assert_frame_equal(opened.priors_, model.priors_)
        np.testing.assert_array_equal(clone(model).fit(rows).transform(rows), out)


def test_a_saved_model_holds_parameters_not_people(tmp_path):
    n_people, n_features = 400, 1000
    random = np.random.default_rng(0)
    rows = random.normal(size=(n_people, n_features))
    model = ComBat().fit(rows, site=random.integers(0, 4, n_people))
    folder = save(model, tmp_path / "model")
    size = sum(file.stat().st_size for file in folder.iterdir())
    per_feature = 2 * 4 + 2 + 1 + 1  # effects, centre, deviation, position, whether it varies
    assert size < 8 * n_features * per_feature + 20_000 < rows.nbytes / 10


def test_global_random_state_is_left_alone():
    before = str(np.random.get_state())  # noqa: NPY002
    clone(COLUMNS).fit_transform(PEOPLE)
    assert str(np.random.get_state()) == before  # noqa: NPY002


# labels and covariates of any form


@pytest.mark.parametrize("codes", [[1.0, 2.0, 3.5], [1.0, "Mayo", 3], [1, 2.0, "x"]])
def test_labels_of_a_row_do_not_depend_on_the_other_rows(codes):
    site = SITE.map(dict(zip(["Cork", "Mayo", "Utah"], codes, strict=True))).to_numpy(object)
    model = ComBat().fit(X, site=site, covariates=COVARIATES)
    whole = model.transform(X, site=site, covariates=COVARIATES)
    np.testing.assert_allclose(whole, EVERYONE, rtol=1e-12)
    for row in range(0, 60, 7):
        part = slice(row, row + 1)
        alone = model.transform(X[part], site=site[part], covariates=COVARIATES[part])
        np.testing.assert_allclose(alone[0], whole[row], rtol=1e-13, atol=1e-13)


def test_an_array_of_covariates_has_the_names_that_were_asked_for():
    sex = (PEOPLE["sex"] == "M").to_numpy(float)
    named = ComBat(covariate_columns=["sex"])
    frame = clone(named).fit(X, site=SITE, covariates=pd.DataFrame({"sex": sex}))
    for form in (sex, sex[:, None], pd.Series(sex)):
        model = clone(named).fit(X, site=SITE, covariates=form)
        assert list(model.covariate_names_) == list(frame.covariate_names_) == ["sex"]
        np.testing.assert_array_equal(
            model.transform(X, site=SITE, covariates=form),
            frame.transform(X, site=SITE, covariates=pd.DataFrame({"sex": sex})),
        )
    with pytest.raises(ValueError, match="2 columns without names"):
        clone(named).fit(X, site=SITE, covariates=np.column_stack([sex, sex]))
