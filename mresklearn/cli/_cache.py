"""``mresklearn cache``: look at the store of loaded maps, check it, and make it smaller."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..maps._cache import Entry, MapCache

cache_app = typer.Typer(
    help="Inspect the store of loaded maps that folds, processes and runs share.",
    no_args_is_help=True,
)

Folder = Annotated[
    Path | None,
    typer.Option(help="Store; by default $MRESKLEARN_CACHE or the user's cache folder."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


@cache_app.command("list")
def list_entries(folder: Folder = None, as_json: Json = False) -> None:
    """List the entries, the one used longest ago first."""
    cache = _open(folder)
    _print_entries(cache, "entries", cache.entries(), as_json)


@cache_app.command()
def size(folder: Folder = None, as_json: Json = False) -> None:
    """Tell how many entries there are and how much room they take."""
    cache = _open(folder)
    entries = cache.entries()
    n_bytes = sum(entry.n_bytes for entry in entries)
    if as_json:
        found = {"folder": str(cache.folder), "entries": len(entries), "bytes": n_bytes}
        typer.echo(json.dumps(found))
    else:
        typer.echo(f"{len(entries)} entries, {_megabytes(n_bytes)} in {cache.folder}")


@cache_app.command()
def verify(folder: Folder = None, as_json: Json = False) -> None:
    """Compare every entry with its checksum; exit with 1 if one is damaged.

    Damaged entries do no harm: they are read anew from the map files.
    """
    cache = _open(folder)
    damaged = cache.verify()
    _print_entries(cache, "damaged", damaged, as_json)
    if not as_json:
        typer.echo(f"{len(damaged)} damaged")
    raise typer.Exit(code=1 if damaged else 0)


@cache_app.command()
def prune(
    max_gb: Annotated[float, typer.Option(min=0, help="Gigabytes that may stay; 0 empties.")],
    folder: Folder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the entries used longest ago until the rest fits."""
    cache = _open(folder)
    leaving = cache.prune(int(max_gb * 1e9), dry_run=dry_run)
    _print_entries(cache, "would_remove" if dry_run else "removed", leaving, as_json)
    if not as_json:
        freed = _megabytes(sum(entry.n_bytes for entry in leaving))
        typer.echo(f"{'Would remove' if dry_run else 'Removed'} {len(leaving)} entries, {freed}")


def _open(folder: Path | None) -> MapCache:
    from ..maps._cache import MapCache, default_cache_folder

    return MapCache(default_cache_folder() if folder is None else folder)


def _print_entries(cache: MapCache, what: str, entries: list[Entry], as_json: bool) -> None:
    if as_json:
        rows = [
            {"key": entry.key, "bytes": entry.n_bytes, "last_used": entry.last_used}
            for entry in entries
        ]
        typer.echo(json.dumps({"folder": str(cache.folder), what: rows}))
        return
    for entry in entries:
        used = datetime.fromtimestamp(entry.last_used).isoformat(" ", "seconds")
        typer.echo(f"{entry.key}  {_megabytes(entry.n_bytes):>10}  used {used}")


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
