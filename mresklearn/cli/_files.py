"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = [
    "atomic_folder", "refuse_existing", "refuse_files", "write_atomically", "write_json",
]  # fmt: skip


def write_atomically(path: Path, write: Callable[[Path], Any]) -> Path:
    """Let something be written beside its place, and move it there when it is whole.

    Parameters
    ----------
    path : Path
        Where it is to be; its folder is made.
    write : callable
        Takes the path to write to, which has the same suffixes.

    Returns
    -------
    path : Path
        Where it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".mresklearn-") as temporary:
        beside = Path(temporary) / path.name
        write(beside)
        os.replace(beside, path)
    return path


def write_json(path: Path, record: dict[str, Any]) -> Path:
    """Write a JSON file for people and programs."""
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    return write_atomically(path, lambda beside: beside.write_text(text, encoding="utf-8"))


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder to fill, and put it in the place of `folder` if all went well.

    Parameters
    ----------
    folder : Path
        Where it is to be; what is there is replaced.

    Yields
    ------
    new : Path
        Folder to write to, on the same file system.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new = Path(temporary) / folder.name
        yield new
        if folder.exists():
            shutil.move(folder, Path(temporary) / "old")
        shutil.move(new, folder)


def refuse_existing(folder: Path, sign: str, *, force: bool) -> None:
    """Refuse to write over something, and even with force over what no command here wrote.

    Parameters
    ----------
    folder : Path
        Folder to be written.
    sign : str
        File by which a folder of the same kind is known.
    force : bool
        Whether such a folder may be replaced.

    Raises
    ------
    FileExistsError
        If the folder is not empty and may not be replaced.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / sign).is_file():
        raise FileExistsError(
            f"{folder} exists and holds other things (there is no {sign}), which are not replaced: "
            "give a new folder."
        )
    if not force:
        raise FileExistsError(f"{folder} exists. Give a new folder, or replace it with --force.")


def refuse_files(paths: Iterable[Path], *, sources: Iterable[Path] = (), force: bool) -> None:
    """Refuse to write over files that are there, and even with force over what is read.

    Parameters
    ----------
    paths : iterable of Path
        All files to be written.
    sources : iterable of Path
        Files that the command reads.
    force : bool
        Whether other files may be replaced.

    Raises
    ------
    FileExistsError
        If one of the files is there and may not be replaced.
    """
    there = [path for path in paths if path.exists()]
    read = [source for source in sources if source.exists()]
    for path in there:
        if any(path.samefile(source) for source in read):
            raise FileExistsError(
                f"{path} is what is read here, and is not replaced: choose another name."
            )
    if there and not force:
        names = " and ".join(map(str, there))
        raise FileExistsError(
            f"{names} exist{'s' if len(there) == 1 else ''}. Choose another name, or replace "
            f"{'it' if len(there) == 1 else 'them'} with --force."
        )
