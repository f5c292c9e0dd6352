"""Checks of the parameters of make_mre_cohort, whose errors name the parameter and the way out."""

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np

from .design import DIAGNOSES
from .parameters import MAP_KINDS

__all__ = ["check_parameters"]

FACTORS = ("site_effect", "age_effect", "disease_effect")
CORRELATIONS = ("site_age_correlation", "site_sex_correlation", "site_diagnosis_correlation")


def check_parameters(n_subjects, n_sites, maps, voxel_size, age_range, diagnoses, repeats, numbers):
    """Check the parameters of :func:`make_mre_cohort`.

    Parameters
    ----------
    n_subjects, n_sites, maps, voxel_size, age_range, diagnoses
        See :func:`make_mre_cohort`.
    repeats : (repeat_share, n_repeats)
        See :func:`make_mre_cohort`.
    numbers : dict of str to float
        Factors and correlations by name.

    Raises
    ------
    ValueError
        If a parameter is impossible.

    Examples
    --------
    >>> check_parameters(4, 2, ["t1"], 4, (20, 80), {}, (0, 1), {"site_effect": -1})
    Traceback (most recent call last):
        ...
    ValueError: site_effect must be a finite number of at least 0, not -1.
    """
    _check_counts(n_subjects, n_sites)
    if isinstance(maps, str) or not len(maps) or any(kind not in MAP_KINDS for kind in maps):
        raise ValueError(f"maps must be a sequence of {MAP_KINDS}, not {maps!r}.")
    if not is_number(voxel_size) or voxel_size not in range(2, 11):
        raise ValueError(
            f"voxel_size must be a whole number of mm from 2 to 10, not {voxel_size!r}: the MNI152 "
            "templates come in whole millimetres."
        )
    if len(age_range) != 2 or not 0 <= age_range[0] < age_range[1] <= 120:
        raise ValueError(
            f"age_range must be (youngest, oldest) in years within 0 and 120, not {age_range!r}."
        )
    _check_diagnoses(diagnoses)
    _check_repeats(*repeats)
    _check_numbers(numbers)
    _check_entanglement(n_sites, diagnoses, numbers)


def is_number(value):
    """Tell numbers from everything else, booleans included."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_counts(n_subjects, n_sites):
    if np.ndim(n_sites):
        sizes = list(n_sites)
        if not sizes or not all(isinstance(size, Integral) and size >= 1 for size in sizes):
            raise ValueError(
                f"n_sites must be a number of sites, or the number of people at each (whole "
                f"numbers of at least 1), not {n_sites!r}."
            )
        if sum(sizes) != n_subjects:
            raise ValueError(
                f"n_sites={n_sites!r} lists {sum(sizes)} people, but n_subjects={n_subjects}: "
                f"pass n_subjects={sum(sizes)}."
            )
        return
    for name, value in (("n_subjects", n_subjects), ("n_sites", n_sites)):
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}.")
    if n_subjects < n_sites:
        raise ValueError(
            f"n_subjects={n_subjects} leaves some of n_sites={n_sites} empty: simulate at least "
            "one person per site."
        )


def _check_diagnoses(diagnoses):
    valid = isinstance(diagnoses, Mapping) and set(diagnoses) <= set(DIAGNOSES)
    if not valid or not all(is_number(s) and 0 <= s <= 1 for s in diagnoses.values()):
        raise ValueError(
            f"diagnoses must map {' and '.join(DIAGNOSES)} to their share of the people (0 to 1), "
            f"as in {{'AD': 0.1, 'MCI': 0.1}}, not {diagnoses!r}."
        )
    if sum(diagnoses.values()) > 1:
        raise ValueError(f"diagnoses={diagnoses!r} adds up to more than 1: lower the shares.")


def _check_repeats(repeat_share, n_repeats):
    if not is_number(repeat_share) or not 0 <= repeat_share <= 1:
        raise ValueError(f"repeat_share must be a number from 0 to 1, not {repeat_share!r}.")
    if not isinstance(n_repeats, Integral) or isinstance(n_repeats, bool) or n_repeats < 1:
        raise ValueError(
            f"n_repeats must be a whole number of at least 1, not {n_repeats!r}: leave "
            "repeat_share=0 for no repeated scans."
        )


def _check_numbers(numbers):
    for name, value in numbers.items():
        if name in FACTORS and (not is_number(value) or not 0 <= value < np.inf):
            raise ValueError(f"{name} must be a finite number of at least 0, not {value!r}.")
        if name in CORRELATIONS and (not is_number(value) or not 0 <= value <= 1):
            raise ValueError(f"{name} must be a number from 0 to 1, not {value!r}.")


def _check_entanglement(n_sites, diagnoses, numbers):
    one_site = (len(n_sites) if np.ndim(n_sites) else n_sites) == 1
    for name in CORRELATIONS:
        if one_site and numbers.get(name):
            raise ValueError(
                f"{name}={numbers[name]} needs at least two sites: raise n_sites, or leave it 0."
            )
    if numbers.get("site_diagnosis_correlation") and not any(diagnoses.values()):
        raise ValueError(
            "site_diagnosis_correlation needs patients: pass diagnoses, as in {'AD': 0.1}, or "
            "leave it 0."
        )
