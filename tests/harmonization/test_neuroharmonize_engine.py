"""neuroHarmonize as second engine: what it cannot do by itself, ComBat does around it."""

import contextlib
import io
import pickle
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from mresklearn.harmonization import ComBat, SiteMoments
from mresklearn.model_selection import adapt_to_site
from mresklearn.persistence import load, save

package = pytest.importorskip("neuroHarmonize")


def cohort(n_people=60, n_features=30, *, whole=True, seed=0):
    random = np.random.default_rng(seed)
    site = np.array(["Mayo", "Utah", "Delaware"])[random.permutation(np.arange(n_people) % 3)]
    codes = np.unique(site, return_inverse=True)[1]
    age = random.integers(20, 80, n_people) if whole else random.uniform(20, 80, n_people)
    X = random.normal(size=(n_people, n_features)) * random.uniform(0.7, 1.4, (3, 1))[codes] + 4
    X += random.normal(size=(3, n_features))[codes] + np.outer(age, np.ones(n_features)) / 30
    table = pd.DataFrame(X, columns=[f"region{k}" for k in range(n_features)])
    sex = np.where(random.random(n_people) < 0.5, "F", "M")
    return table.assign(site=site, age=age.astype(float), sex=sex)


def combat(**parameters):
    return ComBat(**{"covariate_columns": ["age", "sex"], **parameters})


def engine(**parameters):
    return combat(engine="neuroharmonize", **parameters)


def native(**parameters):
    return combat(stop_rule="reference", **parameters)


@pytest.mark.parametrize("eb", [True, False])
@pytest.mark.parametrize(("whole", "tolerance"), [(True, 1e-10), (False, 1e-6)])
def test_both_engines_agree(eb, whole, tolerance):
    X = cohort(whole=whole)
    train, test = X[:45], X[45:]
    theirs, ours = engine(eb=eb).fit(train), native(eb=eb).fit(train)
    for rows in (train, test):
        np.testing.assert_allclose(theirs.transform(rows), ours.transform(rows), atol=tolerance)
    for name in ("centre_", "coefficients_", "deviation_", "shift_", "ratio_"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), atol=10 * tolerance)
    if eb:
        pd.testing.assert_frame_equal(theirs.priors_, ours.priors_, atol=10 * tolerance)


def test_training_people_get_what_the_package_returns():
    X = cohort()
    table = pd.DataFrame({"SITE": X["site"], "age": X["age"], "M": (X["sex"] == "M").astype(float)})
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # of np.matrix
        _, theirs = package.harmonizationLearn(X.iloc[:, :30].to_numpy(), table)
    np.testing.assert_allclose(engine().fit_transform(X), theirs, atol=1e-12)


def test_rows_may_lack_sites_and_come_alone_and_in_any_order():
    X = cohort()
    model = engine().fit(X)
    everyone = model.transform(X)
    alone = np.vstack([model.transform(X.iloc[[row]]) for row in range(6)])
    np.testing.assert_allclose(alone, everyone[:6], atol=1e-12)
    one_site = np.flatnonzero(X["site"] == "Utah")[::-1]
    np.testing.assert_allclose(model.transform(X.iloc[one_site]), everyone[one_site], atol=1e-12)


def test_columns_may_come_in_another_order():
    X = cohort()
    model = engine().fit(X)
    np.testing.assert_array_equal(model.transform(X[X.columns[::-1]]), model.transform(X))


def test_unseen_sites_are_refused_or_passed_on():
    X = cohort()
    model = engine(unseen="passthrough").fit(X)
    new = X[:4].assign(site=["Mayo", "Essen", "Utah", "Essen"])
    with pytest.warns(UserWarning, match=r"Essen \(2\)"):
        out = model.transform(new)
    np.testing.assert_array_equal(out[[1, 3]], new.iloc[[1, 3], :30])
    expected = native().fit(X).transform(new.iloc[[0, 2]])
    np.testing.assert_allclose(out[[0, 2]], expected, atol=1e-10)
    with pytest.raises(ValueError, match=r"Essen \(2\)"):
        engine().fit(X).transform(new)


def test_features_without_spread_disturb_no_other_and_stay():
    X = cohort()
    odd = X.copy()
    odd.insert(5, "zero", 0.0)
    odd.insert(9, "three", 3.3)
    odd.insert(10, "coil", np.where(X["site"] == "Mayo", 2.0, 1.0))
    odd.insert(11, "birth", 2000 - X["age"])
    with_odd = engine().set_output(transform="pandas").fit_transform(odd)
    assert (with_odd["zero"] == 0).all()
    assert (with_odd["three"] == 3.3).all()
    np.testing.assert_allclose(with_odd["coil"], with_odd["coil"].mean())
    np.testing.assert_allclose(with_odd["birth"], odd["birth"], atol=1e-9)
    others = engine().set_output(transform="pandas").fit_transform(X)
    np.testing.assert_allclose(with_odd[others.columns], others, atol=1e-12)


def test_missing_covariates_take_their_mean():
    X = cohort()
    theirs, ours = (make(missing_covariates="mean").fit(X) for make in (engine, native))
    some = X.copy()
    some.loc[::2, "age"] = np.nan
    some.loc[::3, "sex"] = None
    np.testing.assert_allclose(theirs.transform(some), ours.transform(some), atol=1e-6)


def test_target_is_held_fixed_in_training_alone():
    X = cohort().drop(columns="sex")
    y = X.pop("age")
    theirs = ComBat(engine="neuroharmonize").fit(X, y)
    ours = ComBat(target="training", stop_rule="reference").fit(X, y)
    assert theirs.target_ == "training"
    np.testing.assert_allclose(theirs.transform(X), ours.transform(X), atol=1e-6)


def test_a_reference_site_stays(monkeypatch):
    X = cohort()
    # newer NumPy refuses one line of the package; mended, it does what it was meant to
    module = sys.modules["neuroHarmonize.harmonizationLearn"]
    monkeypatch.setattr(module, "int", lambda value: int(np.ravel(value)[0]), raising=False)
    model = engine(ref_site="Mayo").fit(X)
    at_reference = (X["site"] == "Mayo").to_numpy()
    out = model.transform(X)
    np.testing.assert_array_equal(out[at_reference], X[at_reference].iloc[:, :30])
    np.testing.assert_allclose(out, native(ref_site="Mayo").fit_transform(X), atol=1e-10)


def test_where_the_package_fails_with_a_reference_site_the_error_says_so(monkeypatch):
    def refuse(value):
        raise TypeError("only 0-dimensional arrays can be converted to Python scalars")

    module = sys.modules["neuroHarmonize.harmonizationLearn"]
    monkeypatch.setattr(module, "int", refuse, raising=False)
    with pytest.raises(ValueError, match="fails with a reference site"):
        engine(ref_site="Mayo").fit(cohort())


def test_nothing_is_printed_and_the_global_random_state_stays(capsys):
    X = cohort(n_features=1)
    before = str(np.random.get_state())  # noqa: NPY002
    engine().fit(X).transform(X)
    assert capsys.readouterr().out == ""
    assert str(np.random.get_state()) == before  # noqa: NPY002


def test_one_site_is_left_as_it_is():
    X = cohort().assign(site="Mayo")
    np.testing.assert_array_equal(engine().fit_transform(X), X.iloc[:, :30])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"parametric": False}, "neuroHarmonize cannot do parametric=False"),
        ({"location_only": True}, "neuroHarmonize cannot do location_only=True"),
        ({"smooth": ["age"]}, "no seed reaches them"),
    ],
)
def test_what_the_package_cannot_do_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        engine(**parameters).fit(cohort())


@pytest.mark.filterwarnings("ignore:Site.* have a single person")
def test_a_site_of_one_person_is_refused():
    X = cohort()
    X.loc[0, "site"] = "Essen"
    with pytest.raises(ValueError, match="single person"):
        engine().fit(X)


def test_it_does_not_adapt():
    X = cohort()
    model = engine().fit(X)
    with pytest.raises(AttributeError) as raised:
        model.adapt(X.assign(site="Essen"))
    assert "adapt needs engine='native'" in str(raised.value.__cause__)
    with pytest.raises(TypeError, match="cannot adapt"):
        adapt_to_site(model, X.assign(site="Essen"))


def test_moments_are_refused():
    X = cohort()
    moments = SiteMoments.from_rows(X.iloc[:, :30], X["site"])
    with pytest.raises(ValueError, match="engine='native'"):
        ComBat(engine="neuroharmonize").fit_moments(moments)


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "neuroHarmonize", None)
    with pytest.raises(ImportError, match=r"pip install mresklearn\[neuroharmonize\]"):
        engine().fit(cohort())


def test_saved_pickled_and_cloned(tmp_path):
    X = cohort(200, 500)
    model = engine().fit(X)
    out = model.transform(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X), out)
    np.testing.assert_array_equal(load(save(model, tmp_path / "model")).transform(X), out)
    np.testing.assert_array_equal(clone(model).fit(X).transform(X), out)
    size = (tmp_path / "model" / "arrays.safetensors").stat().st_size
    rows_of_features = (
        2 * 3 + 2 + 2 + 1 + 1
    )  # effects, centre, deviation, slopes, positions, varies
    assert size < 8 * 500 * rows_of_features + 3000 < 200 * 500 * 8 / 10


def test_float32_stays_float32():
    X = cohort()
    single = X.astype({f"region{k}": np.float32 for k in range(30)})
    out = engine().fit_transform(single)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, engine().fit_transform(X), atol=1e-4)
