"""Several studies with conventions of their own, pooled from one declarative file."""

from .cohorts import pool_cohorts
from .report import PoolingReport

__all__ = ["PoolingReport", "pool_cohorts"]
