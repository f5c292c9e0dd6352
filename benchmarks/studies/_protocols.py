"""How people are divided: new people of known sites, or a whole site left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from mresklearn import LeaveOneSiteOut, StratifiedSiteKFold

from ._tasks import Task

Fold = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Persons:
    """Folds alike in site and age that keep whole persons together.

    Parameters
    ----------
    n_splits : int, default=5
        Folds of one partition.
    n_repeats : int, default=1
        Partitions.
    seed : int, default=0
        Seed of the first partition; the next takes the next.
    """

    n_splits: int = 5
    n_repeats: int = 1
    seed: int = 0
    name: ClassVar[str] = "persons"
    title: ClassVar[str] = "people of known sites"
    # as mresklearn.model_selection.compare_models calls it
    package_name: ClassVar[str] = "within_site"

    def n_folds(self, dataset: Any) -> int:
        return self.n_splits * self.n_repeats

    def place(self, fold: int) -> tuple[int, int]:
        """Return the partition, and the fold within it."""
        return divmod(fold, self.n_splits)

    def folds(self, people: pd.DataFrame, task: Task) -> Iterator[Fold]:
        strata = people[list(task.strata)].astype(str).agg("/".join, axis=1)
        for repeat in range(self.n_repeats):
            splitter = StratifiedSiteKFold(self.n_splits, random_state=self.seed + repeat)
            yield from splitter.split(
                people, people["age"], groups=people["person"], site=strata.to_numpy()
            )


@dataclass(frozen=True)
class Sites:
    """Each site left out in turn."""

    name: ClassVar[str] = "sites"
    title: ClassVar[str] = "people of a site never seen"
    package_name: ClassVar[str] = "leave_one_site_out"

    def n_folds(self, dataset: Any) -> int:
        return dataset.sites

    def place(self, fold: int) -> tuple[int, int]:
        return 0, fold

    def folds(self, people: pd.DataFrame, task: Task) -> Iterator[Fold]:
        yield from LeaveOneSiteOut().split(people, groups=people["site"])
