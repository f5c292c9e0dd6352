"""A training that was killed goes on from its last finished epoch, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from ..exceptions import DataError


class Checkpoint:
    """One file that holds the state of one unfinished training.

    Parameters
    ----------
    path : Path
        Where it lies; its name identifies the training.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any] | None:
        """Return the state last written, or None if there is none.

        Raises
        ------
        DataError
            If the file is damaged.
        """
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception as error:
            # torch has no exception of its own for a damaged file
            raise DataError(
                f"The checkpoint {self.path} cannot be read ({error}). Delete it to train from "
                "the start."
            ) from error

    def write(self, state: dict[str, Any]) -> None:
        """Replace the state, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        with open(partial, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)

    def remove(self) -> None:
        """Forget the training: it is finished."""
        self.path.unlink(missing_ok=True)
