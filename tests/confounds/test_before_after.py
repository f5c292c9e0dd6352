"""harmonization_report: the numbers of the full report side by side, and people it never fitted."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.utils import check_random_state

from mresklearn.confounds import ConfoundReport
from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._before_after import harmonization_report
from mresklearn.confounds._target_signal import People, score_predictions
from mresklearn.harmonization import ComBat
from mresklearn.harmonization._map_harmonizer import MapHarmonizer
from mresklearn.maps import MapArray

ROLES = {"sex": "biological"}
SETTINGS = {"roles": ROLES, "n_permutations": 19, "random_state": 0}


def cohort(n=120, n_features=20, shift=1.0, age_gap=5.0, seed=0):
    """Three sites that differ somewhat in age; features with and without a shift of the sites."""
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.arange(n) % 3)
    people = pd.DataFrame(
        {
            "site": np.array(["Delaware", "Mayo", "Utah"])[code],
            "age": rng.normal(50 + age_gap * code, 12),
            "sex": rng.choice(["F", "M"], n),
        },
        index=[f"sub-{row:03d}" for row in range(n)],
    )
    clean = rng.normal(size=(n, n_features))
    clean += np.outer((people.age - 50) / 12, rng.normal(0, 0.5, n_features))
    shifted = clean + shift * rng.normal(size=(3, n_features))[code]
    return people, shifted, clean


@pytest.fixture(scope="module")
def compared():
    people, shifted, clean = cohort()
    return people, shifted, clean, harmonization_report(
        people, {"raw": shifted, "clean": clean}, **SETTINGS
    )  # fmt: skip


def value(report, measure, table, column="value"):
    rows = report.table_.set_index(["measure", "table"])
    return rows.loc[(measure, table), column]


def test_site_rows_are_those_of_the_full_report(compared):
    people, shifted, clean, report = compared
    seed = int(check_random_state(0).randint(2**31 - 1))
    for name, X in (("raw", shifted), ("clean", clean)):
        full = ConfoundReport(roles=ROLES, n_permutations=19, random_state=seed).fit(people, X)
        full = full.to_frame()
        full = full[(full.variable == "site") & (full.against == "features")].set_index("measure")
        for measure in ("rda_partial_r2", "dispersion_epsilon_squared", "excess_linear"):
            assert value(report, measure, name) == full.value_adj[measure]
            assert value(report, measure, name, "p") == full.p[measure]
            assert value(report, measure, name, "reference") == 0
        accuracy = full.loc["balanced_accuracy_rbf"]
        assert value(report, "balanced_accuracy_rbf", name) == accuracy.value
        assert value(report, "balanced_accuracy_rbf", name, "reference") == accuracy.null_mean
        low = value(report, "balanced_accuracy_rbf", name, "ci_low")
        assert low == pytest.approx(accuracy.ci_low + accuracy.null_mean)


def test_it_tells_what_a_perfect_harmoniser_does(compared):
    *_, report = compared
    assert value(report, "rda_partial_r2", "raw") > 0.2
    assert abs(value(report, "rda_partial_r2", "clean")) < 0.03
    assert value(report, "balanced_accuracy_linear", "raw") > 0.9
    floor = value(report, "balanced_accuracy_linear", "clean", "reference")
    assert abs(value(report, "balanced_accuracy_linear", "clean") - floor) < 0.15
    assert value(report, "r2_within_sites", "clean", "change_low") > -0.05
    text = report.summary()
    assert "No site is found beyond age" in text
    assert "sign of a leak" not in text


def test_side_by_side(compared):
    *_, report = compared
    frame = report.to_frame()
    assert list(frame.columns) == ["without site effect", "raw", "clean"]
    assert frame.index.names == ["question", "measure"]
    assert frame.loc["age"].index.tolist() == ["partial_r2", "r2", "r2_within_sites", "mae"]
    assert frame.loc[("site", "rda_partial_r2"), "raw"] == value(report, "rda_partial_r2", "raw")
    assert frame.loc[("site", "rda_partial_r2"), "without site effect"] == 0
    floor = frame.loc[("site", "balanced_accuracy_linear"), "without site effect"]
    assert 1 / 3 < floor < 0.7


def test_a_table_compared_with_itself_has_no_change():
    people, shifted, _ = cohort(60, n_features=8)
    report = harmonization_report(people, {"one": shifted, "other": shifted.copy()}, **SETTINGS)
    frame = report.to_frame()
    pd.testing.assert_series_equal(frame.one, frame.other, check_names=False)
    changes = report.table_[report.table_.table == "other"]
    assert (changes.change == 0).all()
    assert (changes.change_high.dropna() == 0).all()
    p = report.table_.pivot(index="measure", columns="table", values="p")
    pd.testing.assert_series_equal(p.one, p.other, check_names=False)


def test_share_of_the_target_beyond_site_by_brute_force(compared):
    people, shifted, _, report = compared
    Z = (shifted - shifted.mean(axis=0)) / shifted.std(axis=0)
    fixed = np.column_stack(
        [pd.get_dummies(people.site).to_numpy(float), (people.sex == "M").to_numpy(float)]
    )
    full = np.column_stack([fixed, age_spline(people.age.to_numpy())[:, 1:]])

    def left(design):
        return np.sum((Z - design @ np.linalg.lstsq(design, Z, rcond=None)[0]) ** 2)

    ranks = np.linalg.matrix_rank(fixed), np.linalg.matrix_rank(full)
    n = len(people)
    expected = 1 - (left(full) / (n - ranks[1])) / (left(fixed) / (n - ranks[0]))
    assert value(report, "partial_r2", "raw") == pytest.approx(expected, abs=1e-5)


def test_scores_of_predictions_by_brute_force():
    rng = np.random.default_rng(0)
    site = np.repeat([0, 1, 2], [30, 20, 10])
    years = rng.normal(50 + 10 * site, 10)
    predicted = 0.7 * years + rng.normal(0, 4, 60) + 5 * site
    people = People(np.arange(60), site, _variable(years), (), [])
    scores = score_predictions(predicted, people, 0)
    assert scores.mae == pytest.approx(mean_absolute_error(years, predicted))
    assert scores.r2 == pytest.approx(r2_score(years, predicted))
    frame = pd.DataFrame({"y": years, "p": predicted})
    centred = frame - frame.groupby(site).transform("mean")
    assert scores.r2_within_sites == pytest.approx(r2_score(centred.y, centred.p))
    for place, expected in enumerate((scores.mae, scores.r2, scores.r2_within_sites)):
        low, high = np.quantile(scores.redrawn[place], (0.01, 0.99))
        assert low < expected < high
    # what site alone tells does not count within sites
    moved = score_predictions(predicted + 30.0 * site, people, 0)
    assert moved.r2_within_sites == pytest.approx(scores.r2_within_sites)
    assert moved.mae > scores.mae
    np.testing.assert_array_equal(score_predictions(predicted, people, 0).redrawn, scores.redrawn)


def _variable(values):
    from mresklearn.confounds._roles import Variable

    return Variable("age", "continuous", "target", values)


class Recorder(TransformerMixin, BaseEstimator):
    """Removes site means, and remembers who it has seen."""

    seen = {}

    def fit(self, X, y, *, site, covariates=None):
        self.means_ = {name: X[site == name].mean(axis=0) for name in set(site)}
        self.seen["fit"] = X[:, 0], y, site
        return self

    def transform(self, X, *, site):
        self.seen["transform"] = X[:, 0], site
        return X - np.array([self.means_[name] for name in site])


def test_harmonisers_are_judged_by_people_that_they_were_not_fitted_on():
    people, shifted, _ = cohort(n_features=8)
    people.iloc[5, people.columns.get_loc("age")] = np.nan
    people.iloc[9, people.columns.get_loc("site")] = None
    shifted[:, 0] = np.arange(120)
    report = harmonization_report(people, {"raw": shifted, "ours": Recorder()}, **SETTINGS)
    fitted, years, site = Recorder.seen["fit"]
    measured, _ = Recorder.seen["transform"]
    assert not set(fitted) & set(measured)
    assert set(fitted) | set(measured) == set(range(120)) - {5, 9}
    rows = fitted.astype(int)
    np.testing.assert_array_equal(years, people.age.to_numpy()[rows])
    np.testing.assert_array_equal(site, people.site.to_numpy()[rows])
    counts = pd.Series(site).value_counts()
    assert counts.max() - counts.min() <= 1
    assert set(report.table_.n) == {len(measured)}
    assert report.held_out
    assert "fitted on as many other people" in report.summary()


def test_harmonising_the_people_that_are_measured_is_called_a_leak():
    people, _, clean = cohort(75, n_features=45, shift=0.0, age_gap=0.0)
    given = {"site": people.site}
    inside = ComBat(target="ignore", eb=False).fit_transform(clean, **given)
    joint = harmonization_report(people, {"raw": clean, "ComBat": inside}, **SETTINGS)
    assert value(joint, "balanced_accuracy_linear", "ComBat") < 0.2 < 1 / 3
    assert "Less than guessing is the sign of a leak" in joint.summary()
    harmonisers = {"raw": clean, "ComBat": ComBat(target="ignore", eb=False)}
    apart = harmonization_report(people, harmonisers, **SETTINGS)
    assert "sign of a leak" not in apart.summary()
    assert value(apart, "balanced_accuracy_linear", "ComBat") > 0.25


def test_a_lost_signal_is_said():
    people, _, clean = cohort(100, n_features=10, age_gap=14.0)
    noise = np.random.default_rng(1).normal(size=clean.shape)
    report = harmonization_report(people, {"raw": clean, "noise": noise}, **SETTINGS)
    assert value(report, "r2_within_sites", "noise", "change_high") < 0
    assert "some of the signal of age within sites went along" in report.summary()
    without_age = ComBat(target="ignore").fit_transform(clean, site=people.site)
    report = harmonization_report(people, {"raw": clean, "ComBat": without_age}, **SETTINGS)
    assert value(report, "mae", "ComBat", "change_low") > 0
    assert "went along" in report.summary()


@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.HarmonizationWarning")
def test_maps_and_harmonisers_of_maps():
    people, shifted, _ = cohort(60, n_features=27)
    array = (5 + 0.3 * shifted).reshape(60, 1, 3, 3, 3).astype(np.float32)
    maps = MapArray.from_array(array, participants=people.index, metadata=people[["site", "sex"]])
    harmonizer = MapHarmonizer(harmonizer=ComBat(covariate_columns=["sex"]))
    report = harmonization_report(people, {"raw": maps, "voxelwise": harmonizer}, **SETTINGS)
    frame = report.to_frame()
    site = frame.loc[("site", "rda_partial_r2")]
    assert site.voxelwise < 0.5 * site.raw
    columns = ComBat(covariate_columns=["sex"])  # finds sex among the participants
    flat = harmonization_report(people, {"raw": shifted, "ComBat": columns}, **SETTINGS)
    assert flat.to_frame().loc[("site", "rda_partial_r2"), "ComBat"] == pytest.approx(
        site.voxelwise, abs=0.02
    )


def test_scans_of_one_person_share_a_fold():
    people, shifted, _ = cohort(60, n_features=8)
    twice = pd.concat([people, people.set_axis([f"{name}b" for name in people.index])])
    twice["person"] = list(people.index) * 2
    X = np.vstack([shifted, shifted + 1e-6])
    settings = SETTINGS | {"roles": {**ROLES, "person": "id"}}
    known = harmonization_report(twice, {"raw": X}, **settings)
    unknown = harmonization_report(twice.drop(columns="person"), {"raw": X}, **SETTINGS)
    assert value(unknown, "mae", "raw") < value(known, "mae", "raw")


def test_the_seed_decides_everything():
    people, shifted, _ = cohort(60, n_features=8)
    tables = {"raw": shifted, "ComBat": ComBat()}
    one, other = (harmonization_report(people, tables, **SETTINGS) for _ in range(2))
    pd.testing.assert_frame_equal(one.table_, other.table_)


def test_the_figure(compared):
    *_, report = compared
    figure = report.plot()
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    site, probes, target = figure.axes
    assert [label.get_text() for label in probes.get_yticklabels()] == ["linear", "Gaussian"]
    assert site.get_xlabel().startswith("share of variance beyond age")
    drawn = [np.asarray(group[0].get_xdata(), float) for group in target.containers]
    expected = [value(report, measure, "clean") for measure in ("partial_r2", "r2")]
    np.testing.assert_allclose(drawn[1][:2], expected)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[0] == f"raw  (mean error of age {value(report, 'mae', 'raw'):.2f})"


def test_what_cannot_be_compared_is_refused():
    people, shifted, _ = cohort(60, n_features=8)
    with pytest.raises(ValueError, match=r"start with features.*nothing"):
        harmonization_report(people, {}, **SETTINGS)
    with pytest.raises(ValueError, match=r"start with features.*\['ComBat'\]"):
        harmonization_report(people, {"ComBat": ComBat()}, **SETTINGS)
    with pytest.raises(ValueError, match="59 rows"):
        harmonization_report(people, {"raw": shifted[1:], "ComBat": ComBat()}, **SETTINGS)
    frame = pd.DataFrame(shifted, index=people.index)
    with pytest.raises(ValueError, match="another order"):
        harmonization_report(people, {"raw": frame[::-1], "ComBat": ComBat()}, **SETTINGS)
    with pytest.raises(ValueError, match=r"no column \['site'\]"):
        harmonization_report(people.drop(columns="site"), {"raw": shifted, "x": ComBat()})
    with pytest.raises(ValueError, match="Fewer than two sites"):
        harmonization_report(people.assign(site="Mayo"), {"raw": shifted}, **SETTINGS)
    with pytest.raises(ValueError, match="equal as text"):
        harmonization_report(people, {"1": shifted, 1: shifted}, **SETTINGS)


@pytest.mark.parametrize("kind", ["text", "long number"])
def test_nobody_is_in_both_halves(kind):
    people, shifted, _ = cohort(60, n_features=8)
    number = np.arange(60) // 2
    ids = [f"person {k}" for k in number] if kind == "text" else 2**53 + number
    people = people.assign(person=ids, site=np.array(list("ab"))[number % 2])
    shifted[:, 0] = np.arange(60)
    settings = SETTINGS | {"roles": {**ROLES, "person": "id"}}
    report = harmonization_report(people, {"raw": shifted, "ours": Recorder()}, **settings)
    fitted, measured = (Recorder.seen[name][0].astype(int) for name in ("fit", "transform"))
    assert not set(number[fitted]) & set(number[measured])
    assert len(fitted) + len(measured) == 60
    assert report.held_out


def test_rows_without_an_id_are_people_of_their_own():
    people, shifted, _ = cohort(60, n_features=8)
    people = people.assign(person=[None] * 40 + [f"{k // 2}" for k in range(20)])
    shifted[:, 0] = np.arange(60)
    settings = SETTINGS | {"roles": {**ROLES, "person": "id"}}
    harmonization_report(people, {"raw": shifted, "ours": Recorder()}, **settings)
    fitted = Recorder.seen["fit"][0].astype(int)
    assert 10 <= np.sum(fitted < 40) <= 30


@pytest.mark.parametrize("blank", ["", " ", "nan"])
def test_people_whose_site_is_blank_take_no_part(blank):
    people, shifted, _ = cohort(60, n_features=8)
    people.iloc[3, people.columns.get_loc("site")] = blank
    shifted[:, 0] = np.arange(60)
    harmonization_report(people, {"raw": shifted, "ours": Recorder()}, **SETTINGS)
    seen = np.concatenate([Recorder.seen[name][0] for name in ("fit", "transform")])
    assert set(seen.astype(int)) == set(range(60)) - {3}
