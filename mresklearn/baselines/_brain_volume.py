"""BrainVolume: one number a person, the size of the head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from .._metadata import name_rows
from ..exceptions import MissingMetadataError
from ..maps import MapArray
from ..maps._map_array import inside
from ..maps._map_transformer import TableTransformer
from ..maps._validation import check_maps

__all__ = ["BrainVolume"]


class BrainVolume(TableTransformer):
    """Reduce each person to the number of brain voxels, or to a column such as ``eTIV``.

    Parameters
    ----------
    column : str or None, default=None
        Column that holds the size of the head, of the DataFrame X or of X.metadata. None counts the
        brain voxels of the maps. In maps on a template the head size is gone, and the count says
        how much was covered.

    Attributes
    ----------
    sample_shape_ : tuple of int
        Shape of one person's input; absent where X is a DataFrame with `column`.
    n_features_in_ : int
        Number of channels (maps) or columns.

    Raises
    ------
    MissingMetadataError
        If the rows do not carry `column`.
    ValueError
        If `column` is not numeric or has gaps.

    See Also
    --------
    HeadSizeRegressor : The prediction from head size.

    Notes
    -----
    The table has one column: the number of voxels, or the column in its unit. In 2-D features,
    every value other than 0 counts as a brain voxel. With `column`, rows may also be a DataFrame
    that holds anything else beside it.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from mresklearn.baselines import BrainVolume
    >>> maps = np.ones((2, 1, 4, 4, 4))
    >>> maps[1, 0, 0] = 0
    >>> BrainVolume().fit_transform(maps).ravel()
    array([64., 48.], dtype=float32)
    >>> people = pd.DataFrame({"eTIV": [1500.0, 1410.0]})
    >>> BrainVolume(column="eTIV").fit_transform(people).ravel()
    array([1500., 1410.], dtype=float32)
    """

    _parameter_constraints: dict = {"column": [str, None]}

    def __init__(self, *, column: str | None = None) -> None:
        self.column = column

    def _learn(self, X: Any) -> None:
        """Check the rows; nothing is learned from people."""
        rows = self._check(X, reset=True)
        if self.column is not None:
            _read_column(rows, self.column)

    def _convert(self, X: Any) -> np.ndarray:
        """Return the size of each person's head."""
        rows = self._check(X, reset=False)
        if self.column is not None:
            size = _read_column(rows, self.column)
        elif isinstance(rows, MapArray):
            size = np.array([inside(sample).sum() for sample in rows])
        else:
            size = np.count_nonzero(rows, axis=1)
        return size.astype(np.float32)[:, np.newaxis]

    def _column_names(self, input_features: Any) -> list[str]:
        return [self.column or "brain_volume"]

    def _check(self, X: Any, *, reset: bool) -> Any:
        """Check maps and features; a table of which one column counts may hold anything else."""
        if self.column is not None and isinstance(X, pd.DataFrame):
            return validate_data(self, X, reset=reset, skip_check_array=True)
        return check_maps(self, X, reset=reset)


def _read_column(rows: Any, column: str) -> np.ndarray:
    """Return the column that travels with the rows, without gaps."""
    frame = rows if isinstance(rows, pd.DataFrame) else getattr(rows, "metadata", None)
    if frame is None or column not in frame:
        carried = "no metadata" if frame is None else list(frame.columns)
        raise MissingMetadataError(
            f"Head size is to come from column {column!r}, but the rows of X carry {carried}. Load "
            f"maps with MapLoader(metadata=[{column!r}]), or leave column= out to count voxels."
        )
    size = pd.to_numeric(frame[column], errors="coerce")
    if size.isna().any():
        raise ValueError(
            f"Column {column!r} has no number in {size.isna().sum()} of {len(size)} rows: "
            f"{name_rows(size.isna().to_numpy(), frame[column])}. Fill it in, or drop those rows."
        )
    return size.to_numpy(dtype=np.float64)
