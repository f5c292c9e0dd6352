"""The models that ``mresklearn train`` offers: pipelines from files to age, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["Recipe", "RecipeName", "usual_voxel_size"]

USUAL_VOXEL_SIZE = 4.0  # mm: coarser maps stay as they are


class RecipeName(StrEnum):
    """Names of the models."""

    NETWORK = "network"
    RIDGE = "ridge"


@dataclass(frozen=True)
class Recipe:
    """What a model is made of.

    Parameters
    ----------
    name : RecipeName
        Linear on voxels, or a network that is penalised for what it tells of the site.
    voxel_size : float or None
        Voxels in mm; None keeps those of the maps.
    epochs : int
        Passes of the network over the training people.
    seed : int
        Seed of the network.
    n_jobs : int
        Threads that read files.
    units_are_settled : bool
        Whether files in Pa and in kPa were told apart before, as in a pool.
    """

    name: RecipeName
    voxel_size: float | None
    epochs: int
    seed: int
    n_jobs: int
    units_are_settled: bool

    def pipeline(self, *, n_sites: int) -> Pipeline:
        """Make the unfitted model.

        Parameters
        ----------
        n_sites : int
            Sites of the training people; 0 if they are not known.

        Returns
        -------
        model : Pipeline
            From a table of paths to age in years.
        """
        import numpy as np
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline

        from ..maps import MapLoader, MapMasker, MapScaler

        loader = MapLoader(
            voxel_size=self.voxel_size,
            mixed_units="convert" if self.units_are_settled else "raise",
            metadata=["site"] if n_sites else [],
            n_jobs=self.n_jobs,
        )
        if self.name == RecipeName.RIDGE:
            # voxels are standardised and many: the penalty that suits grows with their number
            readout = RidgeCV(alphas=np.logspace(0, 7, 15))
            return make_pipeline(loader, MapScaler(), MapMasker(), readout)
        return make_pipeline(loader, MapScaler(), self._network(n_sites))

    def _network(self, n_sites: int) -> Any:
        from ..estimators import ContrastiveEncoder, DomainInvariantRegressor

        several = n_sites > 1
        encoder = ContrastiveEncoder(
            max_epochs=self.epochs,
            balance="site" if several else None,
            random_state=self.seed,
        )
        if several:
            return DomainInvariantRegressor(encoder=encoder)
        # with one site there is nothing to be invariant to
        return DomainInvariantRegressor(penalty=None, projection=None, encoder=encoder)


def usual_voxel_size(path: str) -> float | None:
    """Choose 4 mm, or the voxels of the maps where they are as large.

    Parameters
    ----------
    path : str
        One of the maps.

    Returns
    -------
    voxel_size : float or None
        In mm; None keeps the maps' own.
    """
    from ..maps._image_files import open_image

    own = min(open_image(path).header.get_zooms()[:3])
    return None if own > USUAL_VOXEL_SIZE - 0.01 else USUAL_VOXEL_SIZE
