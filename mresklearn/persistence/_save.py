"""Save a fitted model to a folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file
from sklearn.utils.validation import check_is_fitted

from ._card import ModelCard
from ._card_file import write_card
from ._card_model import complete
from ._encode import Encoder
from ._format import ARRAYS_FILE, FORMAT, MODEL_FILE

_PACKAGES = ("mresklearn", "scikit-learn", "numpy", "pandas", "torch")


def save(
    model: Any,
    folder: str | PathLike[str],
    *,
    card: ModelCard | None = None,
    overwrite: bool = False,
) -> Path:
    """Save a fitted model, a pipeline from files to brain age for instance, to one folder.

    The folder holds ``model.json`` (every parameter and learned value, readable) and
    ``arrays.safetensors`` (weights), and says whom the model is for in ``card.json`` and, to read,
    ``README.md``. No code is stored, so opening it is safe; use it to hand a model to another
    group. Pickle and joblib work too, and keep what this refuses.

    Parameters
    ----------
    model : estimator
        A fitted estimator or pipeline of scikit-learn and mresklearn.
    folder : path-like
        Where to write; made with its parents.
    card : ModelCard or None, default=None
        Who the model was trained on and how well it does:
        :meth:`ModelCard.from_cohort <mresklearn.persistence.ModelCard.from_cohort>`. Steps, maps,
        seeds, versions and date are filled in; None tells only these, and the ages and sites that
        the model kept.
    overwrite : bool, default=False
        Replace a model that is there, with its card and whatever else is in its folder.

    Returns
    -------
    folder : Path
        Where it was written.

    Raises
    ------
    ValueError
        If the model is not fitted, holds something that can only be pickled (named), or `card`
        claims ages or sites that the model was not fitted on.
    TypeError
        If `card` is no ModelCard.
    FileExistsError
        If the folder exists and `overwrite` is False, or holds something that is no model.

    See Also
    --------
    load : Open it, on this machine or another.
    mresklearn.persistence.load_card : Read its card alone.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from mresklearn import MapScaler, load, save
    >>> X, age = np.random.default_rng(0).normal(size=(20, 3)), np.linspace(20, 80, 20)
    >>> model = make_pipeline(MapScaler(), Ridge()).fit(X, age)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     opened = load(save(model, f"{folder}/brain_age"))
    >>> bool((opened.predict(X) == model.predict(X)).all())
    True
    """
    check_is_fitted(model)
    if not isinstance(card, ModelCard | None):
        raise TypeError(f"card must be a ModelCard or None, got {type(card).__name__}.")
    folder = Path(folder)
    _check_place(folder, overwrite)
    versions = {package: version(package) for package in _PACKAGES}
    card = complete(ModelCard() if card is None else card, model, versions)
    encoder = Encoder()
    record = {
        "format": FORMAT,
        "versions": versions,
        "model": encoder.encode(model, type(model).__name__.lower()),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    # written beside its place and moved, so that no half-written model is ever found
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        written = Path(temporary) / "model"
        written.mkdir()
        (written / MODEL_FILE).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
        save_file(encoder.arrays, written / ARRAYS_FILE)
        write_card(card, written)
        if folder.exists():
            shutil.move(folder, Path(temporary) / "old")
        shutil.move(written, folder)
    return folder


def _check_place(folder: Path, overwrite: bool) -> None:
    """Refuse to write where something is that would be lost."""
    if not folder.exists():
        return
    if not overwrite:
        raise FileExistsError(
            f"{folder} exists. Choose another folder, or replace it with overwrite=True."
        )
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / MODEL_FILE).exists()):
        raise FileExistsError(
            f"{folder} holds no model, and overwrite=True would delete what is there. Choose "
            f"another folder, such as {folder.with_name(folder.name + '_model')}."
        )
