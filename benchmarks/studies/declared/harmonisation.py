"""Harmonisation in the fold: error of ridge at known and new sites, and the site that is left."""

from __future__ import annotations

from dataclasses import replace

from .._datasets import Fcon1000, Mre134, Simulated
from .._methods import HARMONISATION
from .._protocols import Persons, Sites
from .._study import Study

COHORT = Simulated(
    name="simulated, eta 0.4", people=400, sites=8, voxel_size=8, seed=2,
    kinds=("stiffness", "damping_ratio"), settings=(("site_age_correlation", 0.4),),
)  # fmt: skip

STUDY = Study(
    name="harmonisation",
    question="Does harmonising features in the fold lower the error of brain age?",
    reading="ComBat leaves sites that it never saw as they are. docs/harmonisation.md has the "
    "benchmarks behind this, and says when to harmonise.",
    datasets=(COHORT, Fcon1000(), Mre134()),
    inputs={
        "stiffness + damping ratio": ("stiffness", "damping_ratio"),
        "FreeSurfer": ("freesurfer",),
    },
    methods=HARMONISATION,
    protocols=(Persons(n_splits=2, n_repeats=3), Sites()),
    reference="raw",
    probe_site=True,
    quick={
        "datasets": (replace(COHORT, name="simulated, small", people=40, sites=3, voxel_size=10),),
        "protocols": (Persons(n_splits=2), Sites()),
    },
)
