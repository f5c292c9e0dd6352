"""The brain that all simulated people share: regions, tissue shares and smooth fields on a grid.

The regions are approximate: ellipsoids and planes in MNI coordinates, from general anatomy,
intersected with the ICBM152 tissue maps that nilearn ships. They hold no atlas.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from .parameters import REGIONS

__all__ = ["Anatomy", "load_anatomy", "smooth_field", "white_noise_smoothed"]

# FWHM of a Gaussian in units of its standard deviation
FWHM_PER_SD = 2 * np.sqrt(2 * np.log(2))
# FWHM of a cubic B-spline in units of its knot spacing
FWHM_PER_KNOT = 1.36

# centre (|x|, y, z) and half axes in mm; later ones win where they overlap
ELLIPSOIDS = (
    ("brainstem", (0, -28, -34), (17, 14, 15)),
    ("brainstem", (0, -26, -13), (15, 11, 11)),
    ("brainstem", (0, -40, -54), (10, 10, 14)),
    ("cortex_insula", (38, 3, 1), (8, 22, 17)),
    ("hippocampus", (27, -15, -19), (10, 11, 8)),
    ("hippocampus", (29, -30, -9), (8, 12, 8)),
    ("amygdala", (24, -4, -19), (8, 9, 9)),
    ("caudate", (13, 14, 6), (8, 13, 12)),
    ("caudate", (17, -4, 18), (5, 14, 7)),
    ("putamen", (27, 2, 0), (8, 19, 13)),
    ("pallidum", (20, -4, -1), (7, 11, 8)),
    ("thalamus", (12, -19, 7), (12, 17, 12)),
)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Regions and tissue of the shared brain.

    Parameters
    ----------
    voxel_size : int
        Edge of a voxel in mm.
    affine : ndarray of shape (4, 4)
        Voxel to MNI152 coordinates in mm.
    mask : ndarray of bool of shape (x, y, z)
        Brain voxels; all arrays below have a row or entry per brain voxel.
    coordinates : ndarray of shape (3, n_voxels)
        MNI coordinates.
    depth : ndarray of shape (n_voxels,)
        Distance from the surface of the brain in mm.
    labels : ndarray of int of shape (n_voxels,)
        Number of the region: 1 for the first of ``REGIONS``.
    shares : ndarray of float32 of shape (n_voxels, n_regions)
        Share of each region in a voxel, blurred over its borders; rows sum to 1.
    basis : ndarray of float32 of shape (n_voxels, n_regions)
        ``basis @ values`` is the map whose regional means are exactly ``values``.
    tissue : ndarray of float32 of shape (n_voxels, 3)
        Shares of cerebrospinal fluid, grey and white matter.
    ventricle_distance : ndarray of shape (n_voxels,)
        Distance from the border of the lateral ventricles in mm, negative inside.
    """

    voxel_size: int
    affine: np.ndarray
    mask: np.ndarray
    coordinates: np.ndarray
    depth: np.ndarray
    labels: np.ndarray
    shares: np.ndarray
    basis: np.ndarray
    tissue: np.ndarray
    ventricle_distance: np.ndarray

    def regional_means(self, values):
        """Average over the voxels of every region."""
        counts = np.bincount(self.labels, minlength=len(REGIONS) + 1)[1:]
        return np.bincount(self.labels, values, minlength=len(REGIONS) + 1)[1:] / counts

    def without_regional_means(self, values):
        """Take the regional means out of a map, smoothly over the borders."""
        return values - self.basis @ self.regional_means(values)

    def as_volume(self, values, dtype=np.float32):
        """Put brain voxels back into the grid, with 0 around them."""
        volume = np.zeros(self.mask.shape, dtype=dtype)
        volume[self.mask] = values
        return volume


@lru_cache(maxsize=4)
def load_anatomy(voxel_size):
    """Make the shared brain.

    Parameters
    ----------
    voxel_size : int
        Edge of a voxel in mm.

    Returns
    -------
    anatomy : Anatomy
        The same object at every call: do not write to it.

    Examples
    --------
    >>> anatomy = load_anatomy(8)
    >>> anatomy.regional_means(anatomy.basis @ range(16)).round(3)[-3:]
    array([13., 14., 15.])
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
    coordinates = image.affine[:3, :3] @ np.argwhere(mask).T + image.affine[:3, 3:]
    labels = _label(coordinates, grey, white)
    shares = _blur_labels(labels, mask, voxel_size)
    means = np.stack([shares[labels == k].mean(axis=0) for k in range(1, len(REGIONS) + 1)])
    ventricle = np.zeros(mask.shape, dtype=bool)
    ventricle[mask] = labels == REGIONS.index("lateral_ventricle") + 1
    outside, inside = distance_transform_edt(~ventricle), distance_transform_edt(ventricle)
    distance = (np.maximum(outside - 0.5, 0) - np.maximum(inside - 0.5, 0)) * voxel_size
    return Anatomy(
        voxel_size=voxel_size,
        affine=image.affine,
        mask=mask,
        coordinates=coordinates,
        depth=(distance_transform_edt(mask)[mask] - 0.5) * voxel_size,
        labels=labels,
        shares=shares.astype(np.float32),
        basis=np.linalg.solve(means.T, shares.T).T.astype(np.float32),
        tissue=np.stack([np.maximum(1 - grey - white, 0), grey, white], axis=1).astype(np.float32),
        ventricle_distance=distance[mask],
    )


def _label(coordinates, grey, white):
    """Give every brain voxel one region; the ellipsoids of deep structures come last."""
    x, y, z = coordinates
    x = np.abs(x)
    number = {region: k for k, region in enumerate(REGIONS, start=1)}
    labels = np.where(white > grey, number["cerebral_wm"], _lobe(x, y, z, number))
    cerebellum = (y < -36) & (z < -16 + 0.2 * (y + 50)) & (x < 58)
    labels[cerebellum] = number["cerebellum_gm"]
    inner = ((x - 20) / 18) ** 2 + ((y + 56) / 20) ** 2 + ((z + 36) / 13) ** 2 < 1
    labels[cerebellum & inner & (white > 0.3)] = number["cerebellum_wm"]
    nearest = {}
    for region, centre, axes in ELLIPSOIDS:
        reach = sum(
            ((position - middle) / axis) ** 2
            for position, middle, axis in zip((x, y, z), centre, axes, strict=True)
        )
        # white matter under the insula is not insula
        belongs = (reach < 1) & ((grey > white) | (region != "cortex_insula"))
        labels[belongs] = number[region]
        nearest.setdefault(region, reach.argmin())
    room = (x / 28) ** 2 + ((y + 8) / 46) ** 2 + ((z - 14) / 18) ** 2 < 1
    fluid = room & (grey + white < 0.5) & (x > 2)
    labels[fluid] = number["lateral_ventricle"]
    nearest["lateral_ventricle"] = ((x - 8) ** 2 + (y - 10) ** 2 + (z - 14) ** 2).argmin()
    # large voxels may miss a small structure: it keeps the one at its centre
    for region, voxel in nearest.items():
        if not (labels == number[region]).any():
            labels[voxel] = number[region]
    return labels


def _lobe(x, y, z, number):
    """Split the cortex by planes along the central, lateral and parieto-occipital sulci."""
    frontal = y > -8 - 0.3 * z
    occipital = y < -62 - 0.35 * z
    temporal = (z < -3 - 0.5 * y) & (y < 20) & (x > 20)
    temporal |= (z < -8) & (y < 5)
    return np.select(
        [occipital, temporal, frontal],
        [number["cortex_occipital"], number["cortex_temporal"], number["cortex_frontal"]],
        number["cortex_parietal"],
    )


def _blur_labels(labels, mask, voxel_size, fwhm=5.0):
    """Shares of the regions in each voxel, as partial volume mixes them."""
    sd = fwhm / FWHM_PER_SD / voxel_size
    shares = np.empty((len(labels), len(REGIONS)))
    for k in range(len(REGIONS)):
        volume = np.zeros(mask.shape, dtype=np.float32)
        volume[mask] = labels == k + 1
        shares[:, k] = gaussian_filter(volume, sd, mode="constant")[mask]
    return shares / shares.sum(axis=1, keepdims=True)


def smooth_field(rng, anatomy, fwhm):
    """Draw a smooth field that is the same at every voxel size.

    Parameters
    ----------
    rng : Generator
        Source of randomness; the number of draws does not depend on the voxel size.
    anatomy : Anatomy
        The shared brain.
    fwhm : float
        Smoothness in mm.

    Returns
    -------
    field : ndarray of shape (n_voxels,)
        Mean 0 and variance 1 over the brain.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.datasets._simulation.anatomy import load_anatomy
    >>> smooth_field(np.random.default_rng(0), load_anatomy(8), 20).std().round(3)
    np.float64(1.0)
    """
    spacing = fwhm / FWHM_PER_KNOT
    # the knots span a box around the MNI152 brain
    low, high = np.array([-100, -140, -80]), np.array([100, 100, 100])
    knots = rng.standard_normal(np.ceil((high - low) / spacing).astype(int) + 3)
    position = (anatomy.coordinates - low[:, None]) / spacing + 1
    field = map_coordinates(knots, position, order=3, prefilter=False, mode="nearest")
    return (field - field.mean()) / field.std()


def white_noise_smoothed(noise, anatomy, fwhm):
    """Smooth white noise to unit variance in the brain voxels.

    Parameters
    ----------
    noise : ndarray of float32 of shape (x, y, z)
        Independent standard normal values.
    anatomy : Anatomy
        The shared brain.
    fwhm : float
        FWHM of the kernel on a fine grid in mm; the average over a voxel adds to it.

    Returns
    -------
    field : ndarray of float32 of shape (n_voxels,)
        Values of unit variance.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.datasets._simulation.anatomy import load_anatomy
    >>> anatomy = load_anatomy(8)
    >>> noise = np.random.default_rng(0).standard_normal(anatomy.mask.shape, dtype=np.float32)
    >>> white_noise_smoothed(noise, anatomy, 26).shape
    (3666,)
    """
    size = anatomy.voxel_size
    # maps of coarse voxels are weighted by a triangle of one voxel, of variance size^2 / 6
    variance = (fwhm / FWHM_PER_SD) ** 2 + max(size**2 - 2**2, 0) / 6
    sd = np.sqrt(variance) / size
    radius = max(1, int(np.ceil(3.5 * sd)))
    # wrapping keeps the variance the same at the edges
    smooth = gaussian_filter(noise, sd, mode="wrap", radius=radius)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sd) ** 2)
    weights /= weights.sum()
    return smooth[anatomy.mask] / np.float32(np.sum(weights**2) ** 1.5)
