"""How batches reach the device: from its own memory where the cohort fits, else read ahead."""

from __future__ import annotations

import os

import torch
from joblib import effective_n_jobs
from torch.utils.data import DataLoader, Sampler

from ._dataset import PeopleDataset, keep_batch

# the rest of the memory is for weights, gradients and activations
_SHARE_OF_FREE_MEMORY = 0.5
_MOST_READERS = 4


def place(people: PeopleDataset, device: str) -> PeopleDataset:
    """Put people into the memory of a GPU if they fit beside the training.

    On the CPU they stay where they are: maps of the store are mapped into memory, so a copy would
    only double it.

    Parameters
    ----------
    people : PeopleDataset
        Training people.
    device : str
        Device to train on.

    Returns
    -------
    people : PeopleDataset
        The same, or a copy on the device.
    """
    if torch.device(device).type != "cuda":
        return people
    n_bytes = 4 * len(people) * int(torch.Size(people.X.shape[1:]).numel())
    free, _ = torch.cuda.mem_get_info(device)
    return people.resident(device) if n_bytes <= _SHARE_OF_FREE_MEMORY * free else people


def batch_loader(
    people: PeopleDataset, batches: Sampler[list[int]], device: str, n_jobs: int | None
) -> DataLoader:
    """Return a loader of whole batches.

    Parameters
    ----------
    people : PeopleDataset
        As :func:`place` returned them.
    batches : Sampler
        Rows of each batch.
    device : str
        Device to train on; batches that come from the CPU to a GPU are pinned.
    n_jobs : int or None
        Processes that read ahead; None means none on the CPU, where they would take the cores of
        the training, and for people who live on the device, else up to four; negative numbers
        count from the number of cores, as in joblib.

    Returns
    -------
    loader : DataLoader
        One item per batch.
    """
    is_cuda = torch.device(device).type == "cuda"
    resident = isinstance(people.X, torch.Tensor)
    if n_jobs is None:
        n_jobs = min(_MOST_READERS, os.cpu_count() or 1) if is_cuda else 0
    elif n_jobs < 0:
        n_jobs = effective_n_jobs(n_jobs)
    n_jobs = 0 if resident else n_jobs
    return DataLoader(
        people,
        batch_sampler=batches,
        collate_fn=keep_batch,
        num_workers=n_jobs,
        persistent_workers=n_jobs > 0,
        pin_memory=is_cuda and not resident,
        # a generator of its own: DataLoader draws a worker seed, by default from the global stream
        generator=torch.Generator(),
    )
