"""Limits in which one contrastive loss is another, and values that are known."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from mresklearn.nn import contrastive_loss
from mresklearn.nn._denominators import log_denominators
from mresklearn.nn.kernels import KERNELS, cauchy, find_kernel
from mresklearn.nn.losses import METHODS, Recipe


def draw(seed, n=7, views=2, d=5):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, views, d))), torch.from_numpy(
        rng.uniform(20, 60, n)
    )


def box(difference, sigma):
    return (difference.abs() < sigma).to(difference.dtype)


def same(*losses):
    for loss in losses[1:]:
        torch.testing.assert_close(loss, losses[0], rtol=1e-9, atol=1e-9)


def test_narrow_kernels_are_simclr_and_supcon_of_unique_labels():
    z, y = draw(5)
    flat = normalize(z.reshape(14, -1), dim=1)
    logits = (flat @ flat.T / 0.1).fill_diagonal_(-torch.inf)
    partner = torch.arange(14).reshape(7, 2).flip(1).reshape(-1)
    same(
        cross_entropy(logits, partner),
        contrastive_loss(z, y, method="simclr"),
        contrastive_loss(z, y, method="y_aware", sigma=1e-3),
        contrastive_loss(z, y, method="supcon", bin_width=0),
        contrastive_loss(z, y, method="supcon", bin_width=1e-6),
    )


def test_a_wide_kernel_is_at_least_the_log_of_the_others():
    z, y = draw(6)
    wide = {"method": "y_aware", "sigma": 1e9}
    assert contrastive_loss(z, y, **wide) > math.log(13)
    same(contrastive_loss(torch.ones_like(z), y, **wide), torch.tensor(13.0).double().log())


def test_a_binary_kernel_is_supcon():
    z, _ = draw(7, n=9)
    y = torch.tensor([30.0, 30, 30, 41, 41, 60, 60, 61, 61], dtype=torch.float64)
    supcon = contrastive_loss(z, y, method="supcon", bin_width=0)
    same(
        supcon,
        contrastive_loss(z, y, method="supcon", bin_width=1.0),
        contrastive_loss(z, y, method="y_aware", kernel=box, sigma=0.5),
    )
    assert contrastive_loss(z, y, method="supcon", bin_width=2.0) != supcon, "60 and 61 in one bin"


def test_a_binary_kernel_with_the_exponential_form_counts_each_positive_as_one():
    z, _ = draw(8, n=5)
    y = torch.tensor([30.0, 30, 41, 41, 60], dtype=torch.float64)
    flat = normalize(z.reshape(10, -1), dim=1)
    s = flat @ flat.T / 0.1
    age = y.repeat_interleave(2)
    itself = torch.eye(10, dtype=torch.bool)
    positive = (age[:, None] == age) & ~itself
    terms = torch.where(positive, 1.0, s.exp()).masked_fill(itself, 0)
    by_hand = ((terms.sum(1, keepdim=True).log() - s) * positive).sum(1) / positive.sum(1)
    same(by_hand.mean(), contrastive_loss(z, y, method="exponential", kernel=box, sigma=0.5))


@pytest.mark.parametrize("n_neighbours", [None, 7, 50])
def test_dynamic_with_everyone_is_exponential(n_neighbours):
    z, y = draw(9)
    dynamic = contrastive_loss(z, y, method="dynamic", n_neighbours=n_neighbours)
    same(contrastive_loss(z, y, method="exponential"), dynamic)


def test_threshold_with_uniform_weights_and_the_closed_set_is_rank_n_contrast():
    z, y = draw(10)
    recipe = Recipe(weights="uniform", denominator="not_nearer")
    same(
        contrastive_loss(z, y, method="rank_n_contrast"),
        contrastive_loss(z, y, method=recipe, similarity="neg_l2"),
    )


def test_threshold_of_two_ages_repels_the_other_age_only():
    z, _ = draw(11, n=4)
    y = torch.tensor([20.0, 20, 70, 70], dtype=torch.float64)
    flat = normalize(z.reshape(8, -1), dim=1)
    s = flat @ flat.T / 0.1
    age = y.repeat_interleave(2)
    positive = (age[:, None] == age).fill_diagonal_(False)
    log_others = s.masked_fill(age[:, None] == age, -torch.inf).logsumexp(1, keepdim=True)
    by_hand = ((log_others - s) * positive).sum(1) / positive.sum(1)
    same(by_hand.mean(), contrastive_loss(z, y, method="threshold"))


def test_a_collapsed_embedding():
    z = torch.ones(6, 2, 4, dtype=torch.float64)
    y = torch.arange(6, dtype=torch.float64)
    log_others = torch.tensor(11.0).double().log()
    same(log_others, *(contrastive_loss(z, y, method=m) for m in ("simclr", "supcon", "y_aware")))
    age = y.repeat_interleave(2)
    d = (age[:, None] - age).abs()
    pairs = [(i, j) for i in range(12) for j in range(12) if i != j]
    size = {(i, j): sum(d[i, k] >= d[i, j] for k in range(12) if k != i) for i, j in pairs}
    mean_log = torch.stack([size[pair].double().log() for pair in pairs]).mean()
    same(mean_log, contrastive_loss(z, y, method="rank_n_contrast"))


def test_rank_n_contrast_prefers_the_order_of_age():
    y = torch.linspace(20, 80, 12, dtype=torch.float64)
    ordered = (y / 10).reshape(-1, 1, 1)
    options = {"method": "rank_n_contrast", "temperature": 0.1}
    best = contrastive_loss(ordered, y, **options)
    for seed in range(10):
        mixed = ordered[torch.randperm(12, generator=torch.Generator().manual_seed(seed))]
        assert contrastive_loss(mixed, y, **options) > best


def test_published_differs_from_exact_by_the_temperature_factor_alone_where_nothing_else_does():
    z, y = draw(12)
    for method in ("simclr", "supcon", "y_aware"):
        exact = contrastive_loss(z, y, method=method)
        same(exact * 0.1 / 0.07, contrastive_loss(z, y, method=method, formula="published"))
    rank = contrastive_loss(z, y, method="rank_n_contrast")
    same(rank, contrastive_loss(z, y, method="rank_n_contrast", formula="published"))


def test_published_exponential_has_the_value_measured_on_the_public_code():
    """Random unit embeddings, 32 people, two views: 10.6-10.8 as coded, 4.4-4.8 by the formula."""
    rng = np.random.default_rng(0)
    z = torch.from_numpy(rng.normal(size=(32, 2, 128)))
    y = torch.from_numpy(rng.uniform(20, 80, 32))
    published = contrastive_loss(z, y, method="exponential", formula="published") * 0.07 / 0.1
    assert 10.4 < published < 11.0
    assert 4.2 < contrastive_loss(z, y, method="exponential") < 4.9


def test_published_threshold_counts_of_five_ages():
    """Ages 5, 4, 7, 10, 13: the first anchor's terms count 3, 3, 1, 1 times."""
    age = torch.tensor([5.0, 4, 7, 10, 13], dtype=torch.float64)
    digits = torch.tensor([1, 1, 10, 100, 1000], dtype=torch.float64).log().expand(5, 5)
    others = ~torch.eye(5, dtype=torch.bool)
    logs, present = log_denominators("pooled", digits, others, (age[:, None] - age).abs())
    assert present.all()
    assert logs[0].exp().item() == pytest.approx(1133)


def test_published_dynamic_weighs_pairs_and_not_anchors():
    """Only the reduction differs from the published exponential loss, when all are neighbours."""
    z, y = draw(13)
    published = {"formula": "published", "sigma": 10.0}
    dynamic = contrastive_loss(z, y, method="dynamic", **published)
    exponential = contrastive_loss(z, y, method="exponential", **published)
    assert abs(dynamic - exponential) > 1e-3
    recipe = Recipe(exponent="1 - w", row_maximum=True, base_temperature=0.07)
    same(exponential, contrastive_loss(z, y, method=recipe, sigma=10.0))
    same(
        contrastive_loss(z, torch.arange(7).double(), method="dynamic", kernel=box, **published),
        contrastive_loss(z, torch.arange(7), method="exponential", kernel=box, **published),
    )


def test_kernels_have_their_width_and_the_published_convention():
    d = torch.tensor([-3.0, 0.0, 3.0], dtype=torch.float64)
    for kernel in KERNELS.values():
        weights = kernel(d, 3.0)
        assert weights[1] == 1
        assert weights[0] == weights[2] < 1
        same(kernel(d * 5, 15.0), weights)
    same(find_kernel("cauchy", "published")(d, 2.0), 1 / (2 * d**2 + 1), cauchy(d, 2**-0.5))
    z, y = draw(14)
    same(
        contrastive_loss(z, y, kernel="cauchy", sigma=2.0, formula="published"),
        contrastive_loss(z, y, kernel=cauchy, sigma=2**-0.5, formula="published"),
    )


@pytest.mark.parametrize("method", METHODS)
def test_whole_ages_may_be_integers(method):
    z, y = draw(15)
    same(
        contrastive_loss(z, y.round(), method=method),
        contrastive_loss(z, y.round().long(), method=method),
    )
