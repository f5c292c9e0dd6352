"""ComBat(target="shrunk"): the target held fixed as far as the features tell of it."""

import numpy as np
import pandas as pd
import pytest

from mresklearn.harmonization import ComBat, SiteMoments

N_SITES, N_FEATURES = 4, 60


def study(signal, *, n=240, seed=0, n_features=N_FEATURES, classes=2):
    """People whose classes differ by site, with features that follow them as far as `signal`."""
    rng = np.random.default_rng(seed)
    site = np.arange(n) % N_SITES
    share = np.linspace(0.1, 0.9, N_SITES)[site]
    y = rng.binomial(classes - 1, share)
    sex = rng.binomial(1, 0.3 + 0.4 * share).astype(float)
    X = rng.normal(size=(n, n_features)) + signal * np.outer(y, rng.normal(size=n_features))
    X += np.outer(sex, rng.normal(size=n_features)) + rng.normal(size=(N_SITES, n_features))[site]
    return X, y, site, pd.DataFrame({"sex": sex})


def plain(target="shrunk", **settings):
    """ComBat that takes least squares shifts alone, as a regression can be written down."""
    return ComBat(site_column=None, target=target, eb=False, location_only=True, **settings)


def regression(X, site, covariates, target, factor):
    """Fit sites and covariates to what a share of the least squares effect of the target leaves."""
    sites = (site[:, None] == np.arange(N_SITES)).astype(float)
    others = np.column_stack([sites, covariates])
    coefficients = np.linalg.lstsq(np.column_stack([others, target]), X)[0]
    left = X - factor * target @ coefficients[-target.shape[1] :]
    return np.linalg.lstsq(others, left)[0]


@pytest.mark.parametrize("reference", [None, 2])
@pytest.mark.parametrize("classes", [2, 3])
def test_sites_and_covariates_are_fitted_to_what_the_shrunken_target_leaves(classes, reference):
    X, y, site, covariates = study(0.3, classes=classes)
    combat = plain(ref_site=reference).fit(X, y, site=site, covariates=covariates)
    target = (y[:, None] == np.arange(1, classes)).astype(float)
    expected = regression(X, site, covariates, target, combat.target_factor_)
    sites = expected[:N_SITES]
    middle = np.bincount(site) @ sites / len(site) if reference is None else sites[reference]
    np.testing.assert_allclose(combat.centre_, middle, atol=1e-10)
    np.testing.assert_allclose(combat.coefficients_[0], expected[N_SITES], atol=1e-10)
    removed = X - combat.transform(X, site=site, covariates=covariates)
    np.testing.assert_allclose(removed, (sites - middle)[site], atol=1e-10)


def test_factor_is_the_twiced_james_stein_factor_of_the_f_statistics():
    X, y, site, covariates = study(0.1)
    combat = plain().fit(X, y, site=site, covariates=covariates)
    sites = (site[:, None] == np.arange(N_SITES)).astype(float)
    reduced = np.column_stack([sites, covariates])
    full = np.column_stack([reduced, y])
    rss = [np.linalg.lstsq(design, X)[1] for design in (reduced, full)]
    freedom = len(X) - full.shape[1]
    f = (rss[0] - rss[1]) / (rss[1] / freedom)
    chance = freedom / (freedom - 2) / f.mean()
    assert 0 < combat.target_factor_ < 1
    assert combat.target_factor_ == pytest.approx(1 - chance**2, rel=1e-10)


def test_without_signal_the_target_is_hardly_held():
    factors = [
        plain().fit(X, y, site=site, covariates=covariates).target_factor_
        for X, y, site, covariates in (study(0.0, seed=seed) for seed in range(20))
    ]
    assert np.mean(factors) < 0.25
    assert min(factors) == 0


@pytest.mark.parametrize("settings", [{}, {"ref_site": 1}, {"eb": False}])
def test_strong_signal_is_held_as_in_training(settings):
    X, y, site, covariates = study(20.0)
    ways = [
        ComBat(site_column=None, target=target, **settings).fit_transform(
            X, y, site=site, covariates=covariates
        )
        for target in ("shrunk", "training")
    ]
    np.testing.assert_allclose(*ways, atol=1e-2)


def test_zero_factor_equals_ignoring_the_target():
    seed = next(
        seed
        for seed in range(50)
        if plain().fit(study(0.0, seed=seed)[0], study(0.0, seed=seed)[1],
                       site=study(0.0, seed=seed)[2]).target_factor_ == 0
    )  # fmt: skip
    X, y, site, _ = study(0.0, seed=seed)
    ways = [plain(target).fit_transform(X, y, site=site) for target in ("shrunk", "ignore")]
    np.testing.assert_allclose(*ways, atol=1e-12)


def test_site_base_rates_do_not_come_back_without_signal():
    """With many features and no signal, harmonised site means keep no trace of the classes."""
    kept = {}
    for target in ("training", "shrunk", "ignore"):
        values = []
        for seed in range(10):
            X, y, site, _ = study(0.0, seed=seed, n_features=400)
            Z = plain(target).fit_transform(X, y, site=site)
            means = np.array([Z[site == s].mean(axis=0) for s in range(N_SITES)])
            values.append(np.linalg.norm(means - means.mean(axis=0)))
        kept[target] = np.mean(values)
    assert kept["ignore"] < 1e-10
    assert kept["shrunk"] < 0.25 * kept["training"]


def test_target_is_not_needed_for_new_people():
    X, y, site, covariates = study(0.3)
    combat = ComBat(site_column=None, target="shrunk").fit(X, y, site=site, covariates=covariates)
    whole = combat.transform(X, site=site, covariates=covariates)
    one = combat.transform(X[7:8], site=site[7:8], covariates=covariates[7:8])
    np.testing.assert_allclose(one[0], whole[7], rtol=1e-12)


def test_moments_of_parts_give_the_same_fit():
    X, y, site, covariates = study(0.2)
    given = covariates.assign(target=y.astype(float))
    parts = [SiteMoments.from_rows(X[i::3], site[i::3], given[i::3]) for i in range(3)]
    summed = ComBat(target="shrunk").fit_moments(sum(parts))
    whole = ComBat(site_column=None, target="shrunk").fit(X, y, site=site, covariates=covariates)
    assert summed.target_ == whole.target_ == "shrunk"
    assert summed.target_factor_ == pytest.approx(whole.target_factor_, rel=1e-10)
    np.testing.assert_allclose(summed.shift_, whole.shift_, atol=1e-10)


def test_constant_features_have_no_part():
    X, y, site, covariates = study(0.2)
    expected = plain().fit(X, y, site=site, covariates=covariates)
    padded = plain().fit(np.column_stack([X, np.ones(len(X))]), y, site=site, covariates=covariates)
    assert padded.target_factor_ == pytest.approx(expected.target_factor_, rel=1e-12)
    assert padded.transform(np.ones((1, N_FEATURES + 1)), site=[0], covariates=covariates[:1])[
        0, -1
    ] == pytest.approx(1)


def test_too_few_people_hold_nothing():
    X, _, site, _ = study(5.0, n=8)
    y = np.array(list("abcabcaa"))
    assert plain().fit(X, y, site=site).target_factor_ == 0


def test_bad_combinations_are_refused():
    X, y, site, _ = study(0.3)
    with pytest.raises(ValueError, match="target='shrunk' holds y fixed, but fit got no y"):
        plain().fit(X, site=site)
    with pytest.raises(ValueError, match="Take 'target' out of smooth"):
        plain(smooth=("target",)).fit(X, np.arange(len(y)), site=site)
    with pytest.raises(ValueError, match="neuroHarmonize cannot do target='shrunk'"):
        ComBat(site_column=None, target="shrunk", engine="neuroharmonize").fit(X, y, site=site)
