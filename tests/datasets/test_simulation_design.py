"""People of simulated cohorts: sites, patients, repeated scans and the entanglements."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mresklearn.datasets._simulation.design import draw_people, list_scans

PEOPLE = {
    "age_range": (20, 90),
    "diagnoses": {},
    "site_age_correlation": 0.0,
    "site_sex_correlation": 0.0,
    "site_diagnosis_correlation": 0.0,
    "disease_effect": 1.0,
}


def people(seed, sizes, **settings):
    return draw_people(np.random.default_rng(seed), np.array(sizes), **PEOPLE | settings)


def correlation_ratio_squared(values, groups):
    values = pd.Series(np.asarray(values, dtype=float))
    means = values.groupby(np.asarray(groups)).transform("mean")
    return means.var() / values.var()


def test_patients_are_old_and_as_many_as_asked():
    drawn = people(0, [100, 100], diagnoses={"AD": 0.1, "MCI": 0.05})
    assert drawn["diagnosis"].value_counts().to_dict() == {"CN": 170, "AD": 20, "MCI": 10}
    patients = drawn["diagnosis"] != "CN"
    assert drawn["age"][patients].min() >= 55
    assert drawn["age"][patients].mean() > 70


def test_sites_can_have_given_sizes():
    counts = people(0, [50, 9, 4])["site"].value_counts()
    assert counts.to_dict() == {"site-1": 50, "site-2": 9, "site-3": 4}


# entanglement


@given(correlation=st.floats(0, 1), n_sites=st.integers(2, 8), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=15)
def test_site_age_correlation_is_the_correlation_ratio(correlation, n_sites, seed):
    sizes = np.bincount(np.arange(1000) % n_sites)
    drawn = people(seed, sizes, site_age_correlation=correlation, age_range=(20, 80))
    # the share of variance has a standard error of at most 0.03 with 1000 people
    observed = correlation_ratio_squared(drawn["age"], drawn["site"])
    assert observed == pytest.approx(correlation**2, abs=0.1)
    assert drawn["age"].between(20, 80).all()
    assert drawn["site"].value_counts().agg(np.ptp) <= 1


@given(correlation=st.floats(0, 1), n_sites=st.sampled_from([2, 4, 6]), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=15)
def test_site_sex_correlation_is_the_correlation_ratio(correlation, n_sites, seed):
    drawn = people(seed, [1000 // n_sites] * n_sites, site_sex_correlation=correlation)
    observed = correlation_ratio_squared(drawn["sex"] == "M", drawn["site"])
    assert observed == pytest.approx(correlation**2, abs=0.1)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_site_diagnosis_correlation_gathers_patients_at_few_sites(correlation):
    drawn = people(
        1, [100] * 5, diagnoses={"AD": 0.06, "MCI": 0.04}, site_diagnosis_correlation=correlation
    )
    share = drawn["site"][drawn["diagnosis"] != "CN"].value_counts(normalize=True)
    # evenly over five sites at 0; two sites hold 50 patients at 1
    assert share.iloc[:2].sum() >= correlation
    if correlation == 0:
        assert share.max() < 0.4
        assert len(share) == 5
    if correlation == 1:
        assert len(share) <= 2


def test_entanglements_do_not_touch_each_other():
    plain = people(0, [60, 60], diagnoses={"AD": 0.1})
    sexed = people(0, [60, 60], diagnoses={"AD": 0.1}, site_sex_correlation=1)
    assert not plain["sex"].equals(sexed["sex"])
    pd.testing.assert_frame_equal(plain.drop(columns="sex"), sexed.drop(columns="sex"))


def test_scans_are_listed_in_the_order_of_people():
    scans = list_scans(np.random.default_rng(0), people(0, [5, 5]), 0.3, 2)
    assert len(scans) == 16
    assert scans["person"].is_monotonic_increasing
