"""Fits that go on from another: the same sites, the parameters of now, nothing silently lost."""

import warnings
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch

from mresklearn import ContrastiveEncoder, load, save
from mresklearn.estimators import _base
from mresklearn.estimators._resuming import join_sites
from mresklearn.exceptions import InertPenaltyWarning, SingleSiteWarning, UnpairedWarning
from mresklearn.persistence import ModelCard

N = 36
SITE = np.array(["Delaware", "Mayo", "Utah"] * (N // 3))


@pytest.fixture(scope="module")
def regions():
    random = np.random.default_rng(0)
    age = random.uniform(20, 80, N)
    return random.normal(size=(N, 4)) + age[:, None] / 20, age


def small(**parameters):
    defaults = {"width": 2, "embedding_dim": 4, "max_epochs": 2, "lr_schedule": "constant"}
    return ContrastiveEncoder(**{**defaults, "random_state": 0, **parameters})


def weights(encoder):
    return torch.cat([value.flatten() for value in encoder.net_.module_.state_dict().values()])


def chunk(regions, *sites):
    """Return X, y and site of the people of some sites."""
    some = np.isin(SITE, sites)
    return regions[0][some], regions[1][some], SITE[some]


def test_sites_keep_their_numbers_and_new_ones_follow():
    known = np.array(["Delaware", "Utah"])
    codes, sites = join_sites(np.array([0, 1, 1]), np.array(["Mayo", "Utah"]), known)
    assert codes.tolist() == [2, 1, 1]
    assert sites.tolist() == ["Delaware", "Utah", "Mayo"]
    domains = np.array([[0, 7], [1, 8]])
    codes, _ = join_sites(domains, np.array(["Mayo", "Utah"]), known)
    assert codes.tolist() == [[2, 7], [1, 8]]
    assert domains.tolist() == [[0, 7], [1, 8]]


@pytest.mark.parametrize("penalty", ["mmd", "adversarial"])
def test_a_penalty_is_told_of_the_same_site_by_the_same_number(regions, penalty, monkeypatch):
    seen = []

    class Recorder(_base.PeopleDataset):
        def __init__(self, X, y=None, site=None, *others, **more):
            super().__init__(X, y, site, *others, **more)
            seen.append(site)

    monkeypatch.setattr(_base, "PeopleDataset", Recorder)
    encoder = small(penalty=penalty)
    X, age = regions
    encoder.partial_fit(X, age, site=SITE)
    X, age, site = chunk(regions, "Mayo", "Utah")
    encoder.partial_fit(X, age, site=site)
    np.testing.assert_array_equal(encoder.sites_[seen[-1]], site)


@pytest.mark.parametrize("penalty", ["adversarial", "conditional_adversarial", "confusion"])
def test_a_site_that_an_adversary_does_not_know_is_named(regions, penalty):
    X, age, site = chunk(regions, "Delaware", "Utah")
    encoder = small(penalty=penalty, penalty_weight=10.0).partial_fit(X, age, site=site)
    with pytest.raises(ValueError, match="Delaware, Utah apart, but there are people of site Mayo"):
        encoder.partial_fit(*regions, site=SITE)
    assert encoder.sites_.tolist() == ["Delaware", "Utah"]


def test_sites_of_all_parts_are_kept_so_that_a_true_card_is_taken(regions, tmp_path):
    encoder = small()
    for sites in (["Utah", "Delaware"], ["Mayo"]):
        X, age, site = chunk(regions, *sites)
        encoder.partial_fit(X, age, site=site)
    assert encoder.sites_.tolist() == ["Delaware", "Utah", "Mayo"]
    card = ModelCard.from_cohort(pd.DataFrame({"age": regions[1], "site": SITE}))
    save(encoder, tmp_path / "model", card=card)


def test_a_part_of_one_site_has_nothing_to_penalise(regions):
    X, age, site = chunk(regions, "Delaware", "Utah")
    encoder = small(penalty="mmd", penalty_warm_up=0.0).partial_fit(X, age, site=site)
    X, age, site = chunk(regions, "Mayo")
    with pytest.warns(SingleSiteWarning, match="There is one site"):
        encoder.partial_fit(X, age, site=site)


def test_ages_beyond_the_bins_of_soft_labels_are_refused_and_those_within_trained(regions):
    X, age = regions
    encoder = small(loss="soft_label", sigma=2.0, max_epochs=1)
    middle = (age > 30) & (age < 70)
    encoder.partial_fit(X[middle], age[middle])
    low, high = age[middle].min() - 6, age[middle].max() + 6
    beyond = np.count_nonzero((age < low) | (age > high))
    assert beyond > 0
    before = weights(encoder)
    with pytest.raises(ValueError, match=rf"from {low:.1f} to {high:.1f} .*\({beyond} of {N} rows"):
        encoder.partial_fit(X, age)
    assert torch.equal(weights(encoder), before)
    encoder.partial_fit(X[middle], np.clip(age[middle] * 2 - 50, low + 0.1, high - 0.1))
    assert torch.isfinite(weights(encoder)).all()


TRAINING = [
    {"lr": 1e-5},
    {"weight_decay": 5.0},
    {"batch_size": 6},
    {"batch_size": 6, "accumulate": 3},
    {"noise": 3.0},
    {"n_views": 3},
    {"balance": "site"},
    {"early_stopping": True, "validation_fraction": 0.3, "patience": 1},
    {"penalty_weight": 50.0},
    {"penalty": "hsic"},
    {"penalty": None},
    {"penalty_people": "reweighted"},
    {"site_mixup": 2.0},
    {"cross_site": 0.5},
    {"loss": "y_aware"},
    {"temperature": 0.5},
]


@pytest.mark.parametrize("changes", TRAINING, ids=str)
def test_a_fit_that_goes_on_takes_the_parameters_of_now(regions, changes, tmp_path):
    """A model that was saved and opened is built from them, and so is a standard for this."""
    X, age = regions
    before = small(penalty="mmd", penalty_warm_up=0.0, warm_start=True).fit(X, age, site=SITE)
    unchanged, changed = deepcopy(before), before.set_params(**changes)
    opened = load(save(changed, tmp_path / "model"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InertPenaltyWarning)
        for encoder in (unchanged, changed, opened):
            encoder.fit(X, age, site=SITE)
    assert torch.equal(weights(changed), weights(opened))
    assert not torch.equal(weights(changed), weights(unchanged))


def test_supervised_losses_may_change_where_the_head_stays(regions):
    before = small(loss="l1", warm_start=True).fit(*regions)
    unchanged, changed = deepcopy(before).fit(*regions), before.set_params(loss="mse").fit(*regions)
    assert not torch.equal(weights(changed), weights(unchanged))


@pytest.mark.parametrize(
    ("first", "changes"),
    [
        ({}, {"width": 3}),
        ({}, {"embedding_dim": 5}),
        ({"loss": "l1"}, {"loss": "soft_label"}),
        ({"loss": "l1"}, {"loss": "exponential"}),
        ({"loss": "soft_label"}, {"loss": "mse"}),
        ({"loss": "soft_label"}, {"bin_width": 4.0}),
        ({"penalty": "mmd"}, {"penalty": "adversarial"}),
        ({"penalty": "adversarial"}, {"penalty": "conditional_adversarial"}),
    ],
    ids=str,
)
def test_what_needs_another_network_is_refused_by_name(regions, first, changes):
    encoder = small(warm_start=True, **first).fit(*regions, site=SITE)
    before = weights(encoder)
    encoder.set_params(**changes)
    (name, value), *_ = changes.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}.*start anew".replace("4.0", "4")):
        encoder.fit(*regions, site=SITE)
    assert torch.equal(weights(encoder), before)
    encoder.set_params(warm_start=False).fit(*regions, site=SITE)


def test_a_penalty_with_the_same_adversary_may_follow(regions):
    encoder = small(penalty="adversarial", warm_start=True).fit(*regions, site=SITE)
    encoder.set_params(penalty="confusion").fit(*regions, site=SITE)
    assert encoder.n_epochs_ == 4


def test_unpaired_people_are_counted_over_this_fit_alone(regions):
    encoder = small(loss="supcon", n_views=1, bin_width=0.0, warm_start=True)
    for _ in range(2):
        with pytest.warns(UnpairedWarning, match=f"{2 * N} of {2 * N} times"):
            encoder.fit(*regions)
