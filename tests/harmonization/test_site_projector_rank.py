"""How many directions SiteProjector removes: brute force, and designs with known answers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mresklearn.confounds._age_spline import age_spline
from mresklearn.exceptions import UnanswerableWarning
from mresklearn.harmonization import SiteProjector
from mresklearn.harmonization._grouped_sums import deal_groups


def cohort(shift="shared", n_sites=6, per_site=40, p=40, age_step=0.0, seed=0):
    """Sites that shift along two shared directions, each along its own, or not at all."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(n_sites), per_site)
    age = rng.normal(50 + age_step * (code - code.mean()), 12)
    X = rng.normal(size=(len(code), p)) + np.outer((age - 50) / 12, rng.normal(size=p))
    if shift == "shared":
        directions = np.linalg.qr(rng.normal(size=(p, 2)))[0].T
        X += (5 * rng.normal(size=(n_sites, 2)) @ directions)[code]
    elif shift == "own":
        X += 1.2 * rng.normal(size=(n_sites, p))[code]
    return X, age, np.array(list("abcdefghijklmnopqrstuvwxyz"))[code % 26] + code.astype(str)


def codes(site):
    return np.unique(site, return_inverse=True)[1]


def transfer_by_hand(X, age, site, scale):
    """Ratio of each rank by explicit least squares in the halves of four groups."""
    code, design = codes(site), age_spline(age)
    n_sites = code.max() + 1
    group = deal_groups(code, (X.sum(axis=1), age), 4)
    share, total = np.zeros(n_sites - 1), 0.0

    def centres(rows, left_out=None):
        """Shifts in some people, or their independent rows without one site."""
        kept = [k for k in range(n_sites) if k != left_out]
        sites = np.eye(n_sites)[code[rows]]
        fixed = design[rows]
        if left_out is not None:
            fixed = np.column_stack([fixed, sites[:, left_out]])
        basis = np.linalg.svd(fixed, full_matrices=False)
        basis = basis[0][:, basis[1] > 1e-9 * basis[1][0]]
        rest = sites[:, kept] - basis @ basis.T @ sites[:, kept]
        if left_out is None:
            return np.linalg.pinv(rest, rcond=1e-9) @ (X[rows] / scale)
        left, size, _ = np.linalg.svd(rest, full_matrices=False)
        rows_of_all = left[:, size > 1e-8].T @ (X[rows] / scale)
        return np.linalg.svd(rows_of_all, full_matrices=False)[2]

    for pair in ([0, 1], [0, 2], [0, 3]):
        sides = [np.isin(group, pair), ~np.isin(group, pair)]
        shifts = [centres(rows) for rows in sides]
        for k in range(n_sites):
            others = np.delete(np.arange(n_sites), k)
            first, second = (s[k] - s[others].mean(axis=0) for s in shifts)
            total += first @ second
            for rows in sides:
                directions = centres(rows, k)
                share[1:] += np.cumsum((directions @ first) * (directions @ second)) / 2
    return share, total


def test_ratio_and_gain_are_those_of_brute_force():
    X, age, site = cohort(age_step=4.0, per_site=30)
    fitted = SiteProjector().fit(X, age, site=site)
    share, total = transfer_by_hand(X, age, site, fitted.scale_)
    table = fitted.shift_transfer_
    np.testing.assert_allclose(table.ratio, share / total, atol=1e-9)
    rank = np.arange(5)
    np.testing.assert_allclose(table.chance, rank / 40)
    cost = 1.5 * rank / (1 - rank / 40)
    np.testing.assert_allclose(40 * table.gain, share / (3 * 6) - cost, atol=1e-8)
    assert fitted.site_transfer_.squared_shift.sum() == pytest.approx(total / 3)


@settings(deadline=None, max_examples=30)
@given(
    counts=st.lists(st.integers(1, 13), min_size=1, max_size=6),
    n_groups=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 100),
)
def test_groups_share_each_site_evenly_and_whatever_the_order_of_rows(counts, n_groups, seed):
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(len(counts)), counts)
    age, size = rng.integers(20, 25, len(code)), rng.normal(size=len(code))
    group = deal_groups(code, (size, age), n_groups)
    order = rng.permutation(len(code))
    np.testing.assert_array_equal(
        deal_groups(code[order], (size[order], age[order]), n_groups), group[order]
    )
    for site in range(len(counts)):
        assert np.ptp(np.bincount(group[code == site], minlength=n_groups)) <= 1


@pytest.mark.parametrize("n_sites", [6, 12])
@pytest.mark.parametrize("seed", range(3))
def test_shared_directions_are_found_and_all_of_them(n_sites, seed):
    X, age, site = cohort(n_sites=n_sites, per_site=240 // n_sites, seed=seed)
    fitted = SiteProjector().fit(X, age, site=site)
    assert fitted.n_leading_ == 2
    assert fitted.shift_transfer_.ratio[2] > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_no_shift_removes_nothing(seed):
    X, age, site = cohort("none", age_step=8.0, seed=seed)
    fitted = SiteProjector().fit(X, age, site=site)
    assert fitted.rank_ == 0
    np.testing.assert_array_equal(fitted.transform(X), X)


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_transfers_the_shortcut_alone_goes(seed):
    X, age, site = cohort("own", n_sites=12, per_site=30, age_step=3.0, p=120, seed=seed)
    fitted = SiteProjector().fit(X, age, site=site)
    assert fitted.shift_transfer_.ratio.iloc[-1] < 0.2
    assert fitted.rank_ - fitted.n_leading_ == 1
    shift = pd.DataFrame((fitted.transform(X)) / fitted.scale_)
    means = shift.groupby(site).mean() - shift.mean()
    # residual shifts at equal age no longer follow the age of the site
    design = np.column_stack([np.eye(12)[codes(site)], age_spline(age)[:, 1:]])
    left = np.linalg.lstsq(design, shift.to_numpy(), rcond=None)[0][:12]
    ages = pd.Series(age).groupby(site).mean()
    np.testing.assert_allclose((ages - ages.mean()) @ (left - left.mean(axis=0)), 0, atol=1e-7)
    assert means.abs().to_numpy().max() > 0.1


def test_sites_of_one_age_distribution_have_no_shortcut():
    X, age, site = cohort("own", n_sites=12, per_site=30, p=120)
    fitted = SiteProjector().fit(X, age, site=site)
    assert fitted.rank_ == fitted.n_leading_


def test_sixty_small_sites_do_not_cost_the_features():
    X, age, site = cohort("none", n_sites=60, per_site=7, p=80)
    assert SiteProjector().fit(X, age, site=site).rank_ == 0
    X, age, site = cohort("shared", n_sites=60, per_site=7, p=80)
    fitted = SiteProjector().fit(X, age, site=site)
    assert fitted.rank_ == 2
    assert fitted.site_transfer_.squared_shift.notna().all()


def test_two_sites_have_one_direction_which_goes_if_they_differ():
    X, age, site = cohort("shared", n_sites=2, per_site=60)
    fitted = SiteProjector().fit(X, age, site=site)
    assert fitted.rank_ == 1
    assert list(fitted.shift_transfer_.index) == [0]
    X, age, site = cohort("none", n_sites=2, per_site=60)
    assert SiteProjector().fit(X, age, site=site).rank_ == 0


def test_small_sites_are_not_left_out_but_count():
    X, age, site = cohort(n_sites=8)
    rows = np.r_[0:241, 280:283]  # of the last two, one person and three
    fitted = SiteProjector().fit(X[rows], age[rows], site=site[rows])
    assert fitted.site_transfer_.squared_shift.isna().tolist() == [False] * 6 + [True] * 2
    assert fitted.n_leading_ == 2
    with pytest.warns(UnanswerableWarning):
        everybody_alone = SiteProjector().fit(X[:9], age[:9], site=np.arange(9))
    assert everybody_alone.rank_ == 0


def test_an_integer_is_at_most_all_and_leaves_something():
    X, age, site = cohort(n_sites=4)
    assert SiteProjector(rank=0).fit(X, age, site=site).rank_ == 0
    assert SiteProjector(rank=2).fit(X, age, site=site).rank_ == 2
    assert SiteProjector(rank=9).fit(X, age, site=site).rank_ == 3
    for rank in ("all", 2):
        with pytest.raises(ValueError, match=r"all that 2 feature\(s\) have"):
            SiteProjector(rank=rank).fit(X[:, :2], age, site=site)
    for columns in (1, 2, 3):
        few = SiteProjector().fit(X[:, :columns], age, site=site)
        assert few.rank_ < columns
