"""Pooling studies with different conventions into one cohort, from one declarative file."""

import json

import pandas as pd

from ...exceptions import DataError
from ...maps._kinds import mask_kind
from .._cohort import Cohort
from .._messages import close_match, listing
from .bids import USUAL_NAMES, bids_maps
from .checks import find_copies, find_look_alikes, join_copies, settle_units
from .file import read_pool_file
from .findings import pool_findings, study_findings
from .report import PoolingReport
from .study import load_study
from .survey import survey_maps

__all__ = ["pool_cohorts"]

# what every study has, in this order; other columns follow
FIRST_COLUMNS = ("study", "site", "person", "original_id", "session", "age", "sex", "diagnosis")
MAX_LISTED = 20


def pool_cohorts(
    file, *, missing="raise", duplicates="raise", unknown_sites=False, n_jobs=None, verbose=0
):
    r"""Pool studies with different conventions, and report what was found in each.

    One small TOML file says of every study where its files are and what its columns, codes and
    units mean. Every table row and every map file is then checked against it: the files are read
    once (not copied or changed), their units found from their values, their grids compared, and
    scans that are in the pool twice found. All problems are reported in one error.

    Parameters
    ----------
    file : str or path-like
        TOML file with a table per study; see Notes.
    missing : {"raise", "drop"}, default="raise"
        What to do with rows without a file, with an unusable age, without a site, or with a file
        that cannot be read or shows no brain. ``"drop"`` leaves them out and lists them in
        ``cohort.dropped`` and in the report.
    duplicates : {"raise", "report"}, default="raise"
        What to do when the same values are in the files of two rows: a person in two studies would
        be trained and tested on at once. ``"report"`` keeps such rows but gives them the same
        ``person``, so that splits by person hold them together.
    unknown_sites : bool, default=False
        Whether rows may lack a site, which is NaN then: people who are predicted, not learned from.
    n_jobs : int or None, default=None
        Threads that read files; None means 1, -1 all cores.
    verbose : int, default=0
        1 shows a progress bar while files are read.

    Returns
    -------
    cohort : Cohort
        ``maps`` holds the paths as they are on disk, indexed by ``"<study>_<id>"`` (with
        ``"_ses-<session>"`` where a person has sessions). ``participants`` has the columns
        ``study``, ``site``, ``person`` (unique over the studies, to group by), ``original_id``,
        ``age`` in years, ``sex`` as "F" or "M", ``diagnosis`` where known, the columns and
        constants that the file names, and ``unit_<kind>``, the unit on disk ("Pa" or "kPa") of
        every modulus map. ``report`` is a :class:`PoolingReport`; ``dropped`` and
        ``unlisted_files`` are those of :func:`load_cohort` with a column ``study``.

    Raises
    ------
    DataError
        If the pool file, a table or a map file cannot be used as it says. The message names the
        pool file, the study, the file, column and rows, and the way out.

    See Also
    --------
    load_cohort : One study, without a pool file.
    MapLoader : Reads the maps; ``cohort.report`` says with which arguments.

    Notes
    -----
    Keys of a study, ``[studies.<name>]``; the first three are required (``layout = "bids"``
    needs only ``root``):

    - ``root``: folder of the study, absolute or relative to the folder of the pool file.
    - ``table``: ``.tsv``, ``.csv`` or ``.xlsx`` relative to ``root``; ``sheet`` of an Excel file.
    - ``maps``: map kind -> file name below ``root`` with columns in braces, or alternatives of
      which the first existing one is taken. ``{participant_id}`` is the id after ``id_format``.
    - ``participant_id``: name of the id column; ``id_format``, as ``"{:0>3}"``, pads ids.
    - ``columns``: standard name -> name in the table: ``age``, ``sex``, ``site``, ``diagnosis``,
      ``person`` (who has several rows), ``session``, and any other column to keep.
    - ``sex_codes``, ``diagnosis_codes``, ``site_codes``: value -> meaning; ``"n/a"`` is missing.
      Sex other than M, F, male, female needs codes.
    - ``units``: modulus map -> ``"Pa"``, ``"kPa"``, or ``"mixed"`` if files of the study differ.
    - ``constants``: columns with one value: ``site``, ``scanner``, ``field_strength`` (T),
      ``vibration_frequency`` (Hz), ``inversion``, ``voxel_size`` (mm), ``diagnosis``, ``sex``, ...
    - ``unlisted = "report"`` accepts files without a row; ``description`` says whose data it is.
    - ``layout = "bids"``: maps are found as ``sub-*/[ses-*/]anat/*_desc-stiffness_*.nii[.gz]`` and
      ``*_desc-dampingratio_*`` (or other endings in ``maps``), people in ``participants.tsv``,
      ages by session in ``sub-*_sessions.tsv``; ``filters = { space = "..." }`` selects files and
      ``folder`` replaces ``"anat"``. ``Units``, ``VibrationFrequency``, ``InversionMethod``,
      ``MagneticFieldStrength`` and ``ManufacturersModelName`` of JSON sidecars are read.

    On top, ``maps = ["stiffness"]`` selects the map kinds to pool where studies have different
    ones, and ``description`` describes the pool.

    A site that the pool file names itself (``constants``, ``site_codes``) means the same in every
    study; one from a table becomes ``"<study>_<site>"``; a study without any is one site.

    The unit of a file is found from the median of its brain voxels. A stated unit must agree
    with it, and is needed where the median is unclear (20 to 50, or below 0.3). ``MapLoader``
    finds the same unit again; ``mixed_units="convert"`` lets it do so for studies in Pa and in kPa.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import nibabel, numpy
    >>> from mresklearn.datasets import pool_cohorts
    >>> folder = tempfile.TemporaryDirectory()
    >>> root = Path(folder.name)
    >>> values = numpy.random.default_rng(0).uniform(2, 4, (4, 8, 8, 8)).astype("float32")
    >>> for k, name in enumerate(["01_mu.nii", "02_mu.nii", "p7.nii.gz", "p9.nii.gz"]):
    ...     pascal = values[k] * (1000 if k < 2 else 1)
    ...     nibabel.Nifti1Image(pascal, numpy.eye(4)).to_filename(root / name)
    >>> _ = (root / "delaware.csv").write_text("ID,AGE,SEX\n1,24,1\n2,61,2\n")
    >>> _ = (root / "berlin.csv").write_text("Subject,Age (yr),Sex\np7,33,F\np9,70,M\n")
    >>> _ = (root / "pool.toml").write_text('''
    ... [studies.Delaware]
    ... root = "."
    ... table = "delaware.csv"
    ... participant_id = "ID"
    ... id_format = "{:0>2}"
    ... columns = { age = "AGE", sex = "SEX" }
    ... sex_codes = { 1 = "M", 2 = "F" }
    ... maps.stiffness = "{participant_id}_mu.nii"
    ... units.stiffness = "Pa"
    ... constants = { vibration_frequency = 50 }
    ...
    ... [studies.Berlin]
    ... root = "."
    ... table = "berlin.csv"
    ... participant_id = "Subject"
    ... columns = { age = "Age (yr)", sex = "Sex" }
    ... maps.stiffness = "{participant_id}.nii.gz"
    ... constants = { vibration_frequency = 60 }
    ... ''')
    >>> cohort = pool_cohorts(root / "pool.toml")
    >>> cohort.participants[["age", "sex", "vibration_frequency", "unit_stiffness"]]
                     age sex  vibration_frequency unit_stiffness
    participant_id
    Delaware_01     24.0   M                   50             Pa
    Delaware_02     61.0   F                   50             Pa
    Berlin_p7       33.0   F                   60            kPa
    Berlin_p9       70.0   M                   60            kPa
    >>> frame = cohort.report.to_frame()
    >>> frame.loc[frame.item == "load with", "name"].item()
    "MapLoader(mixed_units='convert')"
    >>> folder.cleanup()
    """
    for name, value, choices in (
        ("missing", missing, ("raise", "drop")),
        ("duplicates", duplicates, ("raise", "report")),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {choices}, not {value!r}.")
    pool = read_pool_file(file)
    studies = _load_studies(pool, missing, unknown_sites)
    participants, paths = _stack(studies, pool)
    surveys, unusable = survey_maps(paths, n_jobs=n_jobs, verbose=verbose)
    studies = _without(studies, unusable, missing, pool)
    participants, paths = _stack(studies, pool)
    participants = participants.join(_units(studies, surveys, pool))
    surveys = {(person, kind): surveys[person, kind] for person in paths.index for kind in paths}
    copies = find_copies(surveys)
    if copies and duplicates == "raise":
        raise DataError(
            f"{_where(pool)}: rows hold the same scan, so that one person would be trained and "
            f"tested on: {listing(map(str, copies))}. Remove one row of each pair from its table; "
            "or pass duplicates='report', which keeps both and gives them the same person."
        )
    participants["person"] = join_copies(participants, copies)
    return Cohort(
        maps=paths,
        participants=participants,
        description=_description(pool),
        report=_report(studies, participants, paths, surveys, copies),
        dropped=_by_study(studies, "dropped", ["participant_id", "reason"]),
        unlisted_files=_by_study(studies, "unlisted", ["map", "file"]),
    )


def _where(pool):
    return f"the pool of {str(pool.path)!r}"


def _load_studies(pool, missing, unknown_sites):
    """Load the table of every study; the errors of all studies become one."""
    studies, problems = [], []
    try:
        maps = _maps_of_studies(pool)
    except DataError as error:
        raise DataError(f"{_where(pool)}: {error}") from error
    for entry in pool.studies:
        try:
            studies.append(
                load_study(entry, maps[entry.name], missing=missing, unknown_sites=unknown_sites)
            )
        except DataError as error:
            problems.append(f"study {entry.name!r}: {error}")
    if problems:
        raise DataError(
            f"{len(problems)} of {len(pool.studies)} studies of {str(pool.path)!r} cannot be "
            "loaded:\n" + "\n".join(problems) + "\nmissing= is an argument of pool_cohorts; other "
            "names are keys of the study in the pool file."
        )
    return studies


def _maps_of_studies(pool):
    """Select the map kinds of the pool, which every study must have."""
    by_study = {
        entry.name: bids_maps(entry) if entry.layout == "bids" else entry.maps
        for entry in pool.studies
    }
    wanted = list(pool.maps or dict.fromkeys(kind for maps in by_study.values() for kind in maps))
    lacking = []
    for name, maps in by_study.items():
        absent = [kind for kind in wanted if kind not in maps]
        hints = "".join(close_match(kind, maps) for kind in absent)
        if not maps:  # only a BIDS study can do without naming any
            lacking.append(
                f"study {name!r} has no map with a usual name, "
                f"{listing(tag for tags in USUAL_NAMES.values() for tag in tags)}."
            )
        elif absent:
            lacking.append(f"study {name!r} has no {listing(map(repr, absent))}.{hints}")
    if lacking:
        common = [kind for kind in wanted if all(kind in maps for maps in by_study.values())]
        way_out = (
            f", or pool what all have with maps = {json.dumps(common)} on top" if common else ""
        )
        raise DataError(
            f"every study needs every map kind, but {listing(lacking)} Name its files in maps"
            f"{way_out}."
        )
    return {name: {kind: maps[kind] for kind in wanted} for name, maps in by_study.items()}


def _stack(studies, pool):
    # a column without any value has no type to agree on with other studies
    participants = pd.concat(
        [study.participants.dropna(axis=1, how="all").assign(study=study.name) for study in studies]
    )
    repeated = participants.index[participants.index.duplicated()]
    if len(repeated):
        raise DataError(
            f"{_where(pool)}: names of studies and ids run together to the same "
            f"{listing(map(repr, repeated))}: rename one of the studies."
        )
    first = [name for name in FIRST_COLUMNS if name in participants]
    rest = [name for name in participants if name not in first]
    paths = pd.concat([study.maps for study in studies])
    return participants[[*first, *rest]], paths


def _without(studies, unusable, missing, pool):
    """Drop the rows whose files cannot be used, or raise and name them all."""
    kept = [study.without(unusable) for study in studies]
    if unusable and (missing == "raise" or not all(len(study.maps) for study in kept)):
        problems = [text for texts in unusable.values() for text in texts]
        more = len(problems) - MAX_LISTED
        raise DataError(
            f"{_where(pool)} names {len(problems)} files that cannot be used:\n"
            + "\n".join(f"- {text}" for text in problems[:MAX_LISTED])
            + (f"\n- and {more} more" if more > 0 else "")
            + "\nReplace the files; or pass missing='drop' to leave such rows out, as long as "
            "every study keeps some."
        )
    return kept


def _units(studies, surveys, pool):
    """Settle the unit of every modulus map; what is wrong in any study becomes one error."""
    units, problems = [], []
    for study in studies:
        settled, wrong = settle_units(study, surveys)
        units.append(settled)
        problems += [f"- study {study.name!r}: {problem}." for problem in wrong]
    if problems:
        raise DataError(
            f"{_where(pool)} has map files in unexpected units:\n" + "\n".join(problems)
        )
    return pd.concat(units)


def _report(studies, participants, paths, surveys, copies):
    kinds = list(paths.columns)
    mask = mask_kind(kinds)
    rows = []
    for study in studies:
        rows += study_findings(study, participants.loc[study.maps.index], surveys, mask)
    look_alikes = find_look_alikes(participants, surveys, mask, copies)
    rows += pool_findings(participants, kinds, surveys, copies, look_alikes)
    return PoolingReport(rows)


def _by_study(studies, part, columns):
    rows = [
        {"study": study.name, **row}
        for study in studies
        for row in getattr(study, part).to_dict("records")
    ]
    return pd.DataFrame(rows, columns=["study", *columns])


def _description(pool):
    texts = [pool.description]
    texts += [f"{entry.name}: {entry.description}" for entry in pool.studies if entry.description]
    return "\n".join(text for text in texts if text)
