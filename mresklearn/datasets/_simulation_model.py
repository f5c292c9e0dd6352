"""The statistical model behind the simulated cohorts: anatomy, design and one person's maps."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from ._simulation_parameters import REGIONS, parameter

__all__ = ["MAP_KINDS", "Anatomy", "Design", "draw_design", "load_anatomy", "simulate_person"]

MAP_KINDS = ("stiffness", "damping_ratio")
# FWHM of a Gaussian in units of its standard deviation
FWHM_PER_SD = 2 * np.sqrt(2 * np.log(2))


@dataclass(frozen=True)
class Anatomy:
    """The brain that all participants share.

    Parameters
    ----------
    voxel_size : int
        Edge of a voxel in mm.
    affine : ndarray of shape (4, 4)
        Voxel to MNI152 coordinates in mm.
    mask : ndarray of bool of shape (x, y, z)
        Brain voxels.
    shares : ndarray of float32 of shape (n_voxels, n_regions)
        Share of every region in a brain voxel; rows sum to 1.
    height : ndarray of shape (n_voxels,)
        MNI z coordinate of the brain voxels in mm.
    labels : ndarray of uint8 of shape (x, y, z)
        Number of the largest share, 1 to 4 in the order of ``REGIONS``; background 0.
    """

    voxel_size: int
    affine: np.ndarray
    mask: np.ndarray
    shares: np.ndarray
    height: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Design:
    """Who was measured where, and what each site does to the maps.

    Parameters
    ----------
    participants : DataFrame
        Columns age, sex and site, indexed by participant id.
    site : ndarray of int of shape (n_subjects,)
        Number of the site.
    fields : dict of str to ndarray of shape (n_sites, n_voxels)
        What a site adds to the maps of a kind.
    fwhm, bottom, top : ndarray of shape (n_sites,)
        Smoothness of the texture, lowest and highest covered MNI z, in mm.
    """

    participants: pd.DataFrame
    site: np.ndarray
    fields: dict
    fwhm: np.ndarray
    bottom: np.ndarray
    top: np.ndarray


@lru_cache(maxsize=4)
def load_anatomy(voxel_size):
    """Make the shared brain from the MNI152 templates that nilearn ships.

    Parameters
    ----------
    voxel_size : int
        Edge of a voxel in mm.

    Returns
    -------
    anatomy : Anatomy
        Deep grey matter is the grey matter of an ellipsoid around the thalami, the cerebellum a
        box below the tentorium: approximate, but the same for everybody.

    Examples
    --------
    >>> load_anatomy(8).labels.max()
    np.uint8(4)
    """
    from nilearn.datasets import (  # here, because the import takes a second
        load_mni152_brain_mask,
        load_mni152_gm_template,
        load_mni152_wm_template,
    )

    image = load_mni152_brain_mask(resolution=voxel_size)
    mask = image.get_fdata() > 0
    grey = load_mni152_gm_template(resolution=voxel_size).get_fdata()[mask]
    white = load_mni152_wm_template(resolution=voxel_size).get_fdata()[mask]
    x, y, z = (image.affine[:3, :3] @ np.argwhere(mask).T) + image.affine[:3, 3:]
    deep = (x / 36) ** 2 + ((y + 7) / 32) ** 2 + ((z - 4) / 18) ** 2 < 1
    cerebellum = (z < -22) & (y < -34) & (np.abs(x) < 56)
    tissue = grey + white
    white_share = np.where(tissue > 0.05, white / np.maximum(tissue, 0.05), 0.0)
    shares = np.stack(
        [white_share, (1 - white_share) * ~deep, (1 - white_share) * deep, np.zeros_like(z)], axis=1
    )
    shares[cerebellum] = [0, 0, 0, 1]
    labels = np.zeros(mask.shape, dtype=np.uint8)
    labels[mask] = shares.argmax(axis=1) + 1
    return Anatomy(voxel_size, image.affine, mask, shares.astype(np.float32), z, labels)


def draw_design(rng, anatomy, *, n_subjects, n_sites, age_range, site_age_correlation, site_effect):
    """Draw people and sites.

    Parameters
    ----------
    rng : Generator
        Source of randomness; the draws do not depend on ``site_effect``.
    anatomy : Anatomy
        The shared brain.
    n_subjects, n_sites, age_range, site_age_correlation, site_effect
        See :func:`make_mre_cohort`.

    Returns
    -------
    design : Design
        People and site effects.
    """
    site = rng.permutation(np.arange(n_subjects) % n_sites)
    age = _draw_ages(rng, site, n_sites, age_range, site_age_correlation)
    ids = [f"sub-{k + 1:0{max(4, len(str(n_subjects)))}d}" for k in range(n_subjects)]
    participants = pd.DataFrame(
        {
            "age": age,
            "sex": rng.choice(["F", "M"], size=n_subjects),
            "site": [f"site-{k + 1:0{len(str(n_sites))}d}" for k in site],
        },
        index=pd.Index(ids, name="participant_id"),
    )

    def around(centre, half_range):
        spread = 2 * _evenly_spaced(rng, n_sites) - 1
        return parameter(centre) + site_effect * parameter(half_range) * spread

    return Design(
        participants=participants,
        site=site,
        fields={
            kind: site_effect * _draw_site_fields(rng, anatomy, n_sites, kind) for kind in MAP_KINDS
        },
        fwhm=np.maximum(around("texture_fwhm", "site_fwhm_half_range"), 4.0),
        bottom=around("coverage_bottom", "site_bottom_half_range"),
        top=around("coverage_top", "site_top_half_range"),
    )


def _evenly_spaced(rng, n_sites):
    """Positions from 0 to 1 in random order, so that a few sites always span the range."""
    if n_sites == 1:
        return np.array([0.5])
    return rng.permutation(np.linspace(0, 1, n_sites))


def _draw_ages(rng, site, n_sites, age_range, correlation):
    within = rng.uniform(-1, 1, size=len(site))
    between = 2 * _evenly_spaced(rng, n_sites)[site] - 1
    # evenly spaced points have (n + 1) / (n - 1) times the variance of the uniform distribution
    weight = correlation * np.sqrt((n_sites - 1) / (n_sites + 1))
    rest = np.sqrt(1 - correlation**2)
    position = (rest * within + weight * between) / (rest + weight)
    low, high = age_range
    age = (low + high) / 2 + (high - low) / 2 * position
    return np.clip(np.round(age, 1), low, high)


def _draw_site_fields(rng, anatomy, n_sites, kind):
    """Shift of every region, in the same order of sites, plus a smooth field per site."""
    mean, first, last = (
        np.array([parameter(name, kind, region) for region in REGIONS])
        for name in ("mean", "site_shift_first", "site_shift_last")
    )
    position = _evenly_spaced(rng, n_sites)[:, None]
    shift = (mean * (first + (last - first) * position)) @ anatomy.shares.T
    fields = np.empty_like(shift)
    for field in fields:
        noise = _smooth_noise(rng, anatomy, parameter("site_field_fwhm"))
        field[:] = (noise - noise.mean()) / noise.std()
    return shift + parameter("site_field_sd", kind) * (anatomy.shares @ mean) * fields


def _smooth_noise(rng, anatomy, fwhm):
    """Gaussian noise of unit variance in the brain voxels, smooth by ``fwhm`` mm."""
    sd = fwhm / FWHM_PER_SD / anatomy.voxel_size
    radius = max(1, int(np.ceil(3.5 * sd)))
    noise = rng.standard_normal(anatomy.mask.shape, dtype=np.float32)
    # wrapping keeps the variance the same at the edges
    noise = gaussian_filter(noise, sd, mode="wrap", radius=radius)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sd) ** 2)
    weights /= weights.sum()
    return noise[anatomy.mask] / np.sum(weights**2) ** 1.5


def simulate_person(anatomy, design, number, seed, age_effect, kinds):
    """Simulate the maps of one person.

    Parameters
    ----------
    anatomy : Anatomy
        The shared brain.
    design : Design
        People and site effects.
    number : int
        Position of the person in the design.
    seed : SeedSequence
        Seed of this person alone, so that the order of people does not matter.
    age_effect : float
        Factor on the effect of age.
    kinds : sequence of str
        Map kinds to simulate.

    Returns
    -------
    images : dict of str to ndarray of float32 of shape (x, y, z)
        The maps, 0 in the background and outside the field of view.
    truth : dict of str to float
        Regional means without and by site, smoothness and coverage.
    """
    # a stream per map kind, so that a map does not depend on which others are made
    streams = [np.random.default_rng(child) for child in seed.spawn(1 + len(MAP_KINDS))]
    age, sex, _ = design.participants.iloc[number]
    site = design.site[number]
    jitter = streams[0].standard_normal(2)
    truth = {
        "texture_fwhm": design.fwhm[site],
        "coverage_bottom": design.bottom[site] + parameter("person_bottom_sd") * jitter[0],
        "coverage_top": design.top[site] + parameter("person_top_sd") * jitter[1],
    }
    height = anatomy.height
    seen = (height >= truth["coverage_bottom"]) & (height <= truth["coverage_top"])
    labels = anatomy.labels[anatomy.mask]
    images = {}
    for kind in kinds:
        rng = streams[1 + MAP_KINDS.index(kind)]
        level = anatomy.shares @ _regional_levels(rng, kind, age, sex, age_effect)
        by_site = design.fields[kind][site]
        mean = anatomy.shares @ [parameter("mean", kind, region) for region in REGIONS]
        noise = _smooth_noise(rng, anatomy, design.fwhm[site])
        texture = parameter("texture_cv", kind) * mean * noise
        values = np.clip(
            level + by_site + texture, parameter("lowest", kind), parameter("highest", kind)
        )
        images[kind] = np.zeros(anatomy.mask.shape, dtype=np.float32)
        images[kind][anatomy.mask] = np.where(seen, values, 0)
        for k, region in enumerate(REGIONS, start=1):
            truth[f"{kind}_{region}"] = level[labels == k].mean()
            truth[f"{kind}_{region}_site"] = by_site[labels == k].mean()
    return images, truth


def _regional_levels(rng, kind, age, sex, age_effect):
    """Value of every pure region: mean x (1 + age) + person + sex."""
    mean, sd, slope, by_sex = (
        np.array([parameter(name, kind, region) for region in REGIONS])
        for name in ("mean", "person_sd", "age_slope", "sex_effect")
    )
    loading = np.array([parameter("person_loading", "both", region) for region in REGIONS])
    years = age - parameter("age_reference")
    late_years = max(age - parameter("age_acceleration_from"), 0)
    ageing = age_effect * slope * (years + parameter("age_acceleration") * late_years**2)
    shared, own = rng.standard_normal(), rng.standard_normal(len(REGIONS))
    person = sd * (loading * shared + np.sqrt(1 - loading**2) * own)
    half = 0.5 if sex == "M" else -0.5
    return mean * (1 + ageing) + person + sd * by_sex * half
