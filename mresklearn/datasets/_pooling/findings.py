"""From what was read to the rows of the report: one small function per item."""

import numpy as np
import pandas as pd

from ...maps._kinds import kind_of
from .._messages import listing
from .report import ALL, WARNING

__all__ = ["pool_findings", "study_findings"]

# less of the brain than this share of the median of the study deserves a look
LOW_COVERAGE = 0.5
UNIT_WORDS = {"1": "no unit"}
SEX_WORDS = {"F": "women", "M": "men"}


def study_findings(study, participants, surveys, mask):
    """Describe one study.

    Parameters
    ----------
    study : StudyRows
        The study as loaded.
    participants : DataFrame
        Its rows of the pooled table.
    surveys : dict of (str, str) to MapSurvey
        What the files hold.
    mask : str
        Map kind that defines the brain.

    Returns
    -------
    rows : list of tuple
        Rows of a :class:`PoolingReport`.
    """
    rows = _counts(study, participants) + _people(participants)
    for kind in study.maps.columns:
        found = {person: surveys[person, kind] for person in participants.index}
        rows += _unit(kind, participants, found, study.stated_units)
        rows += _grids(kind, found)
        rows += _voxels(kind, found)
    rows += _coverage({person: surveys[person, mask] for person in participants.index})
    rows += [(WARNING, "", "", "", note) for note in study.notes]
    rows += _missing_sex(participants)
    return [(study.name, *row) for row in rows]


def _counts(study, participants):
    rows = [
        ("participants", "", "kept", len(participants), ""),
        ("participants", "", "people", participants["person"].nunique(), ""),
        ("participants", "", "dropped", len(study.dropped), ""),
    ]
    for row in study.dropped.itertuples():
        rows.append(("dropped", "", row.participant_id, "", row.reason))
    for row in study.unlisted.itertuples():
        rows.append(("unlisted file", row.map, "", "", row.file))
    return rows


def _people(participants):
    age = participants["age"]
    numbers = {"mean": age.mean(), "SD": age.std(), "min": age.min(), "max": age.max()}
    if len(participants) == 1:
        del numbers["SD"]
    rows = [("age", "", name, float(value), "") for name, value in numbers.items()]
    for item in ("sex", "site", "diagnosis"):
        if item in participants:
            counts = participants[item].value_counts(dropna=False, sort=False)
            rows += [
                (item, "", "missing" if pd.isna(name) else name, int(count), "")
                for name, count in counts.items()
            ]
    return rows


def _unit(kind, participants, found, stated):
    """Tell the unit on disk, how it is known, and what happens to it."""
    medians = [survey.median for survey in found.values()]
    span = f"medians {min(medians):.4g} to {max(medians):.4g}"
    unit = kind_of(kind).unit
    if unit != "kPa":
        return [("unit", kind, UNIT_WORDS.get(unit, unit), len(found), span)]
    rows = []
    for unit, people in participants.groupby(f"unit_{kind}", sort=False).groups.items():
        medians = [found[person].median for person in people]
        how = sorted({_how_known(found[person], stated.at[person, kind]) for person in people})
        after = "MapLoader converts to kPa" if unit == "Pa" else "no conversion"
        span = f"medians {min(medians):.4g} to {max(medians):.4g}; {' and '.join(how)}; {after}"
        rows.append(("unit", kind, unit, len(people), span))
    return rows


def _how_known(survey, stated):
    if not survey.unit:
        return "stated, the values do not tell"
    return "found from the values" + (" and stated" if stated == survey.unit else "")


def _grids(kind, found):
    distinct = distinct_grids(found.values())
    rows = [("grid", kind, str(grid), n, "") for grid, n in distinct]
    if len(distinct) > 1:
        native = " (native space?)" if len(distinct) == len(found) else ""
        rows.append(
            (WARNING, "", "", "", f"{kind!r} lies on {len(distinct)} different grids{native}")
        )
    return rows


def distinct_grids(surveys):
    """Count the grids that put voxels at different places.

    Parameters
    ----------
    surveys : iterable of MapSurvey
        What the files hold.

    Returns
    -------
    distinct : list of (Grid, int)
        Every grid with the number of its files, in the order of their appearance.
    """
    distinct = []
    for survey in surveys:
        for known in distinct:
            if known[0].same_as(survey.grid):
                known[1] += 1
                break
        else:
            distinct.append([survey.grid, 1])
    return [(grid, n) for grid, n in distinct]


def _voxels(kind, found):
    """Background and orientation, where they are not the plain ones."""
    n_nan = sum(survey.n_nan > 0 for survey in found.values())
    n_negative = sum(survey.n_negative > 0 for survey in found.values())
    by_source = pd.Series([survey.orientation for survey in found.values()]).value_counts()
    rows = [("background", kind, "zero", len(found) - n_nan, "")] if n_nan < len(found) else []
    if n_nan:
        rows.append(("background", kind, "NaN", n_nan, "files with NaN voxels"))
    if n_negative:
        rows.append(("background", kind, "negative", n_negative, "files with negative voxels"))
    rows += [("orientation", kind, name, int(n), "") for name, n in by_source.items()]
    if "none" in by_source:
        lost = [survey.path for survey in found.values() if survey.orientation == "none"]
        rows.append(
            (WARNING, "", "", "", f"neither sform nor qform says how {kind!r} is oriented; nibabel "
             f"assumes an orientation for {listing(lost, limit=3)}")
        )  # fmt: skip
    return rows


def _coverage(found):
    rows = []
    for item, numbers in (
        ("brain voxels", {person: survey.n_brain for person, survey in found.items()}),
        ("brain volume (ml)", {person: survey.volume for person, survey in found.items()}),
    ):
        values = np.array(list(numbers.values()), float)
        for name, value in (("mean", values.mean()), ("min", values.min()), ("max", values.max())):
            rows.append((item, "", name, float(value), ""))
    middle = np.median(values)
    low = [
        f"{person!r} ({volume:.0f} ml)"
        for person, volume in numbers.items()
        if volume < LOW_COVERAGE * middle
    ]
    if low:
        rows.append(
            (WARNING, "", "", "", f"the map covers less than half of the {middle:.0f} ml that are "
             f"usual in the study: {listing(low)}")
        )  # fmt: skip
    return rows


def _site_warnings(participants):
    """Name the sites, over all studies, whose effect is that of a person or of a sex."""
    texts = []
    for site, people in participants.groupby("site", sort=False):
        n_people = people["person"].nunique()
        if n_people == 1:
            texts.append(f"site {site!r} has one person, of whom its effect cannot be told apart")
        elif "sex" in people and people["sex"].nunique() == 1:
            sex = people["sex"].dropna().iloc[0]
            texts.append(
                f"site {site!r} has {SEX_WORDS[sex]} only ({n_people}), so that sex and site "
                "cannot be told apart there"
            )
    return texts


def _missing_sex(participants):
    n_missing = int(participants["sex"].isna().sum()) if "sex" in participants else 0
    if not 0 < n_missing < len(participants):
        return []
    return [_warn(f"sex is missing for {n_missing} of {len(participants)} rows")]


def pool_findings(participants, kinds, surveys, copies, look_alikes):
    """Describe what concerns more than one study.

    Parameters
    ----------
    participants : DataFrame
        The pooled table.
    kinds : list of str
        Map kinds.
    surveys : dict of (str, str) to MapSurvey
        What the files hold.
    copies, look_alikes : list of Twins
        Rows that are, or may be, the same scan.

    Returns
    -------
    rows : list of tuple
        Rows of a :class:`PoolingReport`.
    """
    rows = [("participants", "", "kept", len(participants), "")]
    rows.append(("participants", "", "people", participants["person"].nunique(), ""))
    for item, pairs in (("duplicate", copies), ("look-alike", look_alikes)):
        for pair in pairs:
            rows.append((item, "", f"{pair.first} = {pair.second}", "", pair.reason))
    if copies:
        rows.append(_warn(f"the same scan stands in several rows: {listing(map(str, copies))}"))
    if look_alikes:
        rows.append(_warn(f"may be one person, please check: {listing(map(str, look_alikes))}"))
    rows += [_warn(text) for text in _site_warnings(participants)]
    rows += [_warn(text) for text in _uneven_columns(participants)]
    advice, obstacles = _loading(participants, kinds, surveys)
    rows.append(("load with", "", advice, "", ""))
    rows += [_warn(text) for text in obstacles]
    return [(ALL, *row) for row in rows]


def _warn(text):
    return (WARNING, "", "", "", text)


def _uneven_columns(participants):
    """Columns and diagnoses that only some studies have, and so tell the study."""
    texts = []
    by_study = participants.groupby("study", sort=False)
    for column in participants.columns.drop("session", errors="ignore"):
        lacking = [study for study, rows in by_study if rows[column].isna().all()]
        if lacking:
            texts.append(f"{column!r} is not known for {listing(map(repr, lacking))}")
    if "diagnosis" in participants and len(by_study) > 1:
        labels = participants.groupby("diagnosis")["study"].unique()
        single = [f"{label!r} ({studies[0]})" for label, studies in labels.items()
                  if len(studies) == 1]  # fmt: skip
        if single:
            texts.append(f"diagnoses that one study alone has: {listing(single)}")
    return texts


def _loading(participants, kinds, surveys):
    """Name the MapLoader that reads this pool, and what stands in its way."""
    arguments, obstacles = [], []
    grids = [grid for grid, _ in distinct_grids(surveys.values())]
    if len(grids) > 1:
        coarsest = max(float(grid.voxel_size.max()) for grid in grids)
        first = surveys[participants.index[0], kinds[0]].grid
        tolerance = max(coarsest, float(first.voxel_size.max()))
        if all(grid.same_space_as(first, tolerance) for grid in grids):
            arguments.append(f"voxel_size={coarsest:.4g}")
        else:
            arguments.append("grid=template")
            obstacles.append(
                f"{len(grids)} grids with different fields of view: register all maps to one "
                "template; if they are, declare it with MapLoader(grid=template)"
            )
    stated, mixed = {}, False
    for kind in kinds:
        if kind_of(kind).unit != "kPa":
            continue
        units = participants[f"unit_{kind}"].unique()
        mixed |= len(units) > 1
        unclear = [person for person in participants.index if not surveys[person, kind].unit]
        if unclear and len(units) == 1:
            stated[kind] = str(units[0])
        elif unclear:
            obstacles.append(
                f"MapLoader cannot tell the unit of {kind!r} for {listing(map(repr, unclear))} and "
                "other files have another unit: load these rows with a MapLoader(units=...) of "
                "their own, or convert the files"
            )
    if stated:
        arguments.append(f"units={stated}")
    if mixed:
        arguments.append("mixed_units='convert'")
    return f"MapLoader({', '.join(arguments)})", obstacles
