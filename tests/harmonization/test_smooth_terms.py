"""Curved covariates: the basis, the penalty, its choice, and ComBat with them."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.interpolate import BSpline

from mresklearn.exceptions import HarmonizationWarning
from mresklearn.harmonization import ComBat
from mresklearn.harmonization._smooth_terms import (
    basis,
    curvature,
    spline_knots,
    straight_line,
)


def cohort(n_people=240, n_sites=3, seed=0, noise=0.3):
    """Features that follow age in a straight line, in a bend, in a wave, and not at all."""
    random = np.random.default_rng(seed)
    codes = np.arange(n_people) % n_sites
    age = random.uniform(20, 80, n_people)
    t = (age - 50) / 30
    curves = np.column_stack([2 * t, 2 * t**2, np.sin(4 * t), np.zeros(n_people)])
    X = curves + random.normal(size=curves.shape) * noise + random.normal(size=(n_sites, 4))[codes]
    site = np.array([f"site{k}" for k in codes])
    return X, site, pd.DataFrame({"age": age, "sex": random.integers(0, 2, n_people)}), curves


def fitted(X, site, covariates, **parameters):
    model = ComBat(site_column=None, smooth=["age"], **parameters)
    return model.fit(X, site=site, covariates=covariates)


def curve_at(model, age):
    frame = pd.DataFrame({"age": age, "sex": np.zeros(len(age))})
    return model.coder_.transform(frame) @ model.coefficients_


@pytest.mark.parametrize("alpha", [0.01, 1.0, 1e4])
def test_fixed_penalty_equals_statsmodels(alpha):
    gam = pytest.importorskip("statsmodels.gam.api")
    X, site, covariates, _ = cohort()
    splines = gam.BSplines(covariates["age"], df=10, degree=3)
    linear = np.column_stack([site[:, None] == np.unique(site), covariates["sex"]]).astype(float)
    model = fitted(X, site, covariates, smooth_penalty=2 * alpha)
    for feature in range(X.shape[1]):
        theirs = gam.GLMGam(X[:, feature], exog=linear, smoother=splines, alpha=alpha).fit()
        sites = theirs.params[:3]
        centre = np.bincount(np.unique(site, return_inverse=True)[1]) @ sites / len(X)
        np.testing.assert_allclose(model.centre_[feature], centre, atol=1e-10)
        ours = dict(zip(model.covariate_names_, model.coefficients_[:, feature], strict=True))
        np.testing.assert_allclose(ours["sex"], theirs.params[3], atol=1e-10)
        splined = [ours[f"s(age){k}"] for k in range(1, 10)]
        np.testing.assert_allclose(splined, theirs.params[4:], atol=1e-10)
        np.testing.assert_allclose(
            model.deviation_[feature], np.sqrt(np.mean(theirs.resid_response**2)), rtol=1e-10
        )


def test_basis_and_curvature_are_those_of_statsmodels():
    gam = pytest.importorskip("statsmodels.gam.api")
    age = np.random.default_rng(0).uniform(20, 80, 100)
    knots = spline_knots(age, "age")
    theirs = gam.BSplines(age, df=10, degree=3)
    np.testing.assert_allclose(knots, theirs.smoothers[0].knots, rtol=1e-13)
    np.testing.assert_allclose(basis(age, knots), theirs.basis, atol=1e-13)
    np.testing.assert_allclose(curvature(knots), theirs.penalty_matrices[0], rtol=1e-9, atol=1e-14)


def test_curvature_is_the_integral_of_the_squared_second_derivative():
    knots = spline_knots(np.random.default_rng(0).gamma(3, 10, 200), "age")
    weights = np.random.default_rng(1).normal(size=9)
    second = BSpline(knots, np.append(0, weights), 3).derivative(2)
    pieces = np.unique(knots)
    integral = sum(
        quad(lambda x: second(x) ** 2, low, high)[0] for low, high in itertools.pairwise(pieces)
    )
    np.testing.assert_allclose(weights @ curvature(knots) @ weights, integral, rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_straight_line_is_a_spline_without_curvature(seed):
    values = np.random.default_rng(seed).gamma(2, 10, 50)
    knots = spline_knots(values, "age")
    line = straight_line(knots)
    np.testing.assert_allclose(basis(values, knots) @ line, values - values.min(), atol=1e-9)
    np.testing.assert_allclose(curvature(knots) @ line, 0, atol=1e-9)


def test_chosen_penalty_recovers_curves_and_leaves_lines_straight():
    X, site, covariates, curves = cohort(noise=0.3)
    model = fitted(X, site, covariates)
    at = covariates["age"].to_numpy()
    found = curve_at(model, at)
    error = found - found.mean(axis=0) - (curves - curves.mean(axis=0))
    assert np.sqrt((error**2).mean(axis=0)).max() < 0.1
    steps = curve_at(model, np.linspace(at.min(), at.max(), 60))
    bend = np.abs(np.diff(steps, 2, axis=0)).max(axis=0)
    assert bend[0] < 0.05 * bend[1] < 0.5 * bend[2]


def test_the_choice_is_the_same_every_time_and_for_each_feature_alone():
    X, site, covariates, _ = cohort()
    whole = fitted(X, site, covariates)
    again = fitted(X, site, covariates, block_size=1)
    np.testing.assert_allclose(again.coefficients_, whole.coefficients_, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(fitted(X, site, covariates).coefficients_, whole.coefficients_)


def test_the_choice_minimises_generalised_cross_validation():
    X, site, covariates, _ = cohort(90)
    model = fitted(X, site, covariates)
    design = np.column_stack([site[:, None] == np.unique(site), model.coder_.transform(covariates)])
    penalty = np.zeros((design.shape[1],) * 2)
    penalty[3:, 3:] = model.coder_.roughness()[0]
    centred = model.coder_.transform(covariates)[:, :9]
    centred = (
        centred
        - np.array([centred[site == s].mean(axis=0) for s in model.sites_])[
            np.unique(site, return_inverse=True)[1]
        ]
    )
    unit = (centred**2).sum() / np.trace(penalty)
    scores, fits = [], []
    for weight in unit * np.logspace(-6, 6, 25):
        hat = design @ np.linalg.solve(design.T @ design + weight * penalty, design.T)
        rss = ((X - hat @ X) ** 2).sum(axis=0)
        scores.append(rss / (len(X) - np.trace(hat)) ** 2)
        fits.append(hat @ X)
    best = np.argmin(scores, axis=0)
    ours = model.coder_.transform(covariates) @ model.coefficients_
    for feature, chosen in enumerate(best):
        expected = fits[chosen][:, feature]
        left = expected - ours[:, feature]
        for name in model.sites_:  # they differ by the sites' coefficients alone
            assert np.ptp(left[site == name]) < 1e-7


def test_units_of_covariates_do_not_matter():
    X, site, covariates, _ = cohort()
    volume = np.random.default_rng(1).normal(1.4e6, 1e5, len(X))
    table = covariates.assign(volume=volume)
    other = covariates.assign(age=covariates["age"] * 365.25, volume=volume / 1e6)
    first, second = (
        ComBat(site_column=None, smooth=["age", "volume"]).fit_transform(
            X, site=site, covariates=frame
        )
        for frame in (table, other)
    )
    np.testing.assert_allclose(second, first, atol=1e-7)


def test_a_curve_keeps_what_a_line_would_remove():
    """Where sites differ in age, a bend looks like a site effect to a straight line."""
    random = np.random.default_rng(0)
    site = np.repeat(["young", "old"], 150)
    age = np.where(site == "young", random.uniform(20, 60, 300), random.uniform(40, 80, 300))
    curve = ((age - 50) / 30)[:, None] ** 2 * np.ones(20)
    X = curve + random.normal(size=(300, 20)) * 0.2 + (site == "old")[:, None]
    table = pd.DataFrame({"age": age})
    errors = {}
    for smooth in ((), ("age",)):
        model = ComBat(site_column=None, smooth=smooth)
        left = model.fit_transform(X, site=site, covariates=table) - curve
        errors[smooth] = np.abs(left[site == "old"].mean() - left[site == "young"].mean())
    assert errors[("age",)] < 0.3 * errors[()]


def test_a_new_age_outside_the_training_range_is_taken_as_the_nearest_and_said():
    X, site, covariates, _ = cohort()
    model = fitted(X, site, covariates)
    low = covariates["age"].min()
    new = pd.DataFrame({"age": [low - 15], "sex": [1]})
    with pytest.warns(HarmonizationWarning, match=r"'age' lies outside .* in 1 rows"):
        outside = model.transform(X[:1], site=site[:1], covariates=new)
    inside = model.transform(X[:1], site=site[:1], covariates=new.assign(age=low))
    np.testing.assert_array_equal(outside, inside)


def test_age_as_target_may_be_smooth_and_is_not_needed_later():
    X, site, covariates, _ = cohort()
    model = ComBat(site_column=None, smooth=["target"]).fit(X, covariates["age"], site=site)
    assert list(model.covariate_names_) == [f"s(target){k}" for k in range(1, 10)]
    everyone = model.transform(X, site=site)
    np.testing.assert_allclose(model.transform(X[5:6], site=site[5:6]), everyone[5:6], atol=1e-12)


def test_several_curves_at_a_fixed_penalty():
    X, site, covariates, _ = cohort()
    table = covariates.assign(score=np.random.default_rng(1).normal(size=len(X)))
    model = ComBat(site_column=None, smooth=["score", "age"], smooth_penalty=3.0)
    model.fit(X, site=site, covariates=table)
    design = np.column_stack([site[:, None] == model.sites_, model.coder_.transform(table)])
    penalty = np.zeros((design.shape[1],) * 2)
    penalty[3:, 3:] = sum(model.coder_.roughness())
    beta = np.linalg.solve(design.T @ design + 3.0 * penalty, design.T @ X)
    np.testing.assert_allclose(model.coefficients_, beta[3:], atol=1e-9)


@pytest.mark.parametrize(
    ("smooth", "covariates", "message"),
    [
        (["agee"], {"age": np.arange(60.0)}, r"smooth names \['agee'\].*\['age'\]"),
        (["sex"], {"sex": ["F", "M", "M"] * 20}, "'sex', which holds categories"),
        (["age"], {"age": np.arange(60) % 4}, r"too few distinct values for a curve \(4\)"),
    ],
)
def test_bad_smooth_terms_are_named(smooth, covariates, message):
    X, site = np.random.default_rng(0).normal(size=(60, 3)), ["a", "b"] * 30
    with pytest.raises(ValueError, match=message):
        ComBat(site_column=None, smooth=smooth).fit(
            X, site=site, covariates=pd.DataFrame(covariates)
        )


def test_a_curve_of_what_site_determines_is_refused_and_of_what_it_nearly_does_warned_of():
    random = np.random.default_rng(0)
    X, site = random.normal(size=(300, 3)), np.repeat(list("abcdefgh"), 38)[:300]
    centre = np.unique(site, return_inverse=True)[1] * 8.0
    model = ComBat(site_column=None, smooth=["age"])
    with pytest.raises(ValueError, match=r"\['age'\] do not vary within any site"):
        model.fit(X, site=site, covariates={"age": centre})
    with pytest.warns(HarmonizationWarning, match=r"site explains 9\d% of the variance of 'age'"):
        model.fit(X, site=site, covariates={"age": centre + random.uniform(-4, 4, 300)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, site=site, covariates={"age": centre + random.uniform(-40, 40, 300)})
