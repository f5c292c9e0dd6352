"""File-name templates: from a row of a table to a path, and from a folder back to the ids."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from ..exceptions import DataError
from ._messages import close_match, listing

__all__ = ["FilenameTemplate", "as_templates"]


@dataclass(frozen=True)
class FilenameTemplate:
    """A file name with fields, such as ``"sub-{participant_id}/anat/{participant_id}_mre.nii.gz"``.

    Only ``{column}`` and ``{column:format}`` are understood, and columns are looked up by their
    full name, so names with blanks or dots work (``"{ORIG STUDY}"``).

    Parameters
    ----------
    template : str
        The template, with ``/`` between folders.
    pieces : tuple of (str, str or None, str)
        Literal text, the column that follows it (None at the end), and its format.

    Examples
    --------
    >>> template = FilenameTemplate.parse("{participant_id:0>3}_DR.nii.gz")
    >>> template.fill({"participant_id": "2"})
    '002_DR.nii.gz'
    >>> template.fields
    ('participant_id',)
    """

    template: str
    pieces: tuple

    @classmethod
    def parse(cls, template):
        """Take a template apart, refusing what cannot be filled from columns."""
        try:
            parsed = list(Formatter().parse(template))
        except ValueError as error:
            raise DataError(
                f"the file name template {template!r} cannot be read ({error}): write a field as "
                "{column}, and a brace that belongs to the name twice."
            ) from error
        if any(field == "" or conversion for _, field, _, conversion in parsed):
            raise DataError(
                f"the file name template {template!r} has an empty or converted field: name a "
                "column in every field, as in {participant_id}."
            )
        pieces = tuple((literal, field, spec or "") for literal, field, spec, _ in parsed)
        return cls(template, pieces)

    @property
    def fields(self):
        """Columns that the template needs, each once."""
        return tuple(dict.fromkeys(field for _, field, _ in self.pieces if field is not None))

    def fill(self, row):
        """Write the file name of one row.

        Parameters
        ----------
        row : mapping of str to str
            Text of the columns.

        Returns
        -------
        filename : str
            Path relative to the folder of the maps.
        """
        text = ""
        for literal, field, spec in self.pieces:
            text += literal
            if field is None:
                continue
            try:
                text += format(row[field], spec)
            except ValueError as error:
                raise DataError(
                    f"the format {spec!r} of field {field!r} in the file name template "
                    f"{self.template!r} does not fit ({error}). Columns are filled in as text: "
                    "pad with {" + field + ":0>3}, not {" + field + ":03d}."
                ) from error
        return text

    def matching_files(self, root):
        """List the files under ``root`` whose names could have been written by the template.

        Parameters
        ----------
        root : Path
            Folder of the maps.

        Returns
        -------
        files : list of str
            Paths relative to ``root``, sorted, hidden files left out.
        """
        found, pattern = [""], ""
        for depth, (component, literal) in enumerate(self._components()):
            slash = "/" if depth else ""
            pattern += slash + component
            regex = re.compile(pattern)
            found = [
                path
                for parent in found
                for name in (_visible_names(root / parent) if literal is None else [literal])
                if regex.fullmatch(path := parent + slash + name)
            ]
        return sorted(path for path in found if (root / path).is_file())

    def _components(self):
        """Pattern of every path component, with its plain text where it holds no field."""
        components, groups = [("", "")], {}
        for literal, field, spec in self.pieces:
            for k, part in enumerate(literal.split("/")):
                pattern, plain = ("", "") if k else components.pop()
                plain = None if plain is None else plain + part
                components.append((pattern + re.escape(part), plain))
            if field is not None:
                pattern, _ = components.pop()
                group = groups.get((field, spec))
                if group is None:
                    group = groups[field, spec] = f"field{len(groups)}"
                    components.append((f"{pattern}(?P<{group}>[^/]+)", None))
                else:  # the same field must hold the same text everywhere in the path
                    components.append((f"{pattern}(?P={group})", None))
        return components


def _visible_names(folder):
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def as_templates(maps, columns):
    """Check the ``maps`` argument of :func:`load_cohort` and parse its templates.

    Parameters
    ----------
    maps : dict of str to (str or sequence of str)
        Map kind -> template, or alternatives of which the first existing file is taken.
    columns : sequence of str
        Columns that the fields may name.

    Returns
    -------
    templates : dict of str to tuple of FilenameTemplate
        Map kind -> alternatives.

    Raises
    ------
    DataError
        If the argument has another form or a field names no column.

    Examples
    --------
    >>> list(as_templates({"stiffness": "{participant_id}.nii"}, ["participant_id"]))
    ['stiffness']
    """
    form = "maps={'stiffness': 'folder/{participant_id}_stiffness.nii.gz', ...}"
    if not isinstance(maps, dict) or not maps:
        raise DataError(f"maps must name at least one map kind and its file names: {form}.")
    templates = {}
    for kind, alternatives in maps.items():
        alternatives = [alternatives] if isinstance(alternatives, (str, Path)) else alternatives
        if not isinstance(alternatives, (list, tuple)) or not alternatives:
            raise DataError(f"the file names of {kind!r} must be a string or several: {form}.")
        templates[kind] = tuple(FilenameTemplate.parse(str(text)) for text in alternatives)
        for template in templates[kind]:
            unknown = [field for field in template.fields if field not in columns]
            if unknown:
                hints = "".join(close_match(field, columns) for field in unknown)
                raise DataError(
                    f"the file name template {template.template!r} of {kind!r} uses "
                    f"{listing(map(repr, unknown))}, which is no column of the table. "
                    f"Columns: {listing(map(repr, columns), limit=40)}.{hints}"
                )
    return templates
