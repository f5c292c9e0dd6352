"""Turn whatever holds paths into rows of files with ids and metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from ..exceptions import DataError, MissingMetadataError


@dataclass(frozen=True)
class FileTable:
    """Paths (or images) of each participant.

    Parameters
    ----------
    files : DataFrame
        One column per map kind, indexed by participant.
    metadata : DataFrame or None
        Columns of the input that ride along with the rows.
    """

    files: pd.DataFrame
    metadata: pd.DataFrame | None


def is_path(value: Any) -> bool:
    """Whether a value names a file."""
    return isinstance(value, str | PathLike)


def is_file(value: Any) -> bool:
    """Whether a value can be read as a map: a path or a nibabel image."""
    return is_path(value) or isinstance(value, nib.spatialimages.SpatialImage)


def holds_files(X: Any) -> bool:
    """Whether X holds paths or images rather than numbers, in any row: some may miss theirs."""
    if isinstance(X, pd.DataFrame):
        return any(holds_files(column) for _, column in X.items())
    if isinstance(X, pd.Series):
        return not pd.api.types.is_numeric_dtype(X.dtype) and any(map(is_file, X))
    if isinstance(X, np.ndarray):
        if X.dtype.kind not in "UO" or X.ndim not in (1, 2) or X.size == 0:
            return False
        return any(map(is_file, X if X.ndim == 1 else X[:, 0]))
    if isinstance(X, list | tuple):
        return any(is_file(_first_of(row)) for row in X)
    return False


def _first_of(row: Any) -> Any:
    """Return the first entry of a row, or the row itself where it has no entries."""
    return row[0] if isinstance(row, list | tuple) and len(row) else row


def as_file_table(X: Any, maps: Sequence[str] | None, metadata: Sequence[str]) -> FileTable:
    """Split X into map columns and metadata columns.

    Parameters
    ----------
    X : DataFrame, Series, array or list of paths or images
        Columns are map kinds; one column alone is called ``map`` unless it has a name.
    maps : sequence of str or None
        Columns that are maps; None means every column that is not metadata.
    metadata : sequence of str
        Columns that ride along.
    """
    frame = _as_frame(X)
    absent = [name for name in metadata if name not in frame.columns]
    if absent:
        raise MissingMetadataError(
            f"Metadata column(s) {absent} are not in X, whose columns are "
            f"{list(frame.columns)}. Join them to the maps, e.g. cohort.maps.join(people.site)."
        )
    names = [name for name in frame.columns if name not in metadata] if maps is None else list(maps)
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise DataError(
            f"Map column(s) {absent} are not in X, whose columns are {list(frame.columns)}."
        )
    if not names:
        raise DataError("X has no column of maps: all of its columns are named in metadata=.")
    files = frame[names]
    for name in names:
        for participant, value in files[name].items():
            if not is_file(value):
                raise DataError(
                    f"Column '{name}', row '{participant}' holds {value!r}, which is neither a "
                    "path nor an image. Name the map columns with maps=[...], or list this column "
                    "in metadata=[...]."
                )
    return FileTable(files, frame[list(metadata)] if metadata else None)


def _as_frame(X: Any) -> pd.DataFrame:
    if isinstance(X, pd.DataFrame):
        return X
    if isinstance(X, pd.Series):
        return X.to_frame(name=X.name if X.name is not None else "map")
    if isinstance(X, np.ndarray):
        rows = X.reshape(len(X), -1).tolist()
    else:
        rows = [list(row) if isinstance(row, list | tuple) else [row] for row in X]
    width = len(rows[0])
    columns = ["map"] if width == 1 else [f"map{number}" for number in range(width)]
    return pd.DataFrame(rows, columns=columns, dtype=object)
