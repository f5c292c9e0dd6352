"""The studies, one file each; a file here with a ``STUDY`` is found by its name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from .._study import Study

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of all declared studies."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def declared(name: str) -> Study:
    """Return a study by name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in names():
        raise ValueError(f"There is no study {name!r}; there are {', '.join(names())}.")
    return import_module(f"{__name__}.{name}").STUDY
