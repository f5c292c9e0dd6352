"""Contrastive and supervised losses: the same network, people, folds and budget for every loss."""

from __future__ import annotations

from dataclasses import replace

from .._datasets import Oasis1, Simulated
from .._methods import LOSSES
from .._protocols import Persons, Sites
from .._study import Study

COHORT = Simulated(name="simulated", people=96, sites=8, voxel_size=8, seed=1)
BUDGET = {"max_epochs": 20, "width": 8, "batch_size": 16, "lr": 2e-3, "n_views": 2}

STUDY = Study(
    name="contrastive_losses",
    question="Which loss orders people best by age, with one network, the same folds and budget?",
    reading="On simulated maps age is weak and linear by construction; T1 of OASIS-1 is real. "
    "docs/losses.md has the long trainings.",
    datasets=(COHORT, Oasis1()),
    inputs={"stiffness": ("stiffness",), "T1": ("t1",)},
    methods=LOSSES,
    protocols=(Persons(n_splits=5), Sites()),
    network=BUDGET,
    reference="PCA + SVR",
    quick={
        "datasets": (replace(COHORT, name="simulated, small", people=24, sites=3, voxel_size=10),),
        "protocols": (Persons(n_splits=2), Sites()),
        "network": {**BUDGET, "max_epochs": 2},
    },
    full={
        "datasets": (replace(COHORT, name="simulated, large", people=400, sites=10, voxel_size=4),
                     Oasis1()),
        "network": {"max_epochs": 40, "width": 16, "batch_size": 32, "n_views": 2},
        "seeds": (0, 1, 2),
    },
)  # fmt: skip
