"""Balanced batches: equal shares, no repeats in a batch, everybody once before anybody twice."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mresklearn.training._batches import BalancedBatches, strata_of


@settings(deadline=None, max_examples=60)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), size=st.integers(2, 32))
def test_each_stratum_gives_its_share_of_every_batch(sizes, size):
    strata = np.repeat(np.arange(len(sizes)), sizes)
    batches = BalancedBatches(strata, size)
    drawn = list(batches)
    assert len(drawn) == len(batches) == -(-len(strata) // size)
    for batch in drawn:
        assert len(batch) == len(set(batch)) == -(-len(strata) // len(drawn)) <= size
        given_by = Counter(strata[batch].tolist())
        full = [given_by[s] for s in range(len(sizes)) if given_by[s] < sizes[s]]
        # whoever gives less than another has nobody left
        assert not full or max(given_by.values()) - min(full) <= 1


def test_people_of_a_stratum_come_in_turn():
    strata = np.repeat([0, 1], [30, 6])
    drawn = list(chain.from_iterable(BalancedBatches(strata, 8)))
    times = Counter(drawn)
    rare = [times[row] for row in range(30, 36)]
    assert max(rare) - min(rare) <= 1
    assert max(times[row] for row in range(30)) == 1


def test_orders_come_from_the_generator_given():
    strata = np.arange(20) % 3
    orders = [
        list(BalancedBatches(strata, 6, order=torch.Generator().manual_seed(seed)))
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_strata_are_sites_ages_or_both():
    site, y = np.array([0, 0, 1, 1]), np.array([20.0, 70.0, 20.0, 69.0])
    assert strata_of("site", site, y, 32).tolist() == [0, 0, 1, 1]
    young, old, young_too, old_too = strata_of("age", site, y, 32)
    assert young == young_too != old == old_too
    assert len(set(strata_of("site_and_age", site, y, 32).tolist())) == 4


@pytest.mark.parametrize("balance", ["site", "age", "site_and_age"])
def test_strata_do_not_depend_on_the_unit_of_age(balance):
    site, y = np.arange(30) % 3, np.linspace(18, 90, 30)
    first, second = (strata_of(balance, site, ages, 32) for ages in (y, 12 * y + 5))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("n_sites", [2, 5, 8, 16])
def test_sites_and_ages_leave_room_for_two_people_of_each_site_in_each_age(n_sites):
    random = np.random.default_rng(0)
    site, y = np.arange(60 * n_sites) % n_sites, random.uniform(20, 80, 60 * n_sites)
    strata = strata_of("site_and_age", site, y, 32)
    n_bins = len(np.unique(strata)) // n_sites
    assert n_bins == min(5, 32 // (2 * n_sites))
    for batch in BalancedBatches(strata, 32):
        assert min(Counter(strata[batch].tolist()).values()) >= 2
        assert len(np.unique(strata[batch])) == n_bins * n_sites
