"""From the parameters of a MapLoader and its first rows to the MapReader that reads all of them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..exceptions import DataError
from ._grid import Grid
from ._image_files import open_image
from ._kinds import PASCAL_PER_UNIT, kind_of, mask_kind
from ._moduli import derivable, sources_of
from ._opening import FileTable
from ._reading import MapReader

_METHODS = ("linear", "nearest")


def columns_to_read(maps: list[str] | None, mask: str | None, X: Any) -> list[str] | None:
    """Return the columns that hold what the channels and the mask need; None means all.

    Parameters
    ----------
    maps : list of str or None
        Channels asked for: columns, or kinds that can be derived.
    mask : str or None
        Column that defines the brain.
    X : DataFrame or other holder of files
        Input of `fit`.
    """
    if maps is None:
        return None
    available = list(X.columns) if isinstance(X, pd.DataFrame) else list(maps)
    wanted: list[str] = []
    for name in maps:
        can_derive = name not in available and derivable(name)
        wanted += sources_of(name, available) if can_derive else [name]
    mask = mask or mask_kind([*available, *wanted])
    return list(dict.fromkeys([*wanted, mask]))


def build_reader(loader: Any, table: FileTable) -> MapReader:
    """Settle everything that decides what a row of files becomes.

    Parameters
    ----------
    loader : MapLoader
        Its parameters.
    table : FileTable
        Rows of `fit`; the first defines the grid where the user gives none.

    Returns
    -------
    reader : MapReader
        Plain values, valid for every later row.
    """
    columns = tuple(table.files.columns)
    channels = columns if loader.maps is None else tuple(loader.maps)
    derived = [(name, sources_of(name, columns)) for name in channels if name not in columns]
    accept = "any" if loader.grid is not None else "grid" if loader.voxel_size is None else "space"
    return MapReader(
        columns=columns,
        channels=channels,
        mask_column=loader.mask or mask_kind(list(columns)),
        grid=_target_grid(loader, table),
        derived=tuple(derived),
        accept=accept,
        units=_units(loader.units, columns),
        limits=_limits(loader.limits, channels),
        outliers=loader.outliers,
        interpolation=_interpolation(loader.interpolation, channels),
    )


def _target_grid(loader: Any, table: FileTable) -> Grid:
    given = loader.grid
    if isinstance(given, Grid):
        grid = given
    else:
        grid = Grid.of_image(open_image(table.files.iloc[0, 0] if given is None else given))
    if loader.voxel_size is not None:
        return grid.with_voxel_size(loader.voxel_size)
    if grid.axis_aligned:
        return grid
    straight = grid.with_voxel_size(float(grid.voxel_size.min()))
    # the first map's own grid is that of all maps, so that nothing has to be resampled
    return grid if given is None and not straight.same_as(grid) else straight


def _units(units: Any, columns: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    if units == "auto":
        return ()
    _check_names("units", units, columns)
    for column, unit in units.items():
        if kind_of(column).unit != "kPa" or unit not in PASCAL_PER_UNIT:
            raise ValueError(
                f"units={{'{column}': '{unit}'}} is not possible: moduli such as 'stiffness' "
                "can be 'Pa' or 'kPa'; other kinds are not converted."
            )
    return tuple(sorted(units.items()))


def _limits(limits: Any, channels: tuple[str, ...]) -> tuple[tuple[str, float, float], ...]:
    if limits is None:
        return ()
    _check_names("limits", limits, channels)
    for channel, pair in limits.items():
        if len(pair) != 2 or not pair[0] < pair[1]:
            raise ValueError(
                f"limits={{'{channel}': {pair}}} must be (lowest, highest) in the unit after "
                "loading: kPa for moduli, none for damping ratio."
            )
    return tuple((channel, float(low), float(high)) for channel, (low, high) in limits.items())


def _interpolation(method: Any, channels: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    by_channel = dict.fromkeys(channels, method) if isinstance(method, str) else method
    _check_names("interpolation", by_channel, channels)
    for channel, name in by_channel.items():
        if name not in _METHODS:
            raise ValueError(f"interpolation of '{channel}' must be one of {_METHODS}: {name!r}.")
    return tuple(sorted((c, name) for c, name in by_channel.items() if name != "linear"))


def _check_names(parameter: str, given: dict, known: tuple[str, ...]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise DataError(
            f"{parameter} names {unknown}, but the maps are {list(known)}. Correct the name."
        )
