"""T1 maps of one person: tissue shares that atrophy moves, under the contrast of the site."""

from functools import lru_cache

import numpy as np

from .anatomy import load_anatomy, smooth_field, white_noise_smoothed
from .maps import disease_change
from .parameters import REGIONS, parameter, regional

__all__ = ["simulate_t1", "t1_site_maps", "tissue_loss", "ventricle_growth"]

PATTERN_SEED = 14
# ages over which the published slopes of the volumes are means
SLOPE_AGES = (40.0, 86.0)


def tissue_loss(brain_age):
    """Loss of tissue of every region since the reference age.

    Parameters
    ----------
    brain_age : float
        Age that the brain looks like.

    Returns
    -------
    loss : ndarray of shape (n_regions,)
        Share of the tissue that is gone; three times faster after 60 years.

    Examples
    --------
    >>> loss = tissue_loss(80.0)
    >>> loss[REGIONS.index("thalamus")].round(2)
    np.float64(0.18)
    """

    def years(age):
        turn = parameter("age_acceleration_from")
        late = max(age - turn, 0)
        return min(age, turn) - parameter("age_reference") + _acceleration() * late

    young, old = SLOPE_AGES
    # the published slope is the mean over ages at which most people are past the turn
    before_turn = regional("tissue_slope", "t1") * (old - young) / (years(old) - years(young))
    return -before_turn * years(brain_age)


def _acceleration():
    return parameter("tissue_acceleration", "t1")


def ventricle_growth(brain_age):
    """Volume of the lateral ventricles relative to the reference age.

    Parameters
    ----------
    brain_age : float
        Age that the brain looks like.

    Returns
    -------
    ratio : float
        Volume over volume at the reference age.

    Examples
    --------
    >>> round(float(ventricle_growth(80.0)), 1)
    3.3
    """
    turn = parameter("age_acceleration_from")
    early = min(brain_age, turn) - parameter("age_reference")
    late = max(brain_age - turn, 0)
    slope, later = parameter("ventricle_slope", "t1"), parameter("ventricle_slope_late", "t1")
    return np.exp(slope * early + later * late)


def simulate_t1(anatomy, sites, person, n_scans, seed, effects):
    """Simulate the T1 maps of all scans of one person.

    Parameters
    ----------
    anatomy : Anatomy
        The shared brain.
    sites : Sites
        Effects of the sites.
    person : Series
        Diagnosis, brain_age and site_number.
    n_scans : int
        How often the person is scanned.
    seed : SeedSequence
        Seed of this person alone.
    effects : Effects
        Sizes of the effects.

    Returns
    -------
    scans : list of (ndarray, dict)
        For every scan the values of the brain voxels, and its truth: the share of tissue in the
        brain mask and the volume of the lateral ventricles in ml.
    """
    rng = np.random.default_rng(seed)
    tissue, truth = _draw_tissue(rng, anatomy, person, effects)
    noise = rng.standard_normal(anatomy.mask.shape, dtype=np.float32)
    individual = white_noise_smoothed(noise, anatomy, parameter("anatomy_fwhm", "t1"))
    site = person["site_number"]
    image = tissue @ sites.intensity[site] + parameter("anatomy_sd", "t1") * individual
    scans = []
    for _ in range(n_scans):
        gain = np.exp(parameter("person_gain_sd", "t1") * rng.standard_normal())
        noise = parameter("noise_sd", "t1") * rng.standard_normal(len(image), dtype=np.float32)
        # intensities are magnitudes: 0 is the background
        scan = np.maximum((image + noise) * gain * sites.bias[site], 1.0)
        scans.append((scan.astype(np.float32), truth))
    return scans


def t1_site_maps(anatomy, sites):
    """Make what each site adds to the T1 map of a young person.

    Parameters
    ----------
    anatomy : Anatomy
        The shared brain.
    sites : Sites
        Effects of the sites.

    Returns
    -------
    added : ndarray of shape (n_sites, n_voxels)
        T1 with the contrast of the site minus T1 with the contrast of no site.
    """
    neutral = [parameter(f"intensity_{name}", "t1") for name in ("csf", "grey", "white")]
    return (anatomy.tissue @ sites.intensity.T).T * sites.bias - anatomy.tissue @ neutral


def _draw_tissue(rng, anatomy, person, effects):
    """Shares of fluid, grey and white matter after atrophy."""
    age = parameter("age_reference")
    age += effects.age * (person["brain_age"] - age)
    loss = tissue_loss(age) - effects.disease * disease_change(person["diagnosis"], "t1")
    common = parameter("tissue_sd", "t1") * rng.standard_normal()
    own = parameter("tissue_region_sd", "t1") * rng.standard_normal(len(REGIONS))
    lost = (anatomy.shares @ loss) * _uneven(anatomy.voxel_size)
    lost += anatomy.shares @ (common + own)
    tissue = anatomy.tissue[:, 1:] * (1 - lost[:, None])
    ratio = ventricle_growth(age) * np.exp(parameter("ventricle_sd", "t1") * rng.standard_normal())
    fluid, volume = _fill_ventricles(anatomy, ratio)
    tissue *= 1 - fluid[:, None]
    tissue /= np.maximum(tissue.sum(axis=1, keepdims=True), 1)
    truth = {"t1_brain_volume": tissue.sum() / len(tissue), "t1_ventricle_volume": volume}
    return np.column_stack([1 - tissue.sum(axis=1), tissue]), truth


@lru_cache(maxsize=4)
def _uneven(voxel_size):
    """Factor on the loss of tissue within regions, the same in every cohort."""
    rng = np.random.default_rng(PATTERN_SEED)
    pattern = smooth_field(rng, load_anatomy(voxel_size), parameter("pattern_fwhm"))
    return 1 + parameter("tissue_pattern", "t1") * pattern


def _fill_ventricles(anatomy, ratio):
    """Share of ventricular fluid in every voxel, after the border moved until the volume fits."""
    near = anatomy.ventricle_distance < 25

    def share(growth):
        depth = growth - anatomy.ventricle_distance[near]
        return np.clip(depth / anatomy.voxel_size + 0.5, 0, 1)

    growths = np.linspace(-4, 16, 41)
    volumes = np.array([share(growth).sum() for growth in growths])
    wanted = ratio * share(0.0).sum()
    fluid = np.zeros(len(near))
    fluid[near] = share(np.interp(wanted, volumes, growths))
    return fluid, fluid.sum() * anatomy.voxel_size**3 / 1000
