"""Where the words of a command go: the result to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from math import isfinite
from typing import Annotated, Any

import typer
from tqdm import tqdm

__all__ = ["Console", "ExitCode", "Result"]

# the library names its own arguments; a user of the command line has options
OPTIONS_OF_ARGUMENTS = {
    "missing='drop'": "--drop-missing",
    'missing="drop"': "--drop-missing",
    "unlisted='report'": "--drop-missing",
    'unlisted="report"': "--drop-missing",
    "duplicates='report'": "--keep-duplicates",
    "overwrite=True": "--force",
    "participant_id=": "--id-column",
    "id_format=": "--id-format",
    "columns=": "--column",
    "sex_codes=": "--sex-code",
    "roles=": "--role",
    "n_splits=": "--folds",
}


class ExitCode(IntEnum):
    """What a command says to the shell."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    DATA = 3
    UNEXPECTED = 4
    INTERRUPTED = 130


@dataclass
class Result:
    """What a command ends with.

    Parameters
    ----------
    text : str
        For people.
    record : dict
        The same for programs, as one JSON object.
    n_failed : int
        People that could not be done while others could.
    """

    text: str
    record: dict[str, Any] = field(default_factory=dict)
    n_failed: int = 0


@dataclass
class Console:
    """The options that all commands share, and what follows from them."""

    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes.")] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Progress even where stderr is no terminal.")
    ] = False
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the code an error arose.")
    ] = False

    def __post_init__(self) -> None:
        self._warned: list[str] = []

    @property
    def progress(self) -> int:
        """1 where progress bars are shown, as the argument ``verbose`` of the library."""
        return int(not self.quiet and (self.verbose or sys.stderr.isatty()))

    def bar(self, items: Iterable, total: int, what: str, unit: str) -> Iterable:
        """Show progress over items."""
        shown = {"file": sys.stderr, "disable": not self.progress}
        return tqdm(items, total=total, desc=what, unit=unit, **shown)

    def note(self, text: str) -> None:
        """Tell people something on the way."""
        if not self.quiet:
            typer.echo(text, err=True)

    def end(self, result: Result) -> None:
        """Print the result and leave with the code that says how it went."""
        code = ExitCode.SOME_FAILED if result.n_failed else ExitCode.OK
        if self.as_json:
            status = "some failed" if result.n_failed else "ok"
            self._print_json({"status": status, **result.record, "warnings": self._warned})
        elif result.text:
            typer.echo(result.text)
        raise typer.Exit(code)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn warnings into notes, and errors into one message and an exit code."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("default", UserWarning)
                warnings.showwarning = self._show_warning
                yield
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            self._fail("Interrupted; what is finished stays.", ExitCode.INTERRUPTED)
        except typer.BadParameter as error:
            self._fail(error.format_message(), ExitCode.USAGE)
        except FileExistsError as error:
            self._fail(str(error), ExitCode.USAGE)
        except (ValueError, OSError) as error:
            self._fail(str(error), ExitCode.DATA)
        except Exception as error:
            self._fail(
                f"Unexpected {type(error).__name__}: {error}. --debug shows where it arose; please "
                "report it with that.",
                ExitCode.UNEXPECTED,
            )

    def _show_warning(self, message: Any, *_: Any, **__: Any) -> None:
        text = " ".join(str(message).split())
        if text not in self._warned:
            self._warned.append(text)
            self.note(f"Warning: {text}")

    def _fail(self, message: str, code: ExitCode) -> None:
        if self.debug:
            raise
        named = dict.fromkeys(
            option for name, option in OPTIONS_OF_ARGUMENTS.items() if name in message
        )
        options = [option for option in named if option not in message]
        hint = f"\nOn the command line: {', '.join(options)}." if options else ""
        typer.echo(f"Error: {message}{hint}", err=True)
        if self.as_json:
            self._print_json({"status": "error", "message": message, "warnings": self._warned})
        raise typer.Exit(code)

    def _print_json(self, record: dict[str, Any]) -> None:
        typer.echo(json.dumps(_plain(record), allow_nan=False))


def _plain(value: Any) -> Any:
    """Turn paths, numbers of numpy and what is no number into what JSON knows."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
