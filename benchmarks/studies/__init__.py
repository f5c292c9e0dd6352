"""Comparison studies as declarations: data sets x inputs x methods x protocols x seeds.

A study is a declaration in ``declared/``, one file each, which a methods researcher edits or
copies. The runner fits every cell once, keeps it, and goes on where it was stopped:

    python -m benchmarks.studies list
    python -m benchmarks.studies run mre_against_mri --jobs 2
    python -m benchmarks.studies table mre_against_mri
"""

from ._datasets import Fcon1000, Mre134, Oasis1, Simulated
from ._protocols import Persons, Sites
from ._results import results_of
from ._runner import run_study
from ._study import Cell, Conditions, Study
from ._tasks import AGE, DIAGNOSIS, Task

__all__ = [
    "AGE",
    "DIAGNOSIS",
    "Cell",
    "Conditions",
    "Fcon1000",
    "Mre134",
    "Oasis1",
    "Persons",
    "Simulated",
    "Sites",
    "Study",
    "Task",
    "results_of",
    "run_study",
]
