"""What each kind of map measures: its unit, and how a file's unit is recognised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..exceptions import DataError
from ._moduli import canonical_name


@dataclass(frozen=True)
class Kind:
    """A map kind.

    Parameters
    ----------
    unit : {"kPa", "1", "radian", "arbitrary"}
        Unit after loading.
    limits : tuple of two float or None
        Values inside the brain are clipped to this range, in `unit`.
    """

    unit: str
    limits: tuple[float, float] | None = None


# Limits: stiffness and damping ratio outside them are inversion failures (Hiscox et al. 2020 report
# regional means of 2.4-3.9 kPa and 0.15-0.24).
_MODULUS = Kind("kPa", (0.1, 10.0))
_DAMPING = Kind("1", (0.0, 1.0))
_ARBITRARY = Kind("arbitrary")

_BY_NAME = {
    **dict.fromkeys(
        ("stiffness", "shear_stiffness", "complex_modulus", "storage_modulus"), _MODULUS
    ),
    "loss_modulus": Kind("kPa", (0.0, 10.0)),
    "damping_ratio": _DAMPING,
    "phase_angle": Kind("radian", (0.0, 1.5707964)),
}

# Names that define the brain mask, best first: a modulus is positive wherever it was measured.
_MASK_NAMES = ("stiffness", "shear_stiffness", "complex_modulus", "storage_modulus")

# A median of this many voxels is exact enough to tell a factor of a thousand.
_SAMPLED = 20_000

PASCAL_PER_UNIT = {"Pa": 1.0, "kPa": 1000.0}


def kind_of(name: str) -> Kind:
    """Return the kind that a column name stands for; unknown names have arbitrary units."""
    return _BY_NAME.get(canonical_name(name), _ARBITRARY)


def mask_kind(names: list[str]) -> str:
    """Return the column that defines the brain: the stiffness map, or else the first column."""
    by_kind = {canonical_name(name): name for name in names}
    for candidate in _MASK_NAMES:
        if candidate in by_kind:
            return by_kind[candidate]
    return names[0]


def detect_unit(voxels: np.ndarray, source: str, column: str) -> str:
    """Tell Pa from kPa by the median of the brain voxels of a modulus map.

    Brain tissue measures 1-5 kPa, so a median above 50 can only be Pa and one of 0.3-20 only kPa.
    A map without any tissue counts as kPa: another check reports it.

    Raises
    ------
    DataError
        If the median lies in neither range.
    """
    voxels = voxels[:: max(1, voxels.size // _SAMPLED)]
    median = float(np.median(voxels)) if voxels.size else 1.0
    if median > 50:
        return "Pa"
    if 0.3 <= median <= 20:
        return "kPa"
    raise DataError(
        f"Unit of {source} (column '{column}') is unclear: the median of its brain voxels is "
        f"{median:.4g}, neither kPa (0.3 to 20) nor Pa (over 50). State it with "
        f"units={{'{column}': 'kPa'}} or units={{'{column}': 'Pa'}}, or check the file."
    )
