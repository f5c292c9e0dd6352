"""Contrastive losses against the formula in float64, and the properties that the formula has."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mresklearn.nn import contrastive_loss
from mresklearn.nn.kernels import pairwise_weights
from mresklearn.nn.losses import METHODS, loss_of_similarities


def brute_force(embeddings, y, method, sigma, temperature):
    """Loop over anchors and pairs in float64, straight from the docstring."""
    n, views, d = embeddings.shape
    z = np.asarray(embeddings, np.float64).reshape(n * views, d)
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    age = np.repeat(np.asarray(y, np.float64), views)
    losses = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        w = {j: math.exp(-((age[i] - age[j]) ** 2) / (2 * sigma**2)) for j in others}
        s = {j: float(z[i] @ z[j]) / temperature for j in others}
        factor = {j: 1 - w[j] if method == "exponential" else 1.0 for j in others}
        denominator = sum(math.exp(s[j] * factor[j]) for j in others)
        if sum(w.values()) == 0:
            continue
        losses.append(-sum(w[j] / sum(w.values()) * (s[j] - math.log(denominator)) for j in others))
    return sum(losses) / len(losses) if losses else 0.0


def draw(seed, n=7, views=2, d=5):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, views, d))), torch.from_numpy(
        rng.uniform(20, 60, n)
    )


def shuffled(z, y, seed=0):
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(y)))
    return z[order], y[order]


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 8),
    views=st.integers(1, 3),
    sigma=st.floats(0.5, 20),
    temperature=st.floats(0.05, 2),
)
def test_loss_equals_brute_force(method, seed, n, views, sigma, temperature):
    z, y = draw(seed, n, views)
    loss = contrastive_loss(z, y, method=method, sigma=sigma, temperature=temperature)
    expected = brute_force(z, y, method, sigma, temperature)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_equal_ages_and_ties(method):
    z, _ = draw(1)
    y = torch.tensor([30.0, 30, 30, 41, 41, 60, 60], dtype=torch.float64)
    expected = brute_force(z, y, method, 2.0, 0.1)
    assert contrastive_loss(z, y, method=method).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), shift=st.floats(-50, 50), scale=st.floats(0.2, 5))
def test_invariances(method, seed, shift, scale):
    z, y = draw(seed)
    sigma = 3.0

    def loss(z, y, sigma=sigma):
        return contrastive_loss(z, y, method=method, sigma=sigma).item()

    value = pytest.approx(loss(z, y), rel=1e-8, abs=1e-8)
    rotation = torch.linalg.qr(draw(seed + 1, 5, 1)[0].squeeze(1))[0]
    assert loss(*shuffled(z, y, seed)) == value, "order of people"
    assert loss(z, y + shift) == value, "shift of age"
    assert loss(z, -y) == value, "reflection of age"
    assert loss(z, y * scale, sigma * scale) == value, "unit of age"
    assert loss(z @ rotation, y) == value, "rotation of the embedding"
    assert loss(z * scale, y) == value, "scale of the embedding"


def test_gradients_by_similarity_are_those_of_the_formula():
    """n dL/ds_ij is p_ij - w~_ij (y-aware) and (1 - w_ij) q_ij - w~_ij (exponential)."""
    rng = np.random.default_rng(3)
    y = torch.tensor([30.0, 30.0, 34.0, 51.0, 50.0], dtype=torch.float64)
    weights = pairwise_weights(y, "rbf", 3.0).fill_diagonal_(0)
    share = weights / weights.sum(dim=1, keepdim=True)
    for method, repelled in (("y_aware", torch.ones_like(weights)), ("exponential", 1 - weights)):
        similarity = torch.from_numpy(rng.normal(size=(5, 5))).requires_grad_()
        loss_of_similarities(similarity, weights, method).backward()
        softmax = (similarity * repelled).detach().fill_diagonal_(-torch.inf).softmax(dim=1)
        expected = (repelled * softmax - share) / 5
        torch.testing.assert_close(similarity.grad, expected.fill_diagonal_(0))
        if method == "exponential":
            assert similarity.grad[0, 1] < 0, "people of equal age are never repelled"


def test_y_aware_of_a_collapsed_embedding_is_log_of_the_others():
    z = torch.ones(6, 2, 4, dtype=torch.float64)
    y = torch.arange(6, dtype=torch.float64)
    assert contrastive_loss(z, y, method="y_aware").item() == pytest.approx(math.log(11))


def test_y_aware_with_a_narrow_kernel_is_simclr():
    z, y = draw(5)
    flat = torch.nn.functional.normalize(z.reshape(14, -1), dim=1)
    logits = (flat @ flat.T / 0.1).fill_diagonal_(-torch.inf)
    partner = torch.arange(14).reshape(7, 2).flip(1).reshape(-1)
    simclr = torch.nn.functional.cross_entropy(logits, partner)
    narrow = contrastive_loss(z, y, method="y_aware", sigma=1e-3)
    assert narrow.item() == pytest.approx(simclr.item(), rel=1e-9)


def test_an_anchor_without_a_pair_is_left_out_and_gets_no_alignment():
    z, _ = draw(7, n=4, views=1)
    far = torch.tensor([20.0, 20.5, 500.0, 900.0], dtype=torch.float64)
    loss = contrastive_loss(z, far, sigma=2.0)
    assert loss.item() == pytest.approx(brute_force(z, far, "exponential", 2.0, 0.1), rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2])
def test_no_pair_at_all_is_zero_with_zero_gradient(method, n):
    z = torch.randn(n, 1, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = contrastive_loss(z, torch.tensor([0.0, 1e6])[:n], method=method)
    loss.backward()
    assert loss.item() == 0
    assert (z.grad == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_small_temperatures_and_equal_views_stay_finite(method):
    z = torch.randn(8, 1, 16, generator=torch.Generator().manual_seed(0)).repeat(1, 2, 1)
    z.requires_grad_()
    contrastive_loss(z, torch.linspace(20, 80, 8), method=method, temperature=0.01).backward()
    assert torch.isfinite(z.grad).all()


def test_gradient_agrees_with_finite_differences():
    z, y = draw(11, n=4, views=2, d=3)
    z.requires_grad_()
    for method in METHODS:
        assert torch.autograd.gradcheck(
            lambda value, method=method: contrastive_loss(value, y, method=method, sigma=10.0), z
        )


def test_a_kernel_may_be_a_function():
    z, y = draw(2)

    def cauchy(difference, sigma):
        return 1 / (1 + (difference / sigma) ** 2)

    assert contrastive_loss(z, y, kernel=cauchy) != contrastive_loss(z, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "triplet"}, "method must be one of"),
        ({"kernel": "box"}, "kernel must be one of"),
        ({"y": torch.zeros(3)}, r"got \(7, 2, 5\) and \(3,\)"),
        ({"embeddings": torch.zeros(7, 5)}, r"shape \(n, views, d\)"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    z, y = draw(0)
    arguments = {"embeddings": z, "y": y, **change}
    with pytest.raises(ValueError, match=message):
        contrastive_loss(arguments.pop("embeddings"), arguments.pop("y"), **arguments)
