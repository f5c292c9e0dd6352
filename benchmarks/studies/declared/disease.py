"""Disease: patients told from healthy people, by regions, components, gap and embedding."""

from __future__ import annotations

from dataclasses import replace

from .._datasets import Oasis1, Simulated
from .._methods import DISEASE
from .._protocols import Persons, Sites
from .._study import Study
from .._tasks import DIAGNOSIS

COHORT = Simulated(
    name="simulated", people=160, sites=8, voxel_size=8, seed=3,
    settings=(("age_range", (55, 90)), ("diagnoses", (("MCI", 0.15), ("AD", 0.2)))),
)  # fmt: skip
BUDGET = {"max_epochs": 15, "width": 8, "batch_size": 16, "lr": 2e-3, "n_views": 2}

STUDY = Study(
    name="disease",
    question="Which maps and methods tell MCI and Alzheimer's disease from healthy ageing?",
    reading="In simulated maps the size of the disease was put in, map by map: they show that the "
    "methods work, never that MRE beats MRI. OASIS-1 (60 years and more, CDR above 0) is real.",
    datasets=(COHORT, Oasis1(name="OASIS-1, from 60 years", with_patients=True)),
    inputs={
        "stiffness": ("stiffness",),
        "T1": ("t1",),
        "all three": ("stiffness", "damping_ratio", "t1"),
    },
    methods=DISEASE,
    protocols=(Persons(n_splits=5), Sites()),
    task=DIAGNOSIS,
    network=BUDGET,
    reference="regional logistic",
    quick={
        "datasets": (replace(COHORT, name="simulated, small", people=60, sites=3, voxel_size=10),),
        "protocols": (Persons(n_splits=2), Sites()),
        "network": {**BUDGET, "max_epochs": 2},
    },
)
