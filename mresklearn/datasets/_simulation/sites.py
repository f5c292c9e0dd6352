"""What sites add to simulated maps: shifts of regions, smooth patterns, coverage and contrast."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .anatomy import smooth_field
from .design import evenly_spaced
from .parameters import MAP_KINDS, parameter, read_effects, regional

__all__ = ["Sites", "draw_sites", "study_factors"]

STUDIES = "ABCDE"
MRE_KINDS = MAP_KINDS[:2]
_EDGES = ("bottom", "top")


@dataclass(frozen=True, eq=False)
class Sites:
    """The effect of each site.

    Parameters
    ----------
    fields : dict of str to ndarray of shape (n_sites, n_voxels)
        What a site adds to stiffness and damping ratio.
    fwhm : ndarray of shape (n_sites,)
        Smoothness of the narrow part of the texture in mm.
    bottom, top, tilt : ndarray of shape (n_sites,)
        Lowest and highest covered MNI z in mm, and their slope in the sagittal plane.
    intensity : ndarray of shape (n_sites, 3)
        T1 intensity of cerebrospinal fluid, grey and white matter, without the gain.
    bias : ndarray of shape (n_sites, n_voxels)
        Factor on T1: gain and uneven sensitivity.
    """

    fields: dict
    fwhm: np.ndarray
    bottom: np.ndarray
    top: np.ndarray
    tilt: np.ndarray
    intensity: np.ndarray
    bias: np.ndarray


@lru_cache(maxsize=1)
def study_factors():
    """Directions in which the five public studies differ, from their regional means.

    Returns
    -------
    factors : ndarray of shape (4, 2 * n_regions)
        Regions of stiffness, then of damping ratio. A random mix of the rows with weights of mean 0
        and variance 1 varies as the studies do, without what sampling adds to their means.

    Notes
    -----
    A mean of n people varies by ``sd_within_study**2 / n`` even without any study effect, which is
    taken off the variance of every region.

    Examples
    --------
    >>> spread = (study_factors() ** 2).sum(axis=0) ** 0.5
    >>> spread[16].round(3)  # damping ratio of white matter
    np.float64(0.029)
    """
    means = np.hstack(
        [np.stack([regional(f"study_mean_{s}", kind) for s in STUDIES]) for kind in MRE_KINDS]
    )
    table = read_effects()
    counts = table[table["parameter"].str.startswith("study_mean_")].groupby("parameter")["n"].max()
    within = np.concatenate([regional("sd_within_study", kind) for kind in MRE_KINDS])
    variance = means.var(axis=0, ddof=1)
    sampling = within**2 * np.mean(1 / counts.to_numpy())
    shrinkage = np.sqrt(np.maximum(1 - sampling / variance, 0))
    deviations = (means - means.mean(axis=0)) * shrinkage / np.sqrt(len(STUDIES) - 1)
    _, size, right = np.linalg.svd(deviations / within, full_matrices=False)
    # the last singular value is zero, because deviations sum to zero
    return size[:-1, None] * right[:-1] * within


def draw_sites(rng, anatomy, n_sites, site_effect):
    """Draw what every site does.

    Parameters
    ----------
    rng : Generator
        Source of randomness; the draws do not depend on ``site_effect``.
    anatomy : Anatomy
        The shared brain.
    n_sites : int
        Number of sites.
    site_effect : float
        Factor on all differences between sites.

    Returns
    -------
    sites : Sites
        Effects of the sites.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.datasets._simulation.anatomy import load_anatomy
    >>> sites = draw_sites(np.random.default_rng(0), load_anatomy(8), 3, 0.0)
    >>> set(sites.fwhm.tolist())
    {10.4}
    """
    for_mre, for_coverage, for_t1 = rng.spawn(3)
    factors = study_factors()
    weights = np.stack([evenly_spaced(for_mre, n_sites) for _ in factors], axis=1)
    shifts = np.split(weights @ factors, 2, axis=1)
    fields = {
        kind: site_effect * _fields(for_mre, anatomy, shift, kind)
        for kind, shift in zip(MRE_KINDS, shifts, strict=True)
    }
    coverage = {edge: _coverage(for_coverage, edge, n_sites, site_effect) for edge in _EDGES}
    tilt = parameter("site_tilt_sd") * evenly_spaced(for_coverage, n_sites)
    smoothness = parameter("site_fwhm_sd") * evenly_spaced(for_coverage, n_sites)
    intensity, bias = _contrast(for_t1, anatomy, n_sites, site_effect)
    return Sites(
        fields=fields,
        fwhm=np.maximum(parameter("texture_fwhm") + site_effect * smoothness, 4.0),
        tilt=site_effect * tilt,
        intensity=intensity,
        bias=bias,
        **coverage,
    )


def _fields(rng, anatomy, shifts, kind):
    """Shift of every region, and a pattern within regions that leaves their means alone."""
    scale = parameter("site_pattern_cv", kind) * (anatomy.shares @ regional("mean", kind))
    fields = shifts @ anatomy.basis.T
    for field in fields:
        pattern = scale * smooth_field(rng, anatomy, parameter("pattern_fwhm"))
        field += anatomy.without_regional_means(pattern)
    return fields.astype(np.float32)


def _coverage(rng, edge, n_sites, site_effect):
    rows = read_effects()
    rows = rows[rows["parameter"].str.startswith(f"coverage_{edge}_")]
    # weighted by people: one small study is tilted far off the others
    mean = np.average(rows["value"], weights=rows["n"])
    sd = np.sqrt(np.average((rows["value"] - mean) ** 2, weights=rows["n"]))
    return mean + site_effect * sd * evenly_spaced(rng, n_sites)


def _contrast(rng, anatomy, n_sites, site_effect):
    neutral = np.array([parameter(f"intensity_{name}", "t1") for name in ("csf", "grey", "white")])
    sd = np.array([parameter(f"site_intensity_{name}_sd", "t1") for name in ("csf", "grey")])
    change = np.stack([*(s * evenly_spaced(rng, n_sites) for s in sd), np.zeros(n_sites)], axis=1)
    gain = parameter("site_gain_sd", "t1") * evenly_spaced(rng, n_sites)
    fwhm = parameter("bias_field_fwhm", "t1")
    uneven = np.stack([smooth_field(rng, anatomy, fwhm) for _ in range(n_sites)])
    log_bias = gain[:, None] + parameter("bias_field_sd", "t1") * uneven
    return neutral + site_effect * change, np.exp(site_effect * log_bias).astype(np.float32)
