r"""Figures of stored results in prose: ``{stored}`` reads them, so that none is typed.

``{stored}`losses_oasis1:rows/3/mae``` is the entry ``rows``, fourth of the list, key ``mae`` of
``benchmarks/results/losses_oasis1.json``; a format may follow after a second colon.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def look_up(text: str) -> str:
    """Return one stored figure, formatted."""
    file, path, *style = text.split(":")
    value = json.loads((RESULTS / f"{file}.json").read_text())
    for key in path.split("/"):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return format(value, style[0] if style else "")


def stored(name: str, rawtext: str, text: str, lineno: int, inliner: Any, *rest: Any) -> tuple:
    """Give the figure as text, or an error that fails the build."""
    try:
        return [nodes.Text(look_up(text))], []
    except (OSError, LookupError, ValueError, TypeError) as error:
        message = inliner.reporter.error(f"no stored result {text!r}: {error!r}", line=lineno)
        return [nodes.problematic(rawtext, rawtext)], [message]


def setup(app: Any) -> dict:
    """Add the role."""
    app.add_role("stored", stored)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
