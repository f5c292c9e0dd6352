"""The files of a model card: JSON for programs, Markdown for readers."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

from ..exceptions import DataError
from ._card import ModelCard

__all__ = ["CARD_FILE", "PAGE_FILE", "load_card", "write_card"]

CARD_FILE = "card.json"
PAGE_FILE = "README.md"  # shown first by whatever lists the folder


def write_card(card: ModelCard, folder: Path) -> None:
    """Write both files."""
    content = json.dumps(card.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
    # names of files may hold characters that UTF-8 has not
    for name, written in ((CARD_FILE, content + "\n"), (PAGE_FILE, card.to_markdown())):
        (folder / name).write_text(written, encoding="utf-8", errors="replace")


def load_card(folder: str | PathLike[str]) -> ModelCard:
    """Read the card of a saved model, without opening the model.

    Parameters
    ----------
    folder : path-like
        Folder that :func:`save` wrote.

    Returns
    -------
    card : ModelCard
        Who the model was trained on, how well it does, and what it is for.

    Raises
    ------
    DataError
        If there is no card, as beside models of older versions, or it is damaged; where it was
        edited by hand, file and field are named.

    See Also
    --------
    load : Opens the model.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from mresklearn.persistence import load_card, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(Ridge().fit(np.eye(3), [20, 50, 80]), f"{folder}/ridge")
    ...     load_card(path).model
    'Ridge'
    """
    path = Path(folder) / CARD_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{folder} holds no {CARD_FILE}. Give the folder that mresklearn.save wrote; a model "
            "of an older version gets a card by save(load(folder), folder, overwrite=True)."
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}). Copy it again.") from error
    try:
        return ModelCard.from_dict(content)
    except ValueError as error:
        raise DataError(f"{path}: {error} Correct it there, or copy the file again.") from error
