"""Trunks take what they say and return what they say; views are noise in the brain alone."""

import pytest
import torch

from mresklearn.nn import GaussianNoise, build_network
from mresklearn.nn.networks import NETWORKS, ProjectionNetwork


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        ("mlp", (7,)),
        ("mlp", (2, 4, 5, 3)),
        ("resnet10", (1, 12, 14, 10)),
        ("resnet10", (3, 9, 9, 9)),
    ],
)
@pytest.mark.parametrize("width", [2, 5])
def test_a_trunk_returns_eight_times_its_width(network, shape, width):
    module, n_features = build_network(network, shape[0], shape, width=width)
    assert module(torch.zeros(3, *shape)).shape == (3, n_features) == (3, 8 * width)


@pytest.mark.parametrize(("network", "n_features"), [("densenet121", 128), ("sfcn", 8)])
@pytest.mark.parametrize("shape", [(1, 33, 35, 33), (2, 48, 40, 36)])
def test_other_trunks_return_what_they_say(network, n_features, shape):
    module, stated = build_network(network, shape[0], shape, width=2)
    assert module(torch.zeros(2, *shape)).shape == (2, stated) == (2, n_features)


@pytest.mark.parametrize(
    ("network", "width", "parameters"),
    [("resnet18", 64, 33_161_024), ("densenet121", 16, 11_242_624), ("sfcn", 16, 2_950_000)],
)
def test_trunks_have_the_published_size(network, width, parameters):
    """33.2 M for ResNet-18, 11.2 M for DenseNet-121, about 3 M for SFCN (Peng et al. 2021)."""
    module, _ = build_network(network, 1, (1, 45, 54, 45), width=width)
    count = sum(parameter.numel() for parameter in module.parameters())
    assert count == pytest.approx(parameters, rel=0.01)


# MONAI's DenseNet halves its input five times, so it needs 32 voxels an axis
@pytest.mark.parametrize("network", sorted({*NETWORKS} - {"densenet121"}))
def test_small_maps_are_no_obstacle(network):
    module, n_features = build_network(network, 1, (1, 6, 9, 5), width=2)
    assert module(torch.randn(3, 1, 6, 9, 5)).shape == (3, n_features)


def test_every_parameter_of_the_projection_network_gets_a_gradient():
    model = ProjectionNetwork("resnet10", 2, (2, 12, 12, 12), width=2, embedding_dim=5)
    output = model(torch.randn(4, 2, 12, 12, 12))
    (output * torch.randn_like(output)).sum().backward()
    torch.testing.assert_close(output.norm(dim=1), torch.ones(4))
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


def test_a_callable_builds_a_trunk_of_its_own():
    def build(in_channels, sample_shape, *, width):
        return torch.nn.Flatten(), int(torch.Size(sample_shape).numel())

    module, n_features = build_network(build, 1, (1, 2, 2, 2))
    assert module(torch.zeros(3, 1, 2, 2, 2)).shape == (3, n_features)


def test_networks_name_what_they_cannot_do():
    with pytest.raises(ValueError, match="network must be one of"):
        build_network("vgg", 1, (1, 4, 4, 4))
    with pytest.raises(ValueError, match="needs maps"):
        build_network("resnet10", 3, (3,))


def test_noise_has_its_scale_and_leaves_background_and_input_alone():
    brain = torch.zeros(6, 2, 12, 12, 12)
    brain[..., 2:10] = torch.randn(6, 2, 12, 12, 8, generator=torch.Generator().manual_seed(0))
    before = brain.clone()
    views = GaussianNoise(scale=0.3, n_views=3)(brain)
    assert views.shape == (6, 3, 2, 12, 12, 12)
    assert torch.equal(brain, before)
    assert (views[..., :2] == 0).all()
    assert (views[..., 10:] == 0).all()
    noise = (views - brain[:, None])[..., 2:10]
    assert noise.std().item() == pytest.approx(0.3, rel=0.02)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.01)
    assert not torch.equal(views[:, 0], views[:, 1])


def test_no_noise_gives_equal_views():
    features = torch.randn(4, 3)
    views = GaussianNoise(scale=0.0, n_views=2)(features)
    assert torch.equal(views[:, 0], features)
    assert torch.equal(views[:, 1], features)
