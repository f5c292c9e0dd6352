"""From a participants table and a folder of maps to a checked cohort."""

import os
import re
from pathlib import Path

import pandas as pd

from ..exceptions import DataError
from ._cohort import Cohort
from ._filenames import as_templates
from ._messages import listing
from ._row_checks import (
    Finding,
    as_ids,
    check_age,
    check_site,
    normalise_sex,
)
from ._table import read_table, rename_columns

__all__ = ["load_cohort"]


def load_cohort(
    table,
    *,
    maps,
    root=None,
    participant_id="participant_id",
    columns=None,
    id_format=None,
    sex_codes=None,
    missing="raise",
    unlisted="raise",
    unknown_sites=False,
    sheet_name=0,
    description="",
):
    r"""Join a participants table with its map files, because silent mismatches ruin studies.

    Every row is checked before anything is learned from it: ids stay strings, ages are plausible,
    every participant has a file of every map kind, and every file has a row. All problems are
    reported in one error that names the participants.

    Parameters
    ----------
    table : str, path-like or DataFrame
        A ``.tsv``, ``.csv`` or ``.xlsx`` file with one row per participant, or a DataFrame. Blanks
        around cells and column names are dropped; ``n/a``, ``NA``, ``NaN`` and empty cells are
        missing values.
    maps : dict of str to (str or list of str)
        Map kind -> file name below ``root``, with columns of the table in braces:
        ``{"stiffness": "maps/sub-{participant_id}_mre.nii.gz"}``. Columns are filled in as text, so
        ``"{participant_id:0>3}"`` pads an id. Of several names, the first existing file is taken.
    root : str or path-like, default=None
        Folder of the maps; None is the folder of the table, or the current folder for a DataFrame.
    participant_id : str, default="participant_id"
        Name of the id column in the file.
    columns : dict of str to str, default=None
        Standard name -> name in the file, as in ``{"age": "AGE", "site": "ORIG STUDY"}``. Other
        columns keep their own name. The columns ``age``, ``sex`` and ``site`` are checked.
    id_format : str, default=None
        Format of the ids, such as ``"{:0>3}"``, which gives back the zeros that a spreadsheet
        removed (``"2"`` becomes ``"002"``).
    sex_codes : dict, default=None
        What other values than M, F, male and female mean, as in ``{1: "M", 2: "F"}``. Codes are
        left as they are without it: 1 is male in some studies and female in others.
    missing : {"raise", "drop"}, default="raise"
        What to do with rows without a file, with an age that is missing, not a number, negative
        or above 120 years, or without a site. ``"drop"`` leaves them out and lists them in
        ``cohort.dropped``.
    unlisted : {"raise", "report"}, default="raise"
        What to do with files that match a template but have no row. ``"report"``, and
        ``missing="drop"``, list them in ``cohort.unlisted_files``. Only templates that hold
        ``{participant_id}`` are checked.
    unknown_sites : bool, default=False
        Whether rows may lack a site, which is NaN then: people who are predicted, not learned from.
    sheet_name : str or int, default=0
        Sheet of an Excel file.
    description : str, default=""
        Where the data come from.

    Returns
    -------
    cohort : Cohort
        With ``maps``, ``participants`` (age in years as float, sex as ``"F"`` or ``"M"``, site as
        text), ``description``, ``dropped`` (DataFrame: participant_id, reason) and
        ``unlisted_files`` (DataFrame: map, file).

    Raises
    ------
    DataError
        If the table or the files cannot be used; the message names the file, the column, the
        participants and the way out. Repeated ids always raise.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mresklearn.datasets import load_cohort
    >>> folder = tempfile.TemporaryDirectory()
    >>> root = Path(folder.name)
    >>> _ = (root / "people.csv").write_text("ID,AGE,STUDY\n002,24,A\n011,31,B \n")
    >>> for name in ("002_mu.nii.gz", "011_mu.nii.gz"):
    ...     (root / name).touch()
    >>> cohort = load_cohort(
    ...     root / "people.csv",
    ...     maps={"stiffness": "{participant_id}_mu.nii.gz"},
    ...     participant_id="ID",
    ...     columns={"age": "AGE", "site": "STUDY"},
    ... )
    >>> cohort.participants
                     age site
    participant_id
    002             24.0    A
    011             31.0    B
    >>> folder.cleanup()
    """
    _check_choice("missing", missing, ("raise", "drop"))
    _check_choice("unlisted", unlisted, ("raise", "report"))
    source = read_table(table, sheet_name)
    in_file = _names_in_file(columns, participant_id)
    original_text = source.text
    source = rename_columns(source, in_file)
    in_file = {name: in_file.get(name, name) for name in source.text.columns}

    ids = as_ids(source.text["participant_id"], id_format, participant_id, source.name)
    values, findings = _check_rows(source, ids, in_file, sex_codes, unknown_sites)
    # a template may name a column by its standard name or by its name in the file
    fields = original_text.join(source.text[source.text.columns.difference(original_text.columns)])
    fields["participant_id"] = ids
    templates = as_templates(maps, list(fields.columns))
    root = _as_root(root, source.folder)
    paths, no_file = _find_maps(templates, fields, root)
    findings += no_file
    unlisted_files = _find_unlisted(templates, fields, root, {"participant_id", participant_id})

    findings = [finding for finding in findings if finding.rows]
    refused = missing == "raise" and (findings or (unlisted == "raise" and len(unlisted_files)))
    if refused:
        _refuse(source.name, root, ids, findings, unlisted_files if unlisted == "raise" else None)
    dropped = _dropped(ids, findings)
    usable = ids.index.difference(dropped.index, sort=False)
    if not len(usable):
        _refuse(source.name, root, ids, findings, unlisted_files)
    index = pd.Index(ids[usable], name="participant_id")
    return Cohort(
        maps=paths.loc[usable].set_axis(index),
        participants=values.loc[usable].drop(columns="participant_id").set_axis(index),
        description=description,
        dropped=dropped.reset_index(drop=True),
        unlisted_files=unlisted_files,
    )


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, not {value!r}.")


def _names_in_file(columns, participant_id):
    columns = dict(columns or {})
    if "participant_id" in columns:
        raise DataError(
            "columns= names the id column, which has its own argument: pass participant_id="
            f"{columns['participant_id']!r}."
        )
    return columns | {"participant_id": participant_id}


def _check_rows(source, ids, in_file, sex_codes, unknown_sites):
    text, values = source.text, source.values.copy()
    empty = dict.fromkeys(ids.index[ids == ""], "missing")
    findings = [Finding(f"column {in_file['participant_id']!r} (participant id) is empty", empty)]
    if "age" in text:
        values["age"], finding = check_age(text["age"], in_file["age"])
        findings.append(finding)
    if "site" in text:
        values["site"], finding = check_site(text["site"], in_file["site"])
        findings += [] if unknown_sites else [finding]
    if "sex" in text:
        values["sex"] = normalise_sex(
            text["sex"], values["sex"], sex_codes, in_file["sex"], source.name
        )
    elif sex_codes is not None:
        raise DataError(
            f"sex_codes is given but {source.name} has no column 'sex': name it with "
            "columns={'sex': 'name in the file'}."
        )
    return values, findings


def _as_root(root, folder):
    root = Path(os.path.abspath(root if root is not None else folder or "."))
    if not root.is_dir():
        raise DataError(f"root={str(root)!r} is not a folder: give the folder of the maps.")
    return root


def _find_maps(templates, fields, root):
    """Path of every row and map kind, and a finding per map kind for those that are not there."""
    paths, findings = pd.DataFrame(index=fields.index), []
    rows = dict(zip(fields.index, fields.to_dict("records"), strict=True))
    for kind, alternatives in templates.items():
        finding = Finding(f"there is no {kind!r} file")
        needed = {name for template in alternatives for name in template.fields}
        found = {}
        for row, cells in rows.items():
            empty = [name for name in needed if cells[name] == ""]
            if empty:
                finding.rows[row] = f"its file name needs the empty column {listing(empty)}"
                continue
            names = [template.fill(cells) for template in alternatives]
            found[row] = next((str(root / name) for name in names if (root / name).is_file()), None)
            if found[row] is None:
                finding.rows[row] = " or ".join(names)
        paths[kind] = pd.Series(found, index=fields.index, dtype=object)
        findings.append(finding)
    return paths, findings


def _find_unlisted(templates, fields, root, id_fields):
    """Files that a template could have named but no row names."""
    matching, named = {}, set()
    for kind, alternatives in templates.items():
        for template in alternatives:
            complete = (fields[list(template.fields)] != "").all(axis=1)
            named |= {template.fill(cells) for cells in fields[complete].to_dict("records")}
            if not id_fields.isdisjoint(template.fields):
                for name in template.matching_files(root):
                    matching.setdefault(name, kind)
    found = [(kind, name) for name, kind in sorted(matching.items()) if name not in named]
    return pd.DataFrame(found, columns=["map", "file"])


def _dropped(ids, findings):
    reasons = {}
    for finding in findings:
        for row, detail in finding.rows.items():
            reasons.setdefault(row, []).append(f"{finding.title}: {detail}")
    rows = [row for row in ids.index if row in reasons]
    table = {
        "participant_id": [ids[row] or f"(row {row})" for row in rows],
        "reason": ["; ".join(reasons[row]) for row in rows],
    }
    return pd.DataFrame(table, index=rows)


def _refuse(table_name, root, ids, findings, unlisted_files):
    lines = [f"{table_name} and the maps under {str(root)!r} do not fit together:"]
    lines += [f"- {finding.describe(ids)}" for finding in findings]
    if unlisted_files is not None and len(unlisted_files):
        files = [f"{name!r} ({kind})" for kind, name in unlisted_files.itertuples(index=False)]
        lines.append(f"- these files match a file name template but have no row: {listing(files)}")
    if _differ_by_zeros(findings, ids, unlisted_files):
        lines.append(
            "The ids of the table and of the files seem to differ by leading zeros: pass for "
            "example id_format='{:0>3}'."
        )
    lines.append(
        "Correct the table or the files; or pass missing='drop' to leave such rows out (they are "
        "listed in cohort.dropped) and unlisted='report' to accept files without a row."
    )
    raise DataError("\n".join(lines))


def _differ_by_zeros(findings, ids, unlisted_files):
    """Whether unlisted files hold the id of a row without file after some zeros."""
    if unlisted_files is None or not len(unlisted_files):
        return False
    without_file = {
        ids[row]
        for finding in findings
        for row in finding.rows
        if finding.title.startswith("there is no")
    }
    names = "\n".join(unlisted_files["file"])
    return any(
        re.search(rf"(?<!\d)0+{person}(?!\d)", names) for person in without_file if person.isdigit()
    )
