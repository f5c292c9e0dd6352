"""People as a torch data set whose items carry their metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

Batch = tuple[dict[str, torch.Tensor], torch.Tensor]


class PeopleDataset(Dataset):
    """Samples with site and target; each row's metadata travel with it into its batch.

    Parameters
    ----------
    X : ndarray of shape (n, features) or MapArray
        Checked input; the cast to float32 is made per row.
    y : ndarray of shape (n,) or None, default=None
        Target; None at prediction.
    site : ndarray of shape (n,), int, or None, default=None
        Site codes; None means one site.
    """

    def __init__(self, X: Any, y: np.ndarray | None = None, site: np.ndarray | None = None) -> None:
        self.X = X
        self.y = np.zeros(len(X)) if y is None else y
        self.site = np.zeros(len(X), np.int64) if site is None else site
        self._buffer: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return a whole batch; its samples are overwritten by the next one."""
        if self._buffer is None or len(self._buffer) < len(indices):
            # fresh pages for every batch would cost a tenth of a training step
            self._buffer = np.empty((len(indices), *self.X.shape[1:]), np.float32)
        samples = self._buffer[: len(indices)]
        for position, index in enumerate(indices):
            samples[position] = self.X[index]
        rows = np.asarray(indices)
        return (
            {"X": torch.from_numpy(samples), "site": torch.from_numpy(self.site[rows])},
            torch.from_numpy(self.y[rows].astype(np.float32)),
        )

    def subset(self, rows: np.ndarray) -> PeopleDataset:
        """Return these rows."""
        return PeopleDataset(self.X[rows], self.y[rows], self.site[rows])


def keep_batch(batch: Any) -> Any:
    """Collate nothing: the data set returns whole batches."""
    return batch
