"""The engine: ask a model about occluded copies of people, many in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.parallel import Parallel, delayed  # hand metadata routing on to the workers
from tqdm.auto import tqdm

from ..maps import MapArray
from ..maps._map_array import inside
from ._fill import Fill
from ._occluded_copies import OccludedCopies
from ._patches import Patches
from ._response import Response
from ._scores import Score, check_score, moved

__all__ = ["Occlusion"]


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What is asked of every person.

    Parameters
    ----------
    response : Response
        What the model says.
    score : str or callable
        How far that moved.
    patches : Patches
        What is replaced at a time.
    fill : callable
        By what.
    n_fills : int
        Replacements that `fill` returns.
    channels : ndarray of int
        Channels that are replaced.
    batch_size : int
        Copies in one call of the model.
    """

    response: Response
    score: Score
    patches: Patches
    fill: Fill
    n_fills: int
    channels: np.ndarray
    batch_size: int

    def effects(
        self, maps: MapArray, target: np.ndarray | None, n_jobs: int | None, verbose: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the effects (n, fills, patches), and the responses to the maps as they are.

        NaN where a person has no brain in a patch. Few people are in memory at a time.
        """
        per_person = max(1, len(self.patches) * self.n_fills)
        size = max(1, self.batch_size // per_person)
        blocks = [np.arange(k, min(k + size, len(maps))) for k in range(0, len(maps), size)]
        results = Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(self._of_block)(maps, block, None if target is None else target[block])
            for block in blocks
        )
        effects = np.empty((len(maps), self.n_fills, len(self.patches)))
        responses = []
        with tqdm(total=len(maps), desc="Occlusion", unit="person", disable=not verbose) as bar:
            for block, (found, before) in zip(blocks, results, strict=True):
                effects[block] = found
                responses.append(before)
                bar.update(len(block))
        return effects, np.concatenate(responses)

    def _of_block(
        self, maps: MapArray, block: np.ndarray, target: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        people = maps[block]
        before = self.response(people)
        check_score(self.score, before)
        samples = list(people)
        fills = [self.fill(int(row)) for row in block]
        # a patch without brain is not asked about: nothing would be replaced
        plan = np.array(
            [
                (person, number, patch)
                for person, sample in enumerate(samples)
                for number in range(self.n_fills)
                for patch in np.flatnonzero(self.patches.present(inside(sample)))
            ],
            dtype=int,
        ).reshape(-1, 3)
        copies = OccludedCopies(samples, fills, self.patches, plan, self.channels)
        effects = np.full((len(block), self.n_fills, len(self.patches)), np.nan)
        for start in range(0, len(plan), self.batch_size):
            rows = np.arange(start, min(start + self.batch_size, len(plan)))
            person = plan[rows, 0]
            after = self.response(_like(people, copies.take(rows), person))
            truth: Any = None if target is None else target[person]
            found = moved(self.score, self.response, before[person], after, truth)
            effects[tuple(plan[rows].T)] = found
        return effects, before


def _like(people: MapArray, copies: OccludedCopies, person: np.ndarray) -> MapArray:
    """Return copies with grid, ids and metadata of the people that they are of."""
    metadata = people.metadata
    return MapArray(
        copies,
        channels=people.channels,
        grid=people.grid,
        participants=people.participants[person],
        metadata=None if metadata is None else metadata.iloc[person],
    )
