"""The table of every number that simulated cohorts rest on, each with its source.

The table is the file ``data/mre_effects.csv`` of this package. Its column ``verification`` says how
far a value can be trusted: ``computed_from_data``, ``verified_abstract`` (read in the publication),
``unverified`` (from memory) or ``assumed``. "MRE134" are the public maps of healthy adults of 18 to
35 years of five studies (50 Hz, nonlinear inversion), averaged over Desikan-Killiany regions.
"""

from functools import lru_cache
from importlib import resources

import numpy as np
import pandas as pd

__all__ = ["MAP_KINDS", "REGIONS", "parameter", "person_correlation", "read_effects", "regional"]

MAP_KINDS = ("stiffness", "damping_ratio", "t1")
REGIONS = (
    "cerebral_wm",
    "cortex_frontal",
    "cortex_parietal",
    "cortex_temporal",
    "cortex_occipital",
    "cortex_insula",
    "thalamus",
    "caudate",
    "putamen",
    "pallidum",
    "hippocampus",
    "amygdala",
    "brainstem",
    "cerebellum_gm",
    "cerebellum_wm",
    "lateral_ventricle",
)


@lru_cache(maxsize=1)
def read_effects():
    """Read the table.

    Returns
    -------
    effects : DataFrame
        Columns parameter, map, structure, value, unit, n (people), source, verification and note.
        It is cached: do not write to it.

    Examples
    --------
    >>> sorted(read_effects().verification.unique())
    ['assumed', 'computed_from_data', 'unverified', 'verified_abstract']
    """
    with (resources.files(__package__) / "data" / "mre_effects.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


@lru_cache(maxsize=1)
def _values():
    table = read_effects()
    keys = zip(table["parameter"], table["map"], table["structure"], strict=True)
    return dict(zip(keys, table["value"].tolist(), strict=True))


def parameter(name, kind="all", structure="all"):
    """Look one value up.

    Parameters
    ----------
    name : str
        Name of the parameter.
    kind : {"stiffness", "damping_ratio", "t1", "all"}, default="all"
        Map kind.
    structure : str, default="all"
        One of ``REGIONS``.

    Returns
    -------
    value : float
        The value, in the unit that the table gives.

    Examples
    --------
    >>> parameter("mean", "stiffness", "putamen")
    3.8567
    """
    return _values()[name, kind, structure]


def regional(name, kind):
    """Look the values of all regions up.

    Parameters
    ----------
    name : str
        Name of the parameter.
    kind : {"stiffness", "damping_ratio", "t1"}
        Map kind.

    Returns
    -------
    values : ndarray of shape (n_regions,)
        In the order of ``REGIONS``; 0 for regions that the table does not name.

    Examples
    --------
    >>> regional("mean", "damping_ratio").shape
    (16,)
    """
    values = _values()
    return np.array([values.get((name, kind, region), 0.0) for region in REGIONS])


@lru_cache(maxsize=4)
def person_correlation(kind):
    """Correlation of regional values between people, as a factor to draw from.

    Parameters
    ----------
    kind : {"stiffness", "damping_ratio"}
        Map kind.

    Returns
    -------
    factor : ndarray of shape (n_regions, n_regions)
        ``factor @ factor.T`` is the correlation, and so ``factor @ standard_normal`` is a draw. It
        is the symmetric root, so that a region follows its own standard normal value most.

    Examples
    --------
    >>> factor = person_correlation("stiffness")
    >>> correlation = factor @ factor.T
    >>> float(correlation[REGIONS.index("putamen"), REGIONS.index("pallidum")].round(2))
    0.92
    """
    lower = [regional(f"correlation_with_{region}", kind) for region in REGIONS]
    correlation = np.column_stack(lower)
    correlation += correlation.T + np.eye(len(REGIONS))
    size, direction = np.linalg.eigh(correlation)
    # rounding to two digits may leave an eigenvalue slightly below zero
    factor = (direction * np.sqrt(np.maximum(size, 1e-6))) @ direction.T
    return factor / np.linalg.norm(factor, axis=1, keepdims=True)
