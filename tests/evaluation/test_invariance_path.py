"""The path against closed forms, brute force, and the search that chooses by the same rule."""

from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from joblib import parallel_config
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn import ContrastiveEncoder, DomainInvariantRegressor
from mresklearn.confounds import site_predictability
from mresklearn.evaluation import InvariancePath, invariance_path
from mresklearn.evaluation._path_table import largest_excess, pareto_set, path_tables
from mresklearn.exceptions import MissingMetadataError
from mresklearn.harmonization import AnchorRegressor
from mresklearn.model_selection import LeaveOneSiteOut, SiteSearchCV, StratifiedSiteKFold
from mresklearn.model_selection._site_folds import LEFT_OUT, WITHIN

SITE = np.repeat(["Utah", "Mayo", "Essen", "Delaware"], [30, 26, 24, 28])
OFFSET = {"Utah": 8.0, "Mayo": -4.0, "Essen": 2.0, "Delaware": -6.0}
WEIGHTS = (0, 1, 1e6)


class Damped(RegressorMixin, TransformerMixin, BaseEstimator):
    """Adds to age an offset of the site over 1 + weight; both are columns of X."""

    def __init__(self, penalty_weight=0.0):
        self.penalty_weight = penalty_weight

    def fit(self, X, y):
        return self

    def transform(self, X):
        return np.column_stack([X[:, 0], X[:, 1] / (1 + self.penalty_weight) + X[:, 2]])

    def predict(self, X):
        return X[:, 0] + X[:, 1] / (1 + self.penalty_weight)


class Faded(Damped):
    """The same embedding; a share of age is lost with the site, as by a marginal penalty."""

    def predict(self, X):
        return X[:, 0] / (1 + self.penalty_weight)


class Untransformed(RegressorMixin, BaseEstimator):
    """Damped, without a transform."""

    def __init__(self, penalty_weight=0.0):
        self.penalty_weight = penalty_weight

    def fit(self, X, y):
        return self

    def predict(self, X):
        return X[:, 0] + X[:, 1] / (1 + self.penalty_weight)


class Noisy(Untransformed):
    """Draws noise in fit."""

    def __init__(self, penalty_weight=0.0, random_state=None):
        super().__init__(penalty_weight)
        self.random_state = random_state

    def fit(self, X, y):
        self.noise_ = sklearn.utils.check_random_state(self.random_state).normal()
        return self

    def predict(self, X):
        return super().predict(X) + self.noise_


class Strict(RegressorMixin, BaseEstimator):
    """Refuses to see anybody again: the first column of X is the person."""

    def __init__(self, penalty_weight=0.0):
        self.penalty_weight = penalty_weight

    def fit(self, X, y, site, groups=None):
        assert len(site) == len(X)
        self.seen_ = {*X[:, 0]}
        return self

    def predict(self, X):
        assert not self.seen_ & {*X[:, 0]}
        return 50 + X[:, 1]


class Drop(TransformerMixin, BaseEstimator):
    """Leaves the site out of the features."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X.drop(columns="site").to_numpy()


@pytest.fixture(scope="module")
def known():
    """Age, the offset of the site, and noise that hides it once it is small."""
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, len(SITE))
    offset = np.vectorize(OFFSET.get)(SITE)
    return np.column_stack([age, offset, rng.normal(size=len(SITE))]), age


@pytest.fixture(scope="module")
def table():
    """Features of age, one of which every site shifts."""
    rng = np.random.default_rng(1)
    age = rng.normal(pd.Series(OFFSET)[SITE].to_numpy() + 50, 12)
    X = age[:, None] + rng.normal(0, [4, 8, 9], (len(SITE), 3))
    X[:, 0] += 2 * np.vectorize({"Utah": 4, "Mayo": 7, "Essen": -6, "Delaware": -3}.get)(SITE)
    return X, age


@pytest.fixture(scope="module")
def path(table):
    return invariance_path(
        AnchorRegressor(), *table, site=SITE, parameter="gamma", values=(0, 1, 10, 100)
    )


# what it measures


def test_a_penalty_that_works_lowers_error_and_excess_as_known(known):
    found = invariance_path(Damped(), *known, site=SITE, values=WEIGHTS)
    for weight in WEIGHTS:
        for site, offset in OFFSET.items():
            assert found.per_site.loc[weight, site] == pytest.approx(abs(offset) / (1 + weight))
    mean = 5 / (1 + np.array(WEIGHTS))
    np.testing.assert_allclose(found.table.error_left_out, mean)
    np.testing.assert_allclose(found.table.error_known, mean)
    spread = np.std([8, 4, 2, 6], ddof=1) / 2
    np.testing.assert_allclose(found.table.error_left_out_se, spread / (1 + np.array(WEIGHTS)))
    for probe in ("linear", "rbf"):
        excess = found.table[f"excess_{probe}"]
        assert excess[0] > 0.25
        assert excess.is_monotonic_decreasing
        assert excess[1e6] < 0.1
    assert found.chosen == 1e6
    assert found.table.pareto.tolist() == [False, False, True]


def test_a_penalty_that_takes_age_along_raises_the_error(known):
    X, age = known
    found = invariance_path(Faded(), X, age, site=SITE, values=WEIGHTS)
    for weight in WEIGHTS:
        lost = pd.Series(age * (1 - 1 / (1 + weight))).groupby(SITE).mean()
        np.testing.assert_allclose(found.per_site.loc[weight], lost, atol=1e-9)
    assert found.chosen == 0, "what is least predictable plays no part in the choice"
    assert found.table.excess_linear[1e6] < found.table.excess_linear[0] - 0.3
    assert found.table.pareto.all(), "error is bought with invariance all along"


def test_errors_by_site_equal_a_loop(table, path):
    X, age = table
    for gamma in path.table.index:
        errors = {}
        for train, test in LeaveOneSiteOut().split(X, groups=SITE):
            model = AnchorRegressor(gamma=gamma).fit(X[train], age[train], site=SITE[train])
            errors[SITE[test[0]]] = np.abs(model.predict(X[test]) - age[test]).mean()
        np.testing.assert_allclose(path.per_site.loc[gamma], pd.Series(errors))
        assert path.table.error_left_out[gamma] == pytest.approx(np.mean([*errors.values()]))
        standard_error = np.std([*errors.values()], ddof=1) / np.sqrt(4)
        assert path.table.error_left_out_se[gamma] == pytest.approx(standard_error)


def test_known_sites_and_probes_equal_a_loop_over_halves(table):
    X, age = table
    found = invariance_path(
        AnchorRegressor(), X, age, site=SITE, parameter="gamma", values=[10], n_repeats=2,
        random_state=4,
    ).table.loc[10]  # fmt: skip
    random = np.random.RandomState(4)
    draws = random.randint(2**31 - 1, size=2)
    seeds = iter(random.randint(2**31 - 1, size=4 + 4)[4:])
    errors, probed = [], {"linear": [], "rbf": []}
    for draw in draws:
        halves = StratifiedSiteKFold(2, random_state=int(draw))
        for train, test in halves.split(X, age, site=SITE):
            model = AnchorRegressor(gamma=10).fit(X[train], age[train], site=SITE[train])
            predicted, seed = model.predict(X[test]), int(next(seeds))
            errors.append(pd.Series(np.abs(predicted - age[test])).groupby(SITE[test]).mean())
            for probe, one in probed.items():
                one.append(
                    site_predictability(
                        predicted[:, None], SITE[test], age=age[test], probe=probe,
                        random_state=seed,
                    )
                )  # fmt: skip
    assert found.error_known == pytest.approx(np.mean(errors))
    floors = []
    for probe, one in probed.items():
        assert found[f"site_{probe}"] == pytest.approx(np.mean([r.balanced_accuracy for r in one]))
        assert found[f"excess_{probe}"] == pytest.approx(np.mean([r.excess for r in one]))
        floors.append(np.mean([r.age_floor for r in one]))
    assert found.site_floor == pytest.approx(max(floors))


@pytest.mark.parametrize("seed", range(5))
def test_the_choice_is_that_of_the_search(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(108, 12)) + rng.normal(size=(4, 12))[pd.factorize(SITE)[0]]
    age = 50 + 5 * X[:, 0] + rng.normal(0, 4, 108)
    values = [0.1, 10, 100, 1000]
    found = invariance_path(Ridge(), X, age, site=SITE, parameter="alpha", values=values)
    search = SiteSearchCV(Ridge(), {"alpha": values}, parameter="alpha").fit(X, age, site=SITE)
    assert {"alpha": found.chosen} == search.best_params_
    scores = -search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(found.table.error_left_out, scores)
    assert found.table.index[found.table.chosen].tolist() == [found.chosen]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12),
)
def test_the_pareto_set_is_what_nothing_else_makes_pointless(points):
    best = pareto_set([a for a, _ in points], [b for _, b in points])
    for (a, b), kept in zip(points, best, strict=True):
        pointless = any(c <= a and d <= b and (c, d) != (a, b) for c, d in points)
        assert kept == (not pointless)
    assert best.any()


def test_excess_below_zero_counts_as_none():
    """What is luck below 0 keeps no setting in the Pareto set."""
    errors, excess = [5.0, 4.0, 3.0], {"linear": [-0.3, -0.2, -0.1], "rbf": [-0.3, -0.4, -0.2]}
    fits = []
    for k in range(3):
        left = {
            probe: {"balanced_accuracy": 0.5, "age_floor": 0.5, "excess": values[k]}
            for probe, values in excess.items()
        }
        both = np.full(2, errors[k])
        fits += [{"value": k, "protocol": LEFT_OUT, "errors": both}]
        fits += [{"value": k, "protocol": WITHIN, "errors": both} | left]
    found = path_tables(pd.DataFrame(fits), [0, 1, 2], "weight", ["A", "B"])[0]
    assert largest_excess(found).tolist() == [-0.3, -0.2, -0.1]
    assert found.pareto.tolist() == [False, False, True], "the least error alone"


# people and sites


def test_nobody_is_in_training_and_test(known):
    """Two scans of each person, of some of them at two sites."""
    age, site = np.repeat(known[1], 2), np.repeat(SITE, 2)
    person = np.repeat(np.arange(len(SITE)), 2)
    person[[0, 80, 120]] = person[[215, 200, 180]]
    own = np.random.default_rng(0).normal(size=(len(SITE), 30))[person]
    X = np.column_stack([person, own])
    names = [f"sub-{number:03d}" for number in person]
    options = {"site": site, "values": [0], "embedding": lambda model, X: X[:, 1:]}
    found = invariance_path(Strict(), X, age, groups=names, **options).table.loc[0]
    # the probe would know the site of a person whose other scan it was trained on
    assert max(found.site_linear, found.site_rbf) < 0.4
    with pytest.raises(AssertionError):
        invariance_path(Strict(), X, age, **options)


def test_small_sites_count_in_the_errors_and_are_not_probed(known):
    X, age = known
    site = np.where(np.arange(len(SITE)) < 12, "Tiny", SITE)  # leaves 18 at Utah
    found = invariance_path(Damped(), X, age, site=site, values=WEIGHTS)
    assert found.probed_sites == ("Delaware", "Essen", "Mayo")
    assert found.unprobed_sites == ("Tiny", "Utah")
    assert found.per_site.columns.tolist() == ["Delaware", "Essen", "Mayo", "Tiny", "Utah"]
    assert found.table.error_left_out[0] == pytest.approx(np.mean([6, 2, 4, 8, 8]))
    assert found.table.error_known[0] == pytest.approx(np.mean([6, 2, 4, 8, 8]))


def test_a_site_that_a_half_does_not_know_is_no_known_site(known):
    X, age = known
    site = np.where(np.arange(len(SITE)) < 1, "One", SITE)
    found = invariance_path(Damped(), X, age, site=site, values=[0])
    assert found.per_site.loc[0, "One"] == pytest.approx(8)
    assert found.table.error_known[0] == pytest.approx(np.mean([6, 2, 4, 8]))


def test_people_are_counted_not_rows(known):
    X, age = known
    person = np.arange(len(SITE)) // 2
    with pytest.raises(ValueError, match=r"20 people or more.*Delaware \(14\), Essen \(12\)"):
        invariance_path(Damped(), X, age, site=SITE, groups=person)


# how it is called


def test_sites_may_travel_with_the_rows(table, path):
    X, age = table
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(site=SITE)
    found = invariance_path(
        AnchorRegressor(), frame, pd.Series(age), parameter="gamma", values=(0, 1, 10, 100)
    )
    pd.testing.assert_frame_equal(found.table, path.table)


def test_a_step_of_a_pipeline_is_varied_by_its_nested_name(table):
    X, age = table
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(site=SITE)
    pipeline = make_pipeline(Drop(), StandardScaler(), Ridge())
    found = invariance_path(pipeline, frame, age, parameter="ridge__alpha", values=(1, 100))
    plain = make_pipeline(StandardScaler(), Ridge())
    same = invariance_path(plain, X, age, site=SITE, parameter="ridge__alpha", values=(1, 100))
    pd.testing.assert_frame_equal(found.table, same.table)
    assert found.parameter == found.table.index.name == "ridge__alpha"
    assert pipeline.get_params()["ridge__alpha"] == 1.0, "the estimator stays as it was"


def test_site_is_routed_where_routing_is_on(table):
    X, age = table
    pipeline = make_pipeline(StandardScaler(), AnchorRegressor())
    options = {"parameter": "anchorregressor__gamma", "values": (1, 100), "site": SITE}
    with sklearn.config_context(enable_metadata_routing=True):
        found = invariance_path(pipeline, X, age, **options)
        with parallel_config(backend="threading"):
            parallel = invariance_path(pipeline, X, age, **options, n_jobs=2)
    assert found.table.error_left_out[1] != found.table.error_left_out[100]
    pd.testing.assert_frame_equal(found.table, parallel.table)


def test_the_probe_reads_what_it_is_told_to(known):
    X, age = known
    told = invariance_path(
        Damped(), X, age, site=SITE, values=WEIGHTS, embedding=lambda model, X: X[:, 1]
    )
    assert (told.table.site_linear == 1).all(), "the offsets alone, whatever the weight"
    predicted = invariance_path(
        Damped(), X, age, site=SITE, values=WEIGHTS, embedding=lambda model, X: model.predict(X)
    )
    own = invariance_path(Untransformed(), X, age, site=SITE, values=WEIGHTS)
    pd.testing.assert_frame_equal(own.table, predicted.table)


def test_seeds_left_open_are_set_once_and_those_given_stay(known):
    X, age = known
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    options = {"site": SITE, "values": (1, 3)}
    first = invariance_path(Noisy(), X, age, **options)
    again = invariance_path(Noisy(), X, age, **options)
    pd.testing.assert_frame_equal(first.table, again.table)
    other = invariance_path(Noisy(), X, age, **options, random_state=1)
    assert not np.allclose(first.per_site, other.per_site)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    given = Noisy(random_state=5)
    noise = clone(given).fit(X, age).noise_
    found = invariance_path(given, X, age, **options)
    assert found.per_site.loc[1, "Utah"] == pytest.approx(abs(8 / 2 + noise))


def test_parallel_fits_give_the_same(table, path):
    with parallel_config(backend="threading"):
        found = invariance_path(
            AnchorRegressor(), *table, site=SITE, parameter="gamma", values=(0, 1, 10, 100),
            n_jobs=2,
        )  # fmt: skip
    pd.testing.assert_frame_equal(found.table, path.table)


def test_values_are_sorted_and_kept_as_given(known):
    found = invariance_path(Damped(), *known, site=SITE, values=np.array([3, 0]))
    assert found.table.index.tolist() == [0, 3]
    assert type(found.chosen) is int


def test_one_bar_runs_over_all_fits_if_asked(known, capsys):
    invariance_path(Damped(), *known, site=SITE, values=(0, 1))
    assert capsys.readouterr() == ("", "")
    invariance_path(Damped(), *known, site=SITE, values=(0, 1), verbose=1)
    assert "12/12" in capsys.readouterr().err


def test_a_network_with_a_penalty_end_to_end():
    rng = np.random.default_rng(0)
    site = np.repeat(["Delaware", "Mayo", "Utah"], 20)
    age = rng.uniform(20, 80, 60)
    X = age[:, None] / 20 + rng.normal(size=(60, 5)) + pd.factorize(site)[0][:, None]
    encoder = ContrastiveEncoder(max_epochs=3, balance="site", random_state=0)
    model = DomainInvariantRegressor(encoder=encoder)
    found = invariance_path(model, X, age, site=site, values=(0.0, 1.0))
    assert np.isfinite(found.table.to_numpy(dtype=float)).all()
    search = SiteSearchCV(model, {"penalty_weight": [0.0, 1.0]}, parameter="penalty_weight")
    search.fit(X, age, site=site)
    assert search.best_params_ == {"penalty_weight": found.chosen}
    np.testing.assert_allclose(-search.cv_results_["mean_test_score"], found.table.error_left_out)


# bad input


def test_without_sites_it_says_what_to_pass(known):
    with pytest.raises(MissingMetadataError, match=r"Pass site=, or .* a column 'site'"):
        invariance_path(Damped(), *known)
    with pytest.raises(ValueError, match=r"all 108 rows come from 'Mayo'. Pass people of at least"):
        invariance_path(Damped(), *known, site=["Mayo"] * len(SITE))


def test_too_few_people_for_the_probe_are_named(known):
    X, age = known
    with pytest.raises(ValueError, match=r"there are A \(28\), B \(9\)\. Pool sites"):
        invariance_path(Damped(), X[:37], age[:37], site=["A"] * 28 + ["B"] * 9)


@pytest.mark.parametrize(
    "values", [[], [1, 1], [1, 1.0], [1, np.nan], [1, np.inf], [[0, 1]], ["a"], [None, 1], [True]]
)
def test_values_are_distinct_finite_numbers(known, values):
    with pytest.raises(ValueError, match="values must be a list of finite numbers, each once"):
        invariance_path(Damped(), *known, site=SITE, values=values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameter": "weight"}, "Invalid parameter 'weight' for estimator Damped"),
        ({"n_repeats": 0}, "n_repeats"),
        ({"embedding": "transform"}, "embedding"),
        ({"site": SITE[:5]}, "site must have one entry for each of the 108 rows"),
        ({"groups": [None] * 108}, r"groups \(the persons\) is missing in 108"),
        ({"embedding": lambda model, X: X[:3]}, r"shape \(3, 3\) for \d+ rows"),
        ({"embedding": lambda model, X: X * np.nan}, "With penalty_weight=0, .* returned NaN"),
    ],
)
def test_what_is_wrong_is_named(known, options, message):
    with pytest.raises(ValueError, match=message):
        invariance_path(Damped(), *known, **{"site": SITE} | options)


def test_missing_ages_are_named(known):
    X, age = known
    with pytest.raises(ValueError, match=r"y \(the ages\) is missing or infinite in 1 of 108"):
        invariance_path(Damped(), X, np.where(np.arange(108) == 3, np.nan, age), site=SITE)


def test_a_setting_that_breaks_is_named(known):
    X, age = known
    broken = np.where((np.arange(108) == 40)[:, None], [np.nan, 0, 0], X)
    with pytest.raises(ValueError, match=r"penalty_weight=3 .* first in row 40 of site 'Mayo'"):
        invariance_path(Damped(), broken, age, site=SITE, values=[3])


# the picture


def drawn(ax):
    """Artists of the picture by label."""
    return {line.get_label(): line for line in ax.lines}


def test_plot_shows_error_against_excess(path):
    figure = path.plot()
    assert isinstance(figure, Figure)
    assert figure.get_size_inches().tolist() == [6, 4]
    (ax,) = figure.axes
    lines = drawn(ax)
    excess, table = largest_excess(path.table), path.table
    known = lines["known sites, trained on half of the people"]
    np.testing.assert_allclose(known.get_xydata(), np.column_stack([excess, table.error_known]))
    kept = lines["left-out sites ± standard error: Pareto set"]
    others = lines["left-out sites, outside the Pareto set"]
    points = np.column_stack([excess, table.error_left_out])
    np.testing.assert_allclose(kept.get_xydata(), points[table.pareto])
    np.testing.assert_allclose(others.get_xydata(), points[~table.pareto])
    assert kept.get_markerfacecolor() != others.get_markerfacecolor() == "white"
    ring = lines["chosen by the one-standard-error rule"]
    np.testing.assert_allclose(ring.get_xydata(), points[table.chosen])
    assert ring.get_markerfacecolor() == "none"
    assert any(np.allclose(line.get_xydata(), points) for line in ax.lines), "joined in order"
    bars = ax.collections[0].get_segments()
    heights = [bar[1, 1] - bar[0, 1] for bar in bars]
    np.testing.assert_allclose(heights, 2 * table.error_left_out_se)
    assert any(np.array_equal(line.get_xdata(), [0, 0]) for line in ax.lines)
    texts = {text.get_text() for text in ax.texts}
    assert texts == {"0", "1", "10", "100", "what age alone tells"}
    assert to_rgba(known.get_color()) != to_rgba(kept.get_color())


def made_path(excess, error):
    """A result with the excess and error given."""
    weights = pd.Index([0, 0.1, 0.3, 1, 3, 10][: len(error)], name="model__penalty_weight")
    table = pd.DataFrame(
        {
            "error_left_out": error,
            "error_left_out_se": 0.4,
            "error_known": np.asarray(error) - 1,
            "excess_linear": excess,
            "excess_rbf": -1.0,
            "pareto": pareto_set(error, np.maximum(excess, 0)),
            "chosen": np.arange(len(error)) == 1,
        },
        index=weights,
    )
    return InvariancePath(table, table[[]], 0.1, weights.name, ("A", "B"), ())


@pytest.mark.parametrize(
    "excess",
    [
        [0.4, 0.4, 0.4, 0.4, 0.4, 0.4],
        [0.5, 0.499, 0.498, 0.3, 0.1, -0.02],
        [-0.05, -0.04, -0.06, -0.05, -0.03, -0.05],
        [0.1, 0.3, 0.2, 0.15, 0.25, 0.05],
    ],
)
def test_labels_keep_apart_and_in_the_order_of_their_points(excess):
    found = made_path(excess, [6, 5.9, 5.8, 5.6, 5.5, 5.7])
    figure = found.plot()
    figure.draw_without_rendering()
    labels = [text for text in figure.axes[0].texts if text.get_text() != "what age alone tells"]
    boxes = [mpl.text.Text.get_window_extent(label) for label in labels]
    for left, right in pairwise(boxes):
        assert left.x1 < right.x0
    at = pd.Series(excess, index=[f"{weight:g}" for weight in found.table.index])
    order = at[[label.get_text() for label in labels]]
    assert order.is_monotonic_increasing
    assert figure.legends[0].get_title().get_text() == "numbers: penalty weight"


def test_plot_takes_axes_and_leaves_the_state_of_matplotlib_alone(path):
    before = dict(mpl.rcParams)
    figure = Figure(figsize=(9, 4), layout="constrained")
    part, _ = figure.subfigures(1, 2)
    ax = part.subplots()
    assert path.plot(ax) is figure
    assert ax.get_legend() is not None
    assert dict(mpl.rcParams) == before


def test_the_result_is_frozen_and_short_to_print(path):
    with pytest.raises(AttributeError):
        path.chosen = 3
    assert len(repr(path)) < 200
