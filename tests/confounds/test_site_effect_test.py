import numpy as np
import pandas as pd
import pytest

from mresklearn.confounds import site_effect_test

CONDITIONAL = ["nested_f", "gcm", "stratified_permutation", "partial_confounder"]
EVERY = pytest.mark.parametrize("method", CONDITIONAL)
NUMBERS = ["p_value", "effect", "partial_r2", "statistic", "null_mean"]
NAMES = np.array(["Delaware", "Mayo", "Utah", "Oslo"])


def cohort(n_rows=200, offset=0.0, seed=0, n_columns=6):
    """Sites that differ in age, a prediction and an embedding that curve with it."""
    random = np.random.default_rng(seed)
    code = np.arange(n_rows) % 4
    age = random.normal(40 + 7 * code, 10)
    z = (age - 50) / 15
    spread = np.exp(0.3 * z)
    predicted = 50 + 10 * z - 1.5 * z**2 + 4 * spread * random.normal(size=n_rows)
    embedding = np.sin(z[:, None] + np.arange(n_columns)) + 0.5 * spread[:, None] * random.normal(
        size=(n_rows, n_columns)
    )
    predicted += 4 * offset * (code == 1)
    embedding[:, 2] += 0.5 * offset * (code == 1)
    return predicted, embedding, NAMES[code], age


@EVERY
@pytest.mark.parametrize("kind", ["prediction", "embedding"])
def test_offset_of_a_site_is_found_and_age_is_not(method, kind):
    for offset in (0.0, 1.5):
        predicted, embedding, site, age = cohort(offset=offset)
        values = predicted if kind == "prediction" else embedding
        result = site_effect_test(
            values, site, age, method=method, n_permutations=199, random_state=0
        )
        assert (result.p_value <= 0.05) == (offset > 0)
        assert result.status == "ok"
        assert result.method == method
        assert result.sites == sorted(NAMES)
        assert result.n_rows == 200
        assert result.note == ""
        assert result.conditional is None
    assert result.statistic > 1.5 * result.null_mean
    assert result.p_value == 1 / 200
    assert {type(result[name]) for name in NUMBERS} == {float}
    assert result.effect > 0.03


@EVERY
def test_few_small_p_where_sites_differ_in_age_only(method):
    # 60 cohorts: expected 3, P(more than 8) = 0.3 %; a comparison that forgets age finds all 60
    found = 0
    for seed in range(60):
        predicted, _, site, age = cohort(n_rows=120, seed=seed)
        result = site_effect_test(
            predicted, site, age, method=method, n_permutations=99, random_state=seed
        )
        found += result.p_value <= 0.05
    assert found <= 8


@pytest.mark.parametrize(("method", "kind"), [("anova", 0), ("hsic", 0), ("hsic", 1)])
def test_naive_tests_find_age_and_have_the_conditional_test_beside_them(method, kind):
    data = cohort()
    values, (site, age) = data[kind], data[2:]
    naive = site_effect_test(values, site, age, method=method, n_permutations=199, random_state=0)
    assert naive.p_value <= 0.005
    assert "does not look at age" in naive.note
    auto = site_effect_test(values, site, age, n_permutations=199, random_state=0)
    assert naive.conditional == auto
    assert auto.p_value > 0.05


def test_auto_is_nested_f_for_a_prediction_and_gcm_for_an_embedding():
    predicted, embedding, site, age = cohort()
    assert site_effect_test(predicted, site, age, n_permutations=9).method == "nested_f"
    assert site_effect_test(embedding, site, age, n_permutations=9).method == "gcm"
    assert site_effect_test(predicted[:, None], site, age, n_permutations=9).method == "gcm"


def test_effect_is_the_share_of_variance_and_has_no_bias():
    # an offset of c at half of the people, noise of SD 1: c^2 / 4 / (c^2 / 4 + 1) = 0.2 for c = 1
    random = np.random.default_rng(0)
    site, age = np.arange(4000) % 2, random.uniform(20, 80, 4000)
    values = 0.1 * age + (site == 1) + random.normal(size=4000)
    result = site_effect_test(values, site, age, n_permutations=1, random_state=0)
    assert abs(result.effect - 0.2) < 0.02
    effects, raw = [], []
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(size=60)
        found = site_effect_test(noise, np.arange(60) % 6, age[:60], n_permutations=1)
        effects.append(found.effect)
        raw.append(found.partial_r2)
    assert abs(np.mean(effects)) < 0.015  # its SD over 200 runs is 0.004
    assert np.mean(raw) > 0.08  # 5 / 53


@EVERY
def test_gap_and_prediction_say_the_same(method):
    predicted, _, site, age = cohort(offset=1)
    settings = {"method": method, "n_permutations": 99, "random_state": 0}
    of_prediction = site_effect_test(predicted, site, age, **settings)
    of_gap = site_effect_test(predicted - age, site, age, **settings)
    assert of_gap.p_value == of_prediction.p_value
    np.testing.assert_allclose(of_gap.effect, of_prediction.effect)


@EVERY
def test_units_and_names_do_not_matter(method):
    predicted, _, site, age = cohort(offset=1)
    settings = {"method": method, "n_permutations": 99, "random_state": 0}
    years = site_effect_test(predicted, site, age, **settings)
    days = site_effect_test(365 * predicted - 7, pd.Series(site).str.upper(), 365 * age, **settings)
    np.testing.assert_allclose(days.statistic, years.statistic, rtol=1e-5)
    assert days.p_value == years.p_value


@EVERY
@pytest.mark.parametrize("text", [True, False])
def test_a_covariate_that_explains_the_site_effect_is_held_fixed(method, text):
    random = np.random.default_rng(0)
    site, age = np.arange(240) % 3, random.uniform(30, 80, 240)
    female = random.random(240) < np.array([0.2, 0.5, 0.8])[site]
    values = 0.5 * age + 6 * female + random.normal(0, 3, 240)
    sex = np.where(female, "F", "M") if text else female.astype(float)
    settings = {"method": method, "n_permutations": 199, "random_state": 0}
    assert site_effect_test(values, site, age, **settings).p_value <= 0.01
    assert site_effect_test(values, site, age, covariates=sex, **settings).p_value > 0.05


@EVERY
def test_score_of_a_classifier_is_held_against_the_diagnosis(method):
    # patients are more frequent at one site; the score follows diagnosis and age only
    random = np.random.default_rng(0)
    site, age = np.arange(240) % 3, random.uniform(50, 90, 240)
    patient = random.random(240) < np.array([0.1, 0.3, 0.7])[site]
    score = 1 / (1 + np.exp(-(3 * patient - 2 + (age - 70) / 20 + random.normal(size=240))))
    diagnosis = pd.Series(pd.Categorical(np.where(patient, "AD", "control")))
    settings = {"method": method, "n_permutations": 199, "random_state": 0}
    assert site_effect_test(score, site, age, **settings).p_value == 1 / 200
    assert site_effect_test(score, site, age, covariates=diagnosis, **settings).p_value > 0.05
    shifted = score + 0.2 * (site == 1)
    assert site_effect_test(shifted, site, age, covariates=diagnosis, **settings).p_value == 1 / 200


def test_covariates_may_be_a_table_of_numbers_and_text():
    predicted, _, site, age = cohort()
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {"sex": random.choice(["F", "M"], 200), "education": random.integers(8, 20, 200)},
        index=np.arange(200)[::-1],
    )
    both = site_effect_test(predicted, site, age, covariates=table, random_state=0)
    columns = np.column_stack([table["sex"] == "F", table["education"]]).astype(float)
    numbers = site_effect_test(predicted, site, age, covariates=columns, random_state=0)
    np.testing.assert_allclose(both.statistic, numbers.statistic)


def test_strata_matter_for_the_stratified_test_only():
    predicted, _, site, age = cohort()
    settings = {"n_permutations": 99, "random_state": 0}
    few, many = (
        site_effect_test(
            predicted, site, age, method="stratified_permutation", n_strata=n, **settings
        )
        for n in (1, 20)
    )
    nested = site_effect_test(predicted, site, age, **settings)
    assert few.statistic == many.statistic == nested.statistic
    assert few.null_mean == nested.null_mean != many.null_mean


@EVERY
def test_seed_decides_and_global_random_state_is_left_alone(method):
    predicted, _, site, age = cohort()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    settings = {"method": method, "n_permutations": 49}
    first, second, other = (
        site_effect_test(predicted, site, age, random_state=seed, **settings) for seed in (0, 0, 1)
    )
    assert first == second
    assert first.null_mean != other.null_mean
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# ---- what cannot be answered


def assert_not_estimable(result, reason):
    assert result.status == "not_estimable"
    assert np.isnan([result[name] for name in NUMBERS]).all()
    assert result.n_permutations == 0
    assert reason in result.note


@pytest.mark.parametrize("method", [*CONDITIONAL, "anova", "hsic"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"site": np.full(24, "Mayo")}, "all rows come from 'Mayo'"),
        ({"site": np.arange(24)}, "no site has two rows"),
        ({"site": np.repeat(np.arange(12), 2)}, "24 rows are too few for 12 sites"),
        ({"values": np.full(24, 3.3)}, "constant"),
        ({"values": np.linspace(20, 80, 24) ** 2}, "function of age"),
        ({"values": (0.7 * np.linspace(20, 80, 24) + 3).astype(np.float32)}, "function of age"),
        ({"values": np.full(24, np.nan)}, "no complete row"),
        ({"age": np.repeat([40.0, 60.0], 12)}, "tell the site of every row"),
        ({"covariates": np.repeat(["3T", "7T"], 12)}, "tell the site of every row"),
        ({"covariates": np.arange(24).astype(str)}, "too few"),
    ],
)
def test_what_cannot_be_answered_says_why(method, change, reason):
    data = {
        "values": np.random.default_rng(0).normal(size=24),
        "site": np.repeat(["Mayo", "Utah"], 12),
        "age": np.linspace(20, 80, 24),
        "covariates": None,
    }
    result = site_effect_test(**(data | change), method=method, n_permutations=9, random_state=0)
    assert_not_estimable(result, reason)
    if method in ("anova", "hsic"):
        assert_not_estimable(result.conditional, reason)


def test_nobody_is_not_estimable():
    assert_not_estimable(site_effect_test([], [], []), "no complete row")


def test_strata_without_two_sites_are_not_estimable():
    site, age = np.repeat(["Mayo", "Utah"], 30), np.linspace(20, 80, 60)
    values = np.random.default_rng(0).normal(size=60)
    result = site_effect_test(
        values, site, age, method="stratified_permutation", n_strata=2, random_state=0
    )
    assert_not_estimable(result, "No stratum of age holds two sites")


@pytest.mark.parametrize("by", ["age", "covariates"])
def test_sites_without_peers_elsewhere_are_named(by):
    random = np.random.default_rng(0)
    site = np.repeat(["Mayo", "Oslo", "Utah"], 50)
    age, dose = random.uniform(20, 70, 150), random.normal(size=150)
    if by == "age":
        age[100:] += 50
    else:
        dose[100:] += 50
    values = random.normal(size=150)
    result = site_effect_test(values, site, age, covariates=dose, random_state=0)
    assert result.status == "ok"
    assert "['Utah']" in result.note
    assert "curve of age" in result.note


def test_small_sites_are_named_since_their_noise_cannot_be_told():
    random = np.random.default_rng(0)
    site = np.repeat(["Mayo", "Oslo", "Utah"], [60, 9, 8])
    age, values = random.uniform(20, 80, 77), random.normal(size=77)
    result = site_effect_test(values, site, age, random_state=0)
    assert "fewer than 9 people" in result.note
    assert result.note.endswith("p is too small: Utah.")


@EVERY
def test_site_with_one_person_is_left_out_and_named(method):
    predicted, _, site, age = cohort()
    settings = {"method": method, "n_permutations": 49, "random_state": 0}
    alone = site_effect_test(predicted, site, age, **settings)
    added = site_effect_test(
        np.append(predicted, 99.0), np.append(site, "Bergen"), np.append(age, 50.0), **settings
    )
    assert "['Bergen']" in added.note
    assert (added.n_rows, added.sites) == (200, alone.sites)
    np.testing.assert_allclose(added.statistic, alone.statistic)


@EVERY
@pytest.mark.parametrize("missing", ["values", "site", "age", "covariates"])
def test_rows_in_which_something_is_missing_are_left_out_and_named(method, missing):
    predicted, _, site, age = cohort()
    table = pd.DataFrame(
        {"values": predicted, "site": site, "age": age, "covariates": age**2 % 7},
        index=[f"person-{row}" for row in range(200)],
    )
    settings = {"method": method, "n_permutations": 49, "random_state": 0}
    complete = site_effect_test(**table.drop(index=["person-3", "person-8"]), **settings)
    table.loc[["person-3", "person-8"], missing] = None
    result = site_effect_test(**table, **settings)
    assert f"2 of 200 rows with missing {missing}: person-3, person-8" in result.note
    assert result.n_rows == 198
    assert result.statistic == complete.statistic
    assert result.p_value == complete.p_value


@EVERY
def test_sixty_sites_of_three_hundred_people_are_tested(method):
    random = np.random.default_rng(0)
    site, age = np.arange(300) % 60, random.uniform(20, 80, 300)
    values = random.normal(size=300)
    settings = {"method": method, "n_permutations": 99, "random_state": 0}
    result = site_effect_test(values, site, age, **settings)
    assert result.p_value > 0.05
    assert result.note.endswith("p is too small: 0, 1, 10, 11, 12 and 55 more.")
    values += 2 * random.normal(size=60)[site]
    assert site_effect_test(values, site, age, **settings).p_value == 0.01


def test_columns_that_age_explains_are_passed_over_and_counted():
    _, embedding, site, age = cohort(offset=1.5)
    told = (0.3 * age).astype(np.float32)  # of which rounding is left
    wider = np.column_stack([embedding, np.ones(200), told])
    for method in CONDITIONAL:
        settings = {"method": method, "n_permutations": 49, "random_state": 0}
        with_constant = site_effect_test(wider, site, age, **settings)
        without = site_effect_test(embedding, site, age, **settings)
        np.testing.assert_allclose(with_constant.statistic, without.statistic)
        np.testing.assert_allclose(with_constant.effect, without.effect)
        assert with_constant.p_value == without.p_value
        assert "2 of 8 columns of values are constant or a function of age" in with_constant.note


def test_one_age_and_one_sex_are_no_obstacle():
    predicted, _, site, _ = cohort()
    result = site_effect_test(
        predicted, site, np.full(200, 50.0), covariates=np.full(200, "F"), random_state=0
    )
    assert result.status == "ok"
    assert result.p_value == 0.001  # sites differ in the ages that nobody wrote down


# ---- mistakes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"site": ["a", "b"]}, "site must have one entry for each of the 20 rows"),
        ({"age": np.ones(19)}, "age must have one entry"),
        ({"age": ["old"] * 20}, "age must hold numbers"),
        ({"values": ["x"] * 20}, "values must hold numbers"),
        ({"values": np.ones((20, 2, 2))}, "values must be a prediction"),
        ({"covariates": np.ones((5, 2))}, "covariates have 5 rows"),
        ({"method": "anova", "values": np.ones((20, 2))}, "one number a person"),
        ({"method": "t_test"}, "method"),
        ({"n_permutations": 0}, "n_permutations"),
        ({"n_strata": 0}, "n_strata"),
    ],
)
def test_mistakes_are_errors_that_name_the_parameter(change, message):
    data = {"values": np.ones(20), "site": np.arange(20) % 2, "age": np.arange(20.0)}
    with pytest.raises(ValueError, match=message):
        site_effect_test(**(data | change))
