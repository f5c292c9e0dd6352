"""The object that every loader of this subpackage returns."""

import os

import pandas as pd
from sklearn.utils import Bunch

from ..exceptions import DataError
from ._messages import listing

__all__ = ["Cohort", "check_cohort"]


class Cohort(Bunch):
    """Participants with the paths of their maps, checked to belong together.

    A cohort is a :class:`sklearn.utils.Bunch`: its parts are read as attributes or as keys. It
    holds paths, not images, so that a cohort of thousands stays small until a loader reads it.

    Parameters
    ----------
    maps : DataFrame of shape (n_participants, n_map_kinds)
        Path of every map as a string, one column per map kind (``"stiffness"``,
        ``"damping_ratio"``, ``"t1"``), indexed by participant id.
    participants : DataFrame of shape (n_participants, n_columns)
        Age, sex, site and whatever else is known, with the same index.
    description : str, default=""
        Where the data come from and how to cite them.
    **details
        Further parts, kept as attributes: ``dropped`` and ``unlisted_files`` of
        :func:`load_cohort`, ``truth`` of :func:`make_mre_cohort`.

    Raises
    ------
    DataError
        If the two tables do not list the same unique string ids in the same order, or if a path is
        missing; the message names the ids.

    Examples
    --------
    >>> import pandas as pd
    >>> from mresklearn.datasets import Cohort
    >>> ids = pd.Index(["001", "002"], name="participant_id")
    >>> cohort = Cohort(
    ...     maps=pd.DataFrame({"stiffness": ["001.nii.gz", "002.nii.gz"]}, index=ids),
    ...     participants=pd.DataFrame({"age": [24.0, 61.0], "site": ["A", "B"]}, index=ids),
    ... )
    >>> cohort
    Cohort(2 participants, maps: stiffness, 2 sites, ages 24-61)
    >>> cohort.participants.age.mean()
    np.float64(42.5)
    """

    def __init__(self, maps, participants, description="", **details):
        maps, participants = check_cohort(maps, participants)
        super().__init__(maps=maps, participants=participants, description=description, **details)

    def __repr__(self):
        participants = self.participants
        parts = [
            f"{len(participants)} participant{'s' * (len(participants) != 1)}",
            "maps: " + ", ".join(self.maps.columns),
        ]
        if "site" in participants:
            n_sites = participants["site"].nunique()
            parts.append(f"{n_sites} site{'s' * (n_sites != 1)}")
        if "age" in participants and participants["age"].notna().any():
            ages = participants["age"]
            parts.append(f"ages {ages.min():g}-{ages.max():g}")
        if len(self.get("dropped", ())):
            parts.append(f"{len(self['dropped'])} dropped")
        return f"Cohort({', '.join(parts)})"


def check_cohort(maps, participants):
    """Check that a table of paths and a table of participants belong together.

    Parameters
    ----------
    maps : DataFrame of shape (n_participants, n_map_kinds)
        Paths, indexed by participant id.
    participants : DataFrame of shape (n_participants, n_columns)
        What is known of the participants, indexed by participant id.

    Returns
    -------
    maps, participants : DataFrame
        Copies whose index is named ``"participant_id"``; the paths are strings.

    Raises
    ------
    DataError
        If ids are not unique strings, differ between the tables, or lack a path.

    Examples
    --------
    >>> import pandas as pd
    >>> maps = pd.DataFrame({"stiffness": ["a.nii"]}, index=["001"])
    >>> maps, participants = check_cohort(maps, pd.DataFrame({"age": [30.0]}, index=["001"]))
    >>> maps.index.name
    'participant_id'
    """
    tables = {}
    for name, table in (("maps", maps), ("participants", participants)):
        if not isinstance(table, pd.DataFrame):
            raise DataError(
                f"{name} must be a pandas DataFrame indexed by participant id, not "
                f"{type(table).__name__}; load_cohort builds it from a table and file names."
            )
        _check_ids(table.index, name)
        tables[name] = table.rename_axis(index="participant_id")
    maps, participants = tables["maps"], tables["participants"]
    _check_same_ids(maps.index, participants.index)
    return _paths_as_strings(maps), participants


def _check_ids(index, name):
    not_text = [repr(value) for value in index if not isinstance(value, str)]
    if not_text:
        raise DataError(
            f"the index of {name} must hold participant ids as strings, but these are not: "
            f"{listing(not_text)}. Convert them with {name}.index.astype(str), with their leading "
            "zeros if the file names have any."
        )
    repeated = index[index.duplicated()].unique()
    if len(repeated):
        raise DataError(
            f"the index of {name} repeats participant ids: "
            f"{listing(map(repr, repeated))}. Every id may stand once; make repeated sessions "
            "unique, for example as '001_ses-2'."
        )


def _check_same_ids(in_maps, in_participants):
    if in_maps.equals(in_participants):
        return
    only_maps = in_maps.difference(in_participants, sort=False)
    only_participants = in_participants.difference(in_maps, sort=False)
    if len(only_maps) or len(only_participants):
        raise DataError(
            "maps and participants list different ids. "
            f"Only in maps: {listing(map(repr, only_maps)) or 'none'}. "
            f"Only in participants: {listing(map(repr, only_participants)) or 'none'}. "
            "Select the common ones with .loc[ids] on both."
        )
    moved = [repr(a) for a, b in zip(in_maps, in_participants, strict=True) if a != b]
    raise DataError(
        "maps and participants list the same ids in a different order, which would give people "
        f"the age of others; out of place: {listing(moved)}. "
        "Reorder with participants = participants.loc[maps.index]."
    )


def _paths_as_strings(maps):
    if not maps.shape[1]:
        raise DataError("maps has no column: give one column of paths per map kind.")
    text = {}
    for kind in maps.columns:
        wrong = [
            repr(person)
            for person, path in maps[kind].items()
            if not isinstance(path, (str, os.PathLike)) or not os.fspath(path)
        ]
        if wrong:
            raise DataError(
                f"column {kind!r} of maps has no path for participants {listing(wrong)}. "
                "Leave these participants out or fill in their files."
            )
        text[kind] = [os.fspath(path) for path in maps[kind]]
    return pd.DataFrame(text, index=maps.index)
