import numpy as np
import pandas as pd
import pytest

from mresklearn.metrics import bootstrap_ci, brain_age_scores, site_scores

COLUMNS = ["n_people", "age_min", "age_max"]
COLUMNS += [
    f"{name}{end}" for name in ("mae", "bias", "gap_slope") for end in ("", "_low", "_high")
]
COLUMNS += ["note"]


def global_stream():
    return np.random.get_state()[1].copy()  # noqa: NPY002


def cohort(sizes=(40, 30, 5), random_state=0):
    rng = np.random.default_rng(random_state)
    code = np.repeat(np.arange(len(sizes)), sizes)
    age = rng.uniform(20, 80, len(code))
    predicted = age - 0.3 * (age - 50) + rng.normal(0, 5, len(code)) + 4 * (code == 1)
    return age, predicted, np.array(list("zyxwv"))[code]


def test_estimates_are_those_of_each_site_alone():
    age, predicted, site = cohort()
    table = site_scores(age, predicted, site, random_state=0)
    assert list(table.index) == ["x", "y", "z"]
    assert list(table.columns) == COLUMNS
    assert table.index.name == "site"
    assert list(table.n_people) == [5, 30, 40]
    for name in ("y", "z"):
        alone = brain_age_scores(age[site == name], predicted[site == name])
        row = table.loc[name]
        for score in ("mae", "bias", "gap_slope"):
            assert row[score] == pytest.approx(alone[score])
            assert row[f"{score}_low"] < row[score] < row[f"{score}_high"]
        assert (row.age_min, row.age_max) == (age[site == name].min(), age[site == name].max())
    assert table.bias_low["y"] > 0, "the planted bias of 4 years shows"
    assert (table.note[["y", "z"]] == "").all()


def test_intervals_agree_with_the_bootstrap_of_rows():
    age, predicted, site = cohort((40,))
    row = site_scores(age, predicted, site, n_resamples=20_000, random_state=0).loc["z"]
    statistics = {
        "mae": lambda y, p: np.abs(p - y).mean(),
        "bias": lambda y, p: (p - y).mean(),
        "gap_slope": lambda y, p: np.cov(p - y, y)[0, 1] / y.var(ddof=1),
    }
    for name, statistic in statistics.items():
        whole = bootstrap_ci(statistic, age, predicted, n_resamples=2000, random_state=1)
        # both are random; their standard error is about 0.03 of the width
        width = whole.high - whole.low
        assert row[f"{name}_low"] == pytest.approx(whole.low, abs=0.12 * width)
        assert row[f"{name}_high"] == pytest.approx(whole.high, abs=0.12 * width)


def test_a_small_site_has_no_interval_and_says_so():
    age, predicted, site = cohort()
    row = site_scores(age, predicted, site, random_state=0).loc["x"]
    assert row.mae == pytest.approx(np.abs(predicted - age)[site == "x"].mean())
    assert row[[c for c in COLUMNS if c.endswith(("low", "high", "slope"))]].isna().all()
    assert row.note == "fewer than 10 people: no slope, no intervals"


def test_the_numbers_of_a_site_do_not_depend_on_the_others():
    age, predicted, site = cohort()
    whole = site_scores(age, predicted, site, random_state=3)
    keep = site != "y"
    part = site_scores(age[keep], predicted[keep], site[keep], random_state=3)
    pd.testing.assert_frame_equal(part, whole.drop(index="y"))


def test_same_seed_same_intervals_and_global_stream_untouched():
    age, predicted, site = cohort()
    before = global_stream()
    first = site_scores(age, predicted, site, random_state=5)
    pd.testing.assert_frame_equal(first, site_scores(age, predicted, site, random_state=5))
    assert not first.equals(site_scores(age, predicted, site, random_state=6))
    np.testing.assert_array_equal(global_stream(), before)


def test_scans_of_one_person_are_not_people():
    age, predicted, _ = cohort((24,))
    person = np.repeat(np.arange(24), 5)
    age, predicted = np.repeat(age, 5), np.repeat(predicted, 5)
    rows = site_scores(age, predicted, ["a"] * 120, random_state=0).loc["a"]
    people = site_scores(age, predicted, ["a"] * 120, groups=person, random_state=0).loc["a"]
    assert (rows.n_people, people.n_people) == (120, 24)
    assert people.mae == rows.mae
    # five copies of a person look like five people: the interval is about sqrt(5) too narrow
    ratio = (people.mae_high - people.mae_low) / (rows.mae_high - rows.mae_low)
    assert 1.9 < ratio < 3
    few = person < 8
    row = site_scores(age[few], predicted[few], ["a"] * 40, groups=person[few]).loc["a"]
    assert "fewer than 10 people" in row.note


def test_coverage_with_ten_people():
    rng = np.random.default_rng(0)
    inside = []
    for seed in range(300):
        gap = rng.normal(1, 5, 10)
        age = rng.uniform(20, 80, 10)
        row = site_scores(age, age + gap, ["a"] * 10, n_resamples=1000, random_state=seed).loc["a"]
        inside.append(
            (row.bias_low <= 1 <= row.bias_high, row.gap_slope_low <= 0 <= row.gap_slope_high)
        )
    bias, gap_slope = np.mean(inside, axis=0)
    assert 0.91 <= bias <= 0.98  # 0.95 +- 3 standard errors of 0.013
    assert 0.91 <= gap_slope <= 0.99


def test_a_site_of_its_own_ages_is_noted():
    rng = np.random.default_rng(0)
    age = np.r_[rng.uniform(20, 40, 30), rng.uniform(60, 80, 30)]
    site = np.repeat(["young", "old"], 30)
    table = site_scores(age, age + rng.normal(0, 3, 60), site, random_state=0)
    assert table.note.str.startswith("nobody of another site in its age range").all()
    alone = site_scores(age[:30], age[:30] + rng.normal(0, 3, 30), site[:30], random_state=0)
    assert alone.note["young"] == ""


def test_one_age_gives_no_slope_and_no_error_gives_no_interval():
    site = ["a"] * 12
    row = site_scores([50.0] * 12, 50 + np.arange(12.0), site, random_state=0).loc["a"]
    assert np.isnan(row.gap_slope)
    assert row.note == "too few ages for a slope"
    assert row.bias_low < row.bias < row.bias_high
    # one person of another age: a third of the samples miss him, and have no slope
    age = np.r_[60.0, [50.0] * 11]
    row = site_scores(age, age + np.arange(12.0), site, random_state=0).loc["a"]
    assert np.isnan([row.gap_slope, row.gap_slope_low]).all()
    assert row.note == "too few ages for a slope"
    age = np.arange(40.0, 52)
    perfect = site_scores(age, age, site, random_state=0).loc["a"]
    assert (perfect.mae, perfect.bias) == (0, 0)
    assert np.isnan([perfect.mae_low, perfect.mae_high, perfect.bias_low]).all()
    assert perfect.note == "no interval for mae, bias, gap_slope: the same in every sample"


def test_sixty_sites_of_five_give_sixty_flagged_rows():
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 300)
    table = site_scores(age, age + rng.normal(0, 4, 300), np.repeat(np.arange(60), 5))
    assert len(table) == 60
    assert table.note.str.contains("fewer than 10 people").all()
    assert table[["mae", "bias"]].notna().all(axis=None)


def test_bad_input_is_refused():
    age, predicted, site = cohort()
    with pytest.raises(ValueError, match="site is missing in 1 of 75 rows: 0"):
        site_scores(age, predicted, np.r_[[None], site[1:]])
    with pytest.raises(ValueError, match="site must have one entry"):
        site_scores(age, predicted, site[:-1])
    with pytest.raises(ValueError, match="'confidence' parameter"):
        site_scores(age, predicted, site, confidence=95)
