"""What is on disk: unit, grid, background, coverage and content of every map file."""

import hashlib
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from ...exceptions import DataError
from ...maps._image_files import load_volume, open_image
from ...maps._kinds import detect_unit, kind_of
from ...maps._tissue import tissue

__all__ = ["MapSurvey", "survey_map", "survey_maps"]


@dataclass(frozen=True)
class MapSurvey:
    """What one map file holds.

    Parameters
    ----------
    path : str
        The file.
    unit : str
        "Pa" or "kPa" as found from the values of a modulus, "" where they are unclear; for other
        maps the unit of their kind.
    median : float
        Median of the brain voxels, in the unit on disk.
    grid : Grid
        Voxel grid after reorientation to RAS+.
    n_brain, n_negative, n_nan : int
        Voxels that hold tissue, that are negative, and that are not finite.
    orientation : {"sform", "qform", "none"}
        Where the header says which way the axes run.
    content : str
        Hash of values and grid: the same for copies, whatever their name or compression.
    """

    path: str
    unit: str
    median: float
    grid: object
    n_brain: int
    n_negative: int
    n_nan: int
    orientation: str
    content: str

    @property
    def volume(self):
        """Volume of the brain voxels in millilitres."""
        return self.n_brain * abs(np.linalg.det(self.grid.matrix[:3, :3])) / 1000


def survey_map(path, kind):
    """Read a map file and note what a pool of studies has to know of it.

    Parameters
    ----------
    path : str
        The file.
    kind : str
        Its map kind, which decides whether a unit is looked for.

    Returns
    -------
    survey : MapSurvey
        What the file holds.

    Raises
    ------
    DataError
        If the file cannot be read or shows no brain.
    """
    header = open_image(path).header
    values, grid = load_volume(path)
    finite = np.isfinite(values)
    brain = tissue(values)
    n_brain = int(brain.sum())
    if not n_brain:
        raise DataError(
            f"{path} has no positive voxel (all zeros or NaN), so it shows no brain. "
            "Leave this row out or replace the file."
        )
    return MapSurvey(
        path=path,
        unit=_unit(values[brain], path, kind),
        median=float(np.median(values[brain])),
        grid=grid,
        n_brain=n_brain,
        n_negative=int((finite & (values < 0)).sum()),
        n_nan=int(values.size - finite.sum()),
        orientation=_orientation(header),
        content=_hash(np.where(finite, values, np.float32(0)), grid),
    )


def survey_maps(paths, *, n_jobs=None, verbose=0):
    """Read the map files of a cohort once, in parallel, and report every bad one.

    Parameters
    ----------
    paths : DataFrame of shape (n_participants, n_map_kinds)
        Paths, one column per map kind, indexed by participant id.
    n_jobs : int or None, default=None
        Threads that read files.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    surveys : dict of (str, str) to MapSurvey
        Participant id and map kind -> what the file holds.
    unusable : dict of str to list of str
        Participant id -> what is wrong with its files.
    """
    cells = [(person, kind) for person in paths.index for kind in paths.columns]
    work = tqdm(cells, desc="Reading maps", unit="file", disable=not verbose)
    results = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_survey_or_error)(paths.at[person, kind], kind) for person, kind in work
    )
    surveys, unusable = {}, {}
    for (person, kind), result in zip(cells, results, strict=True):
        if isinstance(result, DataError):
            unusable.setdefault(person, []).append(f"{kind}: {result}")
        else:
            surveys[person, kind] = result
    return surveys, unusable


def _survey_or_error(path, kind):
    """Return the error of a bad file, so that all files are tried."""
    try:
        return survey_map(path, kind)
    except DataError as error:
        return error


def _unit(voxels, path, kind):
    if kind_of(kind).unit != "kPa":
        return kind_of(kind).unit
    try:
        return detect_unit(voxels, path, kind)
    except DataError:
        return ""


def _orientation(header):
    for code, name in (("sform_code", "sform"), ("qform_code", "qform")):
        if code not in header or int(header[code]) > 0:
            return name
    return "none"


def _hash(values, grid):
    digest = hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=16)
    digest.update(repr((grid.shape, np.round(grid.matrix, 2).tolist())).encode())
    return digest.hexdigest()
