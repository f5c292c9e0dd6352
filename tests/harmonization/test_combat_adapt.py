"""Learning a new site from its scans: a new object, known sites untouched, no y."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline

from mresklearn.exceptions import HarmonizationWarning, MissingMetadataError, SingleSiteWarning
from mresklearn.harmonization import ComBat
from mresklearn.model_selection import adapt_to_site, cross_validate_sites
from mresklearn.persistence import load, save

NAMES = [f"region{k}" for k in range(12)]


def cohort(sites, n_each, seed=0):
    random = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sites)), n_each)
    age = random.uniform(20, 80, len(codes))
    slopes = np.random.default_rng(99).normal(size=12) / 20
    X = random.normal(size=(len(codes), 12)) * random.uniform(0.6, 1.6, (len(sites), 1))[codes]
    X += np.outer(age, slopes) + random.normal(0, 2, (len(sites), 12))[codes]
    return pd.DataFrame(X, columns=NAMES).assign(site=np.array(sites)[codes], age=age)


PEOPLE = cohort(["Mayo", "Utah", "Cork"], 40)
NEW = cohort(["Essen"], 50, seed=1)
BOTH = pd.concat([PEOPLE, NEW], ignore_index=True)
VARIANTS = [
    {},
    {"eb": False},
    {"parametric": False},
    {"location_only": True},
    {"ref_site": "Utah"},
    {"smooth": ["age"]},
    {"stop_rule": "reference"},
]


def combat(**parameters):
    return ComBat(covariate_columns=["age"], **parameters)


@pytest.mark.filterwarnings("ignore:Covariate 'age' lies outside")
@pytest.mark.parametrize("parameters", VARIANTS)
def test_known_sites_stay_bit_for_bit_and_the_object_as_it_was(parameters):
    model = combat(**parameters).fit(PEOPLE)
    before = model.transform(PEOPLE)
    learned = {name: np.array(value) for name, value in vars(model).items() if name.endswith("_")}
    adapted = model.adapt(NEW)
    assert adapted is not model
    assert type(adapted) is ComBat
    np.testing.assert_array_equal(adapted.transform(PEOPLE), before)
    for name, value in learned.items():
        if name != "coder_":
            np.testing.assert_array_equal(np.array(getattr(model, name)), value)
    with pytest.raises(ValueError, match="Essen"):
        model.transform(NEW)
    assert list(adapted.sites_) == ["Cork", "Essen", "Mayo", "Utah"]
    assert list(adapted.n_people_) == [40, 50, 40, 40]
    assert list(adapted.priors_.index) == list(adapted.sites_)


@pytest.mark.filterwarnings("ignore:Covariate 'age' lies outside")
@pytest.mark.parametrize("parameters", VARIANTS)
def test_the_new_site_is_moved_to_the_others(parameters):
    adapted = combat(**parameters).fit(PEOPLE).adapt(NEW)
    fresh = pd.DataFrame(
        adapted.transform(NEW) - adapted.coder_.transform(NEW[["age"]]) @ adapted.coefficients_
    )
    gap = (fresh.mean() - adapted.centre_) / adapted.deviation_
    raw = NEW[NAMES].to_numpy() - adapted.coder_.transform(NEW[["age"]]) @ adapted.coefficients_
    before = (raw.mean(axis=0) - adapted.centre_) / adapted.deviation_
    assert np.sqrt((gap**2).mean()) < 0.5 * np.sqrt((before**2).mean())


def test_without_priors_adapting_is_the_moments_of_the_new_site():
    model = combat(eb=False).fit(PEOPLE)
    adapted = model.adapt(NEW)
    left = NEW[NAMES].to_numpy() - NEW[["age"]].to_numpy() @ model.coefficients_ - model.centre_
    standard = left / model.deviation_
    here = list(adapted.sites_).index("Essen")
    np.testing.assert_allclose(adapted.shift_[here], standard.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(adapted.ratio_[here], standard.var(axis=0, ddof=1), rtol=1e-10)


def test_several_new_sites_at_once_or_one_by_one():
    two = cohort(["Lyon", "Aachen"], 30, seed=3)
    model = combat().fit(PEOPLE)
    at_once = model.adapt(two)
    in_turn = model.adapt(two[two["site"] == "Lyon"]).adapt(two[two["site"] == "Aachen"])
    np.testing.assert_allclose(at_once.transform(two), in_turn.transform(two), atol=1e-12)
    assert list(at_once.sites_) == list(in_turn.sites_) == sorted(at_once.sites_)
    blocks = combat(block_size=5).fit(PEOPLE).adapt(two)
    np.testing.assert_allclose(blocks.transform(two), at_once.transform(two), atol=1e-11)


def test_rows_of_a_new_site_are_still_by_themselves():
    adapted = combat().fit(PEOPLE).adapt(NEW[:30])
    everyone = adapted.transform(BOTH)
    for row in (0, 125, 169):
        np.testing.assert_allclose(adapted.transform(BOTH.iloc[[row]]), everyone[[row]], atol=1e-12)


def test_the_price_of_adapting_without_ages():
    """A site of older people: their age difference goes with the site effect."""
    people, age = PEOPLE.drop(columns="age"), PEOPLE["age"]
    model = make_pipeline(ComBat(), Ridge()).fit(people, age)
    older = cohort(["Essen"], 400, seed=5)
    older = older[older["age"] > 50]
    adapted = adapt_to_site(model, older.drop(columns="age"))
    bias = (adapted.predict(older.drop(columns="age")) - older["age"]).mean()
    assert bias < -5


@pytest.mark.parametrize("row", [0, 3])
def test_features_that_never_vary_lose_a_shift(row):
    people = PEOPLE.assign(region0=1.0)
    model = combat().set_output(transform="pandas").fit(people)
    adapted = model.adapt(NEW.assign(region0=4.0))
    assert adapted.transform(NEW.assign(region0=4.0).iloc[[row]])["region0"].iloc[0] == 1.0


def test_people_must_be_enough():
    model = combat().fit(PEOPLE)
    few = pd.concat([NEW[:9], cohort(["Lyon"], 12, seed=2)])
    with pytest.raises(ValueError, match=r"Essen \(9\); min_subjects is 10"):
        model.adapt(few)
    assert "Essen" in model.adapt(few, min_subjects=9).sites_
    with pytest.raises(ValueError, match="min_subjects must be 1 or more"):
        model.adapt(few, min_subjects=0)


def test_known_sites_are_refused():
    model = combat().fit(PEOPLE)
    with pytest.raises(ValueError, match=r"\['Mayo'\] were in training already"):
        model.adapt(pd.concat([NEW, PEOPLE[:20]]))


def test_site_must_be_named_and_have_been_in_fit():
    with pytest.raises(MissingMetadataError, match="adapt needs the site"):
        ComBat(site_column=None).fit(PEOPLE[NAMES], site=PEOPLE["site"]).adapt(NEW[NAMES])
    with pytest.warns(SingleSiteWarning):
        model = ComBat(site_column=None).fit(PEOPLE[NAMES])
    with pytest.raises(MissingMetadataError, match="adapt needs the site"):
        model.adapt(NEW[NAMES], site=NEW["site"])


def test_from_one_site_to_a_second():
    """Trained at one site, the second is moved to it."""
    mayo = PEOPLE[PEOPLE["site"] == "Mayo"]
    model = combat(eb=False).fit(mayo)
    adapted = model.adapt(NEW)
    np.testing.assert_array_equal(adapted.transform(mayo), mayo[NAMES])
    covariates = adapted.coder_.transform(NEW[["age"]])
    left = adapted.transform(NEW) - covariates @ adapted.coefficients_
    np.testing.assert_allclose(left.mean(axis=0), adapted.centre_, atol=1e-9)


def test_covariates_may_be_missing_where_that_is_allowed():
    model = combat(missing_covariates="mean").fit(PEOPLE)
    adapted = model.adapt(NEW.drop(columns="age"))
    at_mean = model.adapt(NEW.assign(age=PEOPLE["age"].mean()))
    np.testing.assert_allclose(adapted.shift_, at_mean.shift_, atol=1e-12)
    with pytest.raises(ValueError, match="'age'"):
        combat().fit(PEOPLE).adapt(NEW.drop(columns="age"))


def test_saved_and_opened(tmp_path):
    adapted = combat().fit(PEOPLE).adapt(NEW)
    opened = load(save(adapted, tmp_path / "model"))
    np.testing.assert_array_equal(opened.transform(BOTH), adapted.transform(BOTH))
    assert "Lyon" in opened.adapt(cohort(["Lyon"], 20, seed=3)).sites_


# with mresklearn.model_selection


@pytest.mark.parametrize("by_column", [True, False])
def test_adapt_to_site_in_a_pipeline_and_a_search(by_column):
    rows, new = PEOPLE.drop(columns="age"), NEW.drop(columns="age")
    pipeline = make_pipeline(ComBat(), Ridge())
    folds = KFold(3, shuffle=True, random_state=0)
    models = [
        clone(pipeline).fit(rows, PEOPLE["age"]),
        GridSearchCV(pipeline, {"ridge__alpha": [1.0]}, cv=folds).fit(rows, PEOPLE["age"]),
    ]
    for model in models:
        # tools hand site on to every step; where it rides with the rows too, they agree
        adapted = adapt_to_site(model, new, site=new["site"] if by_column else None)
        predictions = adapted.predict(new)
        np.testing.assert_array_equal(adapted.predict(rows), model.predict(rows))
        with pytest.raises(ValueError, match="Essen"):
            model.predict(new)
    by_hand = ComBat().fit(rows, PEOPLE["age"]).adapt(new)
    ridge = Ridge().fit(by_hand.transform(rows), PEOPLE["age"])
    np.testing.assert_allclose(predictions, ridge.predict(by_hand.transform(new)))


@pytest.mark.filterwarnings(
    "ignore:Site.* are passed on:mresklearn.exceptions.HarmonizationWarning"
)
def test_all_three_protocols_of_cross_validation():
    rows = BOTH.drop(columns="age")
    pipeline = make_pipeline(ComBat(unseen="passthrough"), Ridge())
    results = cross_validate_sites(pipeline, rows, BOTH["age"], n_splits=3)
    mae = results.summary["mae"]
    assert set(mae.index) == {"within_site", "leave_one_site_out", "transductive"}
    assert mae["within_site"] < mae["transductive"] < mae["leave_one_site_out"]


def test_leaving_a_site_out_needs_a_policy():
    rows = BOTH.drop(columns="age")
    with pytest.raises(ValueError, match="unseen='passthrough'"):
        cross_validate_sites(make_pipeline(ComBat(), Ridge()), rows, BOTH["age"], n_splits=3)


def test_warning_of_passed_on_rows_names_them():
    model = ComBat(unseen="passthrough").fit(PEOPLE)
    with pytest.warns(HarmonizationWarning, match=r"Essen \(50\)"):
        model.transform(NEW)
