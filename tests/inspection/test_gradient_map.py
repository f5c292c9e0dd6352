"""gradient_map: exact on linear networks, complete on others, and in the unit of the prediction."""

import sys

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn import (
    ContrastiveEncoder,
    DomainInvariantRegressor,
    MapArray,
    MapMasker,
    MapScaler,
    SiteProjector,
)
from mresklearn.inspection import gradient_map

SHAPE = (4, 5, 4)
N = 20


def cohort(seed=0):
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 80, N)
    array = rng.normal(3, 0.3, (N, 2, *SHAPE)).astype(np.float32)
    array[:, 0, 1:3] -= (age / 50)[:, None, None, None]
    array[:, :, 0] = 0
    array[::3, :, -1] = 0
    return array, age


def flat(in_channels, sample_shape, *, width):
    """No hidden layer, so that a supervised encoder is linear in the voxels."""
    return torch.nn.Flatten(), int(np.prod(sample_shape))


def encoder(**parameters):
    options = {"network": "mlp", "width": 1, "embedding_dim": 4, "max_epochs": 2}
    return ContrastiveEncoder(**{**options, "random_state": 0, **parameters})


@pytest.fixture(scope="module")
def linear():
    maps, age = cohort()
    model = make_pipeline(MapScaler(), encoder(network=flat, loss="mse"))
    model.fit(maps, age)
    module, scale = model[-1].net_.module_, model[-1]._target["scale"]
    weights = (module.head.weight @ module.projection.weight).detach().numpy() * scale
    weights = weights.reshape(2, *SHAPE)
    weights = (weights + weights[:, ::-1]) / 2  # the answer is averaged with that to the mirror
    return model, maps, weights, np.asarray(model[0].transform(maps))


@pytest.fixture(scope="module")
def readout():
    maps, age = cohort()
    model = make_pipeline(MapScaler(), encoder(), StandardScaler(), PCA(3), Ridge())
    return model.fit(maps, age), maps


def inside(maps):
    return (maps != 0).any(axis=1)


def expect(found, values, maps):
    np.testing.assert_allclose(found, np.where(inside(maps), values, np.nan), rtol=1e-3, atol=2e-4)


def test_integrated_gradients_of_a_linear_network_are_weights_times_distance(linear):
    model, maps, weights, seen = linear
    brain = (seen != 0).any(axis=1, keepdims=True)
    mean = seen.sum(axis=0) / np.maximum(brain.sum(axis=0), 1)
    result = gradient_map(model, maps, n_steps=3)
    expect(result.subject_maps, (weights * (seen - mean)).sum(axis=1), maps)
    zero = gradient_map(model, maps, n_steps=3, baseline="zero")
    expect(zero.subject_maps, (weights * seen).sum(axis=1), maps)


def test_saliency_and_products_of_a_linear_network(linear):
    model, maps, weights, seen = linear
    flat_weights = np.broadcast_to(np.abs(weights).sum(axis=0), (N, *SHAPE))
    saliency = gradient_map(model, maps, method="saliency")
    expect(saliency.subject_maps, flat_weights, maps)
    assert not saliency.signed
    smooth = gradient_map(model, maps, method="smoothgrad", n_samples=3)
    expect(smooth.subject_maps, flat_weights, maps)
    product = gradient_map(model, maps, method="input_x_gradient")
    expect(product.subject_maps, (weights * seen).sum(axis=1), maps)


def test_integrated_gradients_sum_to_the_difference_of_predictions(readout):
    model, maps = readout
    result = gradient_map(model, maps, n_steps=300)
    total = np.nansum(result.subject_maps, axis=(1, 2, 3))
    difference = result.responses - result.baseline_responses
    assert np.ptp(difference) > 1
    np.testing.assert_allclose(total, difference, atol=0.05 * np.ptp(difference))
    np.testing.assert_allclose(result.completeness_error, total - difference, atol=1e-3)
    coarse = gradient_map(model, maps, n_steps=2)
    assert np.abs(coarse.completeness_error).max() > np.abs(result.completeness_error).max()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"output": "encoder"},
        {"mirror_average": False},
        {"flip": 0.0},
        {"network": "resnet10"},
        {"loss": "soft_label"},
    ],
)
def test_the_function_that_is_differentiated_is_predict(parameters):
    maps, age = cohort()
    model = make_pipeline(MapScaler(), encoder(**parameters), Ridge()).fit(maps, age)
    result = gradient_map(model, maps, method="saliency")
    np.testing.assert_allclose(result.responses, model.predict(maps), rtol=1e-4)
    assert (np.isnan(result.subject_maps) == ~inside(maps)).all()


@pytest.mark.parametrize("projection", [None, "embedding"])
def test_domain_invariant_regressors_are_seen_through(projection):
    maps, age = cohort()
    site = np.array(["A", "B"] * (N // 2))
    regressor = DomainInvariantRegressor(
        encoder=encoder(balance="site"), penalty=None, projection=projection
    )
    model = make_pipeline(MapScaler(), regressor)
    model.fit(maps, age, domaininvariantregressor__site=site)
    result = gradient_map(model, maps, method="saliency")
    np.testing.assert_allclose(result.responses, model.predict(maps), rtol=1e-4)
    projects = isinstance(regressor.projector_, SiteProjector)
    assert projects == (projection == "embedding")


def test_own_heads_are_predictions_too():
    maps, age = cohort()
    model = make_pipeline(MapScaler(), encoder(loss="soft_label")).fit(maps, age)
    result = gradient_map(model, maps, n_steps=200)
    np.testing.assert_allclose(result.responses, model.predict(maps), rtol=1e-4)
    span = np.ptp(result.responses)
    assert np.abs(result.completeness_error).max() < max(0.05 * span, 0.05)


def test_classifiers_are_seen_through_their_decision_function():
    maps, age = cohort()
    decade = (age // 20).astype(int)
    model = make_pipeline(MapScaler(), encoder(), LogisticRegression()).fit(maps, decade)
    with pytest.raises(ValueError, match=r"say which with target="):
        gradient_map(model, maps)
    column = gradient_map(model, maps, method="saliency", target=1)
    np.testing.assert_allclose(column.responses, model.decision_function(maps)[:, 1], rtol=1e-3)


def test_columns_of_an_embedding(readout):
    model, maps = readout
    result = gradient_map(model[:2], maps, target=2, method="saliency")
    np.testing.assert_allclose(result.responses, model[:2].transform(maps)[:, 2], atol=1e-5)


@pytest.mark.parametrize("method", ["integrated_gradients", "saliency"])
def test_batches_do_not_change_the_result(readout, method):
    model, maps = readout
    one, many = (gradient_map(model, maps, method=method, batch_size=size) for size in (1, 200))
    np.testing.assert_allclose(one.subject_maps, many.subject_maps, rtol=1e-3, atol=1e-4)


def test_the_seed_decides_the_noise_and_global_streams_are_left_alone(readout):
    model, maps = readout
    before = torch.get_rng_state().clone()
    first, again, other = (
        gradient_map(model, maps, method="smoothgrad", random_state=seed).subject_maps
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.nanmax(np.abs(first - other)) > 0
    assert torch.equal(before, torch.get_rng_state())


def test_a_person_does_not_depend_on_the_company(readout):
    model, maps = readout
    everybody = gradient_map(model, maps, reference=maps)
    some = gradient_map(model, maps[[4, 2]], reference=maps)
    np.testing.assert_allclose(
        some.subject_maps, everybody.subject_maps[[4, 2]], rtol=1e-3, atol=1e-5
    )


class TestBadInput:
    def test_without_captum_the_extra_is_named(self, readout, monkeypatch):
        monkeypatch.setitem(sys.modules, "captum", None)
        monkeypatch.setitem(sys.modules, "captum.attr", None)
        monkeypatch.delitem(sys.modules, "mresklearn.inspection._gradient_methods", raising=False)
        with pytest.raises(ImportError, match=r"pip install 'mresklearn\[inspection\]'"):
            gradient_map(*readout)

    def test_models_without_a_network(self):
        maps, age = cohort()
        model = make_pipeline(MapMasker(), Ridge()).fit(maps, age)
        with pytest.raises(ValueError, match=r"no gradient in the voxels\. Use occlusion_map"):
            gradient_map(model, maps)

    def test_networks_that_see_no_maps(self):
        maps, age = cohort()
        model = make_pipeline(MapMasker(), encoder(), Ridge()).fit(maps, age)
        with pytest.raises(ValueError, match="no gradient in the voxels"):
            gradient_map(model, MapArray.from_array(maps))

    def test_readouts_that_are_not_linear(self):
        maps, age = cohort()
        model = make_pipeline(MapScaler(), encoder(), KNeighborsRegressor(3)).fit(maps, age)
        with pytest.raises(ValueError, match="not linear in the embedding"):
            gradient_map(model, maps)

    def test_targets(self, readout):
        model, maps = readout
        with pytest.raises(ValueError, match="ends in an embedding of 4 columns"):
            gradient_map(model[:2], maps)
        with pytest.raises(ValueError, match=r"target=4, but the model gives 4 number"):
            gradient_map(model[:2], maps, target=4)
        with pytest.raises(ValueError, match=r"target=1, but the model gives 1 number"):
            gradient_map(model, maps, target=1)
