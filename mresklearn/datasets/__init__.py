"""Cohorts of participants and maps: load your own, fetch public ones, simulate with a known truth.

Everything here returns a :class:`Cohort`, which holds paths and a checked participants table.
"""

from ._cohort import Cohort
from ._load_cohort import load_cohort
from ._mre134 import fetch_mre134
from ._pooling import PoolingReport, pool_cohorts
from ._simulation import make_mre_cohort

__all__ = [
    "Cohort",
    "PoolingReport",
    "fetch_mre134",
    "load_cohort",
    "make_mre_cohort",
    "pool_cohorts",
]
