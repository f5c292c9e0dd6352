"""Cox's model against statsmodels, finite differences and brute force, and what it must find."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config
from matplotlib.figure import Figure
from statsmodels.duration.hazard_regression import PHReg

from mresklearn.exceptions import UnanswerableWarning
from mresklearn.progression import concordance, conversion_model
from mresklearn.progression._partial_likelihood import PartialLikelihood


def people(seed=0, n=120, ratio=2.0, ties=False):
    """Two sites with different risks; the gap multiplies them, age does nothing."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "gap": rng.normal(0, 4, n),
            "age": rng.normal(75, 6, n),
            "sex": rng.choice(["F", "M"], n),
            "site": np.repeat(["Delaware", "Mayo"], [n // 2, n - n // 2]),
        }
    )
    rate = np.where(table.site == "Mayo", 0.3, 0.1) * ratio ** (table.gap / 4)
    wait = rng.exponential(1 / rate.to_numpy())
    end = rng.uniform(1, 8, n)
    table["duration"] = np.minimum(wait, end)
    table["event"] = wait < end
    if ties:
        table["duration"] = np.ceil(table["duration"])
    return table


def fitted(table, **settings):
    return conversion_model(table, **({"features": ["gap"], "n_resamples": 100} | settings))


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("strata", [None, "site"])
def test_coefficients_and_errors_are_those_of_statsmodels(ties, strata):
    table = people(ties=True)
    model = fitted(table, covariates=["age", "sex"], strata=strata, ties=ties)
    design = table[["gap", "age"]].assign(sex=(table.sex == "M").astype(float)).to_numpy()
    reference = PHReg(
        table.duration, design, status=table.event.astype(int), ties=ties,
        strata=None if strata is None else table.site,
    ).fit()  # fmt: skip
    np.testing.assert_allclose(model.table.coefficient, reference.params, rtol=1e-4)
    np.testing.assert_allclose(model.table.standard_error, reference.bse, rtol=1e-4)
    assert model.table.index.tolist() == ["gap", "age", "sex: M - F"]


def test_likelihood_ratio_is_that_of_two_fits_of_statsmodels():
    table = people(ties=True)
    model = fitted(table, covariates=["age"])
    common = {"status": table.event.astype(int), "ties": "efron"}
    full = PHReg(table.duration, table[["gap", "age"]], **common).fit().llf
    less = PHReg(table.duration, table[["age"]], **common).fit().llf
    assert model.added.chi2 == pytest.approx(2 * (full - less), rel=1e-5)
    assert model.table.chi2["gap"] == pytest.approx(model.added.chi2, rel=1e-6)


def test_profile_interval_ends_where_the_likelihood_has_fallen_by_its_quantile():
    table = people(n=60)
    row = fitted(table).table.loc["gap"]

    def drop(ratio):
        risk = np.log(ratio) * table.gap.to_numpy()
        order = np.flatnonzero(table.event)
        at_risk = [table.duration.to_numpy() >= table.duration[i] for i in order]
        return sum(
            risk[i] - np.log(np.exp(risk[m]).sum()) for i, m in zip(order, at_risk, strict=True)
        )

    for end in (row.low, row.high):
        assert 2 * (drop(row.hazard_ratio) - drop(end)) == pytest.approx(3.841459, abs=1e-3)


def brute_schoenfeld(table, gap, theta_clock):
    """Log partial likelihood (no ties) of ``beta x + theta g(t) x``, written out."""

    def value(beta, theta):
        total = 0.0
        for i in np.flatnonzero(table.event):
            coefficient = beta + theta * theta_clock[i]
            at_risk = table.duration.to_numpy() >= table.duration[i]
            total += coefficient * gap[i] - np.log(np.exp(coefficient * gap[at_risk]).sum())
        return total

    return value


def test_proportional_hazards_is_the_score_test_of_a_coefficient_that_moves():
    table = people(n=60)
    model = fitted(table)
    times = table.duration.to_numpy()
    clock = np.array([
        1 - np.prod([
            1 - 1 / np.sum(times >= t) for t in times[table.event] if t < now
        ]) for now in times
    ])  # fmt: skip
    beta, h = model.table.coefficient["gap"], 1e-3
    value = brute_schoenfeld(table, table.gap.to_numpy(), clock)
    score = (value(beta, h) - value(beta, -h)) / (2 * h)
    tt = -(value(beta, h) - 2 * value(beta, 0) + value(beta, -h)) / h**2
    bb = -(value(beta + h, 0) - 2 * value(beta, 0) + value(beta - h, 0)) / h**2
    corners = [value(beta + a * h, b * h) * a * b for a in (-1, 1) for b in (-1, 1)]
    bt = -sum(corners) / (4 * h**2)
    expected = score**2 / (tt - bt**2 / bb)
    assert model.proportional_hazards.chi2["gap"] == pytest.approx(expected, rel=1e-2)
    assert model.proportional_hazards.chi2["all"] == pytest.approx(expected, rel=1e-2)


def test_a_hazard_ratio_that_fades_is_noticed():
    rng = np.random.default_rng(0)
    gap = rng.normal(size=400)
    wait = rng.exponential(1 / np.exp(1.5 * gap))  # strong at first
    late = 0.3 + rng.exponential(0.5, 400)  # nothing afterwards
    table = pd.DataFrame({"gap": gap, "duration": np.where(wait < 0.3, wait, late), "event": True})
    hazards = fitted(table).proportional_hazards
    assert hazards.p_value["gap"] < 0.001
    assert hazards.correlation["gap"] < 0


def test_simulated_hazard_ratio_is_covered_and_nothing_is_found_where_nothing_is():
    covered = found = 0
    for seed in range(60):
        table = people(seed, n=80)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnanswerableWarning)
            data = PartialLikelihood(
                table.duration.to_numpy(), table.event.to_numpy(),
                (table.site == "Mayo").to_numpy().astype(int),
                ((table[["gap", "age"]] - [0, 75]) / [4, 6]).to_numpy(), "efron",
            )  # fmt: skip
        fit = data.maximise()
        truth = data.without([0]).maximise(np.log(2) * data.matrix[:, 0]).value
        null = data.without([1]).maximise().value
        covered += 2 * (fit.value - truth) < 3.841459
        found += 2 * (fit.value - null) > 3.841459
    assert covered >= 52  # 0.999 of the binomial of 60 and 0.95
    assert found <= 8


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 4), st.booleans(), st.integers(0, 3), st.sampled_from(["A", "B"])
        ),
        min_size=2, max_size=12,
    )
)  # fmt: skip
def test_concordance_is_that_of_all_pairs_one_by_one(rows):
    wins = pairs = 0.0
    for time, event, risk, site in rows:
        for other_time, other_event, other_risk, other_site in rows:
            longer = other_time > time or (other_time == time and not other_event)
            if event and longer and site == other_site:
                pairs += 1
                wins += (risk > other_risk) + 0.5 * (risk == other_risk)
    columns = [list(column) for column in zip(*rows, strict=True)]
    if pairs == 0:
        with pytest.raises(ValueError, match="No two people"):
            concordance(*columns[:3], strata=columns[3])
    else:
        assert concordance(*columns[:3], strata=columns[3]) == pytest.approx(wins / pairs)


def test_concordance_of_the_model_is_that_of_its_risks():
    table = people(ties=True)
    model = fitted(table, covariates=["age"], strata="site")
    risk = table[["gap", "age"]].to_numpy() @ model.table.coefficient.to_numpy()
    expected = concordance(table.duration, table.event, risk, strata=table.site)
    assert model.concordance.apparent["features"] == pytest.approx(expected, abs=1e-9)
    parts = model.concordance.apparent
    assert parts["difference"] == pytest.approx(parts["features"] - parts["covariates only"])


def test_optimism_is_taken_off_noise():
    table = people(n=60)
    rng = np.random.default_rng(1)
    names = [f"noise{i}" for i in range(5)]
    table[names] = rng.normal(size=(60, 5))
    row = fitted(table.drop(columns="gap"), features=names, n_resamples=200).concordance.iloc[0]
    assert row.apparent > 0.58
    assert row.optimism > 0.04
    assert row.low < 0.5 < row.high


@pytest.mark.parametrize("factor", [0.01, 1000.0])
def test_units_do_not_matter(factor):
    table = people()
    scaled = table.assign(gap=table.gap * factor, duration=table.duration * 365.25)
    one, other = fitted(table), fitted(scaled)
    columns = ["hazard_ratio_sd", "low_sd", "high_sd", "p_value"]
    np.testing.assert_allclose(one.table[columns], other.table[columns], rtol=1e-5)
    pd.testing.assert_frame_equal(one.concordance, other.concordance, atol=1e-9)


def test_same_seed_same_result_by_any_number_of_workers():
    table = people(n=50)
    one = fitted(table, random_state=3)
    with parallel_config("threading"):
        two = fitted(table, random_state=3, n_jobs=2)
    pd.testing.assert_frame_equal(one.concordance, two.concordance)


def test_too_few_events_are_said():
    table = people(n=40)
    table["event"] = table.event & (table.groupby("event").cumcount() < 8)
    with pytest.warns(UnanswerableWarning, match="8 conversions for 2 coefficients"):
        fitted(table, covariates=["age"])


def spoilt(column, value, row=3):
    table = people()
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "settings", "message"),
    [
        (spoilt("gap", np.nan), {}, "Column 'gap' is missing or infinite in 1 of 120 rows: 3"),
        (spoilt("duration", 0.0), {}, "'duration' is 0 in row 3"),
        (people().assign(event=False), {}, "Nobody converted"),
        (people().assign(event=2), {}, r"'event' must hold True and False.*2\.0"),
        (people(), {"covariates": ["weight"]}, "no column 'weight'"),
        (people(), {"covariates": ["gap"]}, "'gap' is given twice"),
        (people().assign(sex="F"), {"covariates": ["sex"]}, "'sex' does not vary"),
        (people().assign(more=people().gap * 2), {"covariates": ["more"]}, "'more' does not vary"),
        (people(), {"covariates": ["site"], "strata": "site"}, "given twice"),
        (people().assign(scanner=people().site), {"covariates": ["scanner"], "strata": "site"},
         "'scanner: Mayo - Delaware' does not vary within 'site'"),
        (people().assign(gap=-people().duration), {}, "'gap' grows without bound"),
        (people(), {"features": []}, "features is empty"),
    ],
)  # fmt: skip
def test_bad_input_is_named(table, settings, message):
    with pytest.raises(ValueError, match=message):
        fitted(table, **settings)


def test_hazard_ratios_are_drawn():
    model = fitted(people(n=60), covariates=["sex"])
    figure = model.plot()
    assert isinstance(figure, Figure)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [f"gap (per {model.table.sd['gap']:.3g})", "sex: M - F"]


@pytest.mark.parametrize("seed", [0, 1])
def test_columns_that_go_together_have_large_coefficients_and_a_finite_fit(seed):
    random = np.random.default_rng(seed)
    age = random.uniform(60, 85, 200)
    hazard = np.exp(-((age - 75) ** 2) / 60)
    times = random.exponential(1 / hazard)
    table = pd.DataFrame({"age": age, "age2": age**2, "gap": random.normal(size=200)})
    end = np.quantile(times, 0.55)
    table = table.assign(duration=np.minimum(times, end), event=times <= end)
    found = conversion_model(table, features=["gap"], covariates=["age", "age2"], n_resamples=100)
    columns = ["gap", "age", "age2"]
    reference = PHReg(table.duration, table[columns], status=table.event, ties="efron").fit()
    assert np.allclose(found.table.coefficient, reference.params, rtol=1e-3)
