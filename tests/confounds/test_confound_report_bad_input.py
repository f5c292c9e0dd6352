"""Data that cannot answer: rows without a number that say why, and never a crash."""

import numpy as np
import pandas as pd
import pytest

from mresklearn.confounds import ConfoundReport

N = 90
NUMBERS = ["value", "null_mean", "value_adj", "ci_low", "ci_high", "p", "p_adj"]
INSEPARABLE = "It says nothing beyond what is held fixed: the two cannot be told apart."


def cohort(n=N, n_sites=4, seed=0):
    """Return people, images, and predictions at known sites and at sites left out."""
    random = np.random.default_rng(seed)
    code = random.permutation(np.arange(n) % n_sites)
    people = pd.DataFrame(
        {
            "site": [f"site {k:02d}" for k in code],
            "age": random.normal(50 + 2 * (code % 4), 10),
            "sex": random.choice(["F", "M"], n),
        }
    )
    X = random.normal(size=(n, 30)) + np.outer(people.age / 10, random.normal(size=30) / 3)
    X += random.normal(size=(n_sites, 30))[code]
    known = people.age + random.normal(0, 4, n)
    unseen = people.age + random.normal(0, 6, n) + 4 * (code == 1)
    return people, X, known.to_numpy(copy=True), unseen.to_numpy(copy=True)


def report(people, X, known, unseen, **roles):
    """Fit a report on everything, and check what holds of every row."""
    fitted = ConfoundReport(roles={"sex": "biological", **roles}, n_permutations=19, random_state=0)
    fitted.fit(people, X, X[:, :4], known, prediction_unseen=unseen)
    table = fitted.to_frame()
    missing = table[table.status == "not_estimable"]
    assert missing[NUMBERS].isna().all().all()
    assert missing.severity.isna().all()
    assert missing.reason.str.match(r"\w.*\.$").all(), "a sentence says why"
    assert missing.advice.str.startswith("Do not report a number here").all()
    known = table[table.status != "not_estimable"]
    assert np.isfinite(known[["value", "value_adj"]].to_numpy(float)).all()
    assert "nan" not in fitted.summary().lower()
    return fitted


def rows(fitted, **wanted):
    table = fitted.to_frame()
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table), wanted
    return table


def reasons(fitted, **wanted):
    """Return why rows have no number; all of them must have none."""
    found = rows(fitted, **wanted)
    assert set(found.status) == {"not_estimable"}, found[["variable", "measure", "status"]]
    return set(found.reason)


def test_a_site_with_one_person():
    people, *data = cohort()
    people.loc[0, "site"] = "alone"
    fitted = report(people, *data)
    assert reasons(fitted, variable="site[alone]") == {
        f"1 people at the site and {N - 1} elsewhere: two are needed of both.",
        "People at the site with all values: 1; 3 are needed.",
        "People with both predictions: 1; 3 are needed.",
    }
    advice = rows(fitted, variable="site[alone]").advice
    assert advice.str.contains("levels pooled by scanner and protocol, would help").all()
    for against, measure in (("features", "rda_partial_r2"), ("gap", "partial_r2")):
        row = rows(fitted, variable="site", against=against, measure=measure).iloc[0]
        assert (row.status, row.n) == ("ok", N - 1), "the others are measured without them"


@pytest.mark.parametrize("role", ["technical", "biological"])
def test_a_constant_column(role):
    people, *data = cohort()
    fitted = report(people.assign(coil="head"), *data, coil=role)
    of_images = f"coil is constant over the {N} people who have all values."
    of_pairs = "One of the two is constant over the rows that have both."
    assert reasons(fitted, variable="coil") <= {of_images, of_pairs}
    for against in ("features", "embedding", "gap"):
        assert reasons(fitted, variable="coil", against=against) == {of_images}
    table = fitted.to_frame()
    assert (table[table.reason == of_images].advice == "Do not report a number here.").all()
    assert "coil" not in fitted.covariates_
    verdict = fitted.verdicts_.loc["coil"]
    assert verdict.verdict == ("harmless" if role == "technical" else "biology")
    assert ("It is constant" in verdict.reason) == (role == "technical")


def test_a_column_that_determines_another():
    people, *data = cohort()
    people["frequency"] = people.site.map(
        {"site 00": 50, "site 01": 50, "site 02": 60, "site 03": 60}
    )
    people["diagnosis"] = np.where(people.site == "site 03", "AD", "CN")
    people["scanner"] = people.site.str.upper()
    roles = {"frequency": "technical", "diagnosis": "biological", "scanner": "technical"}
    fitted = report(people, *data, **roles)
    pairs = fitted.to_frame().query("status == 'nested'").set_index(["variable", "against"])
    assert set(pairs.index) == {
        ("site", "frequency"), ("site", "diagnosis"), ("site", "scanner"),
        ("scanner", "diagnosis"), ("frequency", "scanner"),
    }  # fmt: skip
    assert "two names of one thing" in pairs.reason["site", "scanner"]
    assert "site determines diagnosis" in pairs.reason["site", "diagnosis"]
    assert pairs.advice["site", "diagnosis"].startswith("Not identifiable: make no claim")
    patients = "site[site 03]"
    assert reasons(fitted, variable=patients, measure="mean_gap") == {INSEPARABLE}
    assert reasons(fitted, variable=patients, measure="shift_transfer_ratio") == {
        "What is held fixed tells this site from all others, so its shift is not known."
    }


def test_a_column_that_age_determines():
    people, *data = cohort()
    fitted = report(people.assign(birth=2020 - people.age), *data, birth="technical")
    for against in ("features", "embedding", "gap"):
        assert reasons(fitted, variable="birth", against=against) == {INSEPARABLE}
    assert tuple(fitted.verdicts_.loc["birth", ["verdict", "reason"]]) == (
        "not identifiable", INSEPARABLE,
    )  # fmt: skip


def test_sites_that_determine_age():
    people, *data = cohort()
    people["age"] = people.site.map(
        {"site 00": 20.0, "site 01": 40.0, "site 02": 60.0, "site 03": 80.0}
    )
    fitted = report(people, *data)
    for measure in ("rda_partial_r2", "unique_site", "shared", "dispersion_epsilon_squared"):
        assert reasons(fitted, variable="site", against="features", measure=measure) == {
            INSEPARABLE
        }
    assert rows(
        fitted, variable="site", against="age", measure="epsilon_squared"
    ).status.item() == ("nested")
    excess = rows(fitted, variable="site", against="features", measure="excess_linear").iloc[0]
    assert (excess.status, excess.severity) == ("low_overlap", "negligible")
    assert excess.advice.startswith("Not identifiable"), "no excess does not mean no effect"
    assert fitted.verdicts_.verdict["site"] == "not identifiable"


def test_sites_without_a_common_age():
    people, *data = cohort()
    people["age"] += 100 * people.site.str[-2:].astype(int)
    fitted = report(people, *data)
    measured = rows(fitted, variable="site", against="features", measure="rda_partial_r2").iloc[0]
    assert measured.status == "low_overlap"
    assert measured.reason.startswith(f"{N} of {N} people are at levels where most have no count")
    gap = rows(fitted, variable="site", against="gap", measure="partial_r2").iloc[0]
    assert gap.advice == (
        "Not identifiable: site and age cannot be told apart here. Never compare gaps across site."
    )
    apart = rows(fitted, variable="site[site 00]", against="age").iloc[0]
    assert apart.status == "low_overlap"
    assert apart.value_adj < 1e-6
    assert apart.overlap_ess < 1
    assert apart.advice.startswith("Not identifiable: leave the site out of alignment")
    support = rows(fitted, variable="site", measure="common_support").iloc[0]
    assert (support.value, support.status) == (0.0, "low_overlap")


def test_a_one_sex_site():
    people, *data = cohort()
    people.loc[people.site == "site 00", "sex"] = "M"
    fitted = report(people, *data)
    row = rows(fitted, variable="site[site 00]", against="sex").iloc[0]
    assert row.status == "low_overlap"
    assert row.reason.startswith("The site has nobody with sex F.")
    assert row.advice == "Keep sex; claim nothing on the effect of sex at this site."
    assert "Some level of sex that is to be expected is missing at site 00" in fitted.summary()


def test_sixty_sites_for_three_hundred_people():
    people, *data = cohort(300, 60)
    fitted = report(people, *data)
    assert reasons(fitted, measure="shift_transfer_ratio") == {
        "The other sites span all 30 dimensions, so everything is within reach.",
        "The other sites span all 4 dimensions, so everything is within reach.",
    }
    support = rows(fitted, measure="common_support").iloc[0]
    assert support.status in ("low_overlap", "not_estimable")
    row = rows(fitted, variable="site", against="gap", measure="partial_r2").iloc[0]
    assert row.value > 0.15, "sixty sites explain a fifth of anything"
    assert abs(row.value_adj) < 0.1
    overlap = rows(fitted, measure="overlap_coefficient")
    assert set(overlap.status) == {"low_overlap"}
    assert overlap.advice.str.startswith(("Too few people: pool the site", "Not ident")).all()
    known = rows(fitted, measure="unseen_site_error_mean_of_sites").iloc[0]
    assert known.n == 300
    assert known.p < 0.5


def test_as_many_sites_as_people():
    people, *data = cohort(60, 60)
    fitted = report(people, *data)
    alone = "Each of the 60 people is alone at their level of site."
    for against, measure in (
        ("features", "rda_partial_r2"),
        ("embedding", "rda_partial_r2"),
        ("gap", "partial_r2"),
        ("gap", "partial_r2_within_strata"),
        ("gap", "dispersion_epsilon_squared"),
    ):
        assert reasons(fitted, variable="site", against=against, measure=measure) == {alone}
    by_site = fitted.to_frame().variable.str.startswith("site[")
    assert set(fitted.to_frame()[by_site].status) == {"not_estimable"}
    assert fitted.verdicts_.loc["site", "verdict"] == "unknown"
    assert alone in fitted.verdicts_.loc["site", "reason"]


@pytest.mark.parametrize("empty", [None, np.nan, "", " "])
def test_a_column_that_nobody_has(empty):
    people, *data = cohort()
    people["coil"] = np.array([empty] * N, dtype=object)
    fitted = report(people, *data, coil="technical")
    assert reasons(fitted, variable="coil") == {
        "Only 0 rows have both values; 10 are needed.", f"Nobody of the {N} people has coil.",
    }  # fmt: skip
    assert fitted.verdicts_.loc["coil", "verdict"] == "unknown"


def test_nobody_has_an_age_or_a_site_or_a_prediction():
    people, X, known, unseen = cohort(40)
    ageless = report(people.assign(age=np.nan), X, known, unseen)
    assert "Nobody of the 40 people has age." in reasons(ageless, against="features")
    assert set(rows(ageless, against="gap").status) == {"not_estimable"}
    placeless = report(people.assign(site=np.array([None] * 40)), X, known, unseen)
    assert reasons(placeless, variable="site", against="gap") >= {
        "Nobody of the 40 people has site."
    }
    assert "of no known site" in placeless.summary()
    nothing = np.full(40, np.nan)
    unpredicted = report(people, X, nothing, nothing)
    assert reasons(unpredicted, against="gap") >= {"Nobody has what it would be an effect on."}
    assert set(rows(unpredicted, against="features", variable="site").status) != {"not_estimable"}


def test_values_that_are_missing_here_and_there():
    people, X, known, unseen = cohort()
    people = people.astype({"sex": object, "site": object})
    people.loc[:9, "age"] = np.nan
    people.loc[10:14, "sex"] = None
    people.loc[20:24, "site"] = ""
    X[30:35] = np.nan
    known[40:45] = np.nan
    unseen[people.site == "site 02"] = np.nan
    X[50, 3] = np.nan
    fitted = report(people, X, known, unseen)
    assert "5 people without any value" in fitted.notes_["X"]
    assert "1 column with missing" in fitted.notes_["X"]
    row = rows(fitted, variable="site", against="features", measure="rda_partial_r2").iloc[0]
    assert (row.n, row.n_missing) == (N - 10 - 5 - 5 - 5, 5)
    row = rows(fitted, variable="site", against="gap", measure="partial_r2").iloc[0]
    assert row.n == N - 10 - 5 - 5 - 5
    assert reasons(fitted, variable="site[site 02]", measure="unseen_site_error") == {
        "People with both predictions: 0; 3 are needed."
    }
    row = rows(fitted, variable="site", measure="unseen_site_error").iloc[0]
    assert row.status == "ok"


def test_one_site_and_four_people():
    people, *data = cohort()
    fitted = report(people.assign(site="here"), *data)
    assert set(rows(fitted, variable="site").status) == {"not_estimable"}
    assert fitted.verdicts_.loc["site", "verdict"] == "harmless"
    assert "There is one site only" in reasons(fitted, measure="unseen_site_error").pop()
    fitted.plot().canvas.draw()
    few = report(people[:4], *(part[:4] for part in data))
    assert set(few.to_frame().status) <= {"not_estimable", "low_overlap"}
    assert few.to_frame().reason.str.len().gt(0).all()
    few.plot().canvas.draw()
