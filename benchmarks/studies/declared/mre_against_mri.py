"""MRE against MRI under matched conditions: the same people, folds and budget for every map."""

from __future__ import annotations

from dataclasses import replace

from .._datasets import Simulated
from .._methods import MRI_METHODS, PACKAGE_METHODS
from .._protocols import Persons, Sites
from .._study import Study

COHORT = Simulated(name="simulated", people=80, sites=8, voxel_size=4)
METHODS = {**MRI_METHODS, **PACKAGE_METHODS}
BUDGET = {"max_epochs": 8, "width": 4, "batch_size": 16, "lr": 3e-3, "n_views": 1}

STUDY = Study(
    name="mre_against_mri",
    question="Does MR elastography tell age better than T1 MRI, for the same people, folds and "
    "budget of training, at known and at new sites?",
    reading="Simulated maps: the size of every effect was put in. The study shows that the methods "
    "and the comparison work, never that MRE beats MRI or the reverse.",
    datasets=(COHORT,),
    inputs={
        "stiffness": ("stiffness",),
        "damping ratio": ("damping_ratio",),
        "stiffness + damping ratio": ("stiffness", "damping_ratio"),
        "T1": ("t1",),
        "all three": ("stiffness", "damping_ratio", "t1"),
    },
    methods=METHODS,
    protocols=(Persons(n_splits=5), Sites()),
    network=BUDGET,
    compared="inputs",
    reference="T1",
    pooled=tuple(name for name in METHODS if name != "mean age"),
    quick={
        "datasets": (replace(COHORT, name="simulated, small", people=24, sites=3, voxel_size=8),),
        "protocols": (Persons(n_splits=3), Sites()),
        "network": {**BUDGET, "max_epochs": 2},
    },
    full={
        "datasets": (replace(COHORT, name="simulated, large", people=400, sites=10),),
        "protocols": (Persons(n_splits=5, n_repeats=2), Sites()),
        "network": {"max_epochs": 40, "width": 16, "batch_size": 32, "lr": 1e-3, "n_views": 2},
        "seeds": (0, 1, 2),
    },
)
