"""Open a model that was saved to a folder."""

from __future__ import annotations

import json
import warnings
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file
from sklearn.base import BaseEstimator

from ..exceptions import DataError
from ._decode import Decoder
from ._format import ARRAYS_FILE, FORMAT, MODEL_FILE


def load(folder: str | PathLike[str]) -> Any:
    """Open a model saved by :func:`save`, on this machine or another.

    Only estimators of scikit-learn and mresklearn are made and no stored code is run, so a model
    from elsewhere can be opened safely. A model trained on a GPU opens without one, and says so.

    Parameters
    ----------
    folder : path-like
        Folder that `save` wrote.

    Returns
    -------
    model : estimator
        Fitted, as it was saved; `fit` with ``warm_start`` and `partial_fit` go on from there.

    Raises
    ------
    DataError
        If the folder is no model, or damaged.
    ValueError
        If it names classes that are not of scikit-learn or mresklearn, or is of a later format.

    Warns
    -----
    UserWarning
        If it was saved with another minor version of scikit-learn, which may mean other private
        attributes: compare a few predictions.

    See Also
    --------
    save : Save a fitted model.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from mresklearn import MapScaler, load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(MapScaler().fit(np.eye(3)), f"{folder}/scaler")
    ...     print(load(path).mean_)
    [0.33333333 0.33333333 0.33333333]
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / MODEL_FILE).read_text())
        arrays = load_file(folder / ARRAYS_FILE)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise DataError(
            f"{folder} holds no model: there is no {Path(error.filename or ARRAYS_FILE).name}. "
            "Give the folder that mresklearn.save wrote."
        ) from error
    except (json.JSONDecodeError, SafetensorError, UnicodeDecodeError) as error:
        raise DataError(f"The model in {folder} is damaged ({error}). Copy it again.") from error
    if not _is_record(record):
        raise DataError(
            f"The model in {folder} is damaged ({MODEL_FILE} lacks format, versions or model). "
            "Copy it again."
        )
    if record["format"] > FORMAT:
        raise ValueError(
            f"The model in {folder} has format {record['format']}; this version reads "
            f"up to {FORMAT}. Upgrade mresklearn to {record['versions']['mresklearn']} or later."
        )
    _compare_versions(record["versions"])
    try:
        model = Decoder(arrays).decode(record["model"])
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
        raise DataError(f"The model in {folder} is damaged ({error!r}). Copy it again.") from error
    if not isinstance(model, BaseEstimator):
        raise DataError(f"The model in {folder} is damaged (no estimator). Copy it again.")
    return model


def _is_record(record: Any) -> bool:
    """Whether a file holds what `save` writes at its top."""
    if not isinstance(record, dict) or "model" not in record:
        return False
    versions = record.get("versions")
    named = isinstance(versions, dict) and all(
        isinstance(versions.get(name), str) for name in ("mresklearn", "scikit-learn")
    )
    return named and isinstance(record.get("format"), int)


def _compare_versions(saved: dict[str, str]) -> None:
    here = version("scikit-learn")
    if saved["scikit-learn"].split(".")[:2] != here.split(".")[:2]:
        warnings.warn(
            f"This model was saved with scikit-learn {saved['scikit-learn']} and opened with "
            f"{here}. Compare a few predictions, or install the version it was saved with.",
            stacklevel=3,
        )
