"""Trunks take what they say and return what they say; views are noise in the brain alone."""

import pytest
import torch

from mresklearn.nn import (
    GaussianNoise,
    RandomAffine,
    RandomCutout,
    RandomFlip,
    RandomIntensity,
    RandomShift,
    RandomViews,
    build_network,
)
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


@pytest.mark.parametrize("edge", range(3, 12))
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_gradients_on_small_maps_are_those_of_double_precision(edge, layout):
    torch.manual_seed(0)
    single, _ = build_network("resnet10", 1, (1, edge, edge, edge), width=2)
    double, _ = build_network("resnet10", 1, (1, edge, edge, edge), width=2)
    double.load_state_dict(single.state_dict())
    double.double()
    maps = torch.randn(8, 1, edge, edge, edge)
    single.to(memory_format=layout)
    for model, batch in ((single, maps.to(memory_format=layout)), (double, maps.double())):
        model(batch).square().sum().backward()
    wanted = next(double.parameters()).grad
    torch.testing.assert_close(
        next(single.parameters()).grad.double(), wanted, rtol=0, atol=1e-2 * wanted.abs().max()
    )


def test_every_parameter_of_the_projection_network_gets_a_gradient():
    model = ProjectionNetwork("resnet10", 2, (2, 12, 12, 12), width=2, embedding_dim=5)
    output = model(torch.randn(4, 2, 12, 12, 12)).embedding
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
    with pytest.raises(ValueError, match="32 voxels or more"):
        build_network("densenet121", 1, (1, 40, 31, 40))


def brain_batch(n=6, channels=2):
    """A box of brain in a background of zeros."""
    brain = torch.zeros(n, channels, 12, 12, 12)
    values = torch.randn(n, channels, 6, 8, 4, generator=torch.Generator().manual_seed(0))
    brain[:, :, 3:9, 2:10, 4:8] = values
    return brain


def test_noise_has_its_scale_and_leaves_background_and_input_alone():
    brain = brain_batch(40)
    before = brain.clone()
    noisy = GaussianNoise(scale=0.3)(brain)
    assert torch.equal(brain, before)
    outside = before == 0
    assert (noisy[outside] == 0).all()
    noise = (noisy - before)[~outside]
    assert noise.std().item() == pytest.approx(0.3, rel=0.02)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.01)


def test_views_are_drawn_apart_and_keep_the_order_of_people():
    brain = brain_batch()
    views = RandomViews(3, (GaussianNoise(0.1),))(brain)
    assert views.shape == (6, 3, 2, 12, 12, 12)
    assert not torch.equal(views[:, 0], views[:, 1])
    assert (views - brain[:, None]).abs().max() < 1
    features = torch.randn(4, 3)
    plain = RandomViews(2)(features)
    assert torch.equal(plain[:, 0], features)
    assert torch.equal(plain[:, 1], features)


def test_a_shift_moves_whole_maps_by_at_most_its_size():
    brain = brain_batch(50)
    moved = RandomShift(most=2)(brain)
    shifts = set()
    for before, after in zip(brain, moved, strict=True):
        first = [
            tuple((sample != 0).any(dim=0).nonzero().min(dim=0).values.tolist())
            for sample in (before, after)
        ]
        shift = tuple(b - a for a, b in zip(*first, strict=True))
        shifts.add(shift)
        assert torch.equal(torch.roll(before, shift, dims=(1, 2, 3)), after)
    assert len(shifts) > 20
    assert {abs(step) for shift in shifts for step in shift} == {0, 1, 2}


def test_what_is_shifted_out_is_lost_and_background_enters():
    moved = RandomShift(most=3)(torch.ones(60, 1, 6, 6, 6))
    sizes = {int(sample.sum()) for sample in moved}
    assert max(sizes) <= 216
    assert min(sizes) >= 27
    assert len(sizes) > 3


def test_a_flip_mirrors_left_and_right_alone():
    brain = brain_batch(200, channels=1)
    mirrored = RandomFlip(probability=0.5)(brain)
    flipped = torch.tensor([not torch.equal(a, b) for a, b in zip(brain, mirrored, strict=True)])
    assert 70 < flipped.sum() < 130
    assert torch.equal(mirrored[flipped], brain[flipped].flip(2))


def test_an_affine_of_nothing_is_the_map_and_a_turn_keeps_a_constant_constant():
    brain = brain_batch()
    torch.testing.assert_close(RandomAffine(degrees=0, scale=0)(brain), brain, atol=1e-5, rtol=1e-5)
    constant = (brain != 0).float() * 2.5
    turned = RandomAffine(degrees=20)(constant)
    assert set(turned.unique().round(decimals=4).tolist()) == {0.0, 2.5}
    assert not torch.equal(turned, constant)


def test_a_cutout_blanks_one_cube():
    cut = RandomCutout(share=0.25, probability=0.5)(torch.ones(100, 1, 12, 12, 12))
    blank = (cut == 0).flatten(1).sum(dim=1)
    assert set(blank.tolist()) == {0, 27}
    assert 30 < (blank > 0).sum() < 70


def test_intensity_scales_each_channel_by_one_factor():
    brain = brain_batch() + 3 * (brain_batch() != 0)
    scaled = RandomIntensity(spread=0.2)(brain)
    inside = brain != 0
    ratio = torch.where(inside, scaled / brain, torch.nan)
    factors = ratio.flatten(2).nanmean(dim=2)
    assert ((factors > 0.8) & (factors < 1.2)).all()
    assert factors.unique().numel() == 12
    assert (scaled[~inside] == 0).all()
