"""From cells to results: means by hand, tests as the package has them, nothing unfinished."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from statsmodels.stats.multitest import multipletests

from benchmarks.studies import AGE, DIAGNOSIS, Persons, Sites, Study, results_of, run_study
from benchmarks.studies._datasets import Data
from benchmarks.studies._figures import draw
from benchmarks.studies._methods import HARMONISATION, INVARIANCE
from benchmarks.studies._reporting import as_text, store_results, stored_results
from benchmarks.studies._runner import read_cells
from mresklearn.metrics import corrected_resampled_ttest, sign_flip_test


@dataclass(frozen=True)
class Toy:
    """People with two features that follow age, at six sites."""

    people: int = 90
    sites: int = 6
    name: str = "toy"
    kinds: tuple[str, ...] = ("good", "noisy")
    real: ClassVar[bool] = False

    def available(self):
        return True

    def prepare(self, store, jobs=1):
        pass

    def regions(self, store):
        return None

    def read(self, store, kinds, rides):
        rng = np.random.default_rng(0)
        age = rng.uniform(20, 80, self.people)
        people = pd.DataFrame(
            {
                "age": age,
                "sex": rng.choice(["F", "M"], self.people),
                "site": [f"site-{row % self.sites}" for row in range(self.people)],
                "diagnosis": np.where(rng.uniform(size=self.people) < 0.4, "AD", "CN"),
            }
        ).assign(person=np.arange(self.people).astype(str))
        ill = 15 * (people.diagnosis == "AD").to_numpy()
        noise = {"good": 4, "noisy": 15}
        X = pd.DataFrame({k: age + ill + rng.normal(0, noise[k], self.people) for k in self.kinds})
        return Data(X[list(kinds)].join(people[["site"]]), people)


def values(X):
    return X.drop(columns="site").to_numpy(float)


def ridge(conditions):
    return make_pipeline(FunctionTransformer(values), StandardScaler(), Ridge(1.0))


def strong_ridge(conditions):
    return make_pipeline(FunctionTransformer(values), StandardScaler(), Ridge(100.0))


def mean_age(conditions):
    return DummyRegressor()


class Shifted(RegressorMixin, BaseEstimator):
    """The mean age, and a shift that is the seed: seeds differ in a known way."""

    def __init__(self, random_state=0):
        self.random_state = random_state

    def fit(self, X, y):
        self.mean_ = y.mean() + self.random_state
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def shifted(conditions):
    return Shifted(conditions.seed)


def logistic(conditions):
    return make_pipeline(FunctionTransformer(values), StandardScaler(), LogisticRegression())


def prior(conditions):
    return DummyClassifier()


INPUTS = {"good": ("good",), "noisy": ("noisy",)}
STUDY = Study(
    name="toy",
    question="Which?",
    reading="Nothing.",
    datasets=(Toy(),),
    inputs=INPUTS,
    methods={"mean age": mean_age, "ridge": ridge, "strong": strong_ridge},
    protocols=(Persons(n_splits=3, n_repeats=2), Sites()),
    compared="inputs",
    reference="noisy",
    pooled=("ridge", "strong"),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = tmp_path_factory.mktemp("studies")
    run_study(STUDY, store, verbose=0)
    return store


@pytest.fixture(scope="module")
def results(store):
    return results_of(STUDY, store)


def errors(store, study, **wanted):
    """Absolute errors of a condition by (repeat, fold), by hand."""
    found = {}
    for cell, record in read_cells(study, store):
        if all(getattr(cell, name) == value for name, value in wanted.items()):
            place = (cell.protocol.name, *cell.protocol.place(cell.fold))
            error = np.abs(np.array(record["prediction"]) - record["y"])
            found.setdefault(place, []).append((error.mean(), record["n_train"], len(error)))
    return found


def row_of(rows, **wanted):
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


def test_every_person_is_tested_once_in_a_partition(store):
    for protocol, partitions in (("persons", 2), ("sites", 1)):
        tested = [
            person
            for cell, record in read_cells(STUDY, store)
            if (cell.inputs, cell.method, cell.protocol.name) == ("good", "ridge", protocol)
            for person in record["person"]
        ]
        assert sorted(tested) == sorted([str(i) for i in range(90)] * partitions)


def test_sites_left_out_are_whole(store):
    for cell, record in read_cells(STUDY, store):
        if cell.protocol.name == "sites":
            assert len(set(record["site"])) == 1
            assert record["n_train"] == 75


def test_means_and_spreads_are_those_of_the_folds(results, store):
    by_fold = errors(store, STUDY, inputs="good", method="ridge")
    for protocol, n_folds in (("persons", 6), ("sites", 6)):
        folds = [one[0][0] for place, one in by_fold.items() if place[0] == protocol]
        row = row_of(results["summary"], inputs="good", method="ridge", protocol=protocol)
        assert row["n_folds"] == n_folds == len(folds)
        assert row["score"] == pytest.approx(np.mean(folds))
        assert row["sd_over_folds"] == pytest.approx(np.std(folds, ddof=1))


def test_the_main_test_averages_the_pooled_methods(results, store):
    """The corrected resampled t test and the sign flips, of errors that are averaged by hand."""

    def averaged(inputs, protocol):
        each = [errors(store, STUDY, inputs=inputs, method=name) for name in STUDY.pooled]
        places = [place for place in each[0] if place[0] == protocol]
        return np.array([np.mean([one[place][0][0] for one in each]) for place in places])

    difference = averaged("good", "persons") - averaged("noisy", "persons")
    expected = corrected_resampled_ttest(difference.reshape(2, 3), 60, 30, repeats="partitions")
    row = row_of(results["tests"], family="main", protocol="persons")
    assert row["difference"] == pytest.approx(expected.mean)
    assert row["p_value"] == pytest.approx(expected.p_value)
    assert row["low"] == pytest.approx(expected.low)

    expected = sign_flip_test(averaged("good", "sites") - averaged("noisy", "sites"))
    row = row_of(results["tests"], family="main", protocol="sites")
    assert row["p_value"] == pytest.approx(expected.p_value)
    assert row["smallest_p"] == pytest.approx(2 / 2**6)
    assert row["difference"] < 0


def test_holm_is_over_the_comparisons_of_a_protocol(results):
    for protocol in ("persons", "sites"):
        rows = [r for r in results["tests"] if (r["family"], r["protocol"]) == ("each", protocol)]
        assert [row["method"] for row in rows] == ["ridge", "strong"]  # the mean age has no maps
        expected = multipletests([row["p_value"] for row in rows], method="holm")[1]
        np.testing.assert_allclose([row["p_holm"] for row in rows], expected)


def test_seeds_are_averaged_within_folds_before_any_test(tmp_path):
    study = replace(
        STUDY, methods={"shifted": shifted, "mean age": mean_age}, seeds=(0, 2, 10),
        compared="method", reference="mean age", pooled=(), inputs={"good": ("good",)},
    )  # fmt: skip
    run_study(study, tmp_path, verbose=0)
    results = results_of(study, tmp_path)
    by_fold = errors(tmp_path, study, method="shifted")
    row = row_of(results["summary"], method="shifted", protocol="sites")
    assert (row["n_seeds"], row["n_folds"]) == (3, 6)
    folds = [np.mean([e for e, *_ in one]) for place, one in by_fold.items() if place[0] == "sites"]
    assert row["score"] == pytest.approx(np.mean(folds))
    assert row["sd_over_folds"] == pytest.approx(np.std(folds, ddof=1))
    test = row_of(results["tests"], method="shifted", protocol="persons")
    assert test["n_units"] == 6  # not 18: a seed brings no new people


def test_a_pooled_method_of_one_seed_has_the_weight_of_one_of_three(tmp_path):
    study = replace(
        STUDY, methods={"shifted": shifted, "ridge": ridge}, seeds=(0, 2, 10),
        pooled=("shifted", "ridge"),
    )  # fmt: skip
    run_study(study, tmp_path, verbose=0)
    rows = results_of(study, tmp_path)["tests"]
    for protocol in ("persons", "sites"):
        each = [r for r in rows if (r["family"], r["protocol"]) == ("each", protocol)]
        main = row_of(rows, family="main", protocol=protocol)
        assert len(each) == 2
        assert main["difference"] == pytest.approx(np.mean([row["difference"] for row in each]))


def test_unfinished_conditions_are_counted_but_neither_averaged_nor_tested(store, tmp_path):
    for cell, _ in read_cells(STUDY, store):
        if (cell.inputs, cell.method, cell.protocol.name, cell.fold) == (
            "good",
            "ridge",
            "sites",
            0,
        ):
            continue
        target = cell.path(tmp_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(cell.path(store).read_text())
    results = results_of(STUDY, tmp_path)
    assert (results["finished"], results["planned"]) == (71, 72)
    shown = {(r["inputs"], r["method"], r["protocol"]) for r in results["summary"]}
    assert ("good", "ridge", "sites") not in shown
    assert ("good", "ridge", "persons") in shown
    sites = [r for r in results["tests"] if r["protocol"] == "sites"]
    assert {(r["family"], r["method"]) for r in sites} == {("each", "strong")}
    assert as_text(results).startswith("toy: 71 of 72 cells")


def test_nothing_known_gives_empty_tables(tmp_path):
    results = results_of(STUDY, tmp_path)
    assert (results["finished"], results["summary"], results["tests"]) == (0, [], [])
    assert "0 of 72" in as_text(results)


def test_diagnosis_is_scored_by_area_under_the_curve(tmp_path):
    study = replace(
        STUDY, task=DIAGNOSIS, methods={"chance": prior, "logistic": logistic}, compared="method",
        reference="chance", pooled=(), inputs={"both": ("good", "noisy")},
    )  # fmt: skip
    run_study(study, tmp_path, verbose=0)
    results = results_of(study, tmp_path)
    chance = row_of(results["summary"], method="chance", protocol="persons")
    assert (chance["score"], chance["sd_over_folds"]) == (0.5, 0.0)
    folds = [
        roc_auc_score(np.array(record["y"]) == "patient", record["prediction"])
        for cell, record in read_cells(study, tmp_path)
        if (cell.method, cell.protocol.name) == ("logistic", "persons")
    ]
    row = row_of(results["tests"], method="logistic", protocol="persons")
    assert row["score"] == pytest.approx(np.mean(folds))
    expected = corrected_resampled_ttest(
        np.reshape(folds, (2, 3)) - 0.5, 60, 30, repeats="partitions"
    )
    assert row["p_value"] == pytest.approx(expected.p_value)
    shares = [
        np.mean(np.array(record["y"]) == "patient")
        for cell, record in read_cells(study, tmp_path)
        if cell.protocol.name == "persons"
    ]
    assert np.ptp(shares) < 0.15  # patients are in all folds alike


def test_results_say_where_they_come_from(results):
    assert results["cell_revisions"]
    assert {"numpy", "torch", "cpu_count", "gpu", "python"} <= set(results["machines"][0])
    assert results["seeds"] == [0]
    assert results["datasets"][0]["people"] == 90


def test_stored_results_come_back(results, tmp_path):
    paths = store_results(results, "study_toy", tmp_path)
    back = stored_results("study_toy", tmp_path)
    assert back["summary"] == results["summary"]
    cells = pd.read_csv(paths[1])
    assert len(cells) == 72
    assert cells.key.is_unique
    assert list(cells.score) == pytest.approx([row["score"] for row in results["cells"]], rel=1e-5)


def test_the_figure_says_that_effects_were_put_in(results, tmp_path, monkeypatch):
    import matplotlib.figure

    notes = []
    monkeypatch.setattr(
        matplotlib.figure.Figure, "supxlabel", lambda self, text, **more: notes.append(text)
    )
    draw(results, tmp_path / "toy.png")
    assert (tmp_path / "toy.png").stat().st_size > 10_000
    assert "never that MRE beats MRI" in notes[0]


def test_a_cell_that_fails_stops_no_other(tmp_path):
    study = replace(STUDY, methods={"mean age": mean_age, "broken": broken}, pooled=())
    with pytest.raises(RuntimeError, match=r"24 of 48 cells failed(.|\n)*broken(.|\n)*ArithmeticE"):
        run_study(study, tmp_path, verbose=0)
    assert results_of(study, tmp_path)["finished"] == 24


class Broken(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        raise ArithmeticError("no")

    def predict(self, X):
        return X


def broken(conditions):
    return Broken()


def test_a_wrong_number_of_sites_is_named(tmp_path):
    @dataclass(frozen=True)
    class Mistaken(Toy):
        def read(self, store, kinds, rides):
            return Toy(self.people, 5).read(store, kinds, rides)

    Mistaken.__qualname__ = "Mistaken"
    study = replace(STUDY, datasets=(Mistaken(),), protocols=(Sites(),), task=AGE)
    with pytest.raises(RuntimeError, match="gives 5 folds of sites, but declares 6"):
        run_study(study, tmp_path, verbose=0)


SOME_INVARIANCE = {
    name: INVARIANCE[name]
    for name in ("ridge", "anchor regression", "projected ridge", "adversarial",
                 "projected conditional_mmd")
}  # fmt: skip


@dataclass(frozen=True)
class Table(Toy):
    """The same people as a table in which site and sex ride along, as real tables do."""

    def read(self, store, kinds, rides):
        X, people = super().read(store, kinds, rides)
        people = people.assign(sex=(people["sex"] == "M").astype(float))
        features = {f"f{i}": X[kinds[i % 2]] + 0.1 * i * X.index % 7 for i in range(6)}
        return Data(pd.DataFrame(features).join(people[list(rides)]), people)


@pytest.mark.parametrize(
    "methods", [HARMONISATION, SOME_INVARIANCE], ids=["harmonisation", "invariance"]
)
def test_methods_for_features_learn_age_from_a_table_and_are_probed(methods, tmp_path):
    reference = "raw" if methods is HARMONISATION else "ridge"
    study = replace(
        STUDY, datasets=(Table(sites=3),), methods=methods, compared="method", reference=reference,
        pooled=(), inputs={"both": ("good", "noisy")}, probe_site=True,
        protocols=(Persons(n_splits=2),),
        network={"max_epochs": 15, "batch_size": 32, "lr": 3e-3, "loss": "l1", "n_views": 1},
    )  # fmt: skip
    run_study(study, tmp_path, verbose=0)
    rows = {row["method"]: row for row in results_of(study, tmp_path)["summary"]}
    assert set(rows) == set(methods)
    for name, row in rows.items():
        assert row["score"] < 14, name  # the mean age is off by about 15 years
        assert 0 <= row["site_read"] <= 1, name
        assert row["site_floor"] == pytest.approx(rows[reference]["site_floor"]), name
