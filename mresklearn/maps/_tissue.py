"""Which voxels are brain: far above the background, however the background was stored."""

from __future__ import annotations

import numpy as np

# Share of a volume's voxels that the brain certainly fills; inversion failures fill less.
_CERTAIN_SHARE = 0.005
# Tissue differs by less than a factor of 200; storage noise of a background lies far below.
_FLOOR = 0.005
# The k-th largest of this many voxels stands for that of all.
_SAMPLED = 100_000


def tissue(values: np.ndarray) -> np.ndarray:
    """Return the voxels of a map that hold tissue.

    Background is stored as zero, NaN, a negative number, or, after a conversion, as a tiny
    positive one. So 'positive' is not enough: with v_k the k-th largest finite value, k being
    0.5 % of all voxels, tissue is where v > 0.005 v_k. That depends on no background value, and it
    is free of units: in a stiffness map of the brain it asks for more than about 0.02 kPa.

    Parameters
    ----------
    values : ndarray
        A map whose values are positive in tissue, such as stiffness or T1.

    Returns
    -------
    mask : ndarray of bool
        Same shape; empty if no voxel is positive.
    """
    sample = values.ravel(order="K")[:: max(1, values.size // _SAMPLED)]
    sample = np.where(np.isfinite(sample), sample, 0)
    k = max(1, round(_CERTAIN_SHARE * sample.size))
    reference = np.partition(sample, sample.size - k)[sample.size - k]
    floor = _FLOOR * max(reference, 0.0)  # with fewer tissue voxels than that: what is positive
    return (values > floor) & (values < np.inf)
