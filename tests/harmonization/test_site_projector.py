"""SiteProjector against brute force, its closed form, and what it must never do."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mresklearn import LeaveOneSiteOut, load, save
from mresklearn.confounds._age_spline import age_spline
from mresklearn.exceptions import MissingMetadataError, SingleSiteWarning, UnanswerableWarning
from mresklearn.harmonization import SiteProjector
from mresklearn.utils.estimator_checks import parametrize_with_map_checks


def cohort(shift="shared", n_sites=6, per_site=40, p=40, age_step=0.0, seed=0):
    """Sites that shift along two shared directions, each along its own, or not at all."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(n_sites), per_site)
    age = rng.normal(50 + age_step * (code - code.mean()), 12)
    X = rng.normal(size=(len(code), p)) + np.outer((age - 50) / 12, rng.normal(size=p))
    if shift == "shared":
        directions = np.linalg.qr(rng.normal(size=(p, 2)))[0].T
        X += (5 * rng.normal(size=(n_sites, 2)) @ directions)[code]
    elif shift == "own":
        X += 1.2 * rng.normal(size=(n_sites, p))[code]
    return X, age, np.array(list("abcdefghijklmnopqrstuvwxyz"))[code % 26] + code.astype(str)


def brute_force(X, design, code):
    """Scale and directions from an explicit design, by least squares in float64."""
    sites = np.eye(code.max() + 1)[code]
    full = np.hstack([design, sites])
    left = X - full @ np.linalg.lstsq(full, X, rcond=None)[0]
    scale = np.sqrt(np.sum(left**2, axis=0) / (len(X) - np.linalg.matrix_rank(full)))
    basis = np.linalg.svd(design, full_matrices=False)[0]
    beyond = np.linalg.svd(sites - basis @ basis.T @ sites, full_matrices=False)
    beyond = beyond[0][:, beyond[1] > 1e-8]
    return scale, np.linalg.svd(beyond.T @ X / scale, full_matrices=False)[2]


def codes(site):
    return np.unique(site, return_inverse=True)[1]


def projection(projector):
    """The matrix that acts on rows, in the unit of the features."""
    directions, scale = projector.directions_, projector.scale_
    return np.eye(len(scale)) - (directions / scale).T @ (directions * scale)


# --- the closed form ---------------------------------------------------------------------------


@pytest.mark.parametrize("age_step", [0.0, 8.0])
@pytest.mark.parametrize("p", [40, 300])
def test_directions_are_those_of_least_squares_with_an_explicit_design(age_step, p):
    X, age, site = cohort(p=p, age_step=age_step)
    X *= np.geomspace(0.01, 100, p)
    scale, directions = brute_force(X, age_spline(age), codes(site))
    for rank in (1, 3, "all"):
        fitted = SiteProjector(rank=rank).fit(X, age, site=site)
        np.testing.assert_allclose(fitted.scale_, scale, rtol=1e-9)
        expected = directions[: fitted.rank_]
        np.testing.assert_allclose(np.abs(fitted.directions_ @ expected.T), np.eye(fitted.rank_),
                                   atol=1e-7)  # fmt: skip
        standard = (X - X.mean(axis=0)) / scale
        by_hand = X - standard @ expected.T @ expected * scale
        np.testing.assert_allclose(fitted.transform(X) / scale, by_hand / scale, atol=1e-8)


def test_without_age_directions_are_those_of_site_means():
    X, _, site = cohort(age_step=8.0)
    fitted = SiteProjector(rank="all").fit(X, site=site)
    means = pd.DataFrame(fitted.transform(X)).groupby(site).mean()
    np.testing.assert_allclose(means - means.mean(), 0, atol=1e-10)


def test_given_age_no_site_effect_is_left_in_training_and_age_stays():
    X, age, site = cohort(age_step=8.0)
    projected = SiteProjector(rank="all").fit(X, age, site=site).transform(X)
    design = np.hstack([age_spline(age), np.eye(6)[codes(site)][:, 1:]])
    effects = np.linalg.lstsq(design, projected, rcond=None)[0][-5:]
    np.testing.assert_allclose(effects, 0, atol=1e-9)
    spread = pd.DataFrame(projected).groupby(site).mean().std().mean()
    blind = SiteProjector(rank="all").fit(X, site=site).transform(X)
    assert spread > 0.3  # age differs between sites, so the features do
    assert pd.DataFrame(blind).groupby(site).mean().std().mean() < 1e-10


@pytest.mark.parametrize("kind", ["text", "codes", "truth"])
def test_a_diagnosis_is_held_fixed_by_category(kind):
    rng = np.random.default_rng(0)
    X, _, site = cohort()
    level = rng.integers(0, 2 if kind == "truth" else 3, len(X))
    y = {"text": np.array(["CN", "MCI", "AD"])[level], "codes": level, "truth": level == 1}[kind]
    design = np.eye(3)[level][:, : level.max() + 1]
    _, directions = brute_force(X, design, codes(site))
    fitted = SiteProjector(rank=2).fit(X, y, site=site)
    np.testing.assert_allclose(np.abs(fitted.directions_ @ directions[:2].T), np.eye(2), atol=1e-9)


def test_covariates_are_held_fixed_from_columns_and_from_the_keyword():
    rng = np.random.default_rng(0)
    X, age, site = cohort()
    sex, size = rng.choice(["F", "M"], len(X)), rng.normal(size=len(X))
    design = np.column_stack([age_spline(age), sex == "M", size])
    _, directions = brute_force(X, design, codes(site))
    people = pd.DataFrame({"sex": sex, "size": size})
    frame = pd.DataFrame(X).add_prefix("roi").join(people).assign(site=site)
    by_column = SiteProjector(rank=1, covariate_columns=["sex", "size"]).fit(frame, age)
    by_keyword = SiteProjector(rank=1).fit(X, age, site=site, covariates=people)
    for fitted in (by_column, by_keyword):
        assert abs(fitted.directions_[0] @ directions[0]) == pytest.approx(1, abs=1e-9)
        assert fitted.n_features_in_ == 40
    with pytest.raises(MissingMetadataError, match="'sex'"):
        SiteProjector(covariate_columns=["sex"]).fit(X, age, site=site)


# --- invariances -------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", ["auto", 2, "all"])
def test_order_of_rows_and_names_of_sites_do_not_matter(rank):
    X, age, site = cohort(age_step=4.0)
    age = np.round(age)  # with ties
    expected = SiteProjector(rank=rank).fit(X, age, site=site)
    order = np.random.default_rng(1).permutation(len(X))
    names = np.array([f"z{25 - k}" for k in range(26)])[codes(site)]
    for fitted in (
        SiteProjector(rank=rank).fit(X[order], age[order], site=site[order]),
        SiteProjector(rank=rank).fit(X, age, site=names),
        SiteProjector(rank=rank).fit(X, age, site=codes(site).astype(float)),
    ):
        np.testing.assert_allclose(fitted.transform(X), expected.transform(X), atol=1e-9)
        assert fitted.rank_ == expected.rank_
    assert list(expected.sites_) == sorted(set(site))


@pytest.mark.parametrize("rank", ["auto", "all"])
def test_units_of_features_do_not_matter(rank):
    X, age, site = cohort(age_step=4.0)
    factor, offset = np.geomspace(1e-3, 1e3, 40), np.linspace(-50, 50, 40)
    expected = SiteProjector(rank=rank).fit(X, age, site=site)
    fitted = SiteProjector(rank=rank).fit(X * factor + offset, age, site=site)
    assert fitted.rank_ == expected.rank_
    np.testing.assert_allclose(
        fitted.transform(X * factor + offset), expected.transform(X) * factor + offset, rtol=1e-7
    )


def test_a_rotation_does_not_matter_where_features_are_compared_as_they_are():
    X, age, site = cohort(age_step=4.0)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(40, 40)))[0]
    expected = SiteProjector(standardize=False).fit(X, age, site=site)
    fitted = SiteProjector(standardize=False).fit(X @ turn, age, site=site)
    np.testing.assert_allclose(fitted.transform(X @ turn), expected.transform(X) @ turn, atol=1e-9)
    assert np.ptp(expected.scale_) == 0


def test_age_in_months_or_mirrored_does_not_matter():
    X, age, site = cohort(age_step=4.0)
    expected = SiteProjector().fit(X, age, site=site).transform(X)
    for other in (12 * age, 100 - age):
        fitted = SiteProjector().fit(X, other, site=site)
        np.testing.assert_allclose(fitted.transform(X), expected, atol=1e-6)


def test_what_moves_along_a_removed_direction_changes_nothing():
    X, age, site = cohort()
    fitted = SiteProjector().fit(X, age, site=site)
    moved = X + 7 * (site == "a0")[:, None] * (fitted.directions_[0] * fitted.scale_)
    np.testing.assert_allclose(fitted.transform(moved), fitted.transform(X), atol=1e-10)
    again = SiteProjector(rank="all").fit(X, age, site=site)
    effect = np.random.default_rng(0).normal(size=(6, 5)) @ again.directions_
    shifted = X + (effect * again.scale_)[codes(site)]
    refitted = SiteProjector(rank="all").fit(shifted, age, site=site)
    within = refitted.transform(shifted) - again.transform(X)
    np.testing.assert_allclose(within - within[0], 0, atol=1e-8)  # but for the mean


@pytest.mark.parametrize("rank", ["auto", "all"])
def test_projecting_twice_is_projecting_once_and_keeps_the_mean(rank):
    X, age, site = cohort()
    fitted = SiteProjector(rank=rank).fit(X, age, site=site)
    once = fitted.transform(X)
    np.testing.assert_allclose(fitted.transform(once), once, atol=1e-10)
    np.testing.assert_allclose(once.mean(axis=0), X.mean(axis=0), atol=1e-10)
    matrix = projection(fitted)
    assert np.linalg.matrix_rank(matrix) == 40 - fitted.rank_
    np.testing.assert_allclose(X @ matrix - once, (X @ matrix - once)[0][None] + 0 * X, atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(
    rows=st.lists(st.integers(0, 239), min_size=1, max_size=12),
    size=st.floats(0.01, 100),
)
def test_a_row_does_not_depend_on_its_company(rows, size):
    X, age, site = cohort()
    fitted = SiteProjector().fit(X, age, site=site)
    together = fitted.transform(size * X[rows])
    for row, result in zip(rows, together, strict=True):
        alone = fitted.transform(size * X[[row]])[0]
        np.testing.assert_allclose(alone, result, rtol=1e-9, atol=1e-9)


def test_fit_leaves_its_input_alone_and_nothing_to_chance():
    X, age, site = cohort()
    copy = X.copy()
    first = SiteProjector().fit(X, age, site=site)
    second = SiteProjector().fit(X, age, site=site)
    np.testing.assert_array_equal(X, copy)
    np.testing.assert_array_equal(first.directions_, second.directions_)
    out = first.transform(X)
    np.testing.assert_array_equal(X, copy)
    assert not np.shares_memory(out, X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_kept(dtype):
    X, age, site = cohort()
    fitted = SiteProjector().fit(X.astype(dtype), age, site=site)
    out = fitted.transform(X.astype(dtype))
    assert out.dtype == dtype
    assert fitted.directions_.dtype == np.float64
    expected = SiteProjector().fit(X, age, site=site).transform(X)
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_blocks_of_features_make_no_difference(monkeypatch):
    X, age, site = cohort(p=90)
    expected = SiteProjector().fit(X, age, site=site).transform(X)
    monkeypatch.setattr("mresklearn.harmonization._grouped_sums.VALUES_AT_A_TIME", 7 * len(X))
    np.testing.assert_allclose(
        SiteProjector().fit(X, age, site=site).transform(X), expected, atol=1e-10
    )


# --- input -------------------------------------------------------------------------------------


def test_constant_columns_pass_and_what_site_tells_exactly_goes():
    X, age, site = cohort()
    expected = SiteProjector().fit(X[:, 2:], age, site=site)
    X[:, 0], X[:, 1] = 5.0, 0.0
    fitted = SiteProjector().fit(X, age, site=site)
    out = fitted.transform(X)
    np.testing.assert_array_equal(out[:, 0], 5.0)
    np.testing.assert_allclose(out[:, 2:], expected.transform(X[:, 2:]), atol=1e-8)
    X[:, 0] = 3.0 * (site == "b1")
    marked = SiteProjector(rank="all").fit(X, age, site=site).transform(X)
    assert np.ptp(marked[:, 0]) < 1e-4


def test_one_site_stays_as_it_is_with_one_warning():
    X, age, _ = cohort()
    for site in (None, np.full(len(X), "a")):
        with pytest.warns(SingleSiteWarning, match="X stays as it is") as caught:
            fitted = SiteProjector().fit(X, age, site=site)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert fitted.rank_ == 0
        np.testing.assert_array_equal(fitted.transform(X), X)
        assert not hasattr(fitted, "shift_transfer_")


def test_a_refit_keeps_nothing():
    X, age, site = cohort()
    fitted = SiteProjector().fit(X, age, site=site)
    with pytest.warns(SingleSiteWarning):
        fitted.fit(X)
    assert fitted.rank_ == 0
    assert not hasattr(fitted, "shift_transfer_")


def test_a_site_of_patients_alone_has_a_shift_that_is_not_known():
    X, _, site = cohort()
    diagnosis = np.where(site == "c2", "AD", "CN")
    with pytest.warns(UnanswerableWarning, match="tells c2 from the other sites"):
        fitted = SiteProjector(rank="all").fit(X, diagnosis, site=site)
    assert fitted.rank_ == 4
    others = site != "c2"
    expected = SiteProjector(rank="all").fit(X[others], site=site[others])
    np.testing.assert_allclose(
        fitted.directions_ @ np.linalg.pinv(expected.directions_ * expected.scale_ / fitted.scale_)
        @ (expected.directions_ * expected.scale_ / fitted.scale_),
        fitted.directions_, atol=1e-8,
    )  # fmt: skip
    with pytest.warns(UnanswerableWarning):
        assert SiteProjector().fit(X, diagnosis, site=site).site_transfer_.ratio.isna().sum() == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"X": np.full((240, 3), np.nan)}, "NaN or infinite features in 240 of 240 rows"),
        ({"y": np.full(240, np.nan)}, "Input y contains NaN or infinity in 240 of 240 rows"),
        ({"y": np.r_[50.0, None, np.full(238, 50.0)]}, "1 of 240 rows: 1"),
        ({"y": np.ones(3)}, "inconsistent numbers of samples"),
        ({"site": ["a", "b"]}, "one entry for each of the 240 rows"),
        ({"site": [None] * 240}, "site is missing in 240"),
        ({"rank": -1}, "rank"),
        ({"rank": "some"}, "rank"),
        ({"age_knots": 1}, "age_knots"),
        ({"coverage": 0}, "coverage"),
        ({"covariates": np.zeros((3, 1))}, "covariates has 3 rows, but X has 240"),
        ({"covariates": np.full((240, 1), np.nan)}, "missing or infinite in 240 of 240 rows"),
    ],
)
def test_bad_input_says_what_is_wrong(changed, message):
    X, age, site = cohort()
    rows = {"X": X, "y": age, "site": site, **changed}
    settings = {k: rows.pop(k) for k in ("rank", "age_knots", "coverage") if k in rows}
    with pytest.raises(ValueError, match=message):
        SiteProjector(**settings).fit(rows.pop("X"), rows.pop("y"), **rows)


def test_a_frame_gives_site_by_column_and_names_by_name():
    X, age, site = cohort()
    expected = SiteProjector().fit(X, age, site=site)
    names = [f"roi{k}" for k in range(40)]
    frame = pd.DataFrame(X, columns=names, index=[f"sub-{k}" for k in range(240)])
    riding = frame.assign(site=site)
    fitted = SiteProjector().fit(riding, age)
    np.testing.assert_allclose(fitted.transform(riding), expected.transform(X), atol=1e-12)
    # new people have no site, or another one
    np.testing.assert_allclose(
        fitted.transform(frame.iloc[:1]), expected.transform(X[:1]), atol=1e-12
    )
    assert list(fitted.get_feature_names_out()) == names
    assert list(fitted.get_feature_names_out([*names, "site"])) == names
    assert list(fitted.feature_names_in_) == names
    scanner = frame.assign(scanner=site)
    other = SiteProjector(site_column="scanner").fit(scanner, age)
    np.testing.assert_allclose(other.transform(frame), fitted.transform(frame), atol=1e-12)
    kept = SiteProjector(keep=["site"]).fit(riding, age).transform(riding)
    assert list(kept.columns) == [*names, "site"]
    assert list(kept.site) == list(site)
    with pytest.raises(ValueError, match="scanner of X hold text"):
        SiteProjector().fit(scanner, age)
    asked = SiteProjector().set_output(transform="pandas").fit(riding, age).transform(riding)
    assert list(asked.columns) == names
    assert list(asked.index) == list(frame.index)


# --- in scikit-learn ---------------------------------------------------------------------------


@pytest.mark.parametrize("routing", [False, True])
def test_in_a_pipeline_site_rides_with_the_rows_of_cross_validation(routing):
    X, age, site = cohort(n_sites=5, per_site=30, p=12)
    frame = pd.DataFrame(X).add_prefix("roi").assign(site=site)
    model = make_pipeline(SiteProjector(), StandardScaler(), Ridge(alpha=10.0))
    plain = make_pipeline(StandardScaler(), Ridge(alpha=10.0))
    with sklearn.config_context(enable_metadata_routing=routing):
        groups = {"params": {"groups": site}} if routing else {"groups": site}
        scores = cross_validate(
            model, frame, age, cv=LeaveOneSiteOut(), scoring="neg_mean_absolute_error",
            error_score="raise", **groups,
        )  # fmt: skip
        raw = cross_validate(
            plain, frame.drop(columns="site"), age, cv=LeaveOneSiteOut(),
            scoring="neg_mean_absolute_error", **groups,
        )  # fmt: skip
    assert len(scores["test_score"]) == 5
    assert -scores["test_score"].mean() < -raw["test_score"].mean()


def test_site_is_routed_to_it_without_a_request_and_its_rank_can_be_searched():
    X, age, site = cohort(n_sites=5)
    model = make_pipeline(SiteProjector(), Ridge(alpha=10.0))
    with sklearn.config_context(enable_metadata_routing=True):
        routed = clone(model).fit(X, age, site=site)
    direct = clone(model).fit(X, age, siteprojector__site=site)
    np.testing.assert_array_equal(routed.predict(X), direct.predict(X))
    frame = pd.DataFrame(X).add_prefix("roi").assign(site=site)
    search = GridSearchCV(
        model, {"siteprojector__rank": [0, 1, 2]}, cv=LeaveOneSiteOut(), error_score="raise"
    ).fit(frame, age, groups=site)
    assert search.best_params_["siteprojector__rank"] == 2


def test_leave_one_out_errors_of_projected_training_rows_are_too_small():
    X, age, site = cohort("none", n_sites=6, per_site=20, p=300)
    penalties = [1e-3, 1.0, 1e2, 1e3]
    projected = SiteProjector(rank="all").fit(X, age, site=site).transform(X)
    assert RidgeCV(penalties).fit(X, age).alpha_ >= 1.0
    assert RidgeCV(penalties).fit(projected, age).alpha_ == 1e-3  # which the documentation warns of
    search = GridSearchCV(
        make_pipeline(SiteProjector(rank="all"), Ridge()), {"ridge__alpha": penalties}, cv=5
    )
    search.fit(pd.DataFrame(X).add_prefix("roi").assign(site=site), age)
    assert search.best_params_["ridge__alpha"] >= 1.0


@pytest.mark.parametrize("kind", ["table", "frame"])
def test_saved_and_pickled_it_is_the_same(kind, tmp_path):
    X, age, site = cohort()
    if kind == "frame":
        X = pd.DataFrame(X).add_prefix("roi")
    fitted = SiteProjector().fit(X, age, site=site)
    expected = np.asarray(fitted.transform(X))
    for copy in (load(save(fitted, tmp_path / "m")), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(np.asarray(copy.transform(X)), expected)
        np.testing.assert_allclose(copy.shift_transfer_.ratio, fitted.shift_transfer_.ratio)
        assert copy.get_params() == fitted.get_params()
    with pytest.warns(SingleSiteWarning):
        one = SiteProjector().fit(X)
    opened = load(save(one, tmp_path / "one"))
    np.testing.assert_array_equal(np.asarray(opened.transform(X)), np.asarray(one.transform(X)))


@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.SingleSiteWarning")
@parametrize_with_checks([SiteProjector(), SiteProjector(rank="all", standardize=False)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::mresklearn.exceptions.SingleSiteWarning")
@parametrize_with_map_checks([SiteProjector(), SiteProjector(rank="all", standardize=False)])
def test_map_checks(estimator, check):
    check(type(estimator).__name__, estimator)
