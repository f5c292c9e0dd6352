"""The public MRE134 maps: 134 young adults of five studies."""

import os
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm

from ..exceptions import DataError
from ._download import download_file
from ._load_cohort import load_cohort
from ._messages import listing
from ._row_checks import as_ids
from ._table import read_table, rename_columns

__all__ = ["fetch_mre134"]

REPOSITORY = "https://github.com/mechneurolab/MRE134"
# HEAD is the default branch, whatever its name
BASE_URL = "https://raw.githubusercontent.com/mechneurolab/MRE134/HEAD/"
TABLE = "MRE134_Demographics.xlsx"
FILENAMES = {
    "stiffness": "individual_stiffness_files/{participant_id}Stiffness_warped.nii",
    "damping_ratio": "individual_damping ratio_files/{participant_id}DR_warped.nii",
}
ID_COLUMN = "SUBJECT ID"
ID_FORMAT = "{:0>3}"
COLUMNS = {"age": "AGE", "sex": "SEX", "site": "ORIG STUDY"}
DESCRIPTION = """\
MRE134: MR elastography of 134 healthy adults of 18 to 35 years from five studies, at 50 Hz with
nonlinear inversion, in MNI152 space with 2 mm voxels (91 x 109 x 91). Shear stiffness
mu = 2|G*|^2 / (G' + |G*|), stored in Pa although the documentation of the data says kPa (MapLoader
converts), and damping ratio xi = G'' / (2 G'). 'site' is the original study: it stands for
scanner, sequence, coverage and the people recruited together; one study has no women and another
no men.

Cite: Hiscox LV, McGarry MDJ, Schwarb H, et al. (2020). Standard-space atlas of the viscoelastic
properties of the human brain. Human Brain Mapping. doi:10.1002/hbm.25192
Source: https://github.com/mechneurolab/MRE134. The authors state no licence, so the maps are not
part of this package: they are downloaded for your own use.
"""


def fetch_mre134(
    data_home=None,
    *,
    maps=("stiffness", "damping_ratio"),
    download=True,
    base_url=BASE_URL,
    verbose=1,
):
    """Fetch the MRE134 maps, the public MR elastography data with several studies.

    Files that are there are used as they are, ``.nii`` and ``.nii.gz`` alike; only missing ones are
    downloaded, about 1 GB for all maps of both kinds.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder with ``MRE134_Demographics.xlsx`` and the map folders, or where to put them. None
        takes the folder ``mre134`` below the one that the environment variable ``MRESKLEARN_DATA``
        names, if that exists: a local copy, complete or not, of which the people with all maps are
        used, without any download. Otherwise the folder ``mre134`` below ``MRESKLEARN_HOME``, or
        below ``~/.cache/mresklearn``.
    maps : sequence of {"stiffness", "damping_ratio"}, default=("stiffness", "damping_ratio")
        Which maps to fetch.
    download : bool, default=True
        Whether missing files may be downloaded.
    base_url : str, default="https://raw.githubusercontent.com/mechneurolab/MRE134/HEAD/"
        Address of the folder to download from; replace ``HEAD`` by a commit to pin one.
    verbose : int, default=1
        0 is silent; 1 shows the progress over the files.

    Returns
    -------
    cohort : Cohort
        Paths of the maps (stiffness in Pa, damping ratio without unit), and age in years, sex and
        site (``"Study A"`` to ``"Study E"``) of the participants ``"001"`` to ``"134"``.
        ``cohort.dropped`` lists participants that could not be used.

    Raises
    ------
    DataError
        If files are missing and may not, or cannot, be downloaded.

    References
    ----------
    .. [1] Hiscox et al. (2020). Standard-space atlas of the viscoelastic properties of the human
       brain. Human Brain Mapping. doi:10.1002/hbm.25192

    Examples
    --------
    >>> from mresklearn.datasets import fetch_mre134
    >>> cohort = fetch_mre134()  # doctest: +SKIP
    >>> cohort.participants.groupby("site").age.mean()  # doctest: +SKIP
    """
    _check_kinds(maps)
    folder, complete = _find_folder(data_home)
    if complete:
        missing = _missing_table(folder)
        if missing and not download:
            _refuse(folder, missing)
        _download_all(missing, folder, base_url, verbose=0)
        missing = _missing_maps(folder, maps)
        if missing and not download:
            _refuse(folder, missing)
        _download_all(missing, folder, base_url, verbose)
    return load_cohort(
        folder / TABLE,
        maps={kind: [FILENAMES[kind] + ".gz", FILENAMES[kind]] for kind in maps},
        participant_id=ID_COLUMN,
        columns=COLUMNS,
        id_format=ID_FORMAT,
        missing="drop",
        description=DESCRIPTION,
    )


def _check_kinds(maps):
    choices = list(FILENAMES)
    if isinstance(maps, str) or not len(maps) or any(kind not in choices for kind in maps):
        raise ValueError(f"maps must be a sequence of {choices}, not {maps!r}.")


def _find_folder(data_home):
    """Folder of the data, and whether what is missing from it is to be downloaded."""
    if data_home is not None:
        return Path(data_home).expanduser(), True
    local = os.environ.get("MRESKLEARN_DATA")
    if local and (Path(local) / "mre134").is_dir():
        return Path(local) / "mre134", False
    home = os.environ.get("MRESKLEARN_HOME") or Path.home() / ".cache" / "mresklearn"
    return Path(home).expanduser() / "mre134", True


def _missing_table(folder):
    return [] if (folder / TABLE).is_file() else [TABLE]


def _missing_maps(folder, maps):
    table = read_table(folder / TABLE)
    text = rename_columns(table, {"participant_id": ID_COLUMN}).text["participant_id"]
    ids = as_ids(text, ID_FORMAT, ID_COLUMN, table.name)
    names = [
        FILENAMES[kind].format(participant_id=person) for person in ids if person for kind in maps
    ]
    return [
        name
        for name in names
        if not (folder / name).is_file() and not (folder / f"{name}.gz").is_file()
    ]


def _download_all(names, folder, base_url, verbose):
    for name in tqdm(names, desc="MRE134", unit="file", disable=not (verbose and names)):
        try:
            download_file(f"{base_url.rstrip('/')}/{quote(name)}", folder / name)
        except DataError as error:
            raise DataError(
                f"{error} By hand: get {REPOSITORY} (git clone, or its ZIP archive), unpack it and "
                "pass that folder as data_home."
            ) from error


def _refuse(folder, missing):
    raise DataError(
        f"{str(folder)!r} lacks {len(missing)} of the MRE134 files: "
        f"{listing(map(repr, missing))}. Pass download=True, or get {REPOSITORY} by hand and pass "
        "its folder as data_home."
    )
