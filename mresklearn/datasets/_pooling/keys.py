"""The keys that a pool file may hold, and what their values must look like."""

import difflib

from ...maps._kinds import kind_of
from .._messages import close_match, listing

__all__ = ["HARMONISED", "MISSING_CODE", "check_study", "check_top"]

LAYOUTS = ("table", "bids")
# the columns that are harmonised; every other name in `columns` is kept as it is
HARMONISED = ("age", "sex", "site", "diagnosis", "person", "session")
NUMERIC_CONSTANTS = ("field_strength", "vibration_frequency", "voxel_size")
CONSTANTS = ("site", "sex", "diagnosis", "scanner", "inversion", *NUMERIC_CONSTANTS)
# columns that pooling writes itself, so that neither a table nor a constant may
WRITTEN = ("participant_id", "original_id", "study")
MAP_KINDS = (
    "stiffness",
    "shear_stiffness",
    "complex_modulus",
    "storage_modulus",
    "loss_modulus",
    "damping_ratio",
    "phase_angle",
    "t1",
)
MISSING_CODE = "n/a"
NOT_READABLE = {
    ".zip": "unpack the archives (.nii and .nii.gz are read as they are)",
    ".mat": "write the volumes as NIfTI with the affine of the scan",
    ".dcm": "convert DICOM series to NIfTI first, with their scale factors applied",
}


# checks of single values: each returns what is wrong, or an empty text


def _text(value):
    return "" if isinstance(value, str) and value.strip() else "must be text in quotes"


def _sheet(value):
    whole = isinstance(value, int) and not isinstance(value, bool)
    return "" if whole or not _text(value) else "must be the name or the number of a sheet"


def _texts(value):
    if not _text(value):
        return ""
    fits = isinstance(value, list) and value and not any(map(_text, value))
    return "" if fits else "must be text in quotes, or a list of alternatives"


def _list_of_texts(value):
    fits = isinstance(value, list) and value and not any(map(_text, value))
    return "" if fits else 'must be a list of map kinds, as in ["stiffness"]'


def _choice(*choices):
    def check(value):
        if value in choices:
            return ""
        hint = close_match(value, choices) if isinstance(value, str) else ""
        return f"must be one of {listing(map(repr, choices))}, not {value!r}.{hint}"

    return check


def _scalar(value):
    fits = isinstance(value, (str, int, float)) and value != ""
    return "" if fits else "must be one text or number"


def _table_of(check):
    """Check a TOML table of values that each pass ``check``."""

    def check_all(value):
        if not isinstance(value, dict) or not value:
            return "must be a table, as in { name = value }"
        wrong = [f"{key} {problem}" for key, one in value.items() if (problem := check(one))]
        return listing(wrong)

    return check_all


_TOP_KEYS = {
    "studies": lambda value: "",
    "maps": _list_of_texts,
    "description": lambda value: "" if isinstance(value, str) else "must be text in quotes",
}
_STUDY_KEYS = {
    "root": _text,
    "layout": _choice(*LAYOUTS),
    "table": _text,
    "sheet": _sheet,
    "participant_id": _text,
    "id_format": _text,
    "columns": _table_of(_text),
    "maps": _table_of(_texts),
    "units": _table_of(_choice("Pa", "kPa", "mixed")),
    "sex_codes": _table_of(_choice("F", "M", MISSING_CODE)),
    "diagnosis_codes": _table_of(_text),
    "site_codes": _table_of(_text),
    "constants": _table_of(_scalar),
    "filters": _table_of(_text),
    "folder": _text,
    "unlisted": _choice("raise", "report"),
    "description": _text,
}
_BIDS_ONLY = ("filters", "folder")


def _check_keys(content, known, where):
    problems = []
    for key, value in content.items():
        if key not in known:
            hint = close_match(key, known) or f" Keys are {listing(known, limit=20)}."
            problems.append(f"{where}unknown key {key!r}.{hint}")
        elif problem := known[key](value):
            problems.append(f"{where}{key} {problem}")
    return problems


def check_top(content):
    """Check the keys that stand before those of the studies.

    Parameters
    ----------
    content : dict
        Content of the pool file.

    Returns
    -------
    problems : list of str
        What is wrong.
    """
    return _check_keys(content, _TOP_KEYS, "")


def check_study(name, keys):
    """Check the keys of one study: their names, the form of their values, and what they mean.

    Parameters
    ----------
    name : str
        Name of the study.
    keys : dict
        Its table of the pool file.

    Returns
    -------
    problems : list of str
        What is wrong, each beginning with the study.
    """
    where = f"study {name!r}: "
    if not isinstance(keys, dict):
        return [f"{where}must be a table [studies.{name}]"]
    problems = _check_keys(keys, _STUDY_KEYS, where)
    if not name or name != name.strip():
        problems.append(f"{where}the name is empty or has blanks at its ends")
    needed = ("root",) if keys.get("layout") == "bids" else ("root", "table", "maps")
    problems += [f"{where}lacks the key {key!r}" for key in needed if key not in keys]
    if keys.get("layout") != "bids":
        problems += [
            f"{where}{key} is only for layout = 'bids'" for key in _BIDS_ONLY if key in keys
        ]
    if not problems:  # the following relies on the form of the values
        problems = [where + problem for problem in _check_meaning(keys)]
    return problems


def _check_meaning(keys):
    columns, constants = keys.get("columns", {}), keys.get("constants", {})
    maps = keys.get("maps", {})
    problems = [_misspelt("columns", name, (*HARMONISED, *CONSTANTS)) for name in columns]
    problems += [_misspelt("constants", name, CONSTANTS) for name in constants]
    problems += [_misspelt("maps", name, MAP_KINDS) for name in maps]
    for key, names in (("columns", columns), ("constants", constants)):
        taken = [name for name in names if name in WRITTEN or name.startswith("unit_")]
        if taken:
            problems.append(
                f"{key} may not name {listing(map(repr, taken))}: pooling writes these columns "
                "(the id column of the table is named by participant_id)"
            )
    both = [name for name in constants if name in columns]
    if both:
        problems.append(f"{listing(map(repr, both))} stands in columns and in constants: keep one")
    problems += _check_constants(constants)
    for kind, names in maps.items():
        problems += _check_endings(kind, [names] if isinstance(names, str) else names)
    for kind in keys.get("units", {}):
        if maps and kind not in maps:
            problems.append(f"units names {kind!r}, which maps does not.{close_match(kind, maps)}")
        elif kind_of(kind).unit != "kPa":
            problems.append(
                f"units.{kind}: only moduli such as 'stiffness' are converted; leave it out"
            )
    for name in ("sex", "diagnosis", "site"):
        if f"{name}_codes" in keys and name in constants:
            problems.append(f"{name}_codes is given although {name} is a constant: keep one")
    return [problem for problem in problems if problem]


def _misspelt(key, name, known):
    """Refuse a free name that is almost a known one, because it would silently mean nothing."""
    if name in known or kind_of(name).unit != "arbitrary":
        return ""
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.82)
    return f"{key} names {name!r}. Did you mean {close[0]!r}?" if close else ""


def _check_constants(constants):
    problems = []
    for name in NUMERIC_CONSTANTS:
        value = constants.get(name, 1.0)
        if isinstance(value, (bool, str)) or value <= 0:
            problems.append(f"constants.{name} must be a positive number, not {value!r}")
    if "age" in constants or "person" in constants or "session" in constants:
        problems.append("constants may not name age, person or session: they differ by row")
    if constants.get("sex", "F") not in ("F", "M"):
        problems.append(f"constants.sex must be 'F' or 'M', not {constants['sex']!r}")
    return problems


def _check_endings(kind, names):
    return [
        f"maps.{kind}: {name!r} is not a NIfTI file; {advice}"
        for name in names
        for ending, advice in NOT_READABLE.items()
        if name.lower().endswith(ending)
    ]
