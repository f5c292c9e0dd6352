"""Stiffness and damping-ratio maps of one person: regional values, texture and field of view."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .anatomy import load_anatomy, smooth_field, white_noise_smoothed
from .parameters import REGIONS, parameter, person_correlation, regional

__all__ = ["Effects", "ageing_years", "disease_change", "simulate_mre"]

KINDS = ("stiffness", "damping_ratio")
# patterns within regions belong to the anatomy: every cohort has the same, whatever its seed
PATTERN_SEEDS = {"mean": 11, "age": 12, "sex": 13}


class Effects(NamedTuple):
    """Factors on the published sizes of effects; 0 removes one.

    Parameters
    ----------
    age, disease : float
        See ``age_effect`` and ``disease_effect`` of :func:`make_mre_cohort`.
    """

    age: float = 1.0
    disease: float = 1.0


def ageing_years(age, kind):
    """Years of ageing since the reference age, more than one per year after 60.

    Parameters
    ----------
    age : float or ndarray
        Age in years.
    kind : {"stiffness", "damping_ratio"}
        Map kind.

    Returns
    -------
    years : float or ndarray
        ``(age - 23.5) + 0.025 * max(age - 60, 0)**2``.

    Examples
    --------
    >>> round(float(ageing_years(80.0, "stiffness")), 1)
    66.5
    """
    late = np.maximum(age - parameter("age_acceleration_from"), 0)
    return age - parameter("age_reference") + parameter("age_acceleration", kind) * late**2


def disease_change(diagnosis, kind):
    """Change of each region by a disease, relative to its mean.

    Parameters
    ----------
    diagnosis : {"CN", "MCI", "AD"}
        Diagnosis.
    kind : {"stiffness", "damping_ratio", "t1"}
        Map kind.

    Returns
    -------
    change : ndarray of shape (n_regions,)
        Zero for "CN", the cognitively normal.

    Examples
    --------
    >>> disease_change("AD", "stiffness").min()
    np.float64(-0.13)
    """
    return regional(f"effect_{diagnosis}", kind)


def simulate_mre(anatomy, sites, person, n_scans, seed, effects, kinds):
    """Simulate the maps of all scans of one person.

    Parameters
    ----------
    anatomy : Anatomy
        The shared brain.
    sites : Sites
        Effects of the sites.
    person : Series
        Sex, diagnosis, ageing and site_number.
    n_scans : int
        How often the person is scanned.
    seed : SeedSequence
        Seed of this person alone, so that the order of people does not matter.
    effects : Effects
        Sizes of the effects.
    kinds : sequence of str
        Map kinds; those that are not MRE are passed over.

    Returns
    -------
    scans : list of (dict, dict)
        For every scan its maps (values of brain voxels, 0 outside the field of view) and its truth.
    """
    # a stream per map kind, so that a map does not depend on which others are made
    streams = [np.random.default_rng(child) for child in seed.spawn(1 + len(KINDS))]
    shared, by_kind = streams[0], dict(zip(KINDS, streams[1:], strict=True))
    of_person, placement = _correlated(shared), shared.standard_normal(3)
    kinds = [kind for kind in KINDS if kind in kinds]
    noise = {kind: _draw_noise(by_kind[kind], anatomy) for kind in kinds}
    scans = []
    for _ in range(n_scans):
        of_scan, shift = _correlated(shared), shared.standard_normal(2)
        seen, truth = _field_of_view(anatomy, sites, person["site_number"], placement, shift)
        images = {}
        for kind in kinds:
            values = _regional_values(kind, person, of_person[kind], effects)
            error = _retest_sd(kind) * of_scan[kind]
            field = sites.fields[kind][person["site_number"]]
            image = anatomy.basis @ (values + error).astype(np.float32)
            image += _patterns(anatomy.voxel_size, kind, person, effects) + field
            new = _draw_noise(by_kind[kind], anatomy)
            image += _texture(anatomy, kind, noise[kind], new, sites.fwhm[person["site_number"]])
            image = np.clip(image, parameter("lowest", kind), parameter("highest", kind))
            images[kind] = np.where(seen, image, np.float32(0))
            parts = ("", values), ("_site", anatomy.regional_means(field)), ("_error", error)
            for suffix, part in parts:
                names = (f"{kind}_{region}{suffix}" for region in REGIONS)
                truth |= dict(zip(names, part.tolist(), strict=True))
        scans.append((images, truth))
    return scans


def _correlated(rng):
    """Draw standard normal regional values, correlated as between people, of both map kinds."""
    stiffness, damping = rng.standard_normal((2, len(REGIONS)))
    between = parameter("person_map_correlation")
    # before they are mixed, because afterwards each map has correlations of its own
    damping = between * stiffness + np.sqrt(1 - between**2) * damping
    return {
        kind: person_correlation(kind) @ values
        for kind, values in zip(KINDS, (stiffness, damping), strict=True)
    }


def _retest_sd(kind):
    return regional("retest_cv", kind) * regional("mean", kind)


def _regional_values(kind, person, deviation, effects):
    """Mean of every region: mean x (1 + ageing + disease) + sex + person."""
    mean, sd = regional("mean", kind), regional("sd_within_study", kind)
    ageing = effects.age * regional("age_slope", kind) * ageing_years(person["ageing"], kind)
    disease = effects.disease * disease_change(person["diagnosis"], kind)
    limit = parameter("sex_limit") * sd
    by_sex = np.clip(regional("male_minus_female", kind), -limit, limit) * _half(person["sex"])
    # the published SD is that of single scans, so it holds the error of a scan
    person_sd = np.sqrt(sd**2 - _retest_sd(kind) ** 2)
    return mean * (1 + ageing + disease) + by_sex + person_sd * deviation


def _half(sex):
    return 0.5 if sex == "M" else -0.5


def _patterns(voxel_size, kind, person, effects):
    """Add what mean, age and sex do within regions, without changing a regional mean."""
    mean, age, sex = (_fixed_pattern(voxel_size, kind, name) for name in PATTERN_SEEDS)
    years = effects.age * ageing_years(person["ageing"], kind)
    return mean + np.float32(years) * age + np.float32(_half(person["sex"])) * sex


@lru_cache(maxsize=24)
def _fixed_pattern(voxel_size, kind, name):
    anatomy = load_anatomy(voxel_size)
    rng = np.random.default_rng([PATTERN_SEEDS[name], KINDS.index(kind)])
    pattern = smooth_field(rng, anatomy, parameter("pattern_fwhm"))
    if name == "sex":
        scale = parameter("sex_pattern_sd", kind) * (anatomy.shares @ regional("texture_sd", kind))
    else:
        relative = parameter({"mean": "mean_pattern_cv", "age": "age_pattern_sd"}[name], kind)
        scale = relative * (anatomy.shares @ regional("mean", kind))
    return anatomy.without_regional_means(scale * pattern).astype(np.float32)


def _draw_noise(rng, anatomy):
    """White noise of the narrow and of the wide part of the texture."""
    return rng.standard_normal((2, *anatomy.mask.shape), dtype=np.float32)


def _texture(anatomy, kind, of_person, of_scan, fwhm):
    """Texture around the regional means: two scales, a skewed tail, and a part new at each scan."""
    new = np.float32(parameter("retest_texture_share"))
    narrow, wide = np.sqrt(1 - new) * of_person + np.sqrt(new) * of_scan
    broad = np.float32(parameter("texture_broad_share", kind))
    field = np.sqrt(1 - broad) * white_noise_smoothed(narrow, anatomy, fwhm)
    field += np.sqrt(broad) * white_noise_smoothed(wide, anatomy, parameter("texture_broad_fwhm"))
    # lognormal of mean 0 and variance 1: more high values than a Gaussian has
    sd = np.float32(parameter("texture_log_sd", kind))
    field = (np.exp(sd * field - sd**2 / 2) - 1) / np.sqrt(np.expm1(sd**2))
    scale = anatomy.shares @ regional("texture_sd", kind).astype(np.float32)
    return anatomy.without_regional_means(scale * field).astype(np.float32)


def _field_of_view(anatomy, sites, site, of_person, of_scan):
    """Brain voxels within the oblique slab of this scan and not at the lost edge of the brain."""
    bottom, top, tilt = of_person
    again = parameter("retest_coverage_sd")
    truth = {
        "texture_fwhm": sites.fwhm[site],
        "coverage_bottom": sites.bottom[site]
        + parameter("person_bottom_sd") * bottom
        + again * of_scan[0],
        "coverage_top": sites.top[site] + parameter("person_top_sd") * top + again * of_scan[0],
        "coverage_tilt": sites.tilt[site] + parameter("person_tilt_sd") * tilt,
    }
    # the slab turns around the middle of the brain
    height = anatomy.coordinates[2] - truth["coverage_tilt"] * (anatomy.coordinates[1] + 20)
    seen = (height >= truth["coverage_bottom"]) & (height <= truth["coverage_top"])
    edge = parameter("edge_depth") + parameter("edge_depth_sd") * of_scan[1]
    return seen & (anatomy.depth >= edge), truth
