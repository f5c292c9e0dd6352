"""Batches of nearly equal size: in random order, or balanced over strata."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler


class EvenBatches(Sampler[list[int]]):
    """Split n rows into ceil(n / batch_size) batches whose sizes differ by at most one.

    So no epoch ends in a batch too small to compare people.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    batch_size : int
        Largest batch.
    shuffle : bool
        Draw a new order each epoch.
    order : Generator or None, default=None
        What orders are drawn from; None takes torch's default generator.
    """

    def __init__(
        self,
        n_rows: int,
        batch_size: int,
        *,
        shuffle: bool,
        order: torch.Generator | None = None,
    ) -> None:
        self.n_rows = n_rows
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.order = order

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        rows = torch.arange(self.n_rows)
        if self.shuffle:
            rows = torch.randperm(self.n_rows, generator=self.order)
        yield from (batch.tolist() for batch in rows.tensor_split(len(self)))


class BalancedBatches(Sampler[list[int]]):
    """Give every stratum the same share of every batch, up to one person.

    An epoch has as many batches as in random order. People of a small stratum come back within the
    epoch, after all others of it, and never twice in one batch; a stratum with fewer people than
    its share gives all of them.

    Parameters
    ----------
    strata : ndarray of shape (n,), int
        Stratum of each row.
    batch_size : int
        Largest batch.
    order : Generator or None, default=None
        What orders are drawn from; None takes torch's default generator.
    """

    def __init__(
        self, strata: np.ndarray, batch_size: int, *, order: torch.Generator | None = None
    ) -> None:
        self.order = order
        names = np.unique(strata)
        self.members = [torch.from_numpy(np.flatnonzero(strata == name)) for name in names]
        self.n_batches = -(-len(strata) // batch_size)
        self.batch_size = -(-len(strata) // self.n_batches)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        queues: list[list[int]] = [[] for _ in self.members]
        epoch: list[list[int]] = []
        # all at once: draws must not depend on how far ahead batches are read
        for _ in range(self.n_batches):
            batch: list[int] = []
            for stratum, share in enumerate(self._shares()):
                queues[stratum], taken = self._take(stratum, queues[stratum], share)
                batch += taken
            epoch.append(batch)
        yield from epoch

    def _shares(self) -> list[int]:
        """Return how many rows each stratum gives; who gives one more is drawn anew each time."""
        shares = [0] * len(self.members)
        left = self.batch_size
        while left and (open_to := [s for s, m in enumerate(self.members) if shares[s] < len(m)]):
            each = left // len(open_to)
            if each == 0:
                chosen = torch.randperm(len(open_to), generator=self.order)[:left]
                open_to, each = [open_to[place] for place in chosen.tolist()], 1
            for stratum in open_to:
                given = min(each, len(self.members[stratum]) - shares[stratum])
                shares[stratum] += given
                left -= given
        return shares

    def _take(self, stratum: int, queue: list[int], share: int) -> tuple[list[int], list[int]]:
        """Return what is left of a stratum's order, and its next rows without a repeat."""
        if share <= len(queue):
            return queue[share:], queue[:share]
        members = self.members[stratum]
        again = members[torch.randperm(len(members), generator=self.order)].tolist()
        fresh = [row for row in again if row not in set(queue)]
        missing = share - len(queue)
        return fresh[missing:] + queue, queue + fresh[:missing]


def strata_of(balance: str, site: np.ndarray, y: np.ndarray, batch_size: int) -> np.ndarray:
    """Return the stratum of each row.

    Of sites and ages there are as many bins of age as leave room for two people of every site in
    each: one person alone cannot be compared with another site.

    Parameters
    ----------
    balance : {"site", "age", "site_and_age"}
        What every batch should hold equally.
    site : ndarray of shape (n,), int
        Site codes.
    y : ndarray of shape (n,)
        Ages; up to five bins of equal width, so that rare ages come up as often as common ones.
    batch_size : int
        Largest batch.

    Returns
    -------
    strata : ndarray of shape (n,), int
        Labels.
    """
    if balance == "site":
        return site
    n_bins = N_AGE_BINS
    if balance == "site_and_age":
        n_bins = min(n_bins, max(1, batch_size // (2 * len(np.unique(site)))))
    bins = np.digitize(y, np.linspace(y.min(), y.max(), n_bins + 1)[1:-1])
    return bins if balance == "age" else site * n_bins + bins


BALANCES = ("site", "age", "site_and_age")
N_AGE_BINS = 5
