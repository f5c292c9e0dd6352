"""Domain invariance: errors at sites never seen, beside what the embedding tells of the site."""

from __future__ import annotations

from dataclasses import replace

from .._datasets import Fcon1000, Mre134, Simulated
from .._methods import INVARIANCE
from .._protocols import Persons, Sites
from .._study import Study

COHORT = Simulated(
    name="simulated, eta 0.4", people=400, sites=8, voxel_size=8, seed=2,
    kinds=("stiffness", "damping_ratio"), settings=(("site_age_correlation", 0.4),),
)  # fmt: skip
BUDGET = {
    "max_epochs": 40, "batch_size": 64, "lr": 2e-3, "loss": "l1", "n_views": 1, "noise": 0.5,
}  # fmt: skip

STUDY = Study(
    name="domain_invariance",
    question="Which penalty, projection or linear method lowers the error at sites never seen, and "
    "what is left of the site in its embedding?",
    reading="Site is read from the embedding of people who took no part in the training; its floor "
    "is what age alone says of the site. docs/invariance.md has the benchmarks behind this.",
    datasets=(COHORT, Fcon1000(), Mre134()),
    inputs={
        "stiffness + damping ratio": ("stiffness", "damping_ratio"),
        "FreeSurfer": ("freesurfer",),
    },
    methods=INVARIANCE,
    protocols=(Persons(n_splits=2), Sites()),
    network=BUDGET,
    reference="ridge",
    probe_site=True,
    quick={
        "datasets": (replace(COHORT, name="simulated, small", people=40, sites=3, voxel_size=10),),
        "network": {**BUDGET, "max_epochs": 3},
    },
    full={"seeds": (0, 1, 2)},
)
