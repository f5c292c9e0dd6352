"""One page from a template: escaped, in a single file, and never written over another by chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

from ._numbers import as_p, as_percent, as_percentile, as_signed, as_years

__all__ = ["Page", "render"]

NOTEBOOK_HEIGHT = 720  # pixels of the frame in a notebook


@dataclass(frozen=True, eq=False)
class Page:
    """A page that needs no network; :func:`person_report` and :func:`study_report` make them.

    Attributes
    ----------
    title : str
        Heading of the page.
    html : str
        The whole page.
    """

    title: str
    html: str = field(repr=False)

    def to_html(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the page.

        Parameters
        ----------
        path : path-like
            File to write; its folder must exist.
        overwrite : bool, default=False
            Replace a file that is there.

        Returns
        -------
        path : Path
            The file.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is False.
        """
        path = Path(path)
        try:
            with path.open("w" if overwrite else "x", encoding="utf-8") as file:
                file.write(self.html)
        except FileExistsError as error:
            raise FileExistsError(f"{path} exists. Replace it with overwrite=True.") from error
        return path

    def _repr_html_(self) -> str:
        """Show the page in a notebook, in a frame, so that its style stays its own."""
        return (
            f'<iframe srcdoc="{escape(self.html)}" title="{escape(self.title)}" '
            f'style="width:100%;height:{NOTEBOOK_HEIGHT}px;border:1px solid #8884"></iframe>'
        )


def render(template: str, **values: Any) -> str:
    """Fill a template; everything but charts made here is escaped."""
    from .. import __version__

    page = _environment().get_template(template).render(version=__version__, **values)
    return page.replace(" %", "\N{NO-BREAK SPACE}%")  # no line begins with a percent sign


@cache
def _environment() -> Any:
    """Make the engine once; a name that a template lacks is an error, never a blank."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mresklearn.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "years": as_years,
        "signed": as_signed,
        "percent": as_percent,
        "percentile": as_percentile,
        "p": as_p,
    }
    return environment
