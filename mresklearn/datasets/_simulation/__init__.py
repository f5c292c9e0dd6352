"""Simulated cohorts: published effects on the MNI152 anatomy, with a known truth."""

from .cohort import make_mre_cohort

__all__ = ["make_mre_cohort"]
