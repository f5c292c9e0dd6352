"""What each kind of map measures: its unit, and how a file's unit is recognised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..exceptions import DataError


@dataclass(frozen=True)
class Kind:
    """A map kind.

    Parameters
    ----------
    unit : {"kPa", "1", "arbitrary"}
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
        ("stiffness", "shear_stiffness", "mu", "complex_modulus", "storage_modulus"), _MODULUS
    ),
    "loss_modulus": Kind("kPa", (0.0, 10.0)),
    **dict.fromkeys(("damping_ratio", "damping", "xi", "dr"), _DAMPING),
}

# Names that define the brain mask, best first: a modulus is positive wherever it was measured.
_MASK_NAMES = ("stiffness", "shear_stiffness", "mu", "complex_modulus", "storage_modulus")

PASCAL_PER_UNIT = {"Pa": 1.0, "kPa": 1000.0}


def kind_of(name: str) -> Kind:
    """Return the kind that a column name stands for; unknown names have arbitrary units."""
    return _BY_NAME.get(str(name).lower(), _ARBITRARY)


def mask_kind(names: list[str]) -> str:
    """Return the column that defines the brain: the stiffness map, or else the first column."""
    by_lower = {name.lower(): name for name in names}
    for candidate in _MASK_NAMES:
        if candidate in by_lower:
            return by_lower[candidate]
    return names[0]


def detect_unit(values: np.ndarray, source: str, column: str) -> str:
    """Tell Pa from kPa by the median of the positive voxels of a modulus map.

    Brain tissue measures 1-5 kPa, so a median above 50 can only be Pa and one of 0.3-20 only kPa.

    Raises
    ------
    DataError
        If the median lies in neither range.
    """
    median = float(np.median(values))
    if median > 50:
        return "Pa"
    if 0.3 <= median <= 20:
        return "kPa"
    raise DataError(
        f"Unit of {source} (column '{column}') is unclear: the median of its positive voxels is "
        f"{median:.4g}, neither kPa (0.3 to 20) nor Pa (over 50). State it with "
        f"units={{'{column}': 'kPa'}} or units={{'{column}': 'Pa'}}, or check the file."
    )
