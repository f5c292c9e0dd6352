"""What ComBat does with the target: held fixed in training or not, and never needed later."""

import inspect

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from mresklearn.harmonization import ComBat, CovBat


def cohort(n_people=120, seed=0):
    """Age differs by site and drives the features, which sites move too."""
    random = np.random.default_rng(seed)
    codes = random.permutation(np.arange(n_people) % 3)
    age = random.uniform(20, 50, n_people) + 15 * codes
    X = random.normal(size=(n_people, 20)) + np.outer(age, random.normal(size=20)) / 20
    X += random.normal(size=(3, 20))[codes]
    table = pd.DataFrame(X, columns=[f"region{k}" for k in range(20)])
    return table.assign(site=np.array(["Mayo", "Utah", "Cork"])[codes]), age


PEOPLE, AGE = cohort()
FEATURES = PEOPLE.drop(columns="site")
PATIENT = np.where(np.random.default_rng(1).random(120) < 0.4, "AD", "HC")


def with_age(values=AGE):
    """ComBat in which age is a covariate like any other."""
    covariates = pd.DataFrame({"age": values})
    return ComBat(missing_covariates="mean").fit(
        FEATURES, site=PEOPLE["site"], covariates=covariates
    )


@pytest.mark.parametrize(
    ("mode", "y", "expected"),
    [
        ("auto", None, "ignore"),
        ("auto", AGE, "shrunk"),
        ("auto", AGE.astype(int), "shrunk"),
        ("auto", list(AGE), "shrunk"),
        ("auto", pd.DataFrame({"age": AGE}), "shrunk"),
        ("auto", PATIENT, "shrunk"),
        ("auto", (PATIENT == "AD").astype(int), "shrunk"),
        ("auto", PATIENT == "AD", "shrunk"),
        ("auto", np.arange(120) % 10, "shrunk"),
        ("auto", np.arange(120) % 11, "shrunk"),
        ("auto", np.column_stack([AGE, AGE**2]), "ignore"),
        ("ignore", AGE, "ignore"),
        ("training", AGE, "training"),
        ("training", PATIENT, "training"),
        ("full", AGE, "full"),
    ],
)
def test_what_is_done_with_y(mode, y, expected):
    assert ComBat(target=mode).fit(PEOPLE, y).target_ == expected


def test_ignoring_the_target_is_not_having_one():
    without = ComBat().fit_transform(PEOPLE)
    for model in (ComBat(target="ignore"), ComBat(target="full")):
        np.testing.assert_array_equal(model.fit_transform(PEOPLE, AGE), without)


def test_in_training_the_target_is_a_covariate_and_later_its_mean_stands_in():
    model = ComBat(target="training").fit(PEOPLE, AGE)
    assert list(model.covariate_names_) == ["target"]
    np.testing.assert_allclose(model.coefficients_, with_age().coefficients_, rtol=1e-12)
    np.testing.assert_allclose(
        model.transform(PEOPLE), with_age().transform(FEATURES, site=PEOPLE["site"]), atol=1e-12
    )


def test_training_people_are_treated_as_new_ones():
    model = ComBat()
    np.testing.assert_array_equal(model.fit_transform(PEOPLE, AGE), model.transform(PEOPLE))


def test_classes_are_held_fixed_as_categories_however_they_are_coded():
    three = np.array(["AD", "HC", "MCI"])[np.random.default_rng(2).integers(0, 3, 120)]
    codes = pd.Series(three).map({"AD": 2, "HC": 0, "MCI": 1})
    by_name = ComBat(target="training").fit(PEOPLE, three)
    by_code = ComBat(target="training").fit(PEOPLE, codes)
    assert list(by_name.covariate_names_) == ["target=HC", "target=MCI"]
    assert list(by_code.covariate_names_) == ["target=1", "target=2"]
    np.testing.assert_allclose(by_code.transform(PEOPLE), by_name.transform(PEOPLE), atol=1e-10)
    two = ComBat(target="training").fit(PEOPLE, (PATIENT == "AD").astype(int))
    np.testing.assert_allclose(
        two.transform(PEOPLE), ComBat(target="training").fit(PEOPLE, PATIENT).transform(PEOPLE)
    )


def test_holding_age_fixed_keeps_what_ignoring_it_removes():
    """Sites differ by 15 years each: without age, that difference goes with the site effect."""
    kept = {}
    for mode in ("ignore", "training"):
        out = ComBat(target=mode).fit_transform(PEOPLE, AGE)
        predicted = pd.Series(Ridge().fit(out, AGE).predict(out))
        means = [values.groupby(PEOPLE["site"]).mean() for values in (predicted, pd.Series(AGE))]
        kept[mode] = np.ptp(means[0]) / np.ptp(means[1])
    assert kept["ignore"] < 0.3
    assert kept["training"] > 0.9


def test_no_method_for_new_people_takes_y():
    for method in (ComBat.transform, ComBat.adapt):
        assert "y" not in inspect.signature(method).parameters


@pytest.mark.parametrize("mode", ["auto", "ignore", "training"])
def test_permuting_the_ages_of_test_people_changes_nothing(mode):
    """Full ComBat, with age as a column that new people bring, fails this."""
    with_column = PEOPLE.assign(age=AGE)
    for train, test in KFold(4).split(PEOPLE):
        permuted = AGE.copy()
        permuted[test] = np.random.default_rng(0).permutation(AGE[test])
        fits = [ComBat(target=mode).fit(PEOPLE.iloc[train], age[train]) for age in (AGE, permuted)]
        first, second = (model.transform(PEOPLE.iloc[test]) for model in fits)
        np.testing.assert_array_equal(first, second)
        pipelines = [
            make_pipeline(ComBat(target=mode), Ridge()).fit(PEOPLE.iloc[train], age[train])
            for age in (AGE, permuted)
        ]
        first, second = (model.predict(PEOPLE.iloc[test]) for model in pipelines)
        np.testing.assert_array_equal(first, second)
        full = ComBat(target="full", covariate_columns=["age"]).fit(with_column.iloc[train])
        leaked = full.transform(with_column.assign(age=permuted).iloc[test])
        assert np.abs(leaked - full.transform(with_column.iloc[test])).max() > 0.01


@pytest.mark.parametrize(
    "column",
    [
        AGE,
        AGE * 365.25,
        100 - AGE,
        np.round(AGE),
        AGE.astype(object),
    ],
    ids=["itself", "in days", "reversed", "rounded", "object"],
)
def test_a_covariate_that_is_the_target_is_refused(column):
    people = PEOPLE.assign(years=pd.Series(column))
    model = ComBat(covariate_columns=["years"])
    with pytest.raises(ValueError, match=r"'years' is the target y.*target='training'"):
        model.fit(people, AGE)
    with pytest.raises(ValueError, match="'years' is the target y"):
        model.fit(people, AGE[:, None])
    with pytest.raises(ValueError, match="'years' is the target y"):
        ComBat().fit(FEATURES, AGE, site=PEOPLE["site"], covariates={"years": column})
    allowed = clone(model).set_params(target="full").fit(people, AGE)
    assert list(allowed.covariate_names_) == ["years"]


@pytest.mark.parametrize(
    "column",
    [
        PATIENT,
        PATIENT == "AD",
        np.where(PATIENT == "AD", 7, 3),
        np.where(PATIENT == "AD", "x", "y"),
    ],
    ids=["itself", "boolean", "numbers", "renamed"],
)
@pytest.mark.parametrize("y", [PATIENT, (PATIENT == "AD").astype(int)], ids=["text", "codes"])
def test_a_covariate_that_is_the_class_is_refused(column, y):
    with pytest.raises(ValueError, match="'group' is the target y"):
        ComBat(covariate_columns=["group"]).fit(PEOPLE.assign(group=column), y)


def test_classes_in_another_order_are_the_classes():
    y = np.random.default_rng(0).integers(0, 3, 120)
    with pytest.raises(ValueError, match="'group' is the target y"):
        ComBat(covariate_columns=["group"]).fit(PEOPLE.assign(group=(y + 1) % 3), y)


def test_covariates_that_go_with_the_target_are_allowed():
    random = np.random.default_rng(0)
    people = PEOPLE.assign(
        volume=AGE + random.normal(0, 5, 120), sex=np.where(random.random(120) < 0.5, "F", "M")
    )
    model = ComBat(covariate_columns=["volume", "sex"])
    assert list(model.fit(people, AGE).covariate_names_) == ["volume", "sex=M", "target"]
    assert list(model.fit(people, PATIENT).covariate_names_) == ["volume", "sex=M", "target=HC"]


def test_training_needs_one_y_per_row():
    with pytest.raises(ValueError, match="fit got no y"):
        ComBat(target="training").fit(PEOPLE)
    with pytest.raises(ValueError, match=r"got y of shape \(120, 2\)"):
        ComBat(target="training").fit(PEOPLE, np.column_stack([AGE, AGE]))
    with pytest.raises(ValueError, match="y has 119 entries, but X has 120 rows"):
        ComBat(target="training").fit(PEOPLE, AGE[:-1])
    gaps = np.where(AGE > 60, np.nan, AGE)
    with pytest.raises(ValueError, match="'target' is missing or infinite in"):
        ComBat(target="training").fit(PEOPLE, gaps)


def test_a_covariate_may_not_bear_the_name_of_the_target():
    people = PEOPLE.assign(target=np.random.default_rng(0).normal(size=120))
    with pytest.raises(ValueError, match=r"\['target'\] come twice"):
        ComBat(covariate_columns=["target"]).fit(people, AGE)
    model = ComBat(covariate_columns=["target"], target="ignore").fit(people, AGE)
    people.loc[4, "target"] = np.nan
    with pytest.raises(ValueError, match="'target' is missing"):
        model.transform(people)


def test_a_diagnosis_that_site_determines_is_refused_with_the_way_out():
    """Ignored without a word, it would be removed as a whole."""
    diagnosis = np.where(PEOPLE["site"] == PEOPLE["site"].iloc[0], "AD", "HC")
    with pytest.raises(ValueError, match="With target='ignore' y is not held fixed"):
        ComBat().fit(PEOPLE, diagnosis)
    assert ComBat(target="ignore").fit(PEOPLE, diagnosis).target_ == "ignore"


@pytest.mark.parametrize("harmonizer", [ComBat(), CovBat(min_people=5)])
@pytest.mark.parametrize("levels", [40, 8, 2])
def test_ages_of_dtype_object_are_numbers(harmonizer, levels):
    whole = 20 + np.arange(120) % levels
    expected = clone(harmonizer).fit(PEOPLE, whole)
    for form in (
        pd.Series(whole, dtype=object),
        pd.Series(whole, dtype="Int64"),
        np.array([float(year) for year in whole], dtype=object),
    ):
        fitted = clone(harmonizer).fit(PEOPLE, form)
        np.testing.assert_allclose(fitted.transform(PEOPLE), expected.transform(PEOPLE))
