"""Who takes part in a simulated cohort: sites, ages, sexes, diagnoses and repeated scans."""

import numpy as np
import pandas as pd

from ...exceptions import DataError
from .parameters import parameter

__all__ = ["DIAGNOSES", "draw_people", "evenly_spaced", "list_scans", "split_into_sites"]

DIAGNOSES = ("MCI", "AD")


def evenly_spaced(rng, n):
    """Draw n positions of mean 0 and variance 1, so that a few sites always span the range.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    n : int
        How many; a single one is a standard normal value.

    Returns
    -------
    positions : ndarray of shape (n,)
        Evenly spaced values in random order.

    Examples
    --------
    >>> import numpy as np
    >>> sorted(evenly_spaced(np.random.default_rng(0), 3).round(2).tolist())
    [-1.22, 0.0, 1.22]
    """
    if n == 1:
        return rng.standard_normal(1)
    positions = np.linspace(-1, 1, n)
    return rng.permutation(positions / positions.std())


def split_into_sites(n_subjects, n_sites):
    """Count the people of each site.

    Parameters
    ----------
    n_subjects : int
        Number of people.
    n_sites : int or sequence of int
        Number of sites, or their sizes.

    Returns
    -------
    sizes : ndarray of int
        People per site, equal up to one person if only the number of sites is given.

    Examples
    --------
    >>> split_into_sites(7, 3).tolist()
    [3, 2, 2]
    """
    if np.ndim(n_sites):
        return np.asarray(n_sites, dtype=int)
    return np.bincount(np.arange(n_subjects) % n_sites)


def draw_people(
    rng,
    sizes,
    *,
    age_range,
    diagnoses,
    site_age_correlation,
    site_sex_correlation,
    site_diagnosis_correlation,
    disease_effect,
):
    """Draw the people.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    sizes : ndarray of int
        People per site.
    age_range, diagnoses, site_age_correlation, site_sex_correlation, site_diagnosis_correlation, \
disease_effect
        See :func:`make_mre_cohort`.

    Returns
    -------
    people : DataFrame
        Columns age, sex, site and diagnosis; ``site_number``; and ``ageing``, the age of normal
        ageing, and ``brain_age``, to which a disease adds. Indexed by participant id.

    Examples
    --------
    >>> import numpy as np
    >>> people = draw_people(
    ...     np.random.default_rng(0), np.array([3, 3]), age_range=(60, 80), diagnoses={"AD": 0.5},
    ...     site_age_correlation=0, site_sex_correlation=1, site_diagnosis_correlation=1,
    ...     disease_effect=1)
    >>> people.groupby(["site", "sex", "diagnosis"]).size()
    site    sex  diagnosis
    site-1  M    AD           3
    site-2  F    CN           3
    dtype: int64
    """
    # one stream per property, so that none depends on the settings of another
    for_site, for_age, for_sex, for_diagnosis, for_ageing = rng.spawn(5)
    n_sites, n_people = len(sizes), int(sum(sizes))
    site = for_site.permutation(np.repeat(np.arange(n_sites), sizes))
    age = _draw_ages(for_age, site, n_sites, age_range, site_age_correlation)
    male = _draw_males(for_sex, site, n_sites, site_sex_correlation)
    diagnosis = _draw_diagnoses(for_diagnosis, age, site, diagnoses, site_diagnosis_correlation)
    ageing = age + parameter("brain_age_sd") * for_ageing.standard_normal(n_people)
    shift = {name: parameter(f"brain_age_shift_{name}") for name in DIAGNOSES} | {"CN": 0.0}
    digits = max(4, len(str(n_people)))
    people = pd.DataFrame(
        {
            "age": age,
            "sex": np.where(male, "M", "F"),
            "site": [f"site-{k + 1:0{len(str(n_sites))}d}" for k in site],
            "diagnosis": diagnosis,
            "site_number": site,
            "ageing": ageing,
            "brain_age": ageing + disease_effect * np.array([shift[name] for name in diagnosis]),
        },
        index=[f"sub-{k + 1:0{digits}d}" for k in range(n_people)],
    )
    return people.rename_axis("participant_id")


def _draw_ages(rng, site, n_sites, age_range, correlation):
    """Mix a uniform within-site part and an evenly spaced between-site part of equal variance."""
    within = rng.uniform(-1, 1, size=len(site))
    positions = np.linspace(-1, 1, n_sites) if n_sites > 1 else np.zeros(1)
    between = rng.permutation(positions)[site]
    # evenly spaced points have (n + 1) / (n - 1) times the variance of the uniform distribution
    weight = correlation * np.sqrt((n_sites - 1) / (n_sites + 1))
    rest = np.sqrt(1 - correlation**2)
    position = (rest * within + weight * between) / (rest + weight)
    low, high = age_range
    age = (low + high) / 2 + (high - low) / 2 * position
    return np.clip(np.round(age, 1), low, high)


def _draw_males(rng, site, n_sites, correlation):
    # half of the sites have more men, the others as many fewer
    sign = rng.permutation(np.where(np.arange(n_sites) % 2, 1.0, -1.0))
    return rng.uniform(size=len(site)) < 0.5 + correlation / 2 * sign[site]


def _draw_diagnoses(rng, age, site, diagnoses, correlation):
    """Make patients of older people, a share of them from as few sites as hold them all."""
    youngest, middle = parameter("diagnosis_age_from"), parameter("diagnosis_age_middle")
    counts = {name: round(share * len(age)) for name, share in diagnoses.items()}
    n_patients, eligible = sum(counts.values()), age >= youngest
    if n_patients > eligible.sum():
        raise DataError(
            f"diagnoses asks for {n_patients} patients, but only {eligible.sum()} of {len(age)} "
            f"people are {youngest:g} years or older: lower the shares, or raise age_range."
        )
    # patients grow more frequent around the middle age
    weight = np.where(eligible, 1 / (1 + np.exp(-(age - middle) / 6)), 0.0)
    # the largest keys of this form are a weighted draw without replacement
    with np.errstate(divide="ignore"):
        key = np.log(rng.uniform(size=len(age))) / weight
    first = rng.permutation(site.max() + 1)
    held = np.cumsum([np.sum(eligible & (site == k)) for k in first])
    patient_sites = first[: 1 + np.searchsorted(held, n_patients)]
    inside = np.flatnonzero(np.isin(site, patient_sites) & eligible)
    chosen = inside[np.argsort(-key[inside])][: round(correlation * n_patients)]
    others = np.setdiff1d(np.flatnonzero(eligible), chosen)
    rest = others[np.argsort(-key[others])][: n_patients - len(chosen)]
    chosen = rng.permutation(np.concatenate([chosen, rest]))
    names = np.repeat(list(counts), list(counts.values())) if counts else []
    diagnosis = np.full(len(age), "CN", dtype=object)
    diagnosis[chosen] = names
    return diagnosis


def list_scans(rng, people, repeat_share, n_repeats):
    """Write one row per scan, with the repeated scans of a person below the first.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    people : DataFrame
        One row per person.
    repeat_share : float
        Share of the people who are scanned again.
    n_repeats : int
        How often they are scanned again.

    Returns
    -------
    scans : DataFrame
        The rows of `people`, with ids such as ``sub-0001_ses-2`` for repeated scans, and the
        columns ``person`` and ``session``.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> people = pd.DataFrame({"age": [70.0]}, index=["sub-0001"])
    >>> list_scans(np.random.default_rng(0), people, 1.0, 1)
                     age    person  session
    participant_id
    sub-0001        70.0  sub-0001        1
    sub-0001_ses-2  70.0  sub-0001        2
    """
    again = rng.permutation(len(people))[: round(repeat_share * len(people))]
    n_scans = np.ones(len(people), dtype=int)
    n_scans[again] += n_repeats
    scans = people.loc[people.index.repeat(n_scans)].copy()
    scans["person"] = scans.index
    scans["session"] = np.concatenate([np.arange(1, n + 1) for n in n_scans])
    ids = [
        person if session == 1 else f"{person}_ses-{session}"
        for person, session in zip(scans["person"], scans["session"], strict=True)
    ]
    return scans.set_axis(pd.Index(ids, name="participant_id"))
