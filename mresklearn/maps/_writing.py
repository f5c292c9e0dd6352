"""write_maps: maps back to NIfTI files that any viewer, and MapLoader, can open."""

from __future__ import annotations

import os
from collections import Counter
from os import PathLike
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import nibabel as nib
import numpy as np
import pandas as pd
from sklearn.utils._param_validation import validate_params
from tqdm import tqdm

from ._grid import Grid
from ._map_array import MapArray

__all__ = ["write_maps"]

SUFFIX = ".nii.gz"
MOST_NAMED = 5


@validate_params(
    {
        "maps": [MapArray],
        "folder": [str, PathLike],
        "overwrite": ["boolean"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def write_maps(
    maps: MapArray, folder: str | PathLike[str], *, overwrite: bool = False, verbose: int = 0
) -> pd.DataFrame:
    """Write one NIfTI file per person and channel, such as harmonised maps for other software.

    Parameters
    ----------
    maps : MapArray of shape (n, channels, x, y, z)
        Maps with a grid, as :class:`MapLoader` makes them; read one person at a time.
    folder : path-like
        Where to write ``<participant>_<channel>.nii.gz``; made with its parents. Characters that
        some file system refuses are percent-encoded, as in a web address: ``a/b`` is ``a%2Fb``.
    overwrite : bool, default=False
        Replace files that are there.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    paths : DataFrame of shape (n, channels)
        Path of each file as text, indexed by participant id, like the maps of a
        :class:`~mresklearn.datasets.Cohort`. MapLoader reads the same values back where they lie
        within the physical range of the map kind, and the channel that defines the brain is
        positive inside.

    Raises
    ------
    ValueError
        If the maps have no grid, or two files would have one name.
    FileExistsError
        If a file exists and `overwrite` is False; nothing is written then.

    Notes
    -----
    Values are stored as float32 in the unit that they have, kPa for moduli. Each file is written
    under another name and then moved, so that none is ever half-written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from mresklearn import MapLoader, make_mre_cohort
    >>> from mresklearn.maps import write_maps
    >>> cohort = make_mre_cohort(n_subjects=4, n_sites=2, voxel_size=10, random_state=0)
    >>> maps = MapLoader().fit_transform(cohort.maps)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = write_maps(maps, folder)
    ...     again = np.asarray(MapLoader().fit_transform(paths))
    >>> list(paths.columns)
    ['stiffness', 'damping_ratio']
    >>> bool((again == np.asarray(maps)).all())
    True
    """
    if maps.grid is None:
        raise ValueError(
            "These maps have no grid, so that a file could not say where its voxels lie. Load them "
            "from files with MapLoader, or make them with MapArray(..., grid=)."
        )
    folder = Path(folder)
    ids = pd.Index([str(participant) for participant in maps.participants], name="participant_id")
    names = np.array(
        [[f"{_safe(person)}_{_safe(kind)}{SUFFIX}" for kind in maps.channels] for person in ids],
        dtype=object,
    ).reshape(len(ids), len(maps.channels))
    _refuse_repeated(names)
    if not overwrite:
        _refuse_existing(folder, names)
    folder.mkdir(parents=True, exist_ok=True)
    rows = tqdm(zip(names, maps, strict=True), total=len(ids), desc="maps", disable=not verbose)
    for row, sample in rows:
        for name, volume in zip(row, sample, strict=True):
            _write(volume, maps.grid, folder / name)
    paths = [[str(folder / name) for name in row] for row in names]
    return pd.DataFrame(paths, index=ids, columns=list(maps.channels), dtype=object)


def _safe(text: str) -> str:
    """Return a text as part of a file name that no file system refuses; different texts differ."""
    encoded = quote(text, safe="")
    return f"%2E{encoded[1:]}" if encoded.startswith(".") else encoded


def _refuse_repeated(names: np.ndarray) -> None:
    # some file systems do not tell capital letters from small ones
    count = Counter(name.casefold() for name in names.flat)
    twice = sorted({name for name in names.flat if count[name.casefold()] > 1})
    if twice:
        raise ValueError(
            f"Several maps would be written to one file: {_listed(twice)}. Give each row an id of "
            "its own, for instance with the session in it."
        )


def _refuse_existing(folder: Path, names: np.ndarray) -> None:
    there = [name for name in names.flat if (folder / name).exists()]
    if there:
        raise FileExistsError(
            f"{folder} holds {len(there)} of the files already: {_listed(there)}. Choose another "
            "folder, or replace them with overwrite=True."
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _write(volume: np.ndarray, grid: Grid, path: Path) -> None:
    """Write one volume under a temporary name beside its place, and move it there."""
    image = nib.Nifti1Image(np.asarray(volume, dtype=np.float32), grid.matrix)
    image.header.set_xyzt_units("mm")
    temporary = path.with_name(f".{uuid4().hex}{SUFFIX}")
    try:
        image.to_filename(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
