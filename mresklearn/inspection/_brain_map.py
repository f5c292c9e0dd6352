"""BrainMap: one map a person and their mean, written as NIfTI and drawn."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pandas as pd

from ..maps._grid import Grid
from ._group_maps import GroupMaps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BrainMap"]

LEVELS = ("group", "magnitude", "standard_error", "t", "n_people")


class BrainMap(metaclass=ABCMeta):
    """One map a person, and their mean; :func:`occlusion_map` and :func:`gradient_map` make it.

    Attributes
    ----------
    group_map : ndarray of shape (x, y, z), float32
        Mean over persons; NaN outside the brain, and where too few persons have the voxel.
    magnitude_map : ndarray of shape (x, y, z), float32
        Mean over persons of the absolute value, for signed maps.
    standard_error_map : ndarray of shape (x, y, z), float32
        Standard error of `group_map` over persons.
    t_map : ndarray of shape (x, y, z), float32
        Their ratio. A test against 0 for signed maps only: what cannot be negative has no mean
        of 0 to test against.
    n_people_map : ndarray of shape (x, y, z), int
        Persons who have each voxel.
    subject_maps : ndarray of shape (n, x, y, z), float32
        Map of each row, NaN outside the brain; made when asked for.
    participants : Index
        Participant id of each row.
    grid : Grid or None
        Voxel grid.
    unit : str
        What a value says.
    signed : bool
        Whether values may be negative.

    See Also
    --------
    OcclusionMap, GradientMap : The two kinds.
    """

    def __init__(
        self, group: GroupMaps, participants: pd.Index, grid: Grid | None, unit: str, signed: bool
    ) -> None:
        self.group_map = group.mean
        self.magnitude_map = group.magnitude
        self.standard_error_map = group.standard_error
        self.n_people_map = group.n_people
        self.participants = participants
        self.grid = grid
        self.unit = unit
        self.signed = signed

    @abstractmethod
    def subject_map(self, row: int) -> np.ndarray:
        """Return the map of one row.

        Parameters
        ----------
        row : int
            Position of the row.

        Returns
        -------
        volume : ndarray of shape (x, y, z), float32
            NaN outside the person's brain.
        """

    @property
    def subject_maps(self) -> np.ndarray:
        """Map of each row, (n, x, y, z)."""
        return np.stack([self.subject_map(row) for row in range(len(self.participants))])

    @property
    def t_map(self) -> np.ndarray:
        """Mean over its standard error; NaN where that is 0."""
        error = self.standard_error_map
        empty = np.full(error.shape, np.nan, np.float32)
        return np.divide(self.group_map, error, out=empty, where=error > 0)

    def volume(self, what: str | int = "group") -> np.ndarray:
        """Return one of the maps.

        Parameters
        ----------
        what : {"group", "magnitude", "standard_error", "t", "n_people"} or int, default="group"
            Which; a number is the row of a person.

        Returns
        -------
        volume : ndarray of shape (x, y, z)
            NaN outside the brain.
        """
        if isinstance(what, int | np.integer):
            return self.subject_map(int(what))
        if what not in LEVELS:
            raise ValueError(
                f"what must be one of {list(LEVELS)} or the row of a person: {what!r}."
            )
        return getattr(self, f"{what}_map")

    def to_image(self, what: str | int = "group", *, outside: float = 0.0) -> nib.Nifti1Image:
        """Return one of the maps as an image.

        Parameters
        ----------
        what : {"group", "magnitude", "standard_error", "t", "n_people"} or int, default="group"
            Which; a number is the row of a person.
        outside : float, default=0.0
            Value outside the brain; NaN keeps brain voxels of value 0 apart from it, but not all
            viewers draw it.

        Returns
        -------
        image : Nifti1Image
            float32, on the grid of the maps.

        Raises
        ------
        ValueError
            If the maps have no grid.
        """
        if self.grid is None:
            raise ValueError(
                "These maps have no grid, so that an image could not say where its voxels lie. "
                "Load the maps from files with MapLoader, which keeps their grid."
            )
        volume = self.volume(what).astype(np.float32)
        image = nib.Nifti1Image(np.where(np.isnan(volume), outside, volume), self.grid.matrix)
        image.header.set_xyzt_units("mm")
        return image

    def to_nifti(
        self,
        path: str | PathLike[str],
        what: str | int = "group",
        *,
        outside: float = 0.0,
        overwrite: bool = False,
    ) -> Path:
        """Write one of the maps, for any viewer.

        Parameters
        ----------
        path : path-like
            File that ends in ``.nii`` or ``.nii.gz``.
        what : {"group", "magnitude", "standard_error", "t", "n_people"} or int, default="group"
            Which; a number is the row of a person.
        outside : float, default=0.0
            Value outside the brain.
        overwrite : bool, default=False
            Replace a file that is there.

        Returns
        -------
        path : Path
            The file.

        Raises
        ------
        ValueError
            If the maps have no grid, or the name is no NIfTI file.
        FileExistsError
            If the file exists and `overwrite` is False.
        """
        path = Path(path)
        if not path.name.endswith((".nii", ".nii.gz")):
            raise ValueError(f"{path} is no name of a NIfTI file: end it in .nii or .nii.gz.")
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists. Replace it with overwrite=True.")
        self.to_image(what, outside=outside).to_filename(path)
        return path

    def plot(
        self,
        what: str | int = "group",
        *,
        kind: str = "slices",
        threshold: float | None = None,
        cuts: Sequence[float] | int = 7,
        title: str | None = None,
    ) -> Figure:
        """Draw one of the maps over the MNI template.

        Parameters
        ----------
        what : {"group", "magnitude", "standard_error", "t", "n_people"} or int, default="group"
            Which; a number is the row of a person.
        kind : {"slices", "glass"}, default="slices"
            Axial slices, or projections through a glass brain.
        threshold : float or None, default=None
            Values below it in size are not drawn; None draws the strongest fifth of the brain.
        cuts : int or sequence of float, default=7
            Number of slices, or their z in mm.
        title : str or None, default=None
            Text above; None says how many people are shown.

        Returns
        -------
        figure : matplotlib Figure
            About 10 by 3 inches.

        Raises
        ------
        ValueError
            If the maps have no grid. They must lie in MNI space.
        """
        from ._brain_map_plot import draw_brain_map  # matplotlib only where it is drawn

        return draw_brain_map(self, what, kind, threshold, cuts, title)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.group_map.shape))
        return (
            f"{type(self).__name__} of {len(self.participants)} rows on {size} voxels: {self.unit}"
        )
