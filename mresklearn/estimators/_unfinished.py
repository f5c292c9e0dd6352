"""Which unfinished training a fit may go on from: one with the same settings and people."""

from __future__ import annotations

import hashlib
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..training._checkpoint import Checkpoint
from ..training._dataset import PeopleDataset
from ._weights import find_network

# they change how a fit runs and what it shows, not what comes out
_WITHOUT_EFFECT = ("checkpoint", "device", "n_jobs", "verbose", "warm_start")


def checkpoint_of(
    estimator: Any, people: PeopleDataset, groups: Any, epochs: int
) -> Checkpoint | None:
    """Return the checkpoint of this very fit, or None if the estimator keeps none.

    The name of the file is a digest of everything the result depends on, so that the folds of a
    cross-validation share a folder and another setting never resumes this one.

    Parameters
    ----------
    estimator : BaseNetworkEstimator
        About to train.
    people : PeopleDataset
        Training people.
    groups : array-like or None
        Person of each row.
    epochs : int
        Epochs of this fit.

    Returns
    -------
    checkpoint : Checkpoint or None
        Where the fit keeps its state.

    Raises
    ------
    ValueError
        If the fit could not be repeated because ``random_state`` is not an integer.
    """
    if estimator.checkpoint is None:
        return None
    if not isinstance(estimator.random_state, Integral):
        raise ValueError(
            "A fit with a checkpoint must be the same when it is started again: give an integer "
            f"random_state, got {estimator.random_state!r}."
        )
    digest = hashlib.sha256(f"{__version__}|{epochs}|{_trained_so_far(estimator)}".encode())
    for name, value in sorted(estimator.get_params(deep=False).items()):
        if name == "init_from" and value is not None:
            for weight in find_network(value).state_dict().values():
                digest.update(weight.cpu().contiguous().numpy().tobytes())
        elif name not in _WITHOUT_EFFECT:
            digest.update(f"|{name}={_describe(value)}".encode())
    for values in (people.y, people.site, np.asarray(people.X.shape)):
        digest.update(np.ascontiguousarray(values).tobytes())
    if groups is not None:
        digest.update(repr(np.asarray(groups).tolist()).encode())
    # reading every map to name a file would cost an epoch: a few people tell cohorts apart
    for row in np.unique(np.linspace(0, len(people) - 1, 5).astype(int)):
        digest.update(np.ascontiguousarray(people.X[row], np.float32).tobytes())
    return Checkpoint(Path(estimator.checkpoint) / f"{digest.hexdigest()[:32]}.pt")


def _trained_so_far(estimator: Any) -> int:
    return len(estimator.net_.history) if hasattr(estimator, "net_") and estimator.warm_start else 0


def _describe(value: Any) -> str:
    if callable(value):
        return f"{value.__module__}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    return repr(value)
