"""A decorator that makes a function a command: shared options, one outcome, errors in words."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

from ._console import Console, Result

__all__ = ["command"]

Parameter = inspect.Parameter


def command(function: Callable[..., Result]) -> Callable[..., None]:
    """Make a command of a function that returns a :class:`Result`.

    A parameter whose type is a dataclass stands for the options that its fields are; one of them
    must be ``console``, whose options all commands share.

    Parameters
    ----------
    function : callable
        What the command does.

    Returns
    -------
    run : callable
        For ``app.command()`` of typer.
    """
    signature = inspect.signature(function, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if is_dataclass(parameter.annotation)
    }

    @wraps(function)
    def run(**options: Any) -> None:
        for name, group in groups.items():
            options[name] = group(**{one.name: options.pop(one.name) for one in fields(group)})
        console: Console = options["console"]
        with console.guarded():
            console.end(function(**options))

    # in the help, what a command alone has comes first and what all share last
    parameters = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY)
        for name, parameter in signature.parameters.items()
        if name not in groups
    ]
    for name in sorted(groups, key=lambda name: name == "console"):
        parameters += _options(groups[name])
    run.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    del run.__wrapped__
    return run


def _options(group: Any) -> list[Parameter]:
    """Turn the fields of a dataclass into parameters."""
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            one.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if one.default is MISSING else one.default,
            annotation=hints[one.name],
        )
        for one in fields(group)
    ]
