"""People as a torch data set whose batches carry their metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info


class Batch(NamedTuple):
    """People of one step; target first, from whose length skorch counts them."""

    y: torch.Tensor
    site: torch.Tensor
    X: torch.Tensor
    row: torch.Tensor
    weight: torch.Tensor


class PeopleDataset(Dataset):
    """Samples with site and target; each row's metadata travel with it into its batch.

    Parameters
    ----------
    X : ndarray of shape (n, features) or MapArray
        Checked input; the cast to float32 is made per row.
    y : ndarray of shape (n,) or None, default=None
        Target; None at prediction.
    site : ndarray of shape (n,) or (n, domain variables), int, or None, default=None
        Site codes, other domain variables after them; None means one site.
    share : tuple of int, default=(0, 1)
        This process and the number of processes: samples are read for every so manieth row of a
        batch, while target and site are given for all of it.
    weight : ndarray of shape (n,) or None, default=None
        What each person counts in an invariance penalty; None is the same.
    """

    def __init__(
        self,
        X: Any,
        y: np.ndarray | None = None,
        site: np.ndarray | None = None,
        share: tuple[int, int] = (0, 1),
        weight: np.ndarray | None = None,
    ) -> None:
        self.X = X
        self.y = np.zeros(len(X)) if y is None else y
        self.site = np.zeros(len(X), np.int64) if site is None else site
        self.share = share
        self.weight = np.ones(len(X), np.float32) if weight is None else weight
        self._buffer: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return a whole batch; its samples are overwritten by the next one."""
        process, n_processes = self.share
        rows = np.asarray(indices)
        return Batch(
            y=torch.from_numpy(self.y[rows].astype(np.float32)),
            site=torch.from_numpy(self.site[rows]),
            X=self._samples(rows[process::n_processes]),
            row=torch.from_numpy(rows),
            weight=torch.from_numpy(self.weight[rows].astype(np.float32)),
        )

    def subset(self, rows: np.ndarray) -> PeopleDataset:
        """Return these rows."""
        parts = self.X[rows], self.y[rows], self.site[rows]
        return PeopleDataset(*parts, self.share, self.weight[rows])

    def resident(self, device: str) -> PeopleDataset:
        """Return the same people with their samples on the device, read once."""
        samples = torch.empty((len(self), *self.X.shape[1:]), device=device)
        for row in range(len(self)):
            samples[row] = torch.from_numpy(np.asarray(self.X[row], np.float32))
        return _ResidentPeople(samples, self.y, self.site, self.share, self.weight)

    def _samples(self, rows: np.ndarray) -> torch.Tensor:
        # fresh pages for every batch would cost a tenth of a training step; but a process that
        # reads ahead still holds the last batch when it fills the next
        if self._buffer is None or len(self._buffer) < len(rows) or get_worker_info():
            self._buffer = np.empty((len(rows), *self.X.shape[1:]), np.float32)
        samples = self._buffer[: len(rows)]
        if len(self.X.shape) == 2:
            samples[:] = self.X[rows]
        else:
            for position, row in enumerate(rows):
                samples[position] = self.X[row]
        return torch.from_numpy(samples)


class _ResidentPeople(PeopleDataset):
    """People whose samples are a tensor on the device."""

    def _samples(self, rows: np.ndarray) -> torch.Tensor:
        return self.X[torch.from_numpy(rows).to(self.X.device)]


def keep_batch(batch: Any) -> Any:
    """Collate nothing: the data set returns whole batches."""
    return batch
