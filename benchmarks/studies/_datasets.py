"""Data sets of studies: their people, and their maps or features.

A data set is a few numbers, so it travels to any process; it is read there, once a process.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from uuid import uuid4

import nibabel
import numpy as np
import pandas as pd

from mresklearn import MapLoader, fetch_mre134, load_cohort, make_mre_cohort

from ._describe import describe, digest

SIMULATED_FILES = {
    "stiffness": "{participant_id}/anat/{participant_id}_desc-stiffness_mre.nii.gz",
    "damping_ratio": "{participant_id}/anat/{participant_id}_desc-dampingratio_mre.nii.gz",
    "t1": "{participant_id}/anat/{participant_id}_T1w.nii.gz",
}
N_SIMULATED_REGIONS = 16
# of fcon1000: not sizes of structures, but quality, and what repeats other columns
NO_FEATURE = ("Unnamed", "sub_id", "age", "sex", "site", "avg_en", "Holes")


class Data(NamedTuple):
    """Rows, and a table of whose they are: age, sex, site, person and perhaps diagnosis."""

    X: Any
    people: pd.DataFrame


class Regions(NamedTuple):
    """Label image, names of its labels, and the labels."""

    labels: Path
    names: Path
    numbers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """Simulated maps of :func:`mresklearn.make_mre_cohort`, made once and kept.

    Parameters
    ----------
    name : str
        For tables.
    people, sites : int
        How many.
    voxel_size : int, default=4
        In mm.
    kinds : tuple of str
        Maps.
    settings : tuple of (str, value)
        Further arguments of the simulator; pairs, so that a data set can be a key.
    seed : int, default=0
        Of the simulator.
    """

    name: str
    people: int
    sites: int
    voxel_size: int = 4
    kinds: tuple[str, ...] = ("stiffness", "damping_ratio", "t1")
    settings: tuple[tuple[str, Any], ...] = ()
    seed: int = 0
    real: ClassVar[bool] = False

    def folder(self, store: Path) -> Path:
        return store / "datasets" / f"{self.name}-{digest(describe(self))}"

    def prepare(self, store: Path, jobs: int = 1) -> None:
        """Simulate what is not there yet; a folder has its name when it is whole."""
        target = self.folder(store)
        if target.exists():
            return
        partial = target.with_name(f"{target.name}.{uuid4().hex}.partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        settings = {
            name: dict(value) if name == "diagnoses" else value for name, value in self.settings
        }
        make_mre_cohort(
            self.people, self.sites, folder=partial, maps=self.kinds, voxel_size=self.voxel_size,
            random_state=self.seed, n_jobs=jobs, verbose=1, **settings,
        )  # fmt: skip
        try:
            partial.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(partial)

    def read(self, store: Path, kinds: Sequence[str], rides: Sequence[str]) -> Data:
        self.prepare(store)
        files = {kind: SIMULATED_FILES[kind] for kind in kinds}
        cohort = load_cohort(self.folder(store) / "participants.tsv", maps=files)
        return _load(cohort.maps, cohort.participants, rides)

    def regions(self, store: Path) -> Regions:
        folder = self.folder(store)
        return Regions(
            folder / "desc-regions_dseg.nii.gz",
            folder / "desc-regions_dseg.tsv",
            tuple(range(1, N_SIMULATED_REGIONS + 1)),
        )

    def available(self) -> bool:
        return True


class _Real:
    """What data sets share that lie in the folder MRESKLEARN_DATA."""

    real: ClassVar[bool] = True
    subfolder: ClassVar[str]

    def available(self) -> bool:
        root = os.environ.get("MRESKLEARN_DATA")
        return root is not None and (Path(root) / self.subfolder).exists()

    def prepare(self, store: Path, jobs: int = 1) -> None:
        """Do nothing: the files are there."""

    def regions(self, store: Path) -> Regions | None:
        """Return the Desikan-Killiany atlas, for maps in MNI space."""
        folder = _root() / "atlases"
        labels = folder / "dk_aparc+aseg_MNI152_2mm.nii.gz"
        numbers = np.unique(np.asarray(nibabel.load(labels).dataobj))
        return Regions(labels, folder / "dk_labels.csv", tuple(int(n) for n in numbers if n))


@dataclass(frozen=True, kw_only=True)
class Oasis1(_Real):
    """T1 at 4 mm of one site, 18 to 96 years: the healthy, or those of 60 years and more."""

    name: str = "OASIS-1"
    sites: int = 1
    kinds: tuple[str, ...] = ("t1",)
    with_patients: bool = False
    subfolder: ClassVar[str] = "oasis1_t1_4mm"

    def read(self, store: Path, kinds: Sequence[str], rides: Sequence[str]) -> Data:
        cohort = load_cohort(
            _root() / self.subfolder / "participants.csv",
            maps={"t1": "t1/{participant_id}_T1w.nii.gz"},
            participant_id="ID",
            columns={"age": "Age", "sex": "M/F"},
        )
        people = cohort.participants.assign(site="OASIS-1")
        people = people.assign(person=people["subject"], diagnosis=people["dx"])
        if self.with_patients:
            kept = (people["age"] >= 60) & (people["retest"].astype(str) != "True")
        else:
            kept = people["diagnosis"] == "CN"
        return _load(cohort.maps[kept], people[kept], rides)


@dataclass(frozen=True, kw_only=True)
class Mre134(_Real):
    """Stiffness and damping ratio of young adults from five studies, at 4 mm."""

    name: str = "MRE134"
    sites: int = 5
    kinds: tuple[str, ...] = ("stiffness", "damping_ratio")
    subfolder: ClassVar[str] = "mre134"

    def read(self, store: Path, kinds: Sequence[str], rides: Sequence[str]) -> Data:
        cohort = fetch_mre134(_root() / self.subfolder, download=False)
        people = cohort.participants
        people = people.assign(person=people.index)
        return _load(cohort.maps[list(kinds)], people, rides, voxel_size=4)


@dataclass(frozen=True, kw_only=True)
class Fcon1000(_Real):
    """FreeSurfer features of 23 sites: a table."""

    name: str = "fcon1000"
    sites: int = 23
    kinds: tuple[str, ...] = ("freesurfer",)
    subfolder: ClassVar[str] = "fcon1000"

    def read(self, store: Path, kinds: Sequence[str], rides: Sequence[str]) -> Data:
        table = pd.read_csv(_root() / self.subfolder / "fcon1000.csv", index_col="sub_id")
        names = [c for c in table if not any(part in c for part in NO_FEATURE)]
        people = table[["age", "site"]].assign(
            sex=table["sex"].astype(float), person=table.index.astype(str)
        )
        return Data(table[names].join(people[list(rides)]), people)

    def regions(self, store: Path) -> None:
        """Return None: there are features already."""


def _root() -> Path:
    return Path(os.environ["MRESKLEARN_DATA"])


def _load(maps: Any, people: pd.DataFrame, rides: Sequence[str], **settings: Any) -> Data:
    """Return lazy maps with what rides along; reading is row by row, so nothing crosses folds."""
    rides = list(rides)
    loader = MapLoader(metadata=rides, n_jobs=1, **settings)
    return Data(loader.fit_transform(maps.join(people[rides])), people)
