"""The same computation for many seeds, in parallel and with a progress bar."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.utils.parallel import Parallel, delayed
from tqdm import tqdm

__all__ = ["draw_seeds", "repeat"]


def draw_seeds(random: np.random.RandomState, size: int) -> np.ndarray:
    """Draw one seed a repetition, so that results do not depend on who computes which."""
    return random.randint(np.iinfo(np.int32).max, size=size)


def repeat(
    function: Callable[[int], float],
    items: np.ndarray,
    *,
    n_jobs: int | None,
    verbose: int,
    label: str,
) -> np.ndarray:
    """Apply `function` to each of `items` (seeds or row numbers) and return the numbers."""
    portions = np.array_split(items, min(len(items), 50))  # enough for a bar that moves
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_apply)(function, portion) for portion in portions
    )
    values = []
    with tqdm(total=len(items), desc=label, disable=not verbose) as bar:
        for result in results:
            values.extend(result)
            bar.update(len(result))
    return np.array(values, dtype=float)


def _apply(function: Callable[[int], float], items: np.ndarray) -> list[float]:
    return [function(int(item)) for item in items]
