import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, f_oneway, rankdata, spearmanr

from mresklearn.confounds._association import associate, determines, nesting
from mresklearn.confounds._roles import Variable


def grouping(codes, name="g", kind="categorical"):
    return Variable(name, kind, "technical", np.asarray(codes, float), tuple("abcdefghijklm"))


def number(values, name="x", kind="continuous"):
    return Variable(name, kind, "biological", np.asarray(values, float))


def measure(first, second, n_permutations=99, seed=0):
    return associate(
        first,
        second,
        n_permutations=n_permutations,
        confidence=0.95,
        random_state=np.random.default_rng(seed),
    )


def bergsma(table):
    """Bias-corrected V as printed by Bergsma (2013), from the table alone."""
    n, (r, c) = table.sum(), table.shape
    phi2 = chi2_contingency(table, correction=False).statistic / n
    phi2 = max(0, phi2 - (r - 1) * (c - 1) / (n - 1))
    r, c = r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)
    return np.sqrt(phi2 / min(r - 1, c - 1))


def test_two_groupings_give_the_v_of_scipy_and_of_bergsma():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 200)
    b = (a + rng.integers(0, 2, 200)) % 3
    table = np.zeros((4, 3))
    np.add.at(table, (a, b), 1)
    effect, n = measure(grouping(a), grouping(b))
    chi2 = chi2_contingency(table, correction=False).statistic
    assert n == 200
    assert effect.measure == "cramers_v"
    assert effect.value == pytest.approx(np.sqrt(chi2 / (200 * 2)))
    assert effect.value_adj == pytest.approx(bergsma(table))
    assert effect.interval[0] < effect.value_adj < effect.interval[1]
    assert effect.p == 1 / 100


def test_numbers_in_groups_give_the_analysis_of_variance():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, 150)
    values = rng.normal(size=150) + 0.5 * codes
    effect, _ = measure(grouping(codes), number(values))
    f = f_oneway(*(values[codes == k] for k in range(5))).statistic
    eta2 = 4 * f / (4 * f + 145)
    assert effect.measure == "epsilon_squared"
    assert effect.value == pytest.approx(eta2)
    assert effect.value_adj == pytest.approx((eta2 - 4 / 149) / (1 - 4 / 149))
    assert effect.interval[0] < effect.value_adj < effect.interval[1]


def test_ordinal_numbers_enter_as_ranks():
    rng = np.random.default_rng(0)
    codes, values = rng.integers(0, 3, 90), rng.integers(0, 5, 90)
    by_kind, _ = measure(grouping(codes), number(values, kind="ordinal"))
    by_hand, _ = measure(grouping(codes), number(rankdata(values)))
    assert by_kind.measure == "epsilon_squared_of_ranks"
    assert by_kind.value == by_hand.value


def test_two_numbers_give_spearman():
    rng = np.random.default_rng(0)
    a = rng.normal(size=80)
    b = -a + rng.normal(size=80)
    effect, _ = measure(number(a), number(b))
    assert effect.measure == "spearman"
    assert effect.value == pytest.approx(spearmanr(a, b).statistic)
    assert -1 < effect.interval[0] < effect.value < effect.value_adj < effect.interval[1] < 0


@pytest.mark.parametrize("kinds", [("g", "g"), ("g", "x"), ("x", "x")])
def test_chance_gives_the_null_mean_and_a_corrected_value_near_zero(kinds):
    # sixty sites of five people: the raw measures are far from 0, as the null mean says
    raw, null, adjusted = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        site = np.repeat(np.arange(60), 5)
        first = grouping(site) if kinds[0] == "g" else number(rng.normal(size=300))
        second = (
            grouping(rng.integers(0, 2, 300)) if kinds[1] == "g" else number(rng.normal(size=300))
        )
        effect, _ = measure(first, second, seed=seed)
        raw.append(abs(effect.value))
        null.append(effect.null_mean)
        adjusted.append(effect.value_adj)
    if kinds != ("x", "x"):
        assert np.mean(null) == pytest.approx(np.mean(raw), abs=0.02)
        assert np.mean(raw) > 0.15
    assert abs(np.mean(adjusted)) < 0.06


def test_permutation_p_holds_its_level():
    p = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        effect, _ = measure(
            grouping(rng.integers(0, 6, 60)), number(rng.normal(size=60)), n_permutations=39
        )
        p.append(effect.p)
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.09


def test_names_and_order_of_levels_do_not_matter():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, 100), rng.integers(0, 3, 100)
    expected, _ = measure(grouping(a), grouping(b))
    renamed, _ = measure(grouping(np.array([2, 0, 3, 1])[a]), grouping(2 - b))
    swapped, _ = measure(grouping(b), grouping(a))
    for effect in (renamed, swapped):
        assert effect.value == pytest.approx(expected.value)
        assert effect.value_adj == pytest.approx(expected.value_adj)


def test_rows_that_lack_one_of_both_are_left_out():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 60).astype(float), rng.normal(size=60)
    expected, _ = measure(grouping(a[10:50]), number(b[10:50]))
    a[:10], b[50:] = np.nan, np.nan
    effect, n = measure(grouping(a), number(b))
    assert n == 40
    assert effect.value == pytest.approx(expected.value)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (grouping([0] * 30), grouping([0, 1, 2] * 10), "constant"),
        (grouping([0, 1] * 15), number(np.ones(30)), "constant"),
        (number(np.ones(30)), number(np.arange(30)), "constant"),
        (grouping([0, 1] * 4), grouping([0, 0, 1, 1] * 2), "Only 8 rows"),
        (grouping(np.arange(30)), number(np.arange(30)), "30 levels for 30 people"),
        (grouping([0, 1] * 15), number(np.full(30, np.nan)), "Only 0 rows"),
    ],
)
def test_what_cannot_be_measured_says_why(first, second, reason):
    effect, _ = measure(first, second)
    assert effect.status == "not_estimable"
    assert reason in effect.reason
    assert np.isnan([effect.value, effect.value_adj, effect.p, *effect.interval]).all()


def test_determination():
    site = np.repeat([0, 1, 2, 3], 5)
    frequency = np.array([50, 50, 60, 60])[site]
    assert determines(site, frequency)
    assert not determines(frequency, site)
    assert not determines(site, np.arange(20) % 2)
    assert not determines(site, np.ones(20)), "a constant is determined by nothing"
    assert not determines(np.arange(20), site), "everybody alone determines everything"
    assert nesting(grouping(site), number(frequency, kind="ordinal")) == "first"
    assert nesting(number(frequency), grouping(site)) == "second"
    assert nesting(grouping(site), grouping(3 - site)) == "both"
    assert nesting(grouping(site), number(np.random.default_rng(0).normal(size=20))) is None


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_table_gives_numbers_in_range_or_a_reason(data):
    n = data.draw(st.integers(0, 30))
    values = st.one_of(st.just(np.nan), st.integers(0, 3).map(float))
    columns = [data.draw(st.lists(values, min_size=n, max_size=n).map(np.array)) for _ in range(2)]
    make = [data.draw(st.sampled_from([grouping, number])) for _ in range(2)]
    effect, used = measure(*(f(np.array(c, float)) for f, c in zip(make, columns, strict=True)), 19)
    assert 0 <= used <= n
    if effect.status == "not_estimable":
        assert effect.reason
        assert np.isnan(effect.value)
    else:
        low = -1 if effect.measure == "spearman" else 0
        assert low - 1e-12 <= effect.value <= 1 + 1e-12
        assert -1 <= effect.value_adj <= 1
        assert 0 < effect.p <= 1
        assert low <= effect.interval[0] <= effect.interval[1] <= 1
