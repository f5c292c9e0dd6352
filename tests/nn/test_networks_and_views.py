"""Trunks take what they say and return what they say; views are noise in the brain alone."""

import pytest
import torch

from mresklearn.nn import GaussianNoise, build_network
from mresklearn.nn.networks import ProjectionNetwork


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
