import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.base import clone

from mresklearn.confounds import ConfoundReport, site_effect_test, site_predictability
from mresklearn.maps import MapArray

COLUMNS = [
    "variable", "kind", "role", "n", "n_missing", "levels", "min_level_n", "against",
    "conditioning", "measure", "value", "null_mean", "value_adj", "ci_low", "ci_high", "p",
    "p_adj", "n_perm", "overlap_ess", "status", "severity", "advice", "reason",
]  # fmt: skip
ROLES = {"sex": "biological", "frequency": "technical", "person": "id"}


def cohort(n=120, n_sites=4, shift=1.0, seed=0):
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.arange(n) % n_sites)
    people = pd.DataFrame(
        {
            "person": [f"sub-{row:03d}" for row in range(n)],
            "site": np.array(list("ABCDEFGH"))[code],
            "age": rng.normal(50 + 4 * code, 10),
            "sex": rng.choice(["F", "M"], n),
            "frequency": np.array([50, 50, 60, 60] * 2)[code],
        }
    )
    X = rng.normal(size=(n, 30)) + np.outer(people.age / 10, rng.normal(size=30) / 3)
    X += shift * rng.normal(size=(n_sites, 30))[code]
    prediction = 15 + 0.7 * people.age + rng.normal(0, 4, n) + 4 * (code == 1)
    return people, X, prediction.to_numpy(copy=True)


def report(people, *data, roles=ROLES, **options):
    options = {"n_permutations": 19, "random_state": 0, **options}
    return ConfoundReport(roles=roles, **options).fit(people, *data)


@pytest.fixture(scope="module")
def full():
    people, X, prediction = cohort()
    return report(people, X, X[:, :8], prediction)


def one(fitted, **wanted):
    table = fitted.to_frame()
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) == 1, wanted
    return table.iloc[0]


def test_columns_of_the_table(full):
    assert list(full.to_frame().columns) == COLUMNS


def test_every_question_has_its_rows(full):
    table = full.to_frame()
    asked = set(zip(table.against, table.measure, strict=True))
    for against in ("features", "embedding"):
        for measure in (
            "rda_partial_r2", "partial_r2_median", "partial_r2_p95", "dispersion_epsilon_squared",
            "unique_age", "unique_site", "shared", "balanced_accuracy_linear",
            "balanced_accuracy_rbf", "excess_linear", "excess_rbf", "shift_transfer_ratio",
        ):  # fmt: skip
            assert (against, measure) in asked
    for pair in (
        ("age", "epsilon_squared"), ("age", "overlap_coefficient"), ("sex", "overlap_coefficient"),
        ("age", "common_support"), ("age", "balanced_accuracy_linear"), ("sex", "cramers_v"),
        ("prediction", "excess_rbf"), ("gap", "partial_r2"), ("gap", "partial_r2_within_strata"),
        ("gap", "mean_gap"), ("gap", "mean_absolute_error"), ("gap", "dispersion_epsilon_squared"),
    ):  # fmt: skip
        assert pair in asked
    assert set(table.variable[table.measure == "mean_gap"]) == {f"site[{k}]" for k in "ABCD"}


def test_every_number_is_complete_and_in_range(full):
    table = full.to_frame()
    estimated = table[table.status != "not_estimable"]
    assert estimated[["value", "null_mean", "value_adj", "ci_low", "ci_high"]].notna().all().all()
    assert (estimated.ci_low <= estimated.ci_high).all()
    tested = estimated[(estimated.measure != "shared") & ~estimated.reason.str.startswith("Tested")]
    assert tested.p.between(1 / 20, 1).all()
    assert (tested.p_adj >= tested.p - 1e-12).all()
    assert tested.p_adj.between(0, 1).all()
    assert set(estimated.severity) <= {"negligible", "small", "medium", "large"}
    assert (table.advice.str.len() > 0).all()
    assert (table.reason.str.len() > 0).all()
    missing = table[table.status == "not_estimable"]
    assert missing[["value", "value_adj", "ci_low", "ci_high", "p", "p_adj"]].isna().all().all()
    assert missing.severity.isna().all()


def test_numbers_agree_with_the_functions_that_measure_one_thing(full):
    people, X, prediction = cohort()
    probe = site_predictability(X, people.site, age=people.age)
    row = one(full, variable="site", against="features", measure="balanced_accuracy_linear")
    assert row.value == pytest.approx(probe.balanced_accuracy, abs=0.02)
    assert row.null_mean == pytest.approx(probe.age_floor)
    gap = prediction - people.age
    test = site_effect_test(gap, people.site, people.age, covariates=people[["sex"]])
    row = one(full, variable="site", against="gap", measure="partial_r2")
    assert row.value == pytest.approx(test.partial_r2, abs=1e-6)
    assert row.value_adj == pytest.approx(test.effect, abs=1e-6)
    pair = one(full, variable="frequency", against="age", measure="epsilon_squared")
    assert pair.p <= 0.05
    assert spearmanr(people.frequency, people.age).statistic > 0


def test_nested_columns_are_found_and_not_separated(full):
    row = one(full, variable="site", against="frequency")
    assert row.status == "nested"
    assert "site determines frequency" in row.reason
    assert row.advice.startswith("Use one of site and frequency")


def test_the_planted_effects_are_read_as_what_they_are(full):
    assert full.verdicts_.verdict["site"] == "confounder"
    assert full.verdicts_.verdict["sex"] == "biology"
    biased = one(full, variable="site[B]", measure="mean_gap")
    assert biased.ci_low > 2
    assert "Recalibrate" in biased.advice


def test_without_site_effects_nothing_is_asked_for():
    people, X, _ = cohort(shift=0.0, n=160)
    fitted = report(
        people.drop(columns="frequency"), X, roles={"sex": "biological", "person": "id"}
    )
    assert fitted.verdicts_.verdict["site"] == "imbalance"
    row = one(fitted, variable="site", against="features", measure="rda_partial_r2")
    assert row.severity == "negligible"
    assert row.advice.startswith("Do nothing about site")
    assert one(fitted, variable="site", measure="shift_transfer_ratio").status == "not_estimable"


def test_biology_is_held_fixed_and_can_be_chosen(full):
    assert full.covariates_ == ("sex",)
    row = one(full, variable="site", against="features", measure="rda_partial_r2")
    assert row.conditioning == "age + sex"
    people, X, _ = cohort()
    fitted = report(people, X, covariates=["frequency"])
    conditioning = set(fitted.to_frame().query("measure == 'rda_partial_r2'").conditioning)
    assert conditioning == {"frequency", "age + frequency", "age"}


def test_fitting_twice_gives_the_same_and_rows_do_not_depend_on_each_other(full):
    people, X, prediction = cohort()
    again = report(people, X, X[:, :8], prediction)
    pd.testing.assert_frame_equal(again.to_frame(), full.to_frame())
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    images = report(people, X, n_jobs=2).to_frame()
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    both = full.to_frame()
    same = both[~both.against.isin(["embedding", "prediction", "gap"])].reset_index(drop=True)
    unaffected = [c for c in COLUMNS if c not in ("p_adj",)]
    pd.testing.assert_frame_equal(images[unaffected], same[unaffected])


def test_order_of_people_does_not_matter_for_effects(full):
    people, X, _ = cohort()
    order = np.random.default_rng(1).permutation(120)
    shuffled = report(people.iloc[order], X[order]).to_frame()
    table = full.to_frame()
    for measure in ("rda_partial_r2", "epsilon_squared", "cramers_v", "unique_site"):
        expected = table[(table.measure == measure) & ~(table.against == "embedding")]
        found = shuffled[shuffled.measure == measure]
        np.testing.assert_allclose(found.value, expected.value, rtol=1e-4)


def test_maps_and_their_voxels_give_the_same():
    people, _, _ = cohort(n=60)
    array = np.random.default_rng(0).uniform(1, 3, size=(60, 1, 3, 3, 3)).astype(np.float32)
    people = people.set_index("person")
    maps = MapArray.from_array(array, participants=people.index)
    roles = {"sex": "biological", "frequency": "technical"}
    by_maps = report(people, maps, roles=roles).to_frame()
    by_table = report(people, array.reshape(60, 27), roles=roles).to_frame()
    pd.testing.assert_frame_equal(by_maps, by_table)


def test_a_report_on_metadata_alone():
    people, _, _ = cohort()
    fitted = report(people)
    assert set(fitted.to_frame().against) == {"age", "sex", "frequency"}
    assert fitted.verdicts_.verdict["site"] == "unknown"
    assert "no X was given" in fitted.verdicts_.reason["site"]


def test_a_report_without_site():
    people, X, prediction = cohort()
    fitted = report(people, X, None, prediction, roles=ROLES | {"site": "technical"},
                    site_column=None)  # fmt: skip
    table = fitted.to_frame()
    assert not table.measure.isin(["overlap_coefficient", "excess_linear", "mean_gap"]).any()
    assert one(fitted, variable="site", against="gap").measure == "partial_r2"


def test_repeated_people_are_found():
    people, _, _ = cohort()
    people.loc[5, "person"] = people.loc[6, "person"]
    row = one(report(people), variable="person")
    assert row.measure == "repeated_rows"
    assert row.value == pytest.approx(1 / 120)
    assert "too small" in row.advice


def awkward(n=60):
    people, X, prediction = cohort(n=n)
    return people.drop(columns=["person", "frequency"]), X, prediction


def test_a_column_that_few_have_is_not_held_fixed():
    people, X, _ = awkward(100)
    people["score"] = np.where(np.arange(100) < 40, np.arange(100.0), np.nan)
    fitted = report(people, X, roles={"sex": "biological", "score": "biological"})
    assert fitted.covariates_ == ("sex",)
    assert one(fitted, variable="score", against="features", measure="rda_partial_r2").n == 40


def test_features_and_gaps_without_any_variation():
    people, X, _ = awkward()
    fitted = report(
        people, np.ones_like(X), None, -people.age * 0 + 50, roles={"sex": "biological"}
    )
    table = fitted.to_frame()
    against = table[(table.against == "features") | table.measure.isin(["partial_r2", "mean_gap"])]
    assert set(against.status) == {"not_estimable"}
    assert fitted.summary()


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_table_of_people_breaks_the_report(data):
    n = data.draw(st.integers(3, 40), label="people")
    rng = np.random.default_rng(data.draw(st.integers(0, 99), label="seed"))
    levels = data.draw(st.integers(1, n), label="sites")
    people = pd.DataFrame(
        {
            "age": rng.choice(
                [20.0, 50.0, 70.0, np.nan] if levels % 2 else rng.normal(50, 9, 30), n
            ),
            "site": rng.choice([None, *"abcdefghijklmnopqrstuvwxyz"][: levels + 1], n),
            "sex": rng.choice(["F", "M", None], n),
            "coil": rng.choice([1, 2, 3], n),
        }
    )
    X = rng.normal(size=(n, data.draw(st.integers(1, 60), label="features")))
    prediction = rng.normal(50, 5, n)
    roles = {"sex": "biological", "coil": "technical"}
    fitted = report(people, X, X[:, :1], prediction, roles=roles)
    table = fitted.to_frame()
    known = table[table.status != "not_estimable"]
    assert np.isfinite(known[["value", "value_adj"]].to_numpy(float)).all()
    assert table.reason[table.status == "not_estimable"].str.len().gt(0).all()
    shares = known[
        known.measure.str.contains("r2|epsilon|cramers|overlap|support|transfer|accuracy")
    ]
    assert shares.value.between(-1e-9, 1 + 1e-9).all()
    assert shares.value_adj.le(1 + 1e-9).all()
    assert fitted.summary()


def test_constructor_only_stores_and_clones():
    made = ConfoundReport(roles=ROLES, n_permutations=77)
    assert made.get_params()["roles"] is ROLES
    assert clone(made).n_permutations == 77
    assert set(made.get_params()) == set(made._parameter_constraints)
    with pytest.raises(AttributeError, match="not fitted"):
        made.to_frame()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_permutations": 5}, "'n_permutations' parameter"),
        ({"confidence": 1.0}, "'confidence' parameter"),
        ({"roles": {}}, "have no role"),
        ({"covariates": ["age"]}, "other than the target"),
        ({"covariates": ["weight"]}, "covariates must be columns"),
        ({"site_column": "study"}, "does not have"),
    ],
)
def test_settings_that_cannot_be_used(options, message):
    people, _, _ = cohort(n=40)
    with pytest.raises(ValueError, match=message):
        report(people, **options)


def test_rows_must_be_those_of_the_people():
    people, X, prediction = cohort(n=40)
    with pytest.raises(ValueError, match="X has 39 rows"):
        report(people, X[1:])
    with pytest.raises(ValueError, match="embedding has 39 rows"):
        report(people, X, X[1:])
    with pytest.raises(ValueError, match="prediction must hold one number"):
        report(people, X, X, prediction[1:])
