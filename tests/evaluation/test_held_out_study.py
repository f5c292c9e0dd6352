"""Leaving a whole study out: who is trained on, and whether planted effects come back."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from statsmodels.stats.multitest import multipletests

from mresklearn.evaluation import leave_study_out
from mresklearn.exceptions import UnanswerableWarning
from mresklearn.metrics import BrainAgeBiasCorrector, brain_age_scores, compare_gaps

COLE = BrainAgeBiasCorrector(method="cole", by_site=True)


def people(effect=5.0, sizes=None, noise=8.0, seed=0):
    """Four studies with a shift each; the brains of patients look `effect` years older."""
    sizes = sizes or {
        "Aging": {"CN": 30},
        "Atlas": {"CN": 40},
        "Clinic": {"CN": 25, "MCI": 20},
        "Memory": {"CN": 25, "AD": 15},
    }
    random = np.random.default_rng(seed)
    rows = [(s, d) for s, groups in sizes.items() for d, n in groups.items() for _ in range(n)]
    table = pd.DataFrame(rows, columns=["study", "diagnosis"])
    n, patient = len(table), (table.diagnosis != "CN").to_numpy()
    age = random.normal(np.where(patient, 72, 66), 7)
    shift = pd.Series(random.normal(0, 10, len(sizes)), index=list(sizes))[table.study].to_numpy()
    looks = age + effect * patient
    X = looks[:, None] + shift[:, None] + random.normal(0, noise, (n, 4))
    return table.assign(age=age, sex=random.choice(["F", "M"], n)), X


def leave_out(table, X, estimator=None, **options):
    given = {"study": table.study, "diagnosis": table.diagnosis} | options
    return leave_study_out(estimator or Ridge(), X, table.age, **given)


class Recorder(RegressorMixin, BaseEstimator):
    """Keeps the row numbers (its only feature) that each fit and prediction got."""

    calls: list = []

    def fit(self, X, y, site=None, groups=None):
        self.calls.append({"train": X[:, 0].astype(int), "site": site, "groups": groups})
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        self.calls[-1]["test"] = X[:, 0].astype(int)
        return self.mean_ + np.sin(X[:, 0])


class Unfitted(RegressorMixin, BaseEstimator):
    """Fails the test where a fit is started before the design was checked."""

    def fit(self, X, y):
        raise AssertionError("a model was fitted")

    def predict(self, X):
        raise AssertionError("a model was asked")


# who is trained on


@pytest.mark.parametrize("out_of_fold", ["study", "person"])
def test_nobody_of_the_study_and_no_patient_is_trained_on(out_of_fold, monkeypatch):
    monkeypatch.setattr(Recorder, "calls", calls := [])
    table, _ = people()
    person = np.arange(len(table))
    person[:3] = person[-3:] = [500, 501, 502]  # of Aging, and patients of Memory
    table.loc[:2, "diagnosis"] = "AD"
    person[40:43] = [501 + 100, 601, 602]
    person[75:78] = [601, 601, 602]  # controls of Atlas who were also scanned in Clinic
    X = np.arange(len(table))[:, None].astype(float)
    result = leave_out(table, X, Recorder(), groups=person, out_of_fold=out_of_fold)
    outer = [call for call in calls if len(np.unique(table.study[call["test"]])) == 1]
    assert outer
    for call in calls:
        assert (table.diagnosis[call["train"]] == "CN").all()
        assert not set(person[call["train"]]) & set(person[call["test"]])
        np.testing.assert_array_equal(call["groups"], person[call["train"]])
    for name, rows in result.predictions.groupby("study").row:
        tested = [call for call in calls if set(call["test"]) == set(rows)]
        assert len(tested) >= 1
        assert name not in set(table.study[tested[0]["train"]])
        inner = result.out_of_fold[result.out_of_fold.held_out == name]
        assert set(inner.row) == set(tested[0]["train"])
        assert name not in set(inner.site)
    assert set(result.predictions.study) == {"Aging", "Clinic", "Memory"}


def test_numbers_are_those_of_the_steps_by_hand():
    table, X = people()
    result = leave_out(table, X, sex=table.sex, corrector=COLE, out_of_fold="study")
    assert result.lines.index.tolist() == ["Clinic", "Memory"]
    here = (table.study == "Memory").to_numpy()
    train = (~here) & (table.diagnosis == "CN").to_numpy()
    predicted = Ridge().fit(X[train], table.age[train]).predict(X[here])
    inner = np.full(len(table), np.nan)
    for name in ("Aging", "Atlas", "Clinic"):
        own = (table.study == name).to_numpy()
        fitted = Ridge().fit(X[train & ~own], table.age[train & ~own])
        inner[train & own] = fitted.predict(X[train & own])
    corrector = BrainAgeBiasCorrector(by_site=True).fit(
        inner[train],
        table.age[train].to_numpy(),
        fold=pd.factorize(table.study[train])[0],
        site=table.study[train].to_numpy(),
    )
    lines = result.predictions[result.predictions.study == "Memory"]
    age = table.age[here].to_numpy()
    np.testing.assert_allclose(lines.prediction, predicted)
    np.testing.assert_allclose(lines.gap, predicted - age)
    gap = corrector.gap(predicted, age, site=["unseen"] * here.sum())
    np.testing.assert_allclose(lines.corrected_gap, gap)
    assert result.lines.slope["Memory"] == pytest.approx(corrector.slope_)
    assert (lines.n_train == train.sum()).all()
    by_hand = compare_gaps(gap, table.diagnosis[here], age=age, sex=table.sex[here]).table
    found = result.comparisons.loc["Memory"]
    pd.testing.assert_frame_equal(
        found.drop(columns="p_holm"), by_hand.drop(columns="p_holm"), check_exact=False
    )
    controls = (table.diagnosis[here] == "CN").to_numpy()
    scores = brain_age_scores(age[controls], predicted[controls], y_train=table.age[train])
    assert result.scores.mae["Memory"] == pytest.approx(scores.mae)
    assert result.scores.reference["Memory"] == "train"
    holm = multipletests(result.comparisons.p_value, method="holm")[1]
    np.testing.assert_allclose(result.comparisons.p_holm, holm)


def test_site_of_the_rows_reaches_the_estimator_and_is_held_fixed(monkeypatch):
    monkeypatch.setattr(Recorder, "calls", calls := [])
    table, _ = people()
    site = table.study + np.where(np.arange(len(table)) % 2, "-1", "-2")
    frame = pd.DataFrame({"row": np.arange(len(table)), "site": site})

    class Framed(Recorder):
        def fit(self, X, y, site=None):
            return super().fit(X[["row"]].to_numpy(), y, site=site)

        def predict(self, X):
            return super().predict(X[["row"]].to_numpy())

    result = leave_out(table, frame, Framed())
    for call in calls:
        assert list(call["site"]) == site[call["train"]].tolist()
    assert set(result.predictions.site) == set(site[table.study.isin(["Clinic", "Memory"])])
    lines = result.predictions[result.predictions.study == "Clinic"]
    by_hand = compare_gaps(lines.corrected_gap, lines.diagnosis, age=lines.y, site=lines.site).table
    without = compare_gaps(lines.corrected_gap, lines.diagnosis, age=lines.y).table
    found = result.comparisons.loc["Clinic"].difference.iloc[0]
    assert found == pytest.approx(by_hand.difference.iloc[0])
    assert found != pytest.approx(without.difference.iloc[0])


def test_the_correction_sets_the_unit_alone():
    table, X = people()
    de_lange = leave_out(table, X)
    cole = leave_out(table, X, corrector=COLE)
    for name in ("p_value", "hedges_g", "auc", "auc_low"):
        np.testing.assert_allclose(de_lange.comparisons[name], cole.comparisons[name])
    slope = cole.lines.slope.to_numpy()
    np.testing.assert_allclose(cole.comparisons.difference * slope, de_lange.comparisons.difference)


def test_result_does_not_depend_on_jobs():
    table, X = people()
    one = leave_out(table, X, out_of_fold="person", random_state=3)
    with parallel_config("threading"):
        two = leave_out(table, X, out_of_fold="person", random_state=3, n_jobs=2)
    pd.testing.assert_frame_equal(one.predictions, two.predictions)
    pd.testing.assert_frame_equal(one.out_of_fold, two.out_of_fold)
    other = leave_out(table, X, out_of_fold="person", random_state=4)
    assert not one.out_of_fold.prediction.equals(other.out_of_fold.prediction)


def test_params_reach_fit_row_by_row():
    table, X = people()
    weight = np.where(table.study == "Aging", 1e-9, 1.0)
    weighted = leave_out(table, X, params={"sample_weight": weight}, out_of_fold="person")
    here = (table.study == "Memory").to_numpy()
    train = table.study.isin(["Atlas", "Clinic"]).to_numpy() & (table.diagnosis == "CN").to_numpy()
    lines = weighted.predictions[weighted.predictions.study == "Memory"]
    by_hand = Ridge().fit(X[train], table.age[train]).predict(X[here])
    np.testing.assert_allclose(lines.prediction, by_hand, atol=1e-4)


# simulated truths


def test_planted_years_come_back_and_nothing_comes_from_nothing():
    sizes = {"A": {"CN": 60}, "B": {"CN": 60}, "C": {"CN": 60}, "D": {"CN": 40, "AD": 20}}
    inside, found, rejected = [], [], []
    for seed in range(30):
        table, X = people(5.0, sizes, seed=seed)
        row = leave_out(table, X, corrector=COLE).comparisons.iloc[0]
        inside.append(row.low <= 5 <= row.high)
        found.append(row.difference)
        table, X = people(0.0, sizes, seed=1000 + seed)
        rejected.append(leave_out(table, X).comparisons.p_value.iloc[0] < 0.05)
    assert np.mean(found) == pytest.approx(5, abs=0.8)
    # 0.95 and 0.05, with 3 standard errors of 0.04
    assert np.mean(inside) > 0.83
    assert np.mean(rejected) < 0.17


def test_leaving_studies_out_of_few_makes_the_slope_too_large():
    # an inner model of two studies meets less variation between them than one of three, and
    # follows age more closely; so folds of persons are the default where studies are few
    sizes = {"A": {"CN": 60}, "B": {"CN": 60}, "C": {"CN": 60}, "D": {"CN": 5, "AD": 5}}
    slopes = []
    for seed in range(12):
        table, X = people(0.0, sizes, seed=seed)
        both = [leave_out(table, X, out_of_fold=name).lines.slope for name in ("study", "person")]
        slopes.append([slope.iloc[0] for slope in both])
    assert leave_out(table, X).lines.slope.iloc[0] == slopes[-1][1]
    study, person = np.mean(slopes, axis=0)
    assert study > 1.08 * person


# what cannot be answered


def test_tiny_groups_are_predicted_and_not_compared():
    sizes = {
        "A": {"CN": 30},
        "B": {"CN": 30},
        "C": {"CN": 20, "AD": 10, "MCI": 1},
        "D": {"AD": 5},
        "E": {"CN": 1, "AD": 5},
        "F": {"CN": 10, "AD": 1},
    }
    table, X = people(sizes=sizes)
    with pytest.warns(UnanswerableWarning, match=r"MCI in C \(1\)") as warned:
        result = leave_out(table, X, age_terms="linear")
    assert warned[0].filename == __file__
    message = str(warned[0].message)
    assert "all of D (too few controls)" in message
    assert "CN in E (1), all of E" in message
    assert "AD in F (1)" in message
    assert result.comparisons.index.tolist() == [("C", "AD - CN")]
    assert set(result.predictions.study) == {"C", "D", "E", "F"}
    assert result.scores.index.tolist() == ["C", "E", "F"]
    assert result.lines.index.tolist() == ["C", "D", "E", "F"]


def test_a_cohort_without_any_comparison_still_has_predictions():
    table, X = people(sizes={"A": {"CN": 30}, "B": {"CN": 30}, "D": {"AD": 5}})
    with pytest.warns(UnanswerableWarning, match="all of D"):
        result = leave_out(table, X)
    assert result.comparisons.empty
    assert len(result.predictions) == 5


def test_warnings_of_the_comparison_point_at_the_caller():
    table, X = people()
    site = table.study.where(table.diagnosis != "AD", "other")
    site[table.index[-3:]] = "Memory"
    with pytest.warns(UnanswerableWarning, match="AD: 12 of 15 people") as warned:
        leave_out(table, X, site=site)
    assert warned[0].filename == __file__


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"study": "one"}, {}, "at least 2 studies"),
        ({"diagnosis": "CN"}, {}, "No study has patients"),
        ({}, {"reference": "HC"}, "Nobody has the reference diagnosis 'HC'"),
        ({}, {"groups": np.arange(155) // 31}, "more than one diagnosis"),
        ({"age": np.nan}, {}, "y .the ages. is missing"),
        ({}, {"study": [None] + ["A"] * 154}, "study is missing"),
        ({}, {"sex": ["F"] * 154}, "sex must have one entry"),
        ({}, {"site": np.arange(155)}, "Study 'Clinic' cannot be compared"),
        ({}, {"out_of_fold": "site"}, "out_of_fold"),
        ({}, {"corrector": Ridge()}, "corrector"),
    ],
)
def test_bad_input_is_refused_before_the_first_fit(change, options, message):
    table, X = people()
    with pytest.raises(ValueError, match=message):
        leave_out(table.assign(**change), X, Unfitted(), **options)


def test_too_little_to_train_on_is_refused_before_the_first_fit():
    table, X = people(sizes={"A": {"CN": 30, "AD": 5}, "B": {"CN": 9}})
    with pytest.raises(ValueError, match="Without study 'A' there are 9 controls"):
        leave_out(table, X, Unfitted())
    table, X = people(sizes={"A": {"CN": 30, "AD": 5}, "B": {"CN": 19}})
    with pytest.raises(ValueError, match='Use out_of_fold="person"'):
        leave_out(table, X, Unfitted(), out_of_fold="study")


def test_cole_on_a_model_without_signal_is_refused_with_the_way_out():
    table, X = people(noise=1.0)
    X = np.random.default_rng(0).normal(size=X.shape)
    with pytest.raises(ValueError, match="de_lange"):
        leave_out(table, X, corrector=COLE)
    assert len(leave_out(table, X).comparisons) == 2
