import itertools

import numpy as np
import pytest

from mresklearn.confounds._advice import advise, gather
from mresklearn.confounds._roles import Variable
from mresklearn.confounds._severity import SEVERITIES, at_least, severity_of
from mresklearn.confounds._verdicts import judge

VARIABLES = {
    name: Variable(name, kind, role, np.arange(4.0))
    for name, kind, role in (
        ("age", "continuous", "target"),
        ("site", "categorical", "technical"),
        ("coil", "categorical", "technical"),
        ("sex", "binary", "biological"),
        ("diagnosis", "categorical", "biological"),
        ("id", "categorical", "id"),
    )
}


def row(variable, against, measure, value=0.2, **changed):
    return {
        "variable": variable,
        "kind": VARIABLES[variable.split("[")[0]].kind,
        "role": VARIABLES[variable.split("[")[0]].role,
        "against": against,
        "measure": measure,
        "value": value,
        "null_mean": 0.0,
        "value_adj": value,
        "ci_low": value - 0.1,
        "ci_high": value + 0.1,
        "p": 0.01,
        "p_adj": 0.02,
        "status": "ok",
        "severity": "medium",
        "reason": "",
        "min_level_n": 9,
        "overlap_ess": 3.0,
    } | changed


def advice_on(one, *others):
    return advise(one, gather([one, *others], VARIABLES, "age", "site"))


@pytest.mark.parametrize(
    ("measure", "sizes"),
    [
        ("rda_partial_r2", (0.01, 0.05, 0.2, 0.3)),
        ("partial_r2", (0.0, 0.02, 0.13, 0.26)),
        ("epsilon_squared", (-0.1, 0.1, 0.15, 0.9)),
        ("excess_rbf", (-0.2, 0.06, 0.15, 0.31)),
        ("balanced_accuracy_linear", (0.04, 0.05, 0.2, 0.5)),
        ("spearman", (0.05, -0.2, 0.4, -0.6)),
        ("overlap_coefficient", (0.95, 0.85, 0.75, 0.1)),
        ("shift_transfer_ratio", (0.9, 0.6, 0.4, 0.1)),
        ("shared", (0.01, -0.05, 0.2, 0.3)),
    ],
)
def test_severity_follows_from_size(measure, sizes):
    found = [severity_of(row("site", "features", measure, size, p=0.9)) for size in sizes]
    assert tuple(found) == SEVERITIES


def test_severity_does_not_look_at_p_and_is_missing_without_a_number():
    for p in (1e-4, 0.9, np.nan):
        assert severity_of(row("site", "features", "partial_r2", 0.2, p=p)) == "medium"
    assert severity_of(row("site", "features", "partial_r2", np.nan)) is None
    assert severity_of(row("site", "gap", "partial_r2", status="not_estimable")) is None
    assert severity_of(row("site[a]", "gap", "mean_gap")) is None, "no spread to compare with"


def test_units_of_errors_and_levels_of_tables_are_taken_into_account():
    assert severity_of(row("site[a]", "gap", "mean_gap", -3.0), gap_spread=5) == "medium"
    assert severity_of(row("site[a]", "gap", "mean_absolute_error", -3.0), gap_spread=5) == (
        "negligible"
    )
    table = row("site", "diagnosis", "cramers_v", 0.25)
    assert severity_of(table, smaller_side=2) == "small"
    assert severity_of(table, smaller_side=5) == "large", "Cohen's w is V times the root of four"


def test_order_of_severities():
    assert at_least("large", "small")
    assert at_least("small", "small")
    assert not at_least("negligible", "small")
    assert not at_least(None, "negligible")
    assert not at_least(np.nan, "negligible")


MEASURES = [
    "cramers_v", "spearman", "epsilon_squared", "overlap_coefficient", "common_support",
    "rda_partial_r2", "partial_r2_median", "partial_r2_p95", "dispersion_epsilon_squared",
    "unique_age", "unique_sex", "shared", "balanced_accuracy_linear", "excess_rbf",
    "shift_transfer_ratio", "partial_r2", "mean_gap", "mean_absolute_error",
]  # fmt: skip


@pytest.mark.parametrize("variable", ["sex", "diagnosis"])
def test_no_advice_removes_biology(variable):
    statuses, againsts = ("ok", "nested", "low_overlap"), ("age", "features", "embedding", "gap")
    for measure, severity, status, against in itertools.product(
        MEASURES, SEVERITIES, statuses, againsts
    ):
        one = row(variable, against, measure, severity=severity, status=status)
        if measure in ("cramers_v", "spearman", "epsilon_squared") and against != "age":
            continue
        advice, reason = advice_on(one)
        text = f"{advice} {reason}".lower()
        for word in (f"remove {variable}", f"project out {variable}", "combat", "project out"):
            assert word not in text or f"never remove {variable}" in text, (measure, text)
        assert advice


def test_a_technical_effect_that_is_negligible_is_left_alone():
    advice, _ = advice_on(row("site", "features", "rda_partial_r2", 0.0, severity="negligible"))
    assert advice.startswith("Do nothing about site")


@pytest.mark.parametrize(
    ("ratio", "p", "expected"),
    [
        (0.8, 0.01, "project out the site directions"),
        (0.3, 0.01, "reaches 30%"),
        (0.05, 0.6, "no method helps without data of the new site"),
    ],
)
def test_advice_for_new_sites_follows_the_shift_transfer_ratio(ratio, p, expected):
    transfer = row("site", "features", "shift_transfer_ratio", ratio, p=p)
    advice, _ = advice_on(row("site", "features", "rda_partial_r2"), transfer)
    assert expected in advice
    assert "ComBat" in advice


def test_curved_site_information_asks_for_a_penalty():
    linear = row("site", "features", "excess_linear", 0.1)
    rbf = row("site", "features", "excess_rbf", 0.4)
    advice, _ = advice_on(row("site", "features", "rda_partial_r2"), linear, rbf)
    assert "age-conditional penalty" in advice


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (row("site", "coil", "cramers_v", status="nested"), "Use one of site and coil"),
        (row("site", "diagnosis", "cramers_v", status="nested"), "Not identifiable"),
        (row("site", "age", "epsilon_squared"), "Hold age fixed"),
        (row("site", "sex", "cramers_v"), "Keep sex"),
        (row("site[a]", "age", "overlap_coefficient", status="low_overlap"), "Not identifiable"),
        (
            row("site[a]", "age", "overlap_coefficient", status="low_overlap", overlap_ess=8.0),
            "Too few people: pool the site",
        ),
        (row("site", "gap", "partial_r2"), "Never compare gaps across site"),
        (row("sex", "gap", "partial_r2"), "Keep sex"),
        (row("site[a]", "gap", "mean_gap"), "Recalibrate"),
        (row("site", "embedding", "excess_linear"), "conditional penalty"),
        (row("id", "rows", "repeated_rows"), "Give one row a id"),
        (row("age", "features", "rda_partial_r2"), "This is the signal"),
    ],
)
def test_advice(one, expected):
    advice, reason = advice_on(one)
    assert expected in advice
    assert "Medium: 0.20 (0.10 to 0.30)" in reason


def test_what_cannot_be_measured_gets_no_number_but_its_reason():
    one = row("site", "features", "rda_partial_r2", np.nan, status="not_estimable",
              reason="1 people", severity=None)  # fmt: skip
    advice, reason = advice_on(one)
    assert advice.startswith("Do not report a number")
    assert reason == "1 people"


def test_an_effect_that_chance_explains_says_so():
    _, reason = advice_on(row("site", "gap", "partial_r2", p=0.4, severity="small"))
    assert "chance alone may have done it" in reason


@pytest.mark.parametrize(
    ("goes_with_age", "moves_images", "verdict"),
    [
        ("medium", "large", "confounder"),
        ("negligible", "small", "noise"),
        ("small", "negligible", "imbalance"),
        ("negligible", "negligible", "harmless"),
        ("medium", None, "unknown"),
    ],
)
def test_verdicts(goes_with_age, moves_images, verdict):
    rows = [row("site", "age", "epsilon_squared", severity=goes_with_age)]
    if moves_images:
        rows.append(row("site", "features", "rda_partial_r2", severity=moves_images))
    assert judge(VARIABLES["site"], rows, VARIABLES).verdict == verdict


def test_small_effects_count_only_beyond_chance():
    rows = [
        row("site", "age", "epsilon_squared", severity="small", p_adj=0.3),
        row("site", "features", "rda_partial_r2", severity="large"),
    ]
    assert judge(VARIABLES["site"], rows, VARIABLES).verdict == "noise"


def test_what_nobody_can_tell_is_not_called_a_confounder():
    nested = row("site", "diagnosis", "cramers_v", status="nested", reason="site determines it.")
    blind = row("site", "features", "rda_partial_r2", np.nan, status="not_estimable", severity=None)
    found = judge(VARIABLES["site"], [nested, blind], VARIABLES)
    assert (found.verdict, found.reason) == ("not identifiable", "site determines it.")
    few = row("site", "features", "rda_partial_r2", status="low_overlap", reason="few")
    rows = [row("site", "age", "epsilon_squared"), few]
    assert judge(VARIABLES["site"], rows, VARIABLES).verdict == "not identifiable"
    measured = row("site", "features", "rda_partial_r2")
    found = judge(VARIABLES["site"], [nested, measured], VARIABLES)
    assert found.verdict == "confounder"
    assert "site determines it." in found.reason


def test_biology_is_always_biology():
    rows = [row("sex", "features", "rda_partial_r2", severity="large")]
    found = judge(VARIABLES["sex"], rows, VARIABLES)
    assert (found.verdict, found.moves_images) == ("biology", "large")
