"""Two axes of a feature table, and how much of it goes with age and with site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

__all__ = ["Embedding", "embed"]


@dataclass(frozen=True)
class Embedding:
    """A feature table on its two main axes.

    Attributes
    ----------
    name : str
        What it is.
    places : ndarray of shape (n, 2)
        Coordinates on the first two principal components.
    shares : tuple of float
        Share of the variance of all features that each axis holds.
    by_age, by_site : float
        Share of the variance of all features that age (linear) and site explain, less chance.
    """

    name: str
    places: np.ndarray
    shares: tuple[float, float]
    by_age: float
    by_site: float


def embed(name: str, features: Any, age: np.ndarray, site: np.ndarray) -> Embedding:
    """Project a feature table on its two main axes.

    Parameters
    ----------
    name : str
        What it is.
    features : array-like of shape (n, d)
        Rows as ages and sites.
    age : ndarray of shape (n,)
        Ages in years.
    site : ndarray of int of shape (n,)
        Code of each site.
    """
    table = np.asarray(features, dtype=float)
    if table.ndim != 2 or len(table) != len(age) or table.shape[1] < 2:
        raise ValueError(
            f"The embedding {name!r} must have {len(age)} rows, one for each participant, and 2 "
            f"columns or more: got shape {table.shape}."
        )
    if not np.isfinite(table).all():
        raise ValueError(
            f"The embedding {name!r} has missing or infinite values in "
            f"{(~np.isfinite(table)).any(axis=1).sum()} rows. Fill them in, or leave it out."
        )
    pca = PCA(n_components=2, random_state=0)
    places = pca.fit_transform(table)
    first, second = map(float, pca.explained_variance_ratio_)
    one_hot = (site[:, np.newaxis] == np.unique(site)[1:]).astype(float)
    return Embedding(
        name,
        places,
        (first, second),
        _share(table, age[:, np.newaxis]),
        _share(table, one_hot),
    )


def _share(table: np.ndarray, by: np.ndarray) -> float:
    """Return the adjusted share of the variance of all columns that least squares explains."""
    table, by = table - table.mean(axis=0), by - by.mean(axis=0)
    total = (table**2).sum()
    rank = np.linalg.matrix_rank(by) if by.size else 0
    left = len(table) - 1 - rank
    if total == 0 or rank == 0 or left < 1:
        return np.nan
    residual = table - by @ np.linalg.lstsq(by, table, rcond=None)[0]
    return float(1 - (residual**2).sum() / total * (len(table) - 1) / left)
