"""ComBat against the published implementations, and against its model written out in full."""

import contextlib
import io
import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from mresklearn.harmonization import ComBat

neurocombat = pytest.importorskip("neuroCombat").neuroCombat
package = pytest.importorskip("neuroHarmonize")


def cohort(n_people=40, n_features=60, n_sites=3, *, whole=True, seed=0):
    """Features with shift and scale by site, and effects of age and sex; five people or more."""
    random = np.random.default_rng(seed)
    further = random.integers(0, n_sites, n_people - 5 * n_sites)
    codes = random.permutation(np.append(np.repeat(np.arange(n_sites), 5), further))
    age = random.integers(20, 80, n_people) if whole else random.uniform(20, 80, n_people)
    sex = random.integers(0, 2, n_people)
    noise = random.normal(size=(n_people, n_features)) * random.uniform(0.5, 2, n_features)
    X = noise * random.uniform(0.7, 1.4, (n_sites, 1))[codes] + 5
    X += random.normal(size=(n_sites, n_features))[codes]
    X += np.outer(age, random.normal(size=n_features) * 0.03)
    X += np.outer(sex, random.normal(size=n_features) * 0.3)
    site = np.array([f"site{k}" for k in codes])
    return X, site, pd.DataFrame({"age": age.astype(float), "sex": sex.astype(float)})


def fitted(X, site, covariates=None, **parameters):
    model = ComBat(site_column=None, target="ignore", **parameters)
    return model.fit(X, site=site, covariates=covariates)


def harmonised(X, site, covariates=None, **parameters):
    model = fitted(X, site, covariates, **parameters)
    return model.transform(X, site=site, covariates=covariates)


def published(X, site, covariates=None, **options):
    """What neuroCombat returns, without its prints."""
    table = pd.DataFrame({"site": site})
    names = [] if covariates is None else list(covariates.columns)
    if names:
        table[names] = covariates
    with contextlib.redirect_stdout(io.StringIO()):
        return neurocombat(X.T, table, "site", continuous_cols=names, **options)


VARIANTS_OF_TWO = list(itertools.product([True, False], repeat=2))
VARIANTS = list(itertools.product([True, False], repeat=4))


@pytest.mark.parametrize("ref_site", [None, "site0"])
@pytest.mark.parametrize(("adjusted", "parametric", "eb", "location_only"), VARIANTS)
def test_each_variant_equals_neurocombat(
    monkeypatch, adjusted, parametric, eb, location_only, ref_site
):
    monkeypatch.setattr(np, "int", int, raising=False)  # a name that NumPy has dropped
    X, site, covariates = cohort()
    covariates = covariates if adjusted else None
    theirs = published(
        X, site, covariates, parametric=parametric, eb=eb, mean_only=location_only,
        ref_batch=ref_site,
    )["data"].T  # fmt: skip
    ours = harmonised(
        X, site, covariates, parametric=parametric, eb=eb, location_only=location_only,
        ref_site=ref_site, stop_rule="reference",
    )  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=1e-10, rtol=0)


@pytest.mark.parametrize("shape", [(10, 200, 2), (120, 80, 5)])
def test_ten_people_of_two_sites_equal_neurocombat(shape):
    X, site, covariates = cohort(*shape, seed=1)
    theirs = published(X, site, covariates)["data"].T
    ours = harmonised(X, site, covariates, stop_rule="reference")
    np.testing.assert_allclose(ours, theirs, atol=1e-10, rtol=0)


def learned_by_package(X, site, covariates, **options):
    table = covariates.assign(SITE=site)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # of np.matrix
        return package.harmonizationLearn(X, table, **options)


@pytest.mark.parametrize("eb", [True, False])
@pytest.mark.parametrize(("whole", "tolerance"), [(True, 1e-10), (False, 1e-6)])
def test_equals_neuroharmonize(eb, whole, tolerance):
    X, site, covariates = cohort(whole=whole)  # real-valued covariates are cast to float32 there
    _, theirs = learned_by_package(X, site, covariates, eb=eb)
    ours = harmonised(X, site, covariates, eb=eb, stop_rule="reference")
    np.testing.assert_allclose(ours, theirs, atol=tolerance, rtol=0)


def test_learned_values_are_those_of_neuroharmonize():
    X, site, covariates = cohort()
    model, _ = learned_by_package(X, site, covariates)
    ours = fitted(X, site, covariates, stop_rule="reference")
    priors = np.column_stack([model[name] for name in ("gamma_bar", "t2", "a_prior", "b_prior")])
    for mine, theirs in [
        (ours.centre_, model["stand_mean"][:, 0]),
        (ours.coefficients_, model["B_hat"][3:]),
        (ours.deviation_, np.sqrt(model["var_pooled"][:, 0])),
        (ours.shift_, model["gamma_star"]),
        (ours.ratio_, model["delta_star"]),
        (ours.priors_, priors),
    ]:
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-11)


def test_new_people_equal_those_of_neuroharmonize():
    X, site, covariates = cohort(60)
    new = slice(45, 60)
    model, _ = learned_by_package(X[:45], site[:45], covariates[:45])
    theirs = package.harmonizationApply(X[new], covariates[new].assign(SITE=site[new]), model)
    ours = fitted(X[:45], site[:45], covariates[:45], stop_rule="reference")
    np.testing.assert_allclose(
        ours.transform(X[new], site=site[new], covariates=covariates[new]), theirs, atol=1e-10
    )


@pytest.mark.parametrize("parametric", [True, False])
@pytest.mark.parametrize("eb", [True, False])
def test_without_covariates_new_people_get_the_mean_part_as_in_neurocombat(parametric, eb):
    X, site, covariates = cohort()
    estimates = published(X, site, covariates, parametric=parametric, eb=eb)["estimates"]
    # the formula of its neuroCombatFromTraining, which itself fails under NumPy 2
    middle = estimates["stand.mean"][:, 0] + estimates["mod.mean"].mean(axis=1)
    deviation = np.sqrt(estimates["var.pooled"][:, 0])
    codes = np.unique(site, return_inverse=True)[1]
    standard = (X - middle) / deviation - estimates["gamma.star"][codes]
    theirs = standard / np.sqrt(estimates["delta.star"][codes]) * deviation + middle
    ours = fitted(
        X, site, covariates, missing_covariates="mean", stop_rule="reference",
        parametric=parametric, eb=eb,
    )  # fmt: skip
    np.testing.assert_allclose(ours.transform(X, site=site), theirs, atol=1e-10)


def test_convergence_changes_little_and_solves_the_posterior_equations():
    X, site, covariates = cohort(100, 300)
    model = fitted(X, site, covariates)
    early = harmonised(X, site, covariates, stop_rule="reference")
    exact = model.transform(X, site=site, covariates=covariates)
    assert 0 < np.abs(exact - early).max() < 1e-4
    design = covariates.to_numpy()
    for k, name in enumerate(model.sites_):
        rows = site == name
        z = (X[rows] - model.centre_ - design[rows] @ model.coefficients_) / model.deviation_
        n, shift, ratio = rows.sum(), model.shift_[k], model.ratio_[k]
        mean, variance, shape, scale = model.priors_.loc[name]
        expected = (n * variance * z.mean(axis=0) + ratio * mean) / (n * variance + ratio)
        np.testing.assert_allclose(shift, expected, atol=1e-10)
        expected = (scale + ((z - shift) ** 2).sum(axis=0) / 2) / (n / 2 + shape - 1)
        np.testing.assert_allclose(ratio, expected, atol=1e-10)


def written_out(X, site, design, *, reference=None, eb=True, location_only=False):
    """The model with an explicit design, least squares and the matrix of standardised values."""
    names, codes = np.unique(site, return_inverse=True)
    people = np.bincount(codes)
    full = np.hstack([np.eye(len(names))[codes], design])
    beta = np.linalg.lstsq(full, X, rcond=None)[0]
    residuals = X - full @ beta
    if reference is None:
        centre, variance = people @ beta[: len(names)] / len(X), (residuals**2).mean(axis=0)
    else:
        centre, variance = beta[reference], (residuals[codes == reference] ** 2).mean(axis=0)
    expected = centre + design @ beta[len(names) :]
    standard = (X - expected) / np.sqrt(variance)
    for k, n in enumerate(people):
        if k == reference:
            continue
        z = standard[codes == k]
        shift = own = z.mean(axis=0)
        ratio = spread = np.ones(X.shape[1]) if location_only else z.var(axis=0, ddof=1)
        mean, tau2 = own.mean(), own.var(ddof=1)
        if eb and location_only:
            shift = (tau2 * own + mean) / (tau2 + 1)
        elif eb:
            m, s2 = spread.mean(), spread.var(ddof=1)
            a, b = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
            for _ in range(200):
                shift = (n * tau2 * own + ratio * mean) / (n * tau2 + ratio)
                ratio = (b + ((z - shift) ** 2).sum(axis=0) / 2) / (n / 2 + a - 1)
        standard[codes == k] = (z - shift) / np.sqrt(ratio)
    return standard * np.sqrt(variance) + expected


@pytest.mark.parametrize("reference", [None, 1])
@pytest.mark.parametrize(("eb", "location_only"), VARIANTS_OF_TWO)
def test_equals_the_model_written_out(reference, eb, location_only):
    X, site, covariates = cohort(80, 40, 4, whole=False, seed=2)
    ours = harmonised(
        X, site, covariates, eb=eb, location_only=location_only,
        ref_site=None if reference is None else f"site{reference}",
    )  # fmt: skip
    expected = written_out(
        X, site, covariates.to_numpy(), reference=reference, eb=eb, location_only=location_only
    )
    np.testing.assert_allclose(ours, expected, atol=1e-10)


def test_categories_are_indicators():
    X, site, covariates = cohort(80, 30)
    group = np.array(["HC", "MCI", "AD"])[np.random.default_rng(0).integers(0, 3, 80)]
    table = covariates.assign(group=group)
    indicators = np.column_stack([covariates, group == "HC", group == "MCI"]).astype(float)
    np.testing.assert_allclose(
        harmonised(X, site, table), written_out(X, site, indicators), atol=1e-10
    )


def nonparametric_by_loops(z):
    """Posterior means of each feature from the effects of the others, one feature at a time."""
    p = z.shape[1]
    shift, ratio = z.mean(axis=0), z.var(axis=0, ddof=1)
    posterior = np.empty((2, p))
    for i in range(p):
        others = [j for j in range(p) if j != i]
        logs = np.array([norm(shift[j], np.sqrt(ratio[j])).logpdf(z[:, i]).sum() for j in others])
        weight = np.exp(logs - logs.max())
        posterior[:, i] = weight @ shift[others], weight @ ratio[others]
        posterior[:, i] /= weight.sum()
    return posterior


@pytest.mark.parametrize("n_people", [40, 3000])
def test_nonparametric_prior_equals_a_loop_and_does_not_underflow(n_people):
    X, site, covariates = cohort(n_people, 12)
    model = fitted(X, site, covariates, parametric=False)
    assert np.isfinite(model.transform(X, site=site, covariates=covariates)).all()
    z = (X - model.centre_ - covariates.to_numpy() @ model.coefficients_) / model.deviation_
    for k, name in enumerate(model.sites_):
        shift, ratio = nonparametric_by_loops(z[site == name])
        np.testing.assert_allclose(model.shift_[k], shift, atol=1e-9)
        np.testing.assert_allclose(model.ratio_[k], ratio, rtol=1e-9)


def test_nonparametric_priors_of_many_features_go_in_blocks(monkeypatch):
    X, site, _ = cohort(40, 50)
    whole = fitted(X, site, parametric=False)
    monkeypatch.setattr("mresklearn.harmonization._empirical_bayes.BLOCK_ELEMENTS", 350)
    parts = fitted(X, site, parametric=False)
    np.testing.assert_allclose(parts.shift_, whole.shift_, atol=1e-12)
    np.testing.assert_allclose(parts.ratio_, whole.ratio_, rtol=1e-12)
