"""One study of a pool: its rows checked as load_cohort checks them, in the words of the pool."""

from dataclasses import dataclass, field, replace

import pandas as pd

from ...exceptions import DataError
from ...maps._kinds import kind_of
from .._filenames import as_templates
from .._load_cohort import (
    _check_rows,
    _dropped,
    _find_maps,
    _find_unlisted,
    _names_in_file,
    _refuse,
)
from .._messages import close_match, listing
from .._row_checks import as_ids
from .._table import read_table, rename_columns
from .bids import read_bids
from .keys import HARMONISED, MISSING_CODE

__all__ = ["StudyRows", "load_study"]

UNITS = {"pa": "Pa", "kpa": "kPa"}
# what people call a column that they forgot to name in the pool file
OTHER_NAMES = {"age": ("age",), "sex": ("sex", "gender"), "diagnosis": ("diagnosis", "dx", "group")}


@dataclass(frozen=True)
class StudyRows:
    """The usable rows of one study.

    Parameters
    ----------
    name : str
        Name of the study.
    participants : DataFrame
        Harmonised columns and constants, indexed by pooled id.
    maps : DataFrame
        Paths, with the same index.
    stated_units : DataFrame of str
        Unit of every modulus map as the pool file or a sidecar states it: "Pa", "kPa", "mixed" or
        "" where nothing is stated.
    dropped, unlisted : DataFrame
        As in :func:`load_cohort`.
    notes : list of str
        What a user should know of.
    """

    name: str
    participants: pd.DataFrame
    maps: pd.DataFrame
    stated_units: pd.DataFrame
    dropped: pd.DataFrame
    unlisted: pd.DataFrame
    notes: list = field(default_factory=list)

    def without(self, unusable):
        """Return the study without some rows, which become dropped ones.

        Parameters
        ----------
        unusable : dict of str to list of str
            Pooled id -> what is wrong; ids of other studies are ignored.

        Returns
        -------
        rows : StudyRows
            The other rows.
        """
        bad = [person for person in self.maps.index if person in unusable]
        lost = pd.DataFrame(
            {
                "participant_id": [person.removeprefix(f"{self.name}_") for person in bad],
                "reason": ["; ".join(unusable[person]) for person in bad],
            }
        )
        return replace(
            self,
            participants=self.participants.drop(index=bad),
            maps=self.maps.drop(index=bad),
            stated_units=self.stated_units.drop(index=bad),
            dropped=pd.concat([self.dropped, lost], ignore_index=True) if bad else self.dropped,
        )


def load_study(entry, maps, *, missing="raise", unknown_sites=False):
    """Read the table of a study, find its maps and harmonise its columns.

    Parameters
    ----------
    entry : StudyEntry
        What the pool file says of the study.
    maps : dict of str to list of str
        Map kind -> templates, or endings of BIDS names.
    missing : {"raise", "drop"}, default="raise"
        What to do with rows without a file, an age or a site.
    unknown_sites : bool, default=False
        Whether rows may lack a site, which is NaN then.

    Returns
    -------
    rows : StudyRows
        The usable rows.

    Raises
    ------
    DataError
        If the table or the files cannot be used as the pool file says.
    """
    source = read_bids(entry, maps) if entry.layout == "bids" else None
    table = read_table(entry.table, entry.sheet) if source is None else source.table
    if source is not None and "session" in table.text:
        entry = replace(entry, columns={"session": "session"} | entry.columns)
    in_file = _names_in_file(entry.columns, entry.participant_id)
    original_text = table.text
    table = rename_columns(table, in_file)
    in_file = {name: in_file.get(name, name) for name in table.text.columns}
    people, ids = _ids(table, entry)
    values, findings = _check_rows(table, ids, in_file, entry.sex_codes, unknown_sites)
    _require_age(table, in_file)
    # a template may name a column by its standard name or by its name in the file
    fields = original_text.join(table.text[table.text.columns.difference(original_text.columns)])
    fields["participant_id"] = people
    paths, no_file, unlisted = _files(entry, maps, source, fields)

    findings = [finding for finding in (*findings, *no_file) if finding.rows]
    refused = unlisted if entry.unlisted == missing == "raise" and len(unlisted) else None
    dropped = _dropped(ids, findings)
    usable = ids.index.difference(dropped.index, sort=False)
    if (missing == "raise" and findings) or refused is not None or not len(usable):
        _refuse(table.name, entry.root, ids, findings, refused)
    harmonised, notes = _harmonise(entry, table, values.loc[usable], in_file)
    harmonised = _with_people(harmonised, people[usable], entry.name)
    if source is not None:
        harmonised = _with_sidecars(harmonised, source.sidecars.loc[usable], ids)
    index = pd.Index(f"{entry.name}_" + ids[usable], name="participant_id")
    return StudyRows(
        name=entry.name,
        participants=harmonised.set_axis(index),
        maps=paths.loc[usable].set_axis(index),
        stated_units=_stated_units(entry, maps, ids[usable], source).set_axis(index),
        dropped=dropped.reset_index(drop=True),
        unlisted=unlisted,
        notes=notes,
    )


def _files(entry, maps, source, fields):
    """Find the files of all rows, what is missing, and the files without a row."""
    templates = as_templates(maps if source is None else source.templates, list(fields.columns))
    paths, findings = _find_maps(templates, fields, entry.root)
    if source is not None:
        return paths, findings, source.unlisted
    id_fields = {"participant_id", entry.participant_id}
    return paths, findings, _find_unlisted(templates, fields, entry.root, id_fields)


def _with_people(harmonised, people, study):
    """Add the id within the study, and a name of the person that is unique over the studies."""
    harmonised.insert(0, "original_id", people)
    person = harmonised.get("person", people)
    harmonised["person"] = f"{study}_" + person.astype(str)
    return harmonised


def _ids(table, entry):
    """Id of every person, and of every row: that of the person and, where there are, the session.

    Quotes around an id are no part of it: spreadsheets need them to keep leading zeros.
    """
    text = table.text["participant_id"].str.strip("'\"").str.strip()
    if "session" not in entry.columns:
        try:
            ids = as_ids(text, entry.id_format, entry.participant_id, table.name)
        except DataError as error:
            if not text.duplicated().any():
                raise
            raise DataError(
                f"{error} Or name the column of the sessions with columns.session."
            ) from error
        return ids, ids
    once = text[~text.duplicated()]
    formatted = as_ids(once, entry.id_format, entry.participant_id, table.name)
    people = text.map(dict(zip(once, formatted, strict=True)))
    sessions = table.text["session"].str.removeprefix("ses-")
    ids = people.where((sessions == "") | (people == ""), people + "_ses-" + sessions)
    return people, as_ids(ids, None, entry.participant_id, table.name)


def _require_age(table, in_file):
    if "age" not in table.text:
        raise DataError(
            f"{table.name} has no column 'age'; its columns are "
            f"{listing(map(repr, in_file.values()), limit=40)}. Name it with "
            f"columns.age = '...'.{_forgotten('age', in_file.values())}"
        )


def _forgotten(name, existing):
    """Hint at the column that may hold what has no standard name."""
    for column in existing:
        words = column.lower().replace("_", " ").replace("(", " ").split()
        if not set(OTHER_NAMES[name]).isdisjoint(words):
            return f" Did you mean {column!r}?"
    return close_match(name, existing)


def _harmonise(entry, table, values, in_file):
    """Bring the columns of a study to common names and words; other columns stay behind."""
    text = table.text.loc[values.index]
    harmonised = pd.DataFrame({"age": values["age"]}, index=values.index)
    clashes = [
        name for name in entry.constants if name in HARMONISED and name in table.text.columns
    ]
    if clashes:
        raise DataError(
            f"constants name {listing(map(repr, clashes))}, which {table.name} has as a column: "
            "remove the constant, or rename the column."
        )
    notes = []
    if "sex" in text:
        harmonised["sex"] = _sex(entry, table, values["sex"], text["sex"], in_file["sex"])
    elif "sex" not in entry.constants:
        notes.append(f"no sex: {table.name} has no such column." + _forgotten("sex", text.columns))
    harmonised["site"] = _site(entry, table, text, in_file)
    if "diagnosis" in text:
        harmonised["diagnosis"] = _coded(entry.diagnosis_codes, "diagnosis", table, text, in_file)
    elif entry.diagnosis_codes:
        raise DataError(
            f"diagnosis_codes is given but {table.name} has no column 'diagnosis': name it with "
            "columns.diagnosis = '...'."
        )
    for name in ("person", "session"):
        if name in entry.columns:
            harmonised[name] = text[name]
    for name in entry.columns:
        if name not in HARMONISED:
            harmonised[name] = values[name]
    for name, value in entry.constants.items():
        harmonised[name] = str(value) if name in ("site", "diagnosis") else value
    if "person" in harmonised and (harmonised["person"] == "").any():
        rows = harmonised.index[harmonised["person"] == ""]
        raise DataError(
            f"column {in_file['person']!r} (person) of {table.name} is empty in rows "
            f"{listing(map(str, rows))}: fill it in, or leave columns.person out."
        )
    return harmonised, notes


def _sex(entry, table, sex, text, column):
    sex = sex.mask(text == "").where(sex.astype(str) != MISSING_CODE)
    unknown = sex.notna() & ~sex.isin(["F", "M"])
    if unknown.any():
        offenders = [
            f"{value!r} (rows {listing(map(str, rows.index), limit=5)})"
            for value, rows in text[unknown].groupby(text[unknown])
        ]
        codes = ", ".join(f"'{value}' = 'F'" for value in sorted(text[unknown].unique())[:2])
        raise DataError(
            f"column {column!r} (sex) of {table.name} holds {listing(offenders)}, which studies "
            f"use differently: say what it means, as in sex_codes = {{ {codes} }} with 'F', 'M' or "
            "'n/a'."
        )
    return sex.astype(object)


def _coded(codes, name, table, text, in_file):
    """Translate a column by the codes of the pool file, all of its values or none."""
    cells = text[name]
    if codes is None:
        return cells.where(cells != "")
    meaning = {code.strip().lower(): label for code, label in codes.items()}
    translated = cells.str.lower().map(meaning)
    unknown = (cells != "") & translated.isna()
    if unknown.any():
        raise DataError(
            f"column {in_file[name]!r} ({name}) of {table.name} holds values that {name}_codes "
            f"does not explain: {listing(map(repr, sorted(cells[unknown].unique())))}. Add them, "
            f"'{MISSING_CODE}' for missing."
        )
    return translated.where(translated != MISSING_CODE)


def _site(entry, table, text, in_file):
    """Name the sites so that site 1 of one study is not site 1 of another.

    A name that the pool file itself gives (a constant, site_codes) is meant for all studies; one
    from a table gets the study before it; without any, the study is one site.
    """
    if "site" in entry.constants:
        return str(entry.constants["site"])
    if "site" not in text:
        if entry.site_codes:
            raise DataError(
                f"site_codes is given but {table.name} has no column 'site': name it with "
                "columns.site = '...'."
            )
        return entry.name
    if entry.site_codes:
        return _coded(entry.site_codes, "site", table, text, in_file)
    return f"{entry.name}_" + text["site"].where(text["site"] != "")


def _stated_units(entry, maps, ids, source):
    """Take the unit of every modulus map from its statements, which must agree."""
    kinds = [kind for kind in maps if kind_of(kind).unit == "kPa"]
    stated = pd.DataFrame("", index=ids.index, columns=kinds, dtype=object)
    problems = []
    for kind in kinds:
        general = entry.units.get(kind, "")
        stated[kind] = general
        if source is None:
            continue
        for row, written in source.units.loc[ids.index, kind].items():
            unit = UNITS.get(written.strip().lower(), "")
            if written and not unit:
                problems.append(f"{ids[row]!r}: Units {written!r} of {kind!r} is not Pa or kPa")
            elif unit and general in UNITS.values() and unit != general:
                problems.append(f"{ids[row]!r}: the sidecar says {unit}, units.{kind} {general}")
            elif unit:
                stated.loc[row, kind] = unit
    if problems:
        raise DataError(
            f"units are stated wrongly: {listing(problems)}. Correct the JSON sidecars or units in "
            "the pool file."
        )
    return stated


def _with_sidecars(harmonised, sidecars, ids):
    """Add what JSON sidecars say; a table or constant that says otherwise is an error."""
    problems = []
    for name in sidecars.columns:
        if name not in harmonised:
            harmonised[name] = sidecars[name]
            continue
        both = sidecars[name].notna() & harmonised[name].notna()
        differ = both & (sidecars[name] != harmonised[name])
        problems += [
            f"{name} of {ids[row]!r}: {sidecars[name][row]} in the sidecar, "
            f"{harmonised[name][row]} otherwise"
            for row in differ.index[differ]
        ]
        harmonised[name] = harmonised[name].where(harmonised[name].notna(), sidecars[name])
    if problems:
        raise DataError(
            f"JSON sidecars contradict the table or the constants: {listing(problems)}. Correct "
            "the one that is wrong."
        )
    return harmonised
