"""Pages of the guide whose tables and figures are made from stored results, so that none is typed.

Tables stand between "<!-- begin NAME -->" and "<!-- end NAME -->". A single figure in a sentence is
<!--BENCHMARK KEY|KEY|...|FORMAT-->figure<!--/-->.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
DOCS = FOLDER.parent / "docs"
FIGURE = re.compile(r"<!--(\w+) ([^>\n]+)-->.*?<!--/-->", re.S)
Tables = Mapping[str, Callable[[], str]]


def stored(name: str) -> Any:
    """Return the stored results of a benchmark."""
    return json.loads((FOLDER / "results" / f"{name}.json").read_text())["results"]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def render(page: Path, tables: Tables) -> str:
    """Return the page with all its tables made anew."""
    text = page.read_text()
    for name, table in tables.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise ValueError(f"{page.name} must have one block '{name}'.")
        made = begin + table() + "\n" + end
        text = pattern.sub(lambda _, made=made: made, text)
    return FIGURE.sub(_figure, text)


def _figure(found: re.Match[str]) -> str:
    """Return a figure in a sentence, made anew."""
    *keys, form = found[2].split("|")
    value = stored(found[1])
    for key in keys:
        value = value[int(key) if isinstance(value, list) else key]
    return f"<!--{found[1]} {found[2]}-->{format(value, form)}<!--/-->"


def main(name: str, tables: Tables, description: str) -> None:
    """Write a page of the guide anew, or check with ``--check`` that it is up to date."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the page is out of date")
    updated = render(DOCS / name, tables)
    if parser.parse_args().check:
        current = (DOCS / name).read_text() == updated
        sys.exit(0 if current else f"{name} is out of date: run this script.")
    (DOCS / name).write_text(updated)
