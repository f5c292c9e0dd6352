"""Contrastive losses against the formulas in float64, and the properties that they have."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_formulas import METHODS as EXPECTED_METHODS
from loss_formulas import brute_force

from mresklearn.nn import contrastive_loss
from mresklearn.nn.kernels import KERNELS, cauchy, pairwise_weights, rbf
from mresklearn.nn.losses import METHODS, Recipe, loss_of_similarities

FORMULAS = ("exact", "published")
every_method = pytest.mark.parametrize("method", METHODS)
every_formula = pytest.mark.parametrize("formula", FORMULAS)


def draw(seed, n=7, views=2, d=5):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, views, d))), torch.from_numpy(
        rng.uniform(20, 60, n)
    )


def shuffled(z, y, seed=0):
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(y)))
    return z[order], y[order]


def test_every_method_of_the_design_is_there():
    assert set(METHODS) == set(EXPECTED_METHODS)


@every_method
@every_formula
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 7),
    views=st.integers(1, 3),
    sigma=st.floats(0.5, 20),
    temperature=st.floats(0.05, 2),
    n_neighbours=st.none() | st.integers(1, 9),
    selection=st.sampled_from(["similarity", "l1", "l2", "linf"]),
    site_mask=st.sampled_from(["none", "none", "cross_site_positives", "within_site_negatives"]),
)
def test_loss_equals_brute_force(method, formula, seed, n, views, **options):
    z, y = draw(seed, n, views)
    options["site"] = torch.arange(n) % 2
    loss = contrastive_loss(z, y, method=method, formula=formula, **options)
    expected = brute_force(z, y, method, formula, **options)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@every_method
@every_formula
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), ages=st.lists(st.integers(30, 36), min_size=2, max_size=8))
def test_equal_ages_and_ties(method, formula, seed, ages):
    z, _ = draw(seed, len(ages))
    y = torch.tensor(ages, dtype=torch.float64)
    expected = brute_force(z, y, method, formula, temperature=0.05)
    loss = contrastive_loss(z, y, method=method, formula=formula, temperature=0.05)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("method", ["threshold", "rank_n_contrast"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_differences_of_decimal_ages_are_ties(method, dtype):
    """31.2 - 30.1 and 30.1 - 29.0 differ in floating point, and so would the denominators."""
    z, _ = draw(0, n=5, views=1)
    tenths = torch.tensor([290, 301, 312, 345, 367])
    whole = contrastive_loss(z, tenths, method=method, sigma=20.0)
    decimal = contrastive_loss(z, tenths.to(dtype) / 10, method=method, sigma=2.0)
    assert decimal.item() == pytest.approx(whole.item(), rel=1e-5)


@every_method
@every_formula
@pytest.mark.parametrize("kernel", KERNELS)
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 10**6), shift=st.integers(-25, 25), scale=st.floats(0.2, 5))
def test_invariances(method, formula, kernel, seed, shift, scale):
    z, y = draw(seed)

    def loss(z, y, unit=1.0):
        return contrastive_loss(
            z, y, method=method, formula=formula, kernel=kernel, sigma=3.0 * unit, bin_width=unit
        ).item()  # fmt: skip

    value = pytest.approx(loss(z, y), rel=1e-8, abs=1e-8)
    rotation = torch.linalg.qr(draw(seed + 1, 5, 1)[0].squeeze(1))[0]
    assert loss(*shuffled(z, y, seed)) == value, "order of people"
    assert loss(z, y + shift) == value, "shift of age (by whole bins)"
    assert loss(z, -y) == value, "reflection of age"
    if (formula, kernel) != ("published", "cauchy"):  # whose sigma has no unit
        assert loss(z, y * scale, scale) == value, "unit of age"
    assert loss(z @ rotation, y) == value, "rotation of the embedding"
    if method == "rank_n_contrast":
        assert loss(z + shift, y) == value, "translation of the embedding"
        assert loss(z, 7 - scale * y) == value, "any affine map of age"
    else:
        assert loss(z * scale, y) == value, "scale of the embedding"


@every_method
@every_formula
def test_either_similarity_can_be_asked_for(method, formula):
    z, y = draw(4)
    options = {"method": method, "formula": formula}
    cosine = contrastive_loss(z, y, similarity="cosine", **options)
    torch.testing.assert_close(
        contrastive_loss(3 * z, y, similarity="cosine", **options), cosine, rtol=1e-9, atol=1e-9
    )
    distance = contrastive_loss(z, y, similarity="neg_l2", **options)
    torch.testing.assert_close(
        contrastive_loss(z + 3, y, similarity="neg_l2", **options), distance, rtol=1e-9, atol=1e-9
    )
    own = {"rank_n_contrast": distance}.get(method, cosine)
    assert contrastive_loss(z, y, **options) == own


@every_method
@every_formula
def test_shift_of_similarities(method, formula):
    """Only the exponential form sees it; published, the row maximum takes it away again."""
    rng = np.random.default_rng(5)
    similarity, shift = torch.from_numpy(rng.normal(size=(9, 9))) / 0.05, 7.0
    weights = pairwise_weights(torch.from_numpy(rng.uniform(20, 30, 9)), "rbf", 3.0)
    loss = loss_of_similarities(similarity, weights, method, formula=formula)
    moved = loss_of_similarities(similarity + shift, weights, method, formula=formula)
    sees_it = method in ("exponential", "dynamic") and formula == "exact"
    assert (abs(moved - loss) > 0.1) == sees_it


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
        else:
            rows = similarity.grad.sum(dim=1)
            torch.testing.assert_close(rows, torch.zeros_like(rows))


@pytest.mark.parametrize("rank", ["farther", "not_nearer"])
@pytest.mark.parametrize("spread", [3, 30, 900])  # the last is beyond plain sums in float64
def test_ranked_gradients_are_those_of_the_plain_form(rank, spread):
    """Ties, missing candidates and denominators without a term included."""
    rng = np.random.default_rng(8)
    y = torch.tensor([30.0, 30, 30, 33, 33, 36, 41, 41, 52, 60], dtype=torch.float64)
    distance = (y[:, None] - y).abs()
    candidates = torch.from_numpy(rng.random((10, 10)) < 0.5).fill_diagonal_(False)
    candidates[2] = False
    weights = rbf(distance, 8.0).fill_diagonal_(0)
    farther, nearer = distance[:, None, :], distance[:, :, None]
    inside = (farther > nearer) if rank == "farther" else (farther >= nearer)
    inside = inside & candidates[:, None, :]
    gradients = []
    for plain in (True, False):
        s = torch.from_numpy(np.random.default_rng(1).normal(size=(10, 10)) * spread)
        s.requires_grad_()
        if plain:
            logs = s[:, None, :].masked_fill(~inside, -1e4).logsumexp(dim=2)
            pairs = inside.any(dim=2) & (weights > 0)
            anchors = torch.where(pairs, weights * (logs - s), 0).sum(1) / weights.sum(1)
            loss = anchors.sum() / pairs.any(dim=1).sum()
        else:
            recipe = Recipe(denominator=rank)
            loss = loss_of_similarities(
                s, weights, recipe, candidates=candidates, distance=distance
            )  # fmt: skip
        loss.backward()
        gradients.append(s.grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-10, atol=1e-12)


@every_method
@every_formula
@pytest.mark.parametrize("options", [{}, {"n_neighbours": 2}, {"temperature": 0.01}])
def test_gradient_agrees_with_finite_differences(method, formula, options):
    z, y = draw(11, n=4, views=2, d=3)
    y[1] = y[0]

    def loss(value):
        return contrastive_loss(value, y, method=method, formula=formula, sigma=10.0, **options)

    assert torch.autograd.gradcheck(loss, z.requires_grad_(), rtol=1e-3, atol=1e-4)


def test_an_anchor_without_a_pair_is_left_out_and_gets_no_alignment():
    z, _ = draw(7, n=4, views=1)
    far = torch.tensor([20.0, 20.5, 500.0, 900.0], dtype=torch.float64)
    for method in ("y_aware", "threshold", "exponential", "dynamic"):
        loss = contrastive_loss(z, far, method=method)
        assert loss.item() == pytest.approx(brute_force(z, far, method), rel=1e-9)


@every_method
@every_formula
@pytest.mark.parametrize("n", [1, 2])
def test_no_pair_at_all_is_zero_with_zero_gradient(method, formula, n):
    z = torch.randn(n, 1, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = contrastive_loss(z, torch.tensor([0.0, 1e6])[:n], method=method, formula=formula)
    loss.backward()
    assert loss.item() == 0
    assert (z.grad == 0).all()


@pytest.mark.parametrize("formula", FORMULAS)
def test_denominators_without_a_term_contribute_nothing(formula):
    z, _ = draw(2, n=5)
    z.requires_grad_()
    loss = contrastive_loss(z, torch.full((5,), 40.0), method="threshold", formula=formula)
    loss.backward()
    assert loss == 0
    assert (z.grad == 0).all()


@pytest.mark.parametrize("method", ["exponential", "y_aware", "threshold", "dynamic"])
@pytest.mark.parametrize("gap", [25.0, 27.0, 28.0, 28.7, 29.5, 40.0])
def test_ages_so_far_apart_that_weights_nearly_vanish_give_a_finite_gradient(method, gap):
    """At sigma 2 and 28.7 years the weight is 1e-45, and 1 over it is too large for float32."""
    torch.manual_seed(0)
    ages = torch.tensor([20.0, 20.5, 21.0, 21.0 + gap])
    embeddings = torch.nn.functional.normalize(torch.randn(4, 1, 8), dim=2).requires_grad_()
    contrastive_loss(embeddings, ages, method=method).backward()
    assert embeddings.grad.isfinite().all()
    assert embeddings.grad.norm() > 1e-3


@every_method
@every_formula
@pytest.mark.parametrize("n_neighbours", [None, 3])
def test_small_temperatures_and_equal_views_stay_finite(method, formula, n_neighbours):
    z = torch.randn(8, 1, 16, generator=torch.Generator().manual_seed(0)).repeat(1, 2, 1)
    y = torch.linspace(20, 80, 8)
    options = {"method": method, "formula": formula, "temperature": 0.01}
    single, double = z.clone().requires_grad_(), z.double().requires_grad_()
    loss = contrastive_loss(single, y, n_neighbours=n_neighbours, **options)
    loss.backward()
    exact = contrastive_loss(double, y, n_neighbours=n_neighbours, **options)
    exact.backward()
    assert torch.isfinite(single.grad).all()
    assert loss.item() == pytest.approx(exact.item(), rel=1e-4, abs=1e-3)
    torch.testing.assert_close(single.grad.double(), double.grad, rtol=1e-2, atol=1e-3)


@every_method
def test_half_precision_is_compared_in_single(method):
    z, y = draw(3)
    half = contrastive_loss(z.bfloat16(), y.float(), method=method)
    assert half.dtype == torch.float32
    expected = contrastive_loss(z.bfloat16().float(), y.float(), method=method)
    assert half == expected


@every_method
def test_a_diverged_embedding_is_not_hidden(method):
    z, y = draw(3)
    z[0, 0, 0] = torch.nan
    assert contrastive_loss(z, y, method=method, n_neighbours=2).isnan()


def test_a_kernel_may_be_a_function_and_then_ranks_by_weight():
    z, y = draw(2)
    named = contrastive_loss(z, y, kernel="cauchy", sigma=9.0, method="threshold")
    torch.testing.assert_close(
        contrastive_loss(z, y, kernel=cauchy, sigma=9.0, method="threshold"), named
    )

    def farther_is_nearer(difference, sigma):
        return 1 - rbf(difference, sigma)

    reversed_ranks = contrastive_loss(z, y, kernel=farther_is_nearer, method="threshold")
    assert math.isfinite(reversed_ranks)
    assert reversed_ranks != named


@every_method
def test_positives_across_sites_need_two_sites(method):
    z, y = draw(1)
    options = {"method": method, "site_mask": "cross_site_positives"}
    contrastive_loss(z, y, site=torch.arange(7) % 2, **options)
    with pytest.raises(ValueError, match="no cross-site positive"):
        contrastive_loss(z, y, site=torch.zeros(7), **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "triplet"}, "method must be one of"),
        ({"formula": "paper"}, "formula must be"),
        ({"kernel": "box"}, "kernel must be one of"),
        ({"similarity": "dot"}, "similarity must be"),
        ({"selection": "age"}, "selection must be one of"),
        ({"n_neighbours": 0}, "n_neighbours must be at least 1"),
        ({"sigma": 0}, "sigma and temperature must be above 0"),
        ({"temperature": 0}, "sigma and temperature must be above 0"),
        ({"bin_width": -1}, "bin_width must be 0"),
        ({"site_mask": "all"}, "site_mask must be one of"),
        ({"site_mask": "within_site_negatives"}, "needs site"),
        ({"site": torch.zeros(3)}, r"site must have shape \(7,\), got \(3,\)"),
        ({"y": torch.zeros(3)}, r"got \(7, 2, 5\) and \(3,\)"),
        ({"embeddings": torch.zeros(7, 5)}, r"shape \(n, views, d\)"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    z, y = draw(0)
    arguments = {"embeddings": z, "y": y, **change}
    with pytest.raises(ValueError, match=message):
        contrastive_loss(arguments.pop("embeddings"), arguments.pop("y"), **arguments)


def test_wrong_choices_of_a_recipe_are_named():
    with pytest.raises(ValueError, match="denominator must be one of"):
        Recipe(denominator="nearer")
