"""CovBat against the published algorithm written out, and what a harmoniser must never do."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from mresklearn import load, save
from mresklearn.exceptions import HarmonizationWarning, SingleSiteWarning
from mresklearn.harmonization import ComBat
from mresklearn.harmonization._covbat import CovBat


def study(n_people=(40, 35, 30), n_features=12, seed=0):
    """Sites with their own shift and scale, whose people vary more or less along common axes."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(len(n_people)), n_people)
    age = rng.uniform(20, 80, len(site))
    axes = np.linalg.qr(rng.normal(size=(n_features, 4)))[0].T * [[6], [5], [4], [3]]
    stretch = np.exp(rng.normal(0, 0.6, (len(n_people), 4)))
    X = (rng.normal(size=(len(site), 4)) * stretch[site]) @ axes
    X += 0.3 * rng.normal(size=X.shape) + np.outer(age - 50, rng.normal(0, 0.02, n_features))
    X *= np.exp(rng.normal(0, 0.05, (len(n_people), n_features)))[site]
    X += 10 + rng.normal(size=(len(n_people), n_features))[site]
    names = np.array(["Mayo", "Utah", "Delaware", "Leeds"])[site]
    return X, names, age


def alike_but_for_covariance(n_people):
    """Sites whose features all have mean 10 and variance 1.1, but go together differently."""
    rng = np.random.default_rng(0)
    variances = np.array([[6, 1, 1], [3, 3, 2], [3, 4, 1], [1, 5, 2]])[: len(n_people)]
    site = np.repeat(np.arange(len(n_people)), n_people)
    axes = hadamard(8)[1:4] / np.sqrt(8)
    X = 10 + (rng.normal(size=(len(site), 3)) * np.sqrt(variances)[site]) @ axes
    X += np.sqrt(0.1) * rng.normal(size=X.shape)
    return X, np.array(["Mayo", "Utah", "Delaware", "Leeds"])[site]


def dense_combat(X, site, design, *, eb):
    """ComBat with every matrix formed (Johnson et al. 2007): expected values, and what is left."""
    n = len(X)
    sites, codes = np.unique(site, return_inverse=True)
    full = np.hstack([np.eye(len(sites))[codes], design])
    beta = np.linalg.lstsq(full, X, rcond=None)[0]
    expected = np.bincount(codes) / n @ beta[: len(sites)] + design @ beta[len(sites) :]
    sd = np.sqrt(np.mean((X - full @ beta) ** 2, axis=0))
    Z = (X - expected) / sd
    for k in range(len(sites)):
        z = Z[codes == k]
        gamma, delta = z.mean(axis=0), z.var(axis=0, ddof=1)
        if eb:
            gamma, delta = posterior(z, gamma, delta)
        Z[codes == k] = (z - gamma) / np.sqrt(delta)
    return expected, Z * sd


def posterior(z, gamma_hat, delta_hat):
    """Empirical Bayes of one site, by the published updates until nothing moves."""
    mean, variance = delta_hat.mean(), delta_hat.var(ddof=1)
    shape, scale = (2 * variance + mean**2) / variance, (mean * variance + mean**3) / variance
    prior, spread, n = gamma_hat.mean(), gamma_hat.var(ddof=1), len(z)
    gamma, delta = gamma_hat, delta_hat
    for _ in range(500):
        gamma = (spread * n * gamma_hat + delta * prior) / (spread * n + delta)
        squares = np.sum((z - gamma) ** 2, axis=0)
        delta = (0.5 * squares + scale) / (n / 2 + shape - 1)
    return gamma, delta


def dense_covbat(X, site, design, *, share=None, number=None, eb=True):
    """CovBat as Chen et al. (2022) publish it."""
    expected, left = dense_combat(X, site, design, eb=eb)
    centre, scale = left.mean(axis=0), left.std(axis=0, ddof=1)
    U, size, V = np.linalg.svd((left - centre) / scale, full_matrices=False)
    scores = U * size
    if number is None:
        number = np.flatnonzero(np.cumsum(size**2) / np.sum(size**2) > share)[0] + 1
    mean, moved = dense_combat(scores[:, :number], site, np.empty((len(X), 0)), eb=False)
    scores[:, :number] = mean + moved
    return scores @ V * scale + centre + expected


@pytest.mark.parametrize("n_features", [12, 150], ids=["few_features", "few_people"])
@pytest.mark.parametrize("n_components", [0.8, 0.95, 3])
@pytest.mark.parametrize("eb", [True, False])
def test_it_is_the_published_algorithm(n_features, n_components, eb):
    X, site, age = study(n_features=n_features)
    amount = {"number": 3} if n_components == 3 else {"share": n_components}
    expected = dense_covbat(X, site, age[:, None], eb=eb, **amount)
    covbat = CovBat(n_components=n_components, eb=eb, min_people=1)
    harmonised = covbat.fit_transform(X, site=site, covariates=age[:, None])
    np.testing.assert_allclose(harmonised, expected, rtol=0, atol=1e-9)


def spread_of_covariances(X, site):
    """Root mean square distance of the sites' covariances from their mean."""
    all_ = np.array([np.cov(X[site == name].T) for name in np.unique(site)])
    return np.sqrt(np.mean((all_ - all_.mean(axis=0)) ** 2))


def test_covariances_of_new_people_differ_less_than_after_combat():
    X, site = alike_but_for_covariance((3000, 3000, 3000))
    train = np.arange(len(X)) % 10 == 0
    raw, combat, covbat = (
        spread_of_covariances(Z, site[~train])
        for Z in (
            X[~train],
            *(
                one.fit(X[train], site=site[train]).transform(X[~train], site=site[~train])
                for one in (ComBat(), CovBat())
            ),
        )
    )
    assert combat > 0.95 * raw
    assert covbat < 0.25 * raw


def test_the_mean_of_all_and_the_age_effect_stay():
    X, site, age = study((300, 300), seed=1)
    truth = np.linalg.lstsq(
        np.column_stack([site == "Mayo", site == "Utah", age]).astype(float), X, rcond=None
    )[0][2]
    harmonised = CovBat().fit_transform(X, age, site=site)
    slopes = np.linalg.lstsq(np.column_stack([np.ones(600), age]), harmonised, rcond=None)[0][1]
    assert np.corrcoef(slopes, truth)[0, 1] > 0.95
    np.testing.assert_allclose(harmonised.mean(axis=0), X.mean(axis=0), atol=0.3)


def test_the_target_is_needed_in_training_only():
    X, site, age = study()
    fitted = CovBat().fit(X, age, site=site)
    assert fitted.target_ == "shrunk"
    assert fitted.combat_.covariate_names_.tolist() == ["target"]
    # the very same rows, whatever their age: transform has no way to ask for it
    np.testing.assert_array_equal(
        CovBat().fit_transform(X, age, site=site), fitted.transform(X, site=site)
    )


def test_one_site_stays_as_it_is():
    X, _, age = study()
    with pytest.warns(SingleSiteWarning):
        harmonised = CovBat(site_column=None).fit_transform(X, age)
    np.testing.assert_array_equal(harmonised, X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingleSiteWarning)
        named = CovBat().fit(X, age, site=["Mayo"] * len(X))
    np.testing.assert_array_equal(named.transform(X, site=["Mayo"] * len(X)), X)


def test_the_reference_site_stays_as_it_is():
    X, site, _ = study()
    harmonised = CovBat(ref_site="Utah").fit_transform(X, site=site)
    np.testing.assert_allclose(harmonised[site == "Utah"], X[site == "Utah"], rtol=0, atol=1e-12)
    others = site != "Utah"
    before, after = (np.cov(Z[others].T) - np.cov(X[~others].T) for Z in (X, harmonised))
    assert np.linalg.norm(after) < 0.5 * np.linalg.norm(before)


def test_a_row_does_not_depend_on_the_others():
    X, site, age = study()
    fitted = CovBat().fit(X, age, site=site)
    together = fitted.transform(X, site=site)
    alone = np.vstack([fitted.transform(X[[i]], site=site[[i]]) for i in range(len(X))])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-12)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(
        fitted.transform(X[order], site=site[order]), together[order], rtol=0, atol=1e-12
    )


def test_people_of_small_sites_get_combat_alone():
    X, site, _ = study((40, 40, 12))
    with pytest.warns(HarmonizationWarning, match=r"min_people=20.*Delaware \(12\)"):
        harmonised = CovBat().fit_transform(X, site=site)
    small = site == "Delaware"
    combat = ComBat().fit_transform(X, site=site)
    np.testing.assert_array_equal(harmonised[small], combat[small])
    assert np.abs(harmonised - combat)[~small].max() > 0.1
    with (
        pytest.warns(HarmonizationWarning),
        pytest.raises(ValueError, match="ref_site 'Delaware' has fewer"),
    ):
        CovBat(ref_site="Delaware").fit(X, site=site)


def test_without_two_large_sites_it_is_combat():
    X, site, _ = study((40, 10, 12))
    with pytest.warns(HarmonizationWarning, match="min_people"):
        fitted = CovBat().fit(X, site=site)
    assert fitted.score_combat_ is None
    np.testing.assert_array_equal(
        fitted.transform(X, site=site), ComBat().fit_transform(X, site=site)
    )


def test_a_tiny_site_is_not_blown_up():
    """Where sites do not differ, the best a harmoniser can do is nothing."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(5, 30))
    X = rng.normal(size=(323, 5)) @ factors + rng.normal(size=(323, 30))
    site = np.repeat(["Mayo", "Utah", "Delaware"], [60, 60, 203])
    train = np.arange(323) < 123
    with pytest.warns(HarmonizationWarning):
        careful = CovBat().fit(X[train], site=site[train])
    published = CovBat(min_people=1).fit(X[train], site=site[train])
    moved = [
        np.sqrt(np.mean((one.transform(X[~train], site=site[~train]) - X[~train]) ** 2)) / X.std()
        for one in (careful, published)
    ]
    assert 2 * moved[0] < 2 < moved[1]


def test_unseen_sites():
    X, site, _ = study()
    fitted = CovBat().fit(X, site=site)
    with pytest.raises(ValueError, match=r"Leeds \(2\)"):
        fitted.transform(X[:3], site=["Leeds", "Mayo", "Leeds"])
    passing = CovBat(unseen="passthrough").fit(X, site=site)
    with pytest.warns(HarmonizationWarning, match="passed on"):
        out = passing.transform(X[:3], site=["Leeds", "Mayo", "Leeds"])
    np.testing.assert_array_equal(out[[0, 2]], X[[0, 2]])
    np.testing.assert_allclose(out[1], fitted.transform(X[:3], site=site[:3])[1], atol=1e-12)


def test_a_new_site_can_be_learned():
    X, site = alike_but_for_covariance((300, 300, 300, 300))
    new = site == "Leeds"
    fitted = CovBat().fit(X[~new], site=site[~new])
    before = fitted.transform(X[~new], site=site[~new])
    adapted = fitted.adapt(X[new], site=site[new])
    np.testing.assert_allclose(adapted.transform(X[~new], site=site[~new]), before, atol=1e-12)
    assert list(adapted.sites_) == ["Delaware", "Leeds", "Mayo", "Utah"]
    assert "Leeds" not in fitted.sites_
    harmonised = adapted.transform(X[new], site=site[new])
    target = np.cov(before.T)
    distance = [np.linalg.norm(np.cov(Z.T) - target) for Z in (X[new], harmonised)]
    assert distance[1] < 0.4 * distance[0]
    with pytest.raises(ValueError, match="min_subjects"):
        fitted.adapt(X[new][:5], site=site[new][:5])


def test_site_and_covariates_may_be_columns_in_any_order():
    X, site, age = study()
    frame = pd.DataFrame(X, columns=[f"region{k}" for k in range(12)])
    frame["site"], frame["age"] = site, age
    by_column = CovBat(covariate_columns=["age"]).fit(frame)
    by_keyword = CovBat().fit(X, site=site, covariates=pd.DataFrame({"age": age}))
    expected = by_keyword.transform(X, site=site, covariates=pd.DataFrame({"age": age}))
    np.testing.assert_allclose(by_column.transform(frame), expected, atol=1e-12)
    np.testing.assert_allclose(by_column.transform(frame[frame.columns[::-1]]), expected, atol=1e-9)
    assert by_column.get_feature_names_out().tolist() == [f"region{k}" for k in range(12)]


def test_missing_covariates_take_the_training_mean_if_asked():
    X, site, age = study()
    strict = CovBat().fit(X, site=site, covariates=age[:, None])
    with pytest.raises(ValueError, match="held fixed in fit"):
        strict.transform(X, site=site)
    lenient = CovBat(missing_covariates="mean").fit(X, site=site, covariates=age[:, None])
    average = np.full((len(X), 1), age.mean())
    np.testing.assert_allclose(
        lenient.transform(X, site=site), strict.transform(X, site=site, covariates=average)
    )


def test_constant_features_lose_their_shift_and_disturb_no_other():
    X, site, _ = study()
    constant = np.where(site == "Mayo", 3.0, 4.0)
    harmonised = CovBat().fit_transform(np.column_stack([X, constant, np.zeros(len(X))]), site=site)
    np.testing.assert_allclose(harmonised[:, :-2], CovBat().fit_transform(X, site=site), atol=1e-9)
    np.testing.assert_allclose(harmonised[:, -2], constant.mean())
    np.testing.assert_array_equal(harmonised[:, -1], 0)


def test_blocks_and_precision_do_not_matter():
    X, site, age = study(n_features=90)
    whole = CovBat().fit_transform(X, age, site=site)
    np.testing.assert_allclose(
        CovBat(block_size=7).fit_transform(X, age, site=site), whole, atol=1e-9
    )
    single = CovBat().fit_transform(X.astype(np.float32), age, site=site)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, whole, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    scale=st.floats(1e-3, 1e3),
    offset=st.floats(-100, 100),
    n_features=st.sampled_from([5, 80]),
)
def test_unit_and_order_of_features_do_not_matter(seed, scale, offset, n_features):
    X, site, age = study((25, 30), n_features=n_features, seed=seed)
    rng = np.random.default_rng(seed)
    order, units = rng.permutation(n_features), scale * rng.uniform(0.5, 2, n_features)
    plain = CovBat().fit_transform(X, age, site=site)
    changed = CovBat().fit_transform((X * units + offset)[:, order], age, site=site)
    expected = (plain * units + offset)[:, order]
    np.testing.assert_allclose(changed, expected, atol=1e-7 * np.abs(expected).max())


def test_number_of_components():
    X, site, _ = study(n_features=12)
    assert CovBat(n_components=1.0).fit(X, site=site).n_components_ == 12
    assert CovBat(n_components=1).fit(X, site=site).n_components_ == 1
    few = CovBat(n_components=0.5).fit(X, site=site)
    shares = few.explained_variance_ratio_
    assert shares.sum() > 0.5 >= shares[:-1].sum()
    np.testing.assert_allclose(
        few.components_ @ few.components_.T, np.eye(few.n_components_), atol=1e-12
    )
    with pytest.raises(ValueError, match="differ along 12 directions"):
        CovBat(n_components=13).fit(X, site=site)
    with pytest.raises(ValueError, match="n_components"):
        CovBat(n_components=0).fit(X, site=site)


def test_a_covariate_that_is_the_target_is_refused():
    X, site, age = study()
    with pytest.raises(ValueError, match="is the target"):
        CovBat().fit(X, age, site=site, covariates=age[:, None])


def test_saved_and_opened(tmp_path):
    X, site, age = study((40, 40, 12))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HarmonizationWarning)
        fitted = CovBat().fit(X, age, site=site)
    expected = fitted.transform(X, site=site)
    for copy in (load(save(fitted, tmp_path / "covbat")), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(copy.transform(X, site=site), expected)


def test_every_parameter_has_a_constraint_and_a_clone_has_them_all():
    estimator = CovBat(n_components=3, ref_site="Utah")
    assert set(estimator.get_params()) == set(CovBat._parameter_constraints)
    assert clone(estimator).get_params() == estimator.get_params()


@parametrize_with_checks([CovBat(site_column=None)])
def test_scikit_learn_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingleSiteWarning)
        check(estimator)
