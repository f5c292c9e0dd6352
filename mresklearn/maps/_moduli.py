"""Viscoelastic moduli: how the quantities that studies publish follow from each other.

The complex shear modulus is G* = G' + i G'' (storage and loss modulus). Studies publish different
stiffnesses, which are not interchangeable: at a damping ratio of 0.2, mu exceeds |G*| by 4 % and
G' by 12 %.

- ``shear_stiffness``: mu = 2 |G*|^2 / (G' + |G*|), and ``damping_ratio``: xi = G'' / (2 G'), as in
  Hiscox et al. (2020), Human Brain Mapping, doi:10.1002/hbm.25192;
- ``complex_modulus``: |G*| = sqrt(G'^2 + G''^2), and ``phase_angle``: phi = atan2(G'', G');
- ``storage_modulus`` G' and ``loss_modulus`` G''.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ..exceptions import DataError

Pair = tuple[np.ndarray, np.ndarray]

_ALIASES = {
    "mu": "shear_stiffness",
    "damping": "damping_ratio",
    "xi": "damping_ratio",
    "dr": "damping_ratio",
}


def canonical_name(column: str) -> str:
    """Return the standard name of a map kind."""
    lowered = str(column).lower()
    return _ALIASES.get(lowered, lowered)


def _from_mu(mu: np.ndarray, damping_ratio: np.ndarray) -> Pair:
    # with r = G''/G' = 2 xi, mu = 2 G' (1 + r^2) / (1 + sqrt(1 + r^2)), solved for G'
    ratio = 2 * damping_ratio
    square = 1 + ratio**2
    storage = mu * (1 + np.sqrt(square)) / (2 * square)
    return storage, ratio * storage


def _from_magnitude(magnitude: np.ndarray, damping_ratio: np.ndarray) -> Pair:
    ratio = 2 * damping_ratio
    storage = magnitude / np.sqrt(1 + ratio**2)
    return storage, ratio * storage


def _from_phase(magnitude: np.ndarray, phase: np.ndarray) -> Pair:
    return magnitude * np.cos(phase), magnitude * np.sin(phase)


# Two measured quantities -> (G', G''), the best-conditioned first.
_SOURCES: dict[tuple[str, str], Callable[[np.ndarray, np.ndarray], Pair]] = {
    ("storage_modulus", "loss_modulus"): lambda storage, loss: (storage, loss),
    ("shear_stiffness", "damping_ratio"): _from_mu,
    ("complex_modulus", "damping_ratio"): _from_magnitude,
    ("complex_modulus", "phase_angle"): _from_phase,
}

_TARGETS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "shear_stiffness": lambda storage, loss: (
        2 * (storage**2 + loss**2) / (storage + np.hypot(storage, loss))
    ),
    "complex_modulus": np.hypot,
    "storage_modulus": lambda storage, loss: storage,
    "loss_modulus": lambda storage, loss: loss,
    "damping_ratio": lambda storage, loss: loss / (2 * storage),
    "phase_angle": lambda storage, loss: np.arctan2(loss, storage),
}


def derivable(name: str) -> bool:
    """Whether a map kind follows from others."""
    return canonical_name(name) in _TARGETS


def sources_of(name: str, columns: Iterable[str]) -> tuple[str, str]:
    """Return the two columns from which a map kind can be derived.

    Parameters
    ----------
    name : str
        Map kind to derive.
    columns : iterable of str
        Columns that are there.

    Returns
    -------
    first, second : str
        Column names.

    Raises
    ------
    DataError
        If it cannot be derived, with the reason and what would be needed.
    """
    by_kind = {canonical_name(column): column for column in columns}
    for first, second in _SOURCES:
        if first in by_kind and second in by_kind:
            return by_kind[first], by_kind[second]
    needed = " or ".join(f"{first} + {second}" for first, second in _SOURCES)
    raise DataError(
        f"Map '{name}' is not a column of X and cannot be derived from {sorted(by_kind.values())}; "
        f"that takes {needed}.{_why_not(by_kind)}"
    )


def derive(name: str, columns: tuple[str, str], values: Pair) -> np.ndarray:
    """Compute a map kind voxel by voxel from two others.

    Parameters
    ----------
    name : str
        Map kind to derive.
    columns : tuple of two str
        What `values` hold, as returned by :func:`sources_of`.
    values : tuple of two ndarray
        Their voxels: moduli in one unit, damping ratio and phase angle (radians) without.

    Returns
    -------
    derived : ndarray, float32
        In the unit of the moduli, or without unit. NaN where a definition divides by zero.
    """
    first, second = (canonical_name(column) for column in columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        storage, loss = _SOURCES[first, second](*values)
        return np.asarray(_TARGETS[canonical_name(name)](storage, loss), dtype=np.float32)


def _why_not(by_kind: dict[str, str]) -> str:
    if "stiffness" in by_kind:
        return (
            " Column 'stiffness' does not say which stiffness it holds: rename it to "
            "shear_stiffness (mu), complex_modulus (|G*|) or storage_modulus (G')."
        )
    speeds = [column for kind, column in by_kind.items() if kind in ("wave_speed", "sws")]
    if speeds:
        return (
            f" Column '{speeds[0]}' is a speed: |G*| = density * speed^2 holds for tissue without "
            "losses only, which the brain is not."
        )
    return ""
