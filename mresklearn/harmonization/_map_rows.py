"""Site and covariates of maps: from keywords, or from the metadata that ride with the rows."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd

from .._metadata import site_of_rows
from ..exceptions import MissingMetadataError
from ..maps import MapArray, MapLoader
from ..maps._opening import holds_files
from ._rows import named_covariates

__all__ = ["accepted", "as_maps", "labels_of", "takes"]


def labels_of(
    maps: MapArray, harmonizer: Any, given: dict[str, Any], *, needed: set[str]
) -> dict[str, Any]:
    """Return site and covariates of each row: what was given, or what rides with the maps.

    Raises
    ------
    MissingMetadataError
        If something `needed` comes neither way.
    ValueError
        If covariates do not fit the rows, or an array of them the names.
    """
    metadata = maps.metadata
    carried = [] if metadata is None else list(metadata.columns)
    site, covariates = given["site"], given["covariates"]
    site_column = getattr(harmonizer, "site_column", "site")
    if site is None:
        site = site_of_rows(maps, site_column)
        if site is None and site_column is not None and "site" in needed:
            raise MissingMetadataError(_absent([site_column], "site", carried))
    names = list(getattr(harmonizer, "covariate_columns", ()))
    if covariates is None and names:
        absent = [name for name in names if name not in carried]
        if absent and "covariates" in needed:
            raise MissingMetadataError(_absent(absent, "covariates", carried))
        there = [name for name in names if name in carried]
        covariates = metadata[there] if metadata is not None and there else None
    if covariates is not None:
        covariates = named_covariates(covariates, names, len(maps))
    return {"site": site, "covariates": covariates}


def _absent(names: list[str], keyword: str, carried: list[str]) -> str:
    none = " harmonizer=ComBat(site_column=None) says that there is one site."
    return (
        f"The harmoniser needs {names}, but the rows carry {carried or 'no metadata'}. Load files "
        f"with MapLoader(metadata={names}), give arrays their metadata with "
        f"MapArray.from_array(maps, metadata=frame), or pass {keyword}= to fit and transform."
        f"{none if keyword == 'site' else ''}"
    )


def as_maps(X: Any, harmonizer: Any) -> Any:
    """Return X where it holds maps, None where it is a table of features."""
    if isinstance(X, MapArray):
        return X
    if isinstance(X, pd.DataFrame):
        wanted = [getattr(harmonizer, "site_column", None)]
        wanted += list(getattr(harmonizer, "covariate_columns", ()))
        kept = [str(name) for name in wanted if isinstance(name, str) and name in X.columns]
        if not holds_files(X.drop(columns=kept)):
            return None
        return MapLoader(metadata=kept, cache=None).fit_transform(X)
    shape = getattr(X, "shape", None)
    n_dimensions = len(shape) if isinstance(shape, tuple) else _depth(X)
    return X if n_dimensions in (4, 5) or holds_files(X) else None


def _depth(X: Any) -> int:
    """Return the number of dimensions of a list of arrays."""
    return 1 + np.ndim(X[0]) if isinstance(X, list) and len(X) else 0


def takes(method: Any) -> set[str]:
    """Return which of site and covariates a method takes."""
    return {"site", "covariates"} & set(inspect.signature(method).parameters)


def accepted(method: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return what is there of site and covariates, as far as a method takes it."""
    taken = takes(method)
    return {name: value for name, value in given.items() if name in taken and value is not None}
