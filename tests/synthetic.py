"""Small synthetic volumes that tests share."""

import numpy as np

# like the published maps: 2 mm, x mirrored
MNI_2MM_MIRRORED = np.array([[-2.0, 0, 0, 14], [0, 2, 0, -16], [0, 0, 2, -14], [0, 0, 0, 1]])


def brain(shape=(16, 18, 14), margin=2):
    """Return a box-shaped brain mask."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(margin, -margin) for _ in shape)] = True
    return mask
