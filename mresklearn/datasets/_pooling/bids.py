"""Maps in BIDS folders: found by name, with sessions, participants and JSON sidecars.

BIDS has no MR elastography; the names here follow its rules for derivatives (``desc-stiffness``).
"""

import glob
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...exceptions import DataError
from .._messages import listing
from .._table import Table, _typed, read_table

__all__ = ["BidsSource", "bids_maps", "read_bids"]

# our convention; an ending of one's own is given in the pool file
USUAL_NAMES = {"stiffness": ["desc-stiffness_*"], "damping_ratio": ["desc-dampingratio_*"]}
SIDECAR_COLUMNS = {
    "VibrationFrequency": "vibration_frequency",
    "InversionMethod": "inversion",
    "MagneticFieldStrength": "field_strength",
    "ManufacturersModelName": "scanner",
}


@dataclass(frozen=True)
class BidsSource:
    """A BIDS folder as a table with a row per person and session.

    Parameters
    ----------
    table : Table
        ``participants.tsv`` joined to the sessions files, with a column ``"<kind> file"`` per map
        kind and, where there are sessions, ``"session"``.
    templates : dict of str to list of str
        Map kind -> template that names its file column.
    sidecars : DataFrame
        What the JSON sidecars say, by the rows of the table; absent where they say nothing.
    units : DataFrame of str
        ``Units`` of the sidecars, one column per map kind, ``""`` where there is none.
    unlisted : DataFrame
        Columns ``map`` and ``file``: files of people without a row.
    """

    table: Table
    templates: dict
    sidecars: pd.DataFrame
    units: pd.DataFrame
    unlisted: pd.DataFrame


def bids_maps(entry):
    """Map kinds of a BIDS study: those that the pool file names, or the usual ones on disk.

    Parameters
    ----------
    entry : StudyEntry
        The study.

    Returns
    -------
    maps : dict of str to list of str
        Map kind -> endings of file names.
    """
    if entry.maps:
        return entry.maps
    return {kind: tags for kind, tags in USUAL_NAMES.items() if _find_files(entry, tags)}


def read_bids(entry, maps):
    """Find the maps of a BIDS folder and join them to its participants and sessions.

    Parameters
    ----------
    entry : StudyEntry
        The study.
    maps : dict of str to list of str
        Map kind -> endings of file names.

    Returns
    -------
    source : BidsSource
        Rows, file names and sidecars.

    Raises
    ------
    DataError
        If a person and session have several files of a kind, or a sidecar cannot be read.
    """
    people = read_table(entry.table, entry.sheet)
    if entry.participant_id not in people.text:
        raise DataError(
            f"{people.name} has no column {entry.participant_id!r}; its columns are "
            f"{listing(map(repr, people.text.columns), limit=40)}. Name the id column with "
            "participant_id."
        )
    files = {kind: _files_by_scan(entry, kind, tags) for kind, tags in maps.items()}
    rows, labels = [], {}
    for number, cells in people.text.iterrows():
        label = cells[entry.participant_id].removeprefix("sub-")
        sessions = _sessions(entry.root, label)
        found = {scan[1] for by_scan in files.values() for scan in by_scan if scan[0] == label}
        for session in sorted(found | set(sessions)) or [""]:
            row = f"{number}, ses-{session}" if session else number
            labels[row] = (label, session)
            own = dict(cells) | {entry.participant_id: f"sub-{label}" if label else ""}
            rows.append(own | sessions.get(session, {}) | {"session": session})
    text = pd.DataFrame(rows, index=list(labels)).fillna("")
    if not text["session"].any():
        text = text.drop(columns="session")
    for kind, by_scan in files.items():
        expected = f"sub-*/[ses-*/]{entry.folder}/sub-*_{maps[kind][0]}.nii[.gz]"
        text[f"{kind} file"] = [by_scan.get(scan, expected) for scan in labels.values()]
    sidecars, units = _read_sidecars(entry.root, files, labels)
    return BidsSource(
        table=Table(people.name, people.folder, text, text.apply(_typed)),
        templates={kind: [f"{{{kind} file}}"] for kind in maps},
        sidecars=sidecars,
        units=units,
        unlisted=_unlisted(files, {scan[0] for scan in labels.values()}),
    )


def _find_files(entry, tags):
    # imported here because loading a table needs none of it
    from nilearn.interfaces.bids import get_bids_files

    found = set()
    for tag in tags:
        found |= set(
            get_bids_files(
                glob.escape(str(entry.root)),
                file_tag=tag,
                file_type="nii*",
                modality_folder=entry.folder,
                filters=list(entry.filters.items()),
            )
        )
    return sorted(path for path in found if path.endswith((".nii", ".nii.gz")))


def _files_by_scan(entry, kind, tags):
    """File of every person and session, relative to the root."""
    by_scan = {}
    for path in _find_files(entry, tags):
        entities = _entities(path)
        scan = (entities.get("sub") or "", entities.get("ses") or "")
        by_scan.setdefault(scan, []).append(os.path.relpath(path, entry.root))
    several = [f"{' and '.join(names)}" for names in by_scan.values() if len(names) > 1]
    if several:
        raise DataError(
            f"several {kind!r} files belong to one person and session: {listing(several)}. Select "
            "with filters = { space = 'MNI152NLin6Asym', res = '2' }, or by a longer ending in "
            f"maps.{kind}."
        )
    return {scan: names[0] for scan, names in by_scan.items()}


def _entities(path):
    from nilearn.interfaces.bids import parse_bids_filename

    return parse_bids_filename(path)["entities"]


def _sessions(root, label):
    """Cells of every session in the sessions file of a person, if there is one."""
    path = root / f"sub-{label}" / f"sub-{label}_sessions.tsv"
    if not label or not path.is_file():
        return {}
    table = read_table(path)
    if "session_id" not in table.text:
        raise DataError(f"{table.name} has no column 'session_id', which BIDS requires.")
    rows = table.text.to_dict("records")
    return {
        cells.pop("session_id").removeprefix("ses-"): {
            name: cell for name, cell in cells.items() if cell
        }
        for cells in rows
    }


def _unlisted(files, people):
    found = [
        (kind, name)
        for kind, by_scan in files.items()
        for (label, _), name in by_scan.items()
        if label not in people
    ]
    return pd.DataFrame(found, columns=["map", "file"])


def _read_sidecars(root, files, labels):
    columns, units = {}, {}
    contradictions = []
    for row, scan in labels.items():
        for kind, by_scan in files.items():
            if scan not in by_scan:
                continue
            sidecar = _sidecar(root, by_scan[scan])
            units.setdefault(kind, {})[row] = str(sidecar.get("Units", ""))
            for key, column in SIDECAR_COLUMNS.items():
                if key not in sidecar:
                    continue
                value = columns.setdefault(column, {}).setdefault(row, sidecar[key])
                if value != sidecar[key]:
                    contradictions.append(f"{by_scan[scan]}: {key} {sidecar[key]!r}, not {value!r}")
    if contradictions:
        raise DataError(
            f"JSON sidecars of maps of one scan contradict each other: {listing(contradictions)}."
        )
    index = pd.Index(list(labels))
    return (
        pd.DataFrame(columns, index=index),
        pd.DataFrame(units, index=index, columns=list(files)).fillna("").astype(object),
    )


def _sidecar(root, name):
    """Read the JSON files that apply to a map; the nearer and the more specific one wins.

    A sidecar applies to all files below its folder that share its suffix and have its entities.
    """
    stem = name.removesuffix(".gz").removesuffix(".nii")
    *own_entities, suffix = Path(stem).name.split("_")
    content = {}
    for folder in reversed(Path(name).parents):
        found = [
            path
            for path in sorted((root / folder).glob(f"*{glob.escape(suffix)}.json"))
            if path.stem.split("_")[-1] == suffix
            and set(path.stem.split("_")[:-1]) <= set(own_entities)
        ]
        for path in sorted(found, key=lambda path: path.stem.count("_")):
            content |= _read_json(path)
    return content


def _read_json(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # also UnicodeDecodeError
        raise DataError(
            f"the sidecar {str(path)!r} is not valid JSON ({error}): correct or remove it."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"the sidecar {str(path)!r} must hold a JSON object, {{...}}.")
    return content
