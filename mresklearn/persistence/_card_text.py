"""A model card as a page in Markdown."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["card_text"]

# whatever could end a cell, start markup or become HTML, and what does so at the start of a line
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|&~$])")
_START = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[-+=]))")
_BLANK = re.compile(r"\s+")


def card_text(card: Any) -> str:
    """Return the page; see `ModelCard.to_markdown`."""
    parts = [
        f"# {_plain(card.title)}",
        _plain(card.model),
        "## Intended use",
        _plain(card.intended_use),
        *_section("Limitations", [_list(card.limitations)]),
        "## Training data",
        *_paragraphs(card.data),
        _table(["", "Training"], _overview(card)),
        _table(["Site", "People", "Ages (years)"], _sites(card)),
        _table(["Age (years)", "People"], [[_span(b), n] for b, n in card.age_bands.items()]),
        "People outside these ages, or with other maps, are extrapolated.",
        *_section("Performance", [_table(*_metrics(card))]),
        *_section("Provenance", [_table(["", ""], _provenance(card))]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _overview(card: Any) -> list[list[Any]]:
    persons = card.n_people if card.n_people is not None else "not stated"
    voxels = "" if card.voxel_size is None else " x ".join(f"{e:g}" for e in card.voxel_size)
    rows = [
        ["People", persons],
        ["Scans", "" if card.n_rows is None else card.n_rows],
        ["Ages (years)", _range(card.age_range) or "not stated"],
        ["Sex", _counted(card.sex)],
        ["Diagnosis", _counted(card.diagnosis)],
        ["Maps", ", ".join(f"{kind} ({_unit(unit)})" for kind, unit in card.maps.items())],
        ["Voxels (mm)", voxels],
    ]
    return [row for row in rows if row[1] != ""]


def _sites(card: Any) -> list[list[Any]]:
    return [
        [name, "not stated" if site.n_people is None else site.n_people,
         _range(site.age_range) or "not stated"]
        for name, site in card.sites.items()
    ]  # fmt: skip


def _metrics(card: Any) -> tuple[list[str], list[list[Any]]]:
    header = ["Score", "Value", "Protocol", "Interval"]
    return header, [
        [metric.name, metric.numbers, metric.protocol or "not stated", metric.note]
        for metric in card.metrics
    ]


def _provenance(card: Any) -> list[list[Any]]:
    rows = [["Date", card.date], ["Seed", card.seed or ""], *card.versions.items()]
    return [list(row) for row in rows if row[1]]


def _section(title: str, parts: list[str]) -> list[str]:
    """Return a heading and what is below it, or nothing."""
    return [f"## {title}", *parts] if any(parts) else []


def _table(header: list[str], rows: list[list[Any]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _list(items: Any) -> str:
    return "\n".join(f"- {_plain(item)}" for item in items)


def _paragraphs(text: str) -> list[str]:
    return [_plain(part) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _plain(value: Any) -> str:
    """Return text on one line that Markdown shows as it is."""
    text = _BLANK.sub(" ", str(value)).strip()
    return _START.sub(r"\1\\", _MARKUP.sub(r"\\\1", text))


def _counted(counts: Any) -> str:
    return ", ".join(f"{name}: {n}" for name, n in counts.items())


def _range(span: Any) -> str:
    return "" if span is None else f"{span[0]:g} to {span[1]:g}"


def _span(band: str) -> str:
    return band.replace("-", " to ")


def _unit(unit: str) -> str:
    return "no unit" if unit == "1" else unit
