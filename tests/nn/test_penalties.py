"""Invariance penalties: zero without a site effect, a gradient with one, age held fixed or not."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize, one_hot

from mresklearn.nn import invariance_penalty
from mresklearn.nn._gram import BANDWIDTHS, Gram
from mresklearn.nn._site_contrasts import marginal, site_shares, within_ages
from mresklearn.nn.adversary import SiteAdversary, confusion_loss, reverse_gradient
from mresklearn.nn.penalties import CONDITIONAL, PENALTIES
from mresklearn.training._comparable import comparable_weights

N, N_SITES = 60, 4
OF_EMBEDDING = [kind for kind in PENALTIES if kind != "residual_mean"]


def people(seed=0, n=N, age_by_site=0.0):
    """Return age and site; `age_by_site` is the share of age that site decides."""
    generator = torch.Generator().manual_seed(seed)
    site = torch.arange(n) % N_SITES
    spread = torch.rand(n, generator=generator, dtype=torch.float64)
    ages = 20 + 60 * ((1 - age_by_site) * spread + age_by_site * site / (N_SITES - 1))
    return ages, site


def embedding(seed=0, n=N, d=8):
    generator = torch.Generator().manual_seed(1000 + seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def shifted(z, site, by=1.5):
    return z + by * one_hot(site, z.shape[1])


@pytest.mark.parametrize("kind", OF_EMBEDDING)
def test_zero_on_average_under_shuffled_sites_and_above_with_a_shift(kind):
    values = []
    for seed in range(60):
        age, site = people(seed)
        shuffled = site[torch.randperm(N, generator=torch.Generator().manual_seed(seed))]
        values.append(float(invariance_penalty(embedding(seed), shuffled, age, kind=kind)))
    mean, error = np.mean(values), np.std(values) / math.sqrt(len(values))
    age, site = people()
    biased = float(invariance_penalty(shifted(embedding(), site), site, age, kind=kind))
    # a divergence cannot be negative, so that its mean is not zero
    assert abs(mean) < (0.05 if kind == "fair_kl" else 3 * error + 0.02)
    assert biased > mean + 3 * np.std(values)


@pytest.mark.parametrize("kind", PENALTIES)
def test_gradient_alone_takes_the_site_out(kind):
    age, site = people()
    z = shifted(embedding(), site).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.1)
    values = []
    for _ in range(20):
        value = invariance_penalty(z, site, age, kind=kind)
        optimizer.zero_grad()
        value.backward()
        assert z.grad.norm() > 0
        values.append(value.item())
        optimizer.step()
    assert values[-1] < 0.7 * values[0]
    assert site_accuracy(z.detach(), site) < site_accuracy(shifted(embedding(), site), site)


def site_accuracy(z, site):
    """Return how often the nearest mean of sites is that of one's own site."""
    z = normalize(z, dim=1)
    centres = torch.stack([z[site == code].mean(dim=0) for code in range(N_SITES)])
    return float((torch.cdist(z, centres).argmin(dim=1) == site).double().mean())


@pytest.mark.parametrize("kind", PENALTIES)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_neither_names_of_sites_nor_order_of_rows_matter(kind, seed):
    age, site = people(seed)
    z = shifted(embedding(seed), site)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(N, generator=generator)
    names = torch.randperm(N_SITES, generator=generator) * 7 + 3
    value = invariance_penalty(z, site, age, kind=kind)
    again = invariance_penalty(z[order], names[site[order]], age[order], kind=kind)
    torch.testing.assert_close(again, value, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", OF_EMBEDDING)
def test_constant_embedding_tells_nothing(kind):
    age, site = people()
    z = torch.ones(N, 5, dtype=torch.float64, requires_grad=True)
    value = invariance_penalty(z, site, age, kind=kind)
    value.backward()
    assert abs(value.item()) < 1e-6
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("kind", PENALTIES)
def test_one_site_or_three_people_have_nothing_to_compare(kind):
    age, site = people()
    z = embedding().requires_grad_()
    for rows, sites in ((slice(None), torch.zeros(N, dtype=int)), (slice(3), site[:3])):
        value = invariance_penalty(z[rows], sites[rows], age[rows], kind=kind)
        value.backward()
        assert value.item() == 0
    assert z.grad.norm() == 0


@pytest.mark.parametrize("kind", PENALTIES)
def test_views_and_domain_variables_are_averaged(kind):
    age, site = people()
    sex = (torch.arange(N) // 2) % 2
    z = torch.stack([shifted(embedding(1), site), shifted(embedding(2), sex)], dim=1)
    alone = [
        invariance_penalty(z[:, view], domain, age, kind=kind)
        for view in (0, 1)
        for domain in (site, sex)
    ]
    together = invariance_penalty(z, torch.stack([site, sex], dim=1), age, kind=kind)
    torch.testing.assert_close(together, torch.stack(alone).mean())


def explicit_mmd(z, site):
    """One-vs-rest MMD written out, in units of its noise, less its mean over shuffles."""
    z = normalize(z, dim=1).numpy()
    n = len(z)
    distance = np.array([[np.sum((a - b) ** 2) for b in z] for a in z])
    width = np.median(np.sqrt(distance[np.triu_indices(n, 1)]))
    K = np.mean([np.exp(-distance / (2 * (b * width) ** 2)) for b in BANDWIDTHS], axis=0)
    codes = site.numpy()
    other = (K.sum() - n) / (n * (n - 1))
    ratios = []
    for code in np.unique(codes):
        a, b = codes == code, codes != code
        mmd = K[np.ix_(a, a)].mean() + K[np.ix_(b, b)].mean() - 2 * K[np.ix_(a, b)].mean()
        ratios.append(mmd / (1 / a.sum() + 1 / b.sum()) - (1 - other))
    return np.mean(ratios)


def test_mmd_is_the_sum_written_out():
    _, site = people(n=30)
    z = shifted(embedding(n=30), site)
    assert float(invariance_penalty(z, site, kind="mmd")) == pytest.approx(explicit_mmd(z, site))


def test_null_of_mmd_is_the_mean_over_shuffles():
    _, site = people(n=24)
    z = shifted(embedding(n=24), site)
    values = [
        float(invariance_penalty(z, site[torch.randperm(24)], kind="mmd")) for _ in range(4000)
    ]
    assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(4000)


def test_hsic_is_mmd_where_sites_are_of_one_size():
    _, site = people()
    z = shifted(embedding(), site)
    mmd, hsic = (invariance_penalty(z, site, kind=kind) for kind in ("mmd", "hsic"))
    torch.testing.assert_close(mmd, hsic)


def test_conditional_mmd_is_mmd_where_every_age_is_similar():
    age, site = people()
    z = shifted(embedding(), site)
    wide = invariance_penalty(z, site, age, kind="conditional_mmd", age_bandwidth=1e6)
    torch.testing.assert_close(wide, invariance_penalty(z, site, kind="mmd"), rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", CONDITIONAL)
def test_an_embedding_that_is_age_offends_marginal_kinds_only(kind):
    """The argument for holding age fixed: a perfect embedding of age must not be punished."""
    age, site = people(age_by_site=0.5)
    z = torch.stack([(age / 40).cos(), (age / 40).sin()], dim=1)
    marginal_value = float(invariance_penalty(z, site, kind="mmd"))
    assert marginal_value > 1
    assert float(invariance_penalty(z, site, age, kind=kind)) < 0.15 * marginal_value


@pytest.mark.parametrize("kind", ["mmd", "hsic", "conditional_mmd"])
def test_random_features_approach_the_exact_kernel(kind):
    age, site = people()
    z = shifted(embedding(), site)
    exact = float(invariance_penalty(z, site, age, kind=kind))
    generator = torch.Generator().manual_seed(0)
    features = invariance_penalty(z, site, age, kind=kind, n_features=20_000, generator=generator)
    assert float(features) == pytest.approx(exact, rel=0.1)


def test_random_features_are_the_kernel_on_average():
    z = normalize(embedding(n=10), dim=1)
    exact = Gram(z).matrix
    generator = torch.Generator().manual_seed(0)
    features = Gram(z, n_features=60_000, generator=generator).features
    torch.testing.assert_close(features @ features.T, exact, atol=0.03, rtol=0)


@given(seed=st.integers(0, 10_000), n=st.integers(8, 40))
@settings(max_examples=25, deadline=None)
def test_every_contrast_sums_to_zero(seed, n):
    age, site = people(seed, n)
    for contrasts in (
        marginal(site, torch.ones(len(site))),
        site_shares(site, torch.ones(len(site))),
        within_ages(site, age, torch.ones_like(age), bandwidth=8.0, n_windows=5, fewest=1.5),
    ):
        total = contrasts.columns.sum(dim=0)
        torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-5, rtol=0)


def test_windows_without_people_of_both_sides_are_left_out():
    age = torch.cat([torch.linspace(20, 30, 20), torch.linspace(70, 80, 20)]).double()
    site = torch.repeat_interleave(torch.arange(2), 20)
    contrasts = within_ages(site, age, torch.ones_like(age), bandwidth=2.0, n_windows=9, fewest=2.0)
    assert contrasts.columns.shape[1] == 0
    z = shifted(embedding(n=40), site).requires_grad_()
    invariance_penalty(z, site, age, age_bandwidth=2.0).backward()
    assert z.grad.norm() == 0, "no overlap, so nothing can be said of site given age"


def test_conditional_mean_is_the_f_ratio_of_a_nested_model():
    age, site = people(age_by_site=0.3)
    z = shifted(embedding(), site)
    unit = normalize(z, dim=1).numpy()
    cubic = np.vander((age.numpy() - 50) / 30, 4)
    full = np.hstack([cubic, one_hot(site).numpy()[:, 1:]])
    rss = [((unit - D @ np.linalg.lstsq(D, unit, rcond=None)[0]) ** 2).sum() for D in (cubic, full)]
    expected = (rss[0] - rss[1]) / (N_SITES - 1) / (rss[1] / (N - full.shape[1])) - 1
    value = invariance_penalty(z, site, age, kind="conditional_mean")
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_fair_kl_is_the_divergence_of_two_normal_distributions():
    age, site = people(n=20)
    z = normalize(shifted(embedding(n=20), site), dim=1)
    weight = torch.exp(-((age[:, None] - age) ** 2) / 50) * (1 - torch.eye(20))
    distributions = []
    for pairs in (site[:, None] == site, site[:, None] != site):
        w = (weight * pairs).flatten()
        d = (1 - z @ z.T).flatten()
        mean = (w * d).sum() / w.sum()
        deviation = (((w * (d - mean) ** 2).sum() / w.sum()) + 1e-6).sqrt()
        distributions.append(torch.distributions.Normal(mean, deviation))
    expected = torch.distributions.kl_divergence(*distributions)
    torch.testing.assert_close(invariance_penalty(z, site, age, kind="fair_kl"), expected)


def test_unknown_kind_and_missing_age_are_named():
    age, site = people()
    with pytest.raises(ValueError, match="kind must be one of"):
        invariance_penalty(embedding(), site, age, kind="dann")
    with pytest.raises(ValueError, match="looks at age, but y is None"):
        invariance_penalty(embedding(), site, kind="circe")


def test_reversed_gradient_teaches_both_players():
    age, site = people()
    torch.manual_seed(0)
    adversary = SiteAdversary(8, N_SITES, age_centre=50, age_scale=20).double()
    z = shifted(embedding(), site).requires_grad_()
    adversary.loss(reverse_gradient(z, 0.3), site, age).backward()
    reversed_gradient = z.grad.clone()
    own = [parameter.grad.clone() for parameter in adversary.parameters()]
    z.grad = None
    adversary.zero_grad()
    adversary.loss(z, site, age).backward()
    torch.testing.assert_close(reversed_gradient, -0.3 * z.grad)
    for parameter, gradient in zip(adversary.parameters(), own, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_adversary_weighs_sites_alike():
    torch.manual_seed(0)
    adversary = SiteAdversary(3, 2, knows_age=False).double()
    z = embedding(n=12, d=3)
    site = torch.tensor([0] * 10 + [1] * 2)
    scores = adversary(z, torch.zeros(12))
    loss = torch.nn.functional.cross_entropy(scores, site, reduction="none")
    expected = (loss[:10].mean() + loss[10:].mean()) / 2
    torch.testing.assert_close(adversary.loss(z, site, torch.zeros(12)), expected)


def test_an_adversary_that_knows_age_gains_nothing_from_an_embedding_of_age():
    age, site = people(n=400, age_by_site=0.6)
    z = torch.stack([(age - 50) / 20, torch.zeros_like(age)], dim=1)
    losses = {}
    for shown in (z, torch.zeros_like(z)):
        torch.manual_seed(0)
        adversary = SiteAdversary(2, N_SITES, age_centre=50, age_scale=20).double()
        optimizer = torch.optim.Adam(adversary.parameters(), lr=0.02)
        for _ in range(300):
            optimizer.zero_grad()
            loss = adversary.loss(shown, site, age)
            loss.backward()
            optimizer.step()
        losses[bool(shown.any())] = loss.item()
    assert losses[True] > 0.9 * losses[False]


def test_confusion_is_zero_at_indifference_and_finite_when_sure():
    assert float(confusion_loss(torch.zeros(5, 3))) == pytest.approx(0, abs=1e-6)
    sure = torch.tensor([[500.0, 0.0, 0.0]], requires_grad=True)
    loss = confusion_loss(sure)
    loss.backward()
    assert torch.isfinite(loss)
    assert sure.grad.abs().max() > 0.1


def ages_in(z, age, site, by):
    """Return embeddings whose first column is age, moved by a constant at the first site."""
    with_age = z.clone()
    with_age[:, 0] = 3 * (age - 50) / 15 + by * (site == 0)
    return with_age


def test_residual_mean_is_the_f_ratio_of_errors_of_models_without_the_person():
    age, site = people()
    z = normalize(ages_in(embedding(), age, site, 3.0), dim=1).numpy()
    target = ((age - age.mean()) / age.std(correction=0)).numpy()
    centred = z - z.mean(axis=0)
    ridge = 0.1 * (centred**2).sum(axis=1).mean() + 1e-6
    errors = []
    for row in range(N):
        others = np.arange(N) != row
        rows = np.column_stack([np.ones(N - 1), centred[others]])
        penalty = np.diag([0.0] + [ridge] * z.shape[1])
        fitted = np.linalg.solve(rows.T @ rows + penalty, rows.T @ target[others])
        errors.append(target[row] - np.r_[1, centred[row]] @ fitted)
    errors = np.array(errors)
    means = np.array([errors[site == k].mean() for k in range(N_SITES)])[site]
    between, total = ((means - errors.mean()) ** 2).sum(), ((errors - errors.mean()) ** 2).sum()
    expected = between / (N_SITES - 1) / ((total - between) / (N - N_SITES)) - 1
    value = invariance_penalty(torch.from_numpy(z), site, age, kind="residual_mean")
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_residual_mean_sees_biased_ages_and_not_a_shift_that_leaves_them_alone():
    age, site = people()
    unbiased = ages_in(shifted(embedding(), site)[:, 1:], age, site, 0.0)
    biased = ages_in(embedding(), age, site, 3.0)
    fair, unfair = (
        float(invariance_penalty(z, site, age, kind="residual_mean")) for z in (unbiased, biased)
    )
    assert fair < 1 < 10 < unfair


@pytest.mark.parametrize("contrasts", [marginal, site_shares])
def test_weights_count_as_copies_of_people(contrasts):
    _, site = people()
    counts = 1 + torch.arange(N) % 3
    whole = torch.arange(N).repeat_interleave(counts)
    weighted = contrasts(site, counts.double()).columns
    copied = contrasts(site[whole], torch.ones(len(whole), dtype=torch.float64)).columns
    summed = torch.zeros_like(weighted).index_add(0, whole, copied)
    torch.testing.assert_close(weighted, summed)


@pytest.mark.parametrize("kind", PENALTIES)
def test_people_of_weight_zero_take_no_part(kind):
    age, site = people()
    z = shifted(embedding(), site)
    some = torch.arange(N) < 40
    weighted = invariance_penalty(z, site, age, kind=kind, weight=some.double())
    alone = invariance_penalty(z[some], site[some], age[some], kind=kind)
    assert float(weighted) == pytest.approx(float(alone), rel=1e-9)


@pytest.mark.parametrize("kind", PENALTIES)
def test_equal_weights_are_no_weights(kind):
    age, site = people()
    z = shifted(embedding(), site)
    weight = torch.full((N,), 3.0)
    weighted = invariance_penalty(z, site, age, kind=kind, weight=weight)
    assert float(weighted) == pytest.approx(
        float(invariance_penalty(z, site, age, kind=kind)), rel=1e-6
    )


def test_reweighted_ages_take_age_out_of_the_marginal_penalty():
    # z is age and nothing else; sites differ in age
    values = []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        site = torch.arange(400) % 2
        age = 50 + 10 * torch.randn(400, generator=generator, dtype=torch.float64) + 8 * site
        angle = (age - 50) / 20
        z = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
        weight = comparable_weights("reweighted", site.numpy(), age.numpy(), 3.0)
        plain = invariance_penalty(z, site, kind="mmd")
        weighted = invariance_penalty(z, site, kind="mmd", weight=torch.from_numpy(weight))
        values.append([float(plain), float(weighted)])
    plain, weighted = np.mean(values, axis=0)
    assert weighted < 0.15 * plain


@pytest.mark.parametrize("conditional", [False, True])
def test_weights_reach_the_adversary(conditional):
    age, site = people()
    z = embedding().float()
    torch.manual_seed(0)
    adversary = SiteAdversary(8, N_SITES, knows_age=conditional)
    some = torch.arange(N) < 40
    with torch.no_grad():
        left_out = adversary.loss(z, site, age, some.float())
        alone = adversary.loss(z[some], site[some], age[some])
        scores = adversary(z, age)
    assert float(left_out) == pytest.approx(float(alone))
    assert float(confusion_loss(scores, some.float())) == pytest.approx(
        float(confusion_loss(scores[some])), abs=1e-6
    )
