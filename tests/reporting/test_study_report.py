"""The page of a study shows what was measured, and says what it cannot say."""

import re

import numpy as np
import pandas as pd
import pytest
from reporting.pages import Parsed, cohort, study
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge

from mresklearn.confounds import ConfoundReport
from mresklearn.exceptions import MissingMetadataError
from mresklearn.metrics import bootstrap_ci, site_scores
from mresklearn.model_selection import compare_models, cross_validate_sites
from mresklearn.reporting import study_report


@pytest.fixture(scope="module")
def people_and_features():
    return cohort(6)


@pytest.fixture(scope="module")
def results(people_and_features):
    people, features = people_and_features
    return {
        name: cross_validate_sites(
            Ridge(alpha), features, people.age, site=people.site, n_repeats=2
        )
        for name, alpha in (("ridge", 1.0), ("stiff ridge", 1e6))
    }


@pytest.fixture(scope="module")
def report(people_and_features, results):
    return study(*people_and_features, results=results)


def text(report):
    return Parsed(report.html).text


def test_a_person_scanned_twice_counts_once(people_and_features):
    people, _ = people_and_features
    people = people.assign(person=np.arange(len(people)))
    again = people.iloc[:7].assign(age=lambda scans: scans.age + 1)
    once = study_report(participants=people).tables["cohort"]
    twice = study_report(participants=pd.concat([people, again])).tables["cohort"]
    pd.testing.assert_frame_equal(twice, once)


def test_rows_of_nobody_known_are_a_person_each(people_and_features):
    people = people_and_features[0].iloc[:8]
    without = people.assign(person=[None, np.nan, "", " ", "A", "A", "B", None])
    table = study_report(participants=without).tables["cohort"]
    assert table.loc["all sites", "n_people"] == 7


def test_everybody_is_counted(people_and_features, report):
    people, _ = people_and_features
    table = report.tables["cohort"]
    by_site = people.groupby("site").age
    sites = table.iloc[:-1]
    assert sites.n_people.tolist() == by_site.size().tolist()
    np.testing.assert_allclose(sites.age_mean, by_site.mean())
    np.testing.assert_allclose(sites.age_sd, by_site.std())
    assert table.loc["all sites", "n_people"] == len(people)
    row = people[people.site == "site A"]
    counts = row.sex.value_counts()
    assert (
        f"site A 24 {row.age.mean():.1f} ({row.age.std():.1f}) {row.age.min():.0f} to "
        f"{row.age.max():.0f} F {counts.F}, M {counts.M}"
    ) in text(report)


def test_the_ages_chart_has_a_dot_for_everybody(people_and_features, report):
    dots = [d for d in Parsed(report.html).all("circle") if d["class"] == "main"]
    assert len(dots) == len(people_and_features[0])


def test_scores_are_those_of_the_cross_validation(results, report):
    table = report.tables["models"].set_index(["model", "protocol"])
    for name, result in results.items():
        for protocol, row in result.summary.iterrows():
            for score in ("mae", "rmse", "r", "r2", "relative_mae", "mae_worst_site"):
                assert table.loc[(name, protocol), score] == row[score]
            assert f"{row.mae:.2f}" in text(report)


def test_intervals_draw_people_at_known_sites_and_sites_where_they_are_left_out(results, report):
    table = report.tables["models"].set_index(["model", "protocol"]).loc["ridge"]
    lines = results["ridge"].predictions
    for protocol, with_site in (("within_site", False), ("leave_one_site_out", True)):
        some = lines[lines.protocol == protocol]
        error = (some.prediction - some.y).abs().groupby([some.site, some.person], sort=False)
        mean = error.mean()
        site = mean.index.get_level_values("site") if with_site else None
        expected = bootstrap_ci(np.mean, mean, site=site, random_state=0)
        found = table.loc[protocol]
        assert (found.mae_low, found.mae_high) == pytest.approx((expected.low, expected.high))
        assert f"{expected.low:.2f} to {expected.high:.2f}" in text(report)


def test_sites_are_scored_by_site_scores_with_rows_of_a_person_together(results, report):
    lines = results["ridge"].predictions
    some = lines[lines.protocol == "within_site"]
    expected = site_scores(some.y, some.prediction, some.site, groups=some.person, random_state=0)
    pd.testing.assert_frame_equal(report.tables["sites"].loc["within_site"], expected)
    assert expected.n_people.tolist() == [24] * 6


def test_models_are_compared_with_the_first(results, report):
    expected = compare_models(results["stiff ridge"], results["ridge"])
    pd.testing.assert_frame_equal(report.tables["comparison"].loc["stiff ridge"], expected)
    row = expected.loc["leave_one_site_out"]
    assert f"{row.difference:+.2f}".replace("-", "\N{MINUS SIGN}") in text(report)


def test_predictions_are_drawn_once_a_person_and_on_the_line_without_error(results, report):
    charts = re.findall(r"<svg.*?</svg>", report.html, re.S)
    chart = next(c for c in charts if "Predicted against" in c)
    dots = re.findall(r'class="hue-\d dot"', chart)
    assert len(dots) == 144
    first, last = re.search(r'points="(\S+) (\S+)" class="same"', chart).groups()
    (x1, y1), (x2, y2) = ([float(n) for n in point.split(",")] for point in (first, last))
    assert x1 < x2
    assert y1 > y2


def test_embeddings_are_principal_axes_and_shares_of_variance(people_and_features):
    people, _ = people_and_features
    site = pd.factorize(people.site)[0]
    random = np.random.default_rng(0)
    of_site = random.normal(size=(6, 5))[site]
    of_age = np.outer(people.age - people.age.mean(), random.normal(size=5))
    noise = random.normal(size=(len(people), 5))
    report = study_report(
        participants=people,
        embeddings={"site": of_site, "age": of_age + 1e-9 * noise, "noise": noise},
    )
    table = report.tables["embeddings"]
    assert table.by_site["site"] == pytest.approx(1)
    assert table.by_age["age"] == pytest.approx(1)
    assert abs(table.by_site["noise"]) < 0.05  # chance is taken off
    assert abs(table.by_age["noise"]) < 0.05
    assert len(Parsed(report.html).all("svg")) > 6


def test_shares_agree_with_least_squares(people_and_features, report):
    import statsmodels.api as sm

    people, features = people_and_features
    centred = features - features.mean(axis=0)
    weight = (centred**2).sum(axis=0)
    by_column = [
        sm.OLS(column, sm.add_constant(people.age.to_numpy())).fit().rsquared_adj
        for column in features.T
    ]
    expected = np.average(by_column, weights=weight)
    assert report.tables["embeddings"].by_age["before"] == pytest.approx(expected)


def test_verdicts_on_confounds_are_shown_with_what_to_do(people_and_features):
    people, features = people_and_features
    confounds = ConfoundReport(roles={"sex": "biological"}, n_permutations=99, random_state=0)
    confounds.fit(people, features + 100 * pd.get_dummies(people.site).to_numpy(float))
    report = study_report(participants=people, confounds=confounds, confounds_page="confounds.html")
    page = text(report)
    for name, row in confounds.verdicts_.iterrows():
        assert f"{name} {row.role} {row.verdict} {row.reason}" in page
    assert {"href": "confounds.html"} in Parsed(report.html).all("a")
    assert "What to do" in page


def test_what_stands_in_the_way_is_said_first(people_and_features):
    people, features = cohort(4)
    people.loc[:2, "age"] = np.nan
    known = people.age.notna().to_numpy()
    result = cross_validate_sites(
        DummyRegressor(strategy="constant", constant=99.0),
        features[known],
        people.age[known],
        site=people.site[known],
    )
    report = study_report(participants=people, results=result)
    said = " ".join(report.warnings)
    assert "3 people have no age" in said
    assert "With 4 sites, no test over sites can reach p = 0.05" in said
    assert "model predicts no better than the median age" in said
    page = text(report)
    assert page.index("Read this first") < page.index("In short")


def test_ages_that_nobody_elsewhere_has_are_said():
    people, features = cohort(3)
    old = people.site == "site C"
    people.loc[old, "age"] += 70
    with pytest.warns(UserWarning, match="site C"):
        result = cross_validate_sites(Ridge(), features, people.age, site=people.site)
    report = study_report(participants=people, results={"ridge": result})
    assert any("Nobody of another site has the ages of site C" in w for w in report.warnings)


def test_sections_without_data_are_left_out(people_and_features):
    page = text(study_report(participants=people_and_features[0].drop(columns="sex")))
    for words in ("What may confound", "How well age is predicted", "What the features", "sex"):
        assert words not in page
    assert "6 sites" in page


def test_many_sites_can_be_told_apart():
    people, _ = cohort(1)
    people = pd.concat([people.head(3).assign(site=f"place {k:02d}") for k in range(24)])
    report = study_report(
        participants=people, embeddings={"X": np.random.default_rng(0).normal(size=(72, 3))}
    )
    key = re.search(r'<ul class="key" aria-label="Sites">(.*?)</ul>', report.html, re.S)[1]
    marks = re.findall(r'<(circle|path)[^>]*?(?:d="M[\d.]+ [\d.]+(\w))?[^>]*class="(\S+)"', key)
    shapes = [
        re.sub(r"[\d. -]+", "", found) for found in re.findall(r"<(?:path|circle)[^>]*>", key)
    ]
    hues = re.findall(r'class="(hue-\d)"', key)
    assert len(marks) == 24
    assert len(set(zip(shapes, hues, strict=True))) == 24


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"age_column": "years"}, MissingMetadataError, "no column 'years'.*age_column="),
        ({"results": {"ridge": 3}}, ValueError, r"results\['ridge'\] is no result"),
        ({"embeddings": {"X": np.ones((3, 2))}}, ValueError, "'X' has 3 rows, but there are 144"),
        ({"embeddings": {"X": np.ones((144, 1))}}, ValueError, "2 columns or more"),
        ({"embeddings": {"X": np.full((144, 2), np.nan)}}, ValueError, "missing or infinite"),
        ({"confounds": ConfoundReport()}, ValueError, "not fitted"),
        ({"participants": [1, 2]}, ValueError, "'participants' parameter"),
    ],
)
def test_bad_input_is_named(people_and_features, changed, error, message):
    with pytest.raises(error, match=message):
        study_report(**{"participants": people_and_features[0]} | changed)


def test_results_of_other_people_are_refused(results):
    with pytest.raises(ValueError, match="has people of site D, site E and site F"):
        study_report(participants=cohort(3)[0], results=results)
