"""Batches of nearly equal size, so that no epoch ends in a batch too small to compare people."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EvenBatches(Sampler[list[int]]):
    """Split n rows into ceil(n / batch_size) batches whose sizes differ by at most one.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    batch_size : int
        Largest batch.
    shuffle : bool
        Draw a new order each epoch, from torch's default generator.
    """

    def __init__(self, n_rows: int, batch_size: int, *, shuffle: bool) -> None:
        self.n_rows = n_rows
        self.batch_size = batch_size
        self.shuffle = shuffle

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self.n_rows) if self.shuffle else torch.arange(self.n_rows)
        return (batch.tolist() for batch in order.tensor_split(len(self)))
