"""DomainInvariantRegressor and the penalties of the encoder, from a fit to a saved model."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn import ContrastiveEncoder, DomainInvariantRegressor, SiteProjector, load, save
from mresklearn.exceptions import InertPenaltyWarning, SingleSiteWarning
from mresklearn.maps import MapArray
from mresklearn.training._invariance import ADVERSARIAL, CHOICES, probe

N, N_SITES = 240, 4


def study(seed=0, n=N, age_by_site=0.0, effect=2.0):
    """Regional features of age, each site shifted along a direction of its own."""
    rng = np.random.default_rng(seed)
    site = np.arange(n) % N_SITES
    age = 20 + 60 * ((1 - age_by_site) * rng.uniform(size=n) + age_by_site * site / (N_SITES - 1))
    X = rng.normal(size=(n, 12))
    X[:, :4] += np.stack([age, -age, age, -age], axis=1) / 15
    X[:, 2:6] += effect * np.eye(N_SITES)[site]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return X.astype(np.float32), age, np.array(["Delaware", "Harvard", "Mayo", "Utah"])[site]


def encoder(**settings):
    defaults = {"max_epochs": 15, "width": 8, "balance": "site", "random_state": 0}
    return ContrastiveEncoder(**{**defaults, **settings})


def held_out_probe(penalty, weight=3.0, loss="l1"):
    """Return how well a linear probe finds the site of people who were not trained on."""
    X, age, site = study()
    new, _, new_site = study(seed=1)
    model = DomainInvariantRegressor(
        penalty=penalty, penalty_weight=weight, encoder=encoder(loss=loss, max_epochs=30)
    ).fit(X, age, site=site)
    return probe(model.transform(new), np.unique(new_site, return_inverse=True)[1])


@pytest.fixture(scope="module")
def unpenalised():
    return held_out_probe(None)


@pytest.mark.parametrize("penalty", ["mmd", "hsic", "coral", "conditional_mmd", "circe"])
def test_a_penalty_hides_the_site_of_new_people(penalty, unpenalised):
    assert unpenalised > 0.5
    assert held_out_probe(penalty) < unpenalised - 0.1


@pytest.mark.parametrize("penalty", CHOICES)
def test_history_holds_the_penalty_its_gradient_and_the_probe_with_its_floor(penalty):
    X, age, site = study(age_by_site=0.5)
    model = encoder(penalty=penalty, max_epochs=3, penalty_warm_up=0.0)
    history = model.fit(X, age, site=site).history_
    for epoch in history:
        assert np.isfinite(epoch["penalty"])
        assert epoch["penalty_gradient"] > 0
        assert 0 <= epoch["site_probe"] <= 1
        assert epoch["site_floor"] > 0.4, "age tells much of the site here"


def test_the_weight_rises_over_the_warm_up():
    X, age, site = study()
    model = encoder(penalty="mmd", penalty_warm_up=1.0, max_epochs=4, lr=1e-9)
    shares = [epoch["penalty_gradient"] for epoch in model.fit(X, age, site=site).history_]
    assert shares[0] < shares[1] < shares[2] < shares[3]


def test_a_penalty_that_was_turned_into_a_number_is_called_inert():
    X, age, site = study()

    def detached(z, site, y):
        return z.sum().detach() * 0 + 0.5

    with pytest.warns(InertPenaltyWarning, match="it has no gradient"):
        encoder(penalty=detached, max_epochs=2).fit(X, age, site=site)


def test_a_penalty_without_overlap_is_called_inert():
    X, age, site = study(age_by_site=1.0)
    with pytest.warns(InertPenaltyWarning, match="two sites to compare at similar ages"):
        encoder(penalty="conditional_mmd", age_bandwidth=1.0, max_epochs=2).fit(X, age, site=site)


def test_a_penalty_that_is_drowned_is_called_inert():
    X, age, site = study()
    with pytest.warns(InertPenaltyWarning, match="Raise penalty_weight"):
        encoder(penalty="mmd", penalty_weight=1e-5, max_epochs=2).fit(X, age, site=site)


def test_without_site_there_is_nothing_to_penalise():
    X, age, _ = study()
    with pytest.warns(SingleSiteWarning, match="There is one site"):
        encoder(penalty="mmd", max_epochs=2).fit(X, age)


def test_zero_weight_is_no_penalty():
    X, age, site = study()
    plain = encoder(penalty=None).fit(X, age, site=site).transform(X)
    zero = encoder(penalty="mmd", penalty_weight=0.0).fit(X, age, site=site).transform(X)
    np.testing.assert_array_equal(zero, plain)


def test_several_domain_variables_are_penalised_together():
    X, age, site = study()
    sex = np.arange(N) // N_SITES % 2
    X[:, 8] += 2 * sex
    domains = pd.DataFrame({"site": site, "sex": np.array(["F", "M"])[sex]})
    settings = {"loss": "l1", "penalty": "hsic", "penalty_weight": 3.0}
    new, _, _ = study(seed=1)
    new[:, 8] += 2 * sex
    both = encoder(**settings).fit(X, age, site=domains)
    alone = encoder(**settings).fit(X, age, site=site)
    assert list(both.sites_) == ["Delaware", "Harvard", "Mayo", "Utah"]
    assert probe(both.transform(new), sex) < probe(alone.transform(new), sex) - 0.05


def test_site_rides_with_the_rows_of_maps():
    X, age, site = study(n=24)
    maps = np.abs(X[:, :8].reshape(24, 1, 2, 2, 2)) + 0.1
    riding = MapArray.from_array(maps, metadata=pd.DataFrame({"site": site}))
    settings = {"network": "mlp", "max_epochs": 2, "n_views": 2}
    by_rows = DomainInvariantRegressor(encoder=encoder(**settings)).fit(riding, age)
    by_keyword = DomainInvariantRegressor(encoder=encoder(**settings)).fit(maps, age, site=site)
    assert list(by_rows.sites_) == ["Delaware", "Harvard", "Mayo", "Utah"]
    np.testing.assert_array_equal(by_rows.predict(riding), by_keyword.predict(maps))


@pytest.mark.parametrize("projection", ["input", "embedding"])
def test_projection_takes_the_site_directions_of_new_people_out(projection):
    X, age, site = study(effect=3.0)
    new, new_age, new_site = study(seed=1, effect=3.0)
    codes = np.unique(new_site, return_inverse=True)[1]
    plain, projected = (
        DomainInvariantRegressor(
            penalty=None,
            projection=where,
            projector=SiteProjector(rank="all"),
            encoder=encoder(loss="l1"),
        ).fit(X, age, site=site)
        for where in (None, projection)
    )
    assert probe(projected.transform(new), codes) < probe(plain.transform(new), codes) - 0.1
    assert np.corrcoef(projected.predict(new), new_age)[0, 1] > 0.8


def test_readout_is_fitted_on_the_training_embedding():
    from sklearn.linear_model import LinearRegression

    X, age, site = study()
    model = DomainInvariantRegressor(encoder=encoder(), readout=LinearRegression())
    model.fit(X, age, site=site)
    expected = LinearRegression().fit(model.transform(X), age).predict(model.transform(X))
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5)


def test_the_prototype_is_left_as_it_was():
    X, age, site = study()
    prototype = encoder(max_epochs=2)
    DomainInvariantRegressor(penalty="circe", encoder=prototype).fit(X, age, site=site)
    assert prototype.penalty is None
    assert not hasattr(prototype, "net_")


def test_grid_search_over_the_weight_with_site_routed():
    X, age, site = study(n=80)
    model = make_pipeline(StandardScaler(), DomainInvariantRegressor(encoder=encoder(max_epochs=3)))
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            model, {"domaininvariantregressor__penalty_weight": [0.0, 1.0]}, cv=2
        ).fit(X, age, site=site)
        assert list(search.best_estimator_[-1].sites_) == ["Delaware", "Harvard", "Mayo", "Utah"]
        scores = cross_val_score(model, X, age, params={"site": site}, cv=2)
    assert np.isfinite([*scores, *search.cv_results_["mean_test_score"]]).all()


@pytest.mark.parametrize("penalty", ["conditional_mmd", "conditional_adversarial"])
def test_a_saved_model_predicts_the_same(penalty, tmp_path):
    X, age, site = study(n=80)
    model = DomainInvariantRegressor(
        penalty=penalty, projection="input", encoder=encoder(max_epochs=3)
    ).fit(X, age, site=site)
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.history_ == model.history_


@pytest.mark.parametrize("penalty", ["mmd", "adversarial"])
def test_warm_start_resumes_bit_for_bit(penalty):
    X, age, site = study(n=80)
    settings = {"penalty": penalty, "lr_schedule": "constant", "penalty_warm_up": 0.0}
    whole = encoder(**settings, max_epochs=4).fit(X, age, site=site)
    halves = encoder(**settings, max_epochs=2, warm_start=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InertPenaltyWarning)
        halves.fit(X, age, site=site).fit(X, age, site=site)
    np.testing.assert_array_equal(halves.transform(X), whole.transform(X))


@pytest.mark.parametrize("penalty", ADVERSARIAL)
def test_adversaries_train_in_one_process_only(penalty):
    X, age, site = study(n=40)
    with pytest.raises(ValueError, match="several processes would each"):
        encoder(penalty=penalty, distributed=True).fit(X, age, site=site)


def test_two_fits_are_equal_and_a_clone_is_unfitted():
    X, age, site = study(n=80)
    model = DomainInvariantRegressor(encoder=encoder(max_epochs=3)).fit(X, age, site=site)
    copy = clone(model)
    assert not hasattr(copy, "encoder_")
    np.testing.assert_array_equal(copy.fit(X, age, site=site).predict(X), model.predict(X))


@pytest.mark.parametrize("projection", ["input", "embedding", None])
def test_frames_as_output_change_no_prediction(projection):
    X, age, site = study(n=60)
    model = DomainInvariantRegressor(
        penalty=None, projection=projection, encoder=encoder(max_epochs=2)
    )
    expected = clone(model).fit(X, age, site=site).predict(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = clone(model).set_output(transform="pandas").fit(X, age, site=site)
        with sklearn.config_context(transform_output="pandas"):
            everywhere = clone(model).fit(X, age, site=site)
            np.testing.assert_array_equal(everywhere.predict(X), expected)
            assert isinstance(everywhere.transform(X), pd.DataFrame)
        np.testing.assert_array_equal(everywhere.predict(X), expected)
    np.testing.assert_array_equal(asked.predict(X), expected)
    assert list(asked.transform(X).columns[:1]) == ["domaininvariantregressor0"]


WEIGHED = ("mmd", "hsic", "coral", "conditional_mmd", *ADVERSARIAL)


@pytest.mark.parametrize("penalty", CHOICES)
def test_people_are_weighed_by_the_penalties_that_say_so(penalty):
    random = np.random.default_rng(0)
    X, site = random.normal(size=(32, 5)), np.array(["Mayo", "Utah"] * 16)
    age = random.uniform(50, 65, 32) + 5 * (site == "Utah")
    plain, weighed = (
        encoder(penalty=penalty, penalty_people=who, penalty_warm_up=0.0, max_epochs=1)
        .fit(X, age, site=site)
        .transform(X)
        for who in ("all", "reweighted")
    )
    assert np.array_equal(plain, weighed) == (penalty not in WEIGHED)
