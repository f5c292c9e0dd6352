"""Weights from one network into another: what fits is taken, channels adapt, the rest is named."""

import pytest
import torch

from mresklearn.nn.networks import ProjectionNetwork
from mresklearn.training._transplant import transplant

SHAPE = (12, 12, 12)


def network(channels, seed, *, name="resnet10", width=2, dimension=3, outputs=0):
    torch.manual_seed(seed)
    return ProjectionNetwork(name, channels, (channels, *SHAPE), width, dimension, outputs).eval()


def test_the_same_network_gives_the_same_embedding():
    source, target = network(1, 0), network(1, 1)
    batch = torch.randn(2, 1, *SHAPE)
    transplant(source, target)
    torch.testing.assert_close(target(batch), source(batch))


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 1), (3, 2)])
def test_channels_that_show_the_same_map_give_the_same_features(old, new):
    source, target = network(old, 0), network(new, 1)
    batch = torch.randn(2, 1, *SHAPE)
    transplant(source, target)
    torch.testing.assert_close(
        target.trunk(batch.expand(-1, new, -1, -1, -1)),
        source.trunk(batch.expand(-1, old, -1, -1, -1)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_head_and_a_projection_of_another_size_stay_new():
    source, target = network(1, 0, outputs=1), network(1, 1, dimension=5, outputs=1)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    taken = transplant(source, target)
    for name, value in target.state_dict().items():
        if not name.startswith("trunk."):
            assert name not in taken
            assert torch.equal(value, before[name])


def test_the_source_is_left_alone():
    source, target = network(1, 0), network(2, 1)
    before = {name: value.clone() for name, value in source.state_dict().items()}
    transplant(source, target)
    with torch.no_grad():
        for weight in target.parameters():
            weight.add_(1)
    assert all(torch.equal(value, before[name]) for name, value in source.state_dict().items())


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ({"width": 2}, {"width": 4}, "Give the network and width that it was trained with"),
        ({"name": "resnet10"}, {"name": "resnet18"}, "in one of the two only"),
    ],
)
def test_another_network_is_refused(source, target, message):
    with pytest.raises(ValueError, match=message):
        transplant(network(1, 0, **source), network(1, 1, **target))
