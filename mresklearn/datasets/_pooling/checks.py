"""Checks that files hold what was said of them, and that nobody is in the pool twice."""

from dataclasses import dataclass

import pandas as pd

from ...maps._kinds import kind_of
from .._messages import listing

__all__ = ["Twins", "find_copies", "find_look_alikes", "join_copies", "settle_units"]

# people who share the very count of brain voxels: more than this, and it is a common mask
MAX_SHARED_MASK = 3
# "01" is an id of every study, "OAS1_0001" of one
MIN_TELLING_ID = 5


def settle_units(study, surveys):
    """Decide the unit of every modulus map of a study from its values and from what was stated.

    Values decide where they can; a statement is needed where they cannot, and must agree where
    they do.

    Parameters
    ----------
    study : StudyRows
        The rows and their stated units.
    surveys : dict of (str, str) to MapSurvey
        What the files hold.

    Returns
    -------
    units : DataFrame
        "Pa" or "kPa" by participant, one column ``unit_<kind>`` per modulus map.
    problems : list of str
        What is wrong with the files of this study, one text per kind of mistake.
    """
    units, problems = pd.DataFrame(index=study.maps.index), []
    for kind in study.maps.columns:
        found = {person: surveys[person, kind] for person in study.maps.index}
        if kind_of(kind).unit == "1":
            problems += _not_dimensionless(kind, found)
        if kind_of(kind).unit != "kPa":
            continue
        stated = study.stated_units[kind]
        problems += _contradictions(kind, found, stated)
        problems += _mixtures(kind, found, stated)
        units[f"unit_{kind}"] = [survey.unit or stated[person] for person, survey in found.items()]
    return units, problems


def _not_dimensionless(kind, found):
    wrong = [survey for survey in found.values() if survey.median > 1]
    if not wrong:
        return []
    return [
        f"{kind!r} has no unit and lies below 1, but the medians of these files do not: "
        f"{_with_medians(wrong)}. Are they percent, or another map? Correct the template or the "
        "files"
    ]


def _contradictions(kind, found, stated):
    problems = []
    differ = [
        survey
        for person, survey in found.items()
        if stated[person] in ("Pa", "kPa") and survey.unit not in ("", stated[person])
    ]
    if differ:
        said = " and ".join(sorted({stated[person] for person in found} & {"Pa", "kPa"}))
        problems.append(
            f"{kind!r} is stated to be in {said}, but the median of the brain voxels of these "
            f"files says otherwise (brain has 1 to 5 kPa): {_with_medians(differ)}. Correct "
            f"units.{kind} (or the Units of the JSON sidecars), or leave it out to go by the values"
        )
    unclear = [
        survey
        for person, survey in found.items()
        if not survey.unit and stated[person] not in ("Pa", "kPa")
    ]
    if unclear:
        problems.append(
            f"the unit of these {kind!r} files is unclear, because the median of their brain "
            f"voxels is neither kPa (0.3 to 20) nor Pa (over 50): {_with_medians(unclear)}. State "
            f"it with units.{kind} = 'kPa' or 'Pa', or check the files"
        )
    return problems


def _mixtures(kind, found, stated):
    """Both units in one study, which is a mistake unless it is stated."""
    by_unit = {}
    for person, survey in found.items():
        if survey.unit and not stated[person]:
            by_unit.setdefault(survey.unit, []).append(survey)
    if len(by_unit) < 2:
        return []
    fewest = min(by_unit, key=lambda unit: len(by_unit[unit]))
    counts = " and ".join(f"{len(found)} in {unit}" for unit, found in sorted(by_unit.items()))
    return [
        f"{kind!r} mixes units, {counts}; in {fewest} are {_with_medians(by_unit[fewest])}. If "
        f"that is right, say so with units.{kind} = 'mixed'; else correct these files"
    ]


def _with_medians(surveys):
    return listing(f"{survey.path} (median {survey.median:.4g})" for survey in surveys)


@dataclass(frozen=True)
class Twins:
    """Two rows that are, or may be, the same scan.

    Parameters
    ----------
    first, second : str
        Pooled ids, in the order of the cohort.
    reason : str
        What is the same.
    """

    first: str
    second: str
    reason: str

    def __str__(self):
        return f"{self.first!r} and {self.second!r} ({self.reason})"


def find_copies(surveys):
    """Find rows whose files hold the same values, whatever their names and compression.

    Parameters
    ----------
    surveys : dict of (str, str) to MapSurvey
        Pooled id and map kind -> what the file holds.

    Returns
    -------
    copies : list of Twins
        Every later row with the first row that it repeats.
    """
    first, shared = {}, {}
    for (person, kind), survey in surveys.items():
        original = first.setdefault((kind, survey.content), person)
        if original != person:
            shared.setdefault((original, person), []).append(kind)
    return [Twins(*pair, f"same {' and '.join(kinds)} map") for pair, kinds in shared.items()]


def find_look_alikes(participants, surveys, mask, copies):
    """Find rows of different studies that may be one person, as a hint to look at.

    Age and sex alone say nothing in a large pool, so something rarer must be the same as well: the
    number of brain voxels on the same grid, a long id within the study, or an age with decimals.

    Parameters
    ----------
    participants : DataFrame
        With columns study, original_id, age and, where known, sex.
    surveys : dict of (str, str) to MapSurvey
        What the files hold.
    mask : str
        Map kind that defines the brain.
    copies : list of Twins
        Pairs that are known to be the same.

    Returns
    -------
    look_alikes : list of Twins
        Pairs to look at.
    """
    voxels = pd.Series(
        [
            f"{surveys[person, mask].n_brain} in {surveys[person, mask].grid}"
            for person in participants.index
        ],
        index=participants.index,
    )
    # a mask that many share is that of a template, and tells nobody apart
    rare = voxels.map(voxels.value_counts()) <= MAX_SHARED_MASK
    table = participants.assign(
        sex=participants["sex"].fillna("") if "sex" in participants else "",
        voxels=voxels.where(rare, ""),
    )
    known = {(pair.first, pair.second) for pair in copies}
    found = []
    for _, group in table[table["age"].notna()].groupby(["age", "sex"], sort=False):
        rows = list(group.itertuples())
        for k, second in enumerate(rows):
            for first in rows[:k]:
                same = _rare_traits(first, second)
                if (
                    first.study != second.study
                    and same
                    and (first.Index, second.Index) not in known
                ):
                    found.append(Twins(first.Index, second.Index, f"same age, sex and {same}"))
    return found


def _rare_traits(first, second):
    traits = []
    if first.voxels and first.voxels == second.voxels:
        traits.append("number of brain voxels")
    own_id = first.original_id.removeprefix("sub-")
    if own_id == second.original_id.removeprefix("sub-") and len(own_id) >= MIN_TELLING_ID:
        traits.append("id within the study")
    if not float(first.age).is_integer():
        traits.append("age with decimals")
    return " and ".join(traits)


def join_copies(participants, copies):
    """Give rows that hold the same scan the same person, so that groups keep them together.

    Parameters
    ----------
    participants : DataFrame
        With a column person.
    copies : list of Twins
        Pairs that are the same.

    Returns
    -------
    person : Series of str
        The column, with the person of the first row for each copy.
    """
    person = participants["person"].copy()
    for pair in copies:
        person[person == person[pair.second]] = person[pair.first]
    return person
