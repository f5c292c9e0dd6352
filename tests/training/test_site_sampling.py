"""Forms of training that look at site: who is compared, who is mixed, who attracts whom."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mresklearn import ContrastiveEncoder
from mresklearn.exceptions import SingleSiteWarning
from mresklearn.nn import contrastive_loss
from mresklearn.training._comparable import comparable_weights
from mresklearn.training._invariance import InvarianceTerm
from mresklearn.training._mixing import SiteMixing
from mresklearn.training._objective import ContrastiveObjective, Moment


def people(n=48, n_sites=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.arange(n) % n_sites, 20 + 60 * torch.rand(n, generator=generator)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), concentration=st.sampled_from([0.2, 2.0]))
def test_a_mixture_lies_between_two_people_of_other_sites_and_similar_age(seed, concentration):
    site, y = people(seed=seed)
    torch.manual_seed(seed)
    # one-hot samples say who went into a mixture, and with which share
    samples = torch.eye(len(y))[:, None].expand(-1, 2, -1)
    mixed, ages = SiteMixing(concentration, 4.0)(samples, site, y)
    torch.testing.assert_close(mixed[:, 0], mixed[:, 1])
    for row, (shares, age) in enumerate(zip(mixed[:, 0], ages, strict=True)):
        parts = torch.nonzero(shares).ravel().tolist()
        assert float(shares.sum()) == pytest.approx(1)
        assert shares[row] >= 0.5 - 1e-6
        for part in set(parts) - {row}:
            assert site[part] != site[row]
            assert abs(y[part] - y[row]) <= 12
        assert float(age) == pytest.approx(float(shares @ y), rel=1e-5)


def test_partners_come_with_the_chance_of_their_difference_in_age():
    site, y = torch.tensor([0, 1, 1]), torch.tensor([50.0, 50.0, 55.0])
    torch.manual_seed(0)
    mixing = SiteMixing(1.0, 5.0)
    drawn = [mixing(torch.eye(3), site, y)[0][0] for _ in range(2000)]
    near = np.mean([bool(shares[1] > 0) for shares in drawn])
    assert near == pytest.approx(1 / (1 + np.exp(-0.5)), abs=0.04)


def test_without_partner_people_stay_as_they_are():
    site, y = torch.tensor([0, 0, 1]), torch.tensor([30.0, 31.0, 80.0])
    samples = torch.randn(3, 1, 4)
    mixed, ages = SiteMixing(2.0, 5.0)(samples, site, y)
    torch.testing.assert_close(mixed, samples)
    torch.testing.assert_close(ages, y)


def test_overlap_leaves_out_who_has_nobody_of_the_same_age_elsewhere():
    site = np.repeat([0, 1], 50)
    y = np.r_[np.linspace(20, 60, 50), np.linspace(40, 80, 50)]
    weight = comparable_weights("overlap", site, y, 2.0)
    inside = (y > 41) & (y < 59)
    assert weight[inside].all()
    assert not weight[(y < 34) | (y > 66)].any()


def test_reweighting_gives_all_sites_the_same_mean_age():
    random = np.random.default_rng(0)
    site = np.repeat([0, 1, 2], [300, 100, 200])
    y = 50 + 10 * random.normal(size=600) + np.array([-4, 0, 5])[site]
    weight = comparable_weights("reweighted", site, y, 2.0)
    raw = [y[site == k].mean() for k in range(3)]
    weighted = [np.average(y[site == k], weights=weight[site == k]) for k in range(3)]
    assert np.ptp(raw) > 7
    assert np.ptp(weighted) < 1
    assert weight.mean() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("people", ["all", "overlap", "reweighted"])
def test_with_equal_ages_everybody_counts_the_same(people):
    site = np.arange(40) % 4
    weight = comparable_weights(people, site, np.full(40, 60.0), 3.0)
    np.testing.assert_allclose(weight, 1, rtol=1e-6)


@pytest.mark.parametrize("method", ["exponential", "y_aware", "threshold", "rank_n_contrast"])
def test_the_knob_mixes_the_loss_with_the_one_across_sites(method):
    site, y = people(24)
    z = torch.nn.functional.normalize(torch.randn(24, 2, 8), dim=2)
    settings = {"method": method, "kernel": "rbf", "sigma": 5.0, "temperature": 0.1}
    plain = contrastive_loss(z, y, **settings)
    across = contrastive_loss(z, y, site=site, site_mask="cross_site", **settings)
    for share in (0.0, 0.3, 1.0):
        objective = ContrastiveObjective(**settings, cross_site=share)
        mixed = objective(z, y, site, Moment(0, 1))
        torch.testing.assert_close(mixed, (1 - share) * plain + share * across)


def test_across_sites_nobody_of_the_own_site_attracts_and_nobody_of_others_repels():
    site, y = torch.tensor([0, 0, 1, 1]), torch.tensor([50.0, 70.0, 50.0, 70.0])
    z = torch.randn(4, 1, 5, requires_grad=True)
    loss = contrastive_loss(
        z, y, site=site, site_mask="cross_site", method="y_aware", sigma=2.0, temperature=1.0
    )
    unit = torch.nn.functional.normalize(z.detach()[:, 0], dim=1)
    s = unit @ unit.T
    # the partner of equal age is at the other site, the only negative at the own site
    pairs, negatives = {0: 2, 1: 3, 2: 0, 3: 1}, {0: 1, 1: 0, 2: 3, 3: 2}
    expected = torch.stack([s[i, negatives[i]] - s[i, pairs[i]] for i in range(4)]).mean()
    torch.testing.assert_close(loss.detach(), expected)


def test_a_batch_of_one_site_is_compared_as_ever():
    y = torch.rand(12) * 50
    z = torch.randn(12, 2, 4)
    settings = {"method": "exponential", "kernel": "rbf", "sigma": 5.0, "temperature": 0.1}
    torch.testing.assert_close(
        ContrastiveObjective(**settings, cross_site=1.0)(z, y, torch.zeros(12), Moment(0, 1)),
        contrastive_loss(z, y, **settings),
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"cross_site": 0.5},
        {"site_mixup": 2.0},
        {"penalty": "mmd", "penalty_people": "reweighted"},
        {"penalty": "conditional_mmd", "penalty_people": "overlap"},
        {"penalty": "residual_mean", "loss": "mse"},
    ],
)
def test_an_encoder_trains_with_them_and_repeats_itself(settings):
    random = np.random.default_rng(0)
    site, age = np.arange(60) % 3, random.uniform(20, 80, 60)
    X = random.normal(size=(60, 6)) + age[:, None] / 20 + site[:, None]
    settings = {"max_epochs": 2, "balance": "site_and_age", "random_state": 0, **settings}
    first, again, other = (
        ContrastiveEncoder(**settings).fit(X, age, site=sites.astype(str)).transform(X)
        for sites in (site, site, random.permutation(site))
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4


def test_mixtures_need_one_process():
    encoder = ContrastiveEncoder(site_mixup=1.0, distributed=True, max_epochs=1)
    with pytest.raises(ValueError, match="site_mixup"):
        encoder.fit(np.random.default_rng(0).normal(size=(8, 3)), np.arange(8.0))


@pytest.mark.parametrize("settings", [{"cross_site": 0.5}, {"site_mixup": 1.0}])
def test_one_site_is_said_to_leave_them_without_effect(settings):
    age = np.linspace(20, 80, 20)
    with pytest.warns(SingleSiteWarning, match=next(iter(settings))):
        ContrastiveEncoder(max_epochs=1, **settings).fit(age[:, None] / 20, age)


def test_a_share_across_sites_needs_a_contrastive_loss():
    age = np.linspace(20, 80, 20)
    with pytest.raises(ValueError, match=r"cross_site=0\.5 is a share of a contrastive loss"):
        ContrastiveEncoder(loss="l1", cross_site=0.5).fit(age[:, None], age)


@pytest.mark.parametrize(
    ("warm_up", "factors"),
    [
        (0.0, [1, 1, 1, 1]),
        (0.5, [0, 0.5, 1, 1]),
        ("sigmoid", [2 / (1 + np.exp(-10 * done)) - 1 for done in (0, 0.25, 0.5, 0.75)]),
        (np.square, [0, 1 / 16, 1 / 4, 9 / 16]),
    ],
)
def test_the_weight_follows_its_course(warm_up, factors):
    term = InvarianceTerm("mmd", 3.0, warm_up, 5.0)
    assert [term.factor(Moment(epoch, 4)) / 3 for epoch in range(4)] == pytest.approx(factors)
