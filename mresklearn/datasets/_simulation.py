"""Simulated cohorts: MRE maps with published effects of age, sex and site, and a known truth."""

import atexit
import json
import shutil
import tempfile
from numbers import Integral, Real
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.utils import check_random_state
from tqdm import tqdm

from ..exceptions import DataError
from ._load_cohort import load_cohort
from ._simulation_model import (
    MAP_KINDS,
    draw_design,
    load_anatomy,
    simulate_person,
)

__all__ = ["make_mre_cohort"]

FILENAMES = {
    "stiffness": "{participant_id}/anat/{participant_id}_desc-stiffness_mre.nii.gz",
    "damping_ratio": "{participant_id}/anat/{participant_id}_desc-dampingratio_mre.nii.gz",
}
# the public maps are rounded to 1 Pa and 1e-4
DECIMALS = {"stiffness": 3, "damping_ratio": 4}
DESCRIPTION = """\
Simulated MR elastography maps, not measurements: published effects of age, sex and site on the
MNI152 anatomy. They show whether a method does what it should, because the truth is known
(cohort.truth). They never show that MRE tells more than MRI.
"""


def make_mre_cohort(
    n_subjects=200,
    n_sites=5,
    *,
    folder=None,
    maps=("stiffness", "damping_ratio"),
    voxel_size=4.0,
    age_range=(14, 90),
    site_effect=1.0,
    age_effect=1.0,
    site_age_correlation=0.0,
    random_state=None,
    n_jobs=None,
    verbose=0,
):
    """Simulate a multi-site MRE cohort whose truth is known, to test methods on.

    Simulated maps show that a method works, never that MRE beats MRI: the size of every effect was
    put in, from publications where there are any and by assumption elsewhere.

    A map is ``level + site + texture`` in every voxel of the MNI152 brain. The level mixes the
    values of white matter, cortex, deep grey matter and cerebellum by tissue share; each follows
    the person's age (stiffness falls 0.2 to 0.35 % a year, faster after 60; damping ratio stays),
    sex, and a person effect shared between regions. The site adds a shift per region and a smooth
    field, both much larger in damping ratio than in stiffness, and changes the smoothness of the
    texture and the field of view, which cuts the cerebellum and the vertex. Cerebrospinal fluid,
    atrophy and disease are not simulated.

    Parameters
    ----------
    n_subjects : int, default=200
        Number of participants, at least one per site.
    n_sites : int, default=5
        Number of sites, of equal size up to one person.
    folder : str or path-like, default=None
        Empty or new folder for ``participants.tsv`` and the maps; None takes a temporary folder,
        which is removed when the Python process ends.
    maps : sequence of {"stiffness", "damping_ratio"}, default=("stiffness", "damping_ratio")
        Which maps to write. A map does not depend on whether the other one is written.
    voxel_size : float, default=4.0
        Edge of a voxel, a whole number of mm from 2 to 10.
    age_range : (float, float), default=(14, 90)
        Youngest and oldest possible age in years.
    site_effect : float, default=1.0
        Factor on everything that sites change; 0 makes all sites alike.
    age_effect : float, default=1.0
        Factor on the effect of age on the maps; 0 removes it.
    site_age_correlation : float, default=0.0
        Entanglement of site and age: the correlation ratio eta, the square root of the share of
        the age variance that lies between sites. 0 draws all sites alike; at 1 the people of a
        site are equally old. Ages stay within ``age_range``.
    random_state : int, RandomState, Generator or None, default=None
        Seed. An integer gives the same files whatever ``n_jobs``, and the same people, noise and
        directions of site effects whatever ``site_effect`` and ``age_effect``.
    n_jobs : int, default=None
        Number of threads; None is 1, -1 all processors.
    verbose : int, default=0
        1 shows the progress over participants.

    Returns
    -------
    cohort : Cohort
        ``maps`` (float32, kPa and dimensionless, background exactly 0), ``participants`` with age,
        sex and site, and ``truth``: a DataFrame with a row per participant, the mean of each region
        without site effect (``stiffness_cortex``) and what the site adds to it
        (``stiffness_cortex_site``), the smoothness ``texture_fwhm`` and the lowest and highest
        covered slice, ``coverage_bottom`` and ``coverage_top`` (mm). ``regions`` is the path of
        the label image of these regions: 1 white matter, 2 cortex, 3 deep grey matter, 4
        cerebellum.

    Raises
    ------
    ValueError
        If a parameter is impossible; the message names it.
    DataError
        If ``folder`` is not empty.

    Notes
    -----
    All numbers stand with their source in one table,
    ``mresklearn.datasets._simulation_parameters.PARAMETERS``. Most come from the public MRE134
    maps [1]_ and from Lv et al. [2]_. With ``c = site_age_correlation``, an age is drawn as
    ``sqrt(1 - c**2) * within + c * between``, with a uniform within-site and an evenly spaced
    between-site part of equal variance, shrunk to fit ``age_range``.

    References
    ----------
    .. [1] Hiscox et al. (2020). Standard-space atlas of the viscoelastic properties of the human
       brain. Human Brain Mapping. doi:10.1002/hbm.25192
    .. [2] Lv et al. (2020). European Radiology 30:6614.

    Examples
    --------
    >>> from mresklearn.datasets import make_mre_cohort
    >>> cohort = make_mre_cohort(n_subjects=6, n_sites=2, voxel_size=8, random_state=0)
    >>> cohort
    Cohort(6 participants, maps: stiffness, damping_ratio, 2 sites, ages 18.3-79)
    >>> added = cohort.truth[["stiffness_cortex_site", "damping_ratio_cortex_site"]]
    >>> added.groupby(cohort.participants.site).mean().round(2)
            stiffness_cortex_site  damping_ratio_cortex_site
    site
    site-1                  -0.07                      -0.02
    site-2                   0.17                       0.04
    """
    _check_counts(n_subjects, n_sites, site_age_correlation)
    _check_numbers(voxel_size, age_range, site_effect, age_effect, site_age_correlation)
    if isinstance(maps, str) or not len(maps) or any(kind not in MAP_KINDS for kind in maps):
        raise ValueError(f"maps must be a sequence of {MAP_KINDS}, not {maps!r}.")
    anatomy = load_anatomy(int(voxel_size))
    seeds = _seed_sequence(random_state).spawn(n_subjects + 1)
    design = draw_design(
        np.random.default_rng(seeds[0]),
        anatomy,
        n_subjects=n_subjects,
        n_sites=n_sites,
        age_range=age_range,
        site_age_correlation=site_age_correlation,
        site_effect=site_effect,
    )
    folder = _prepare_folder(folder)

    def make_person(number, seed):
        person = design.participants.index[number]
        images, truth = simulate_person(anatomy, design, number, seed, age_effect, maps)
        for kind in maps:
            path = folder / FILENAMES[kind].format(participant_id=person)
            _write_image(path, np.round(images[kind], DECIMALS[kind]), anatomy.affine)
        return truth

    # threads suffice: filtering and compression release the interpreter lock
    results = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(make_person)(number, seed) for number, seed in enumerate(seeds[1:])
    )
    truth = list(tqdm(results, total=n_subjects, unit="person", disable=not verbose))
    design.participants.to_csv(folder / "participants.tsv", sep="\t")
    cohort = load_cohort(
        folder / "participants.tsv",
        maps={kind: FILENAMES[kind] for kind in maps},
        description=DESCRIPTION,
    )
    cohort["truth"] = pd.DataFrame(truth, index=cohort.participants.index)
    cohort["regions"] = str(folder / "desc-regions_dseg.nii.gz")
    _write_image(cohort["regions"], anatomy.labels, anatomy.affine)
    _describe_folder(folder)
    return cohort


def _check_counts(n_subjects, n_sites, site_age_correlation):
    for name, value in (("n_subjects", n_subjects), ("n_sites", n_sites)):
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}.")
    if n_subjects < n_sites:
        raise ValueError(
            f"n_subjects={n_subjects} leaves some of n_sites={n_sites} empty: simulate at least "
            "one person per site."
        )
    if n_sites == 1 and site_age_correlation:
        raise ValueError(
            f"site_age_correlation={site_age_correlation} needs at least two sites: raise n_sites, "
            "or leave it 0."
        )


def _check_numbers(voxel_size, age_range, site_effect, age_effect, site_age_correlation):
    if not _is_number(voxel_size) or voxel_size not in range(2, 11):
        raise ValueError(
            f"voxel_size must be a whole number of mm from 2 to 10, not {voxel_size!r}: the MNI152 "
            "templates come in whole millimetres."
        )
    if len(age_range) != 2 or not 0 <= age_range[0] < age_range[1] <= 120:
        raise ValueError(
            f"age_range must be (youngest, oldest) in years within 0 and 120, not {age_range!r}."
        )
    for name, value in (("site_effect", site_effect), ("age_effect", age_effect)):
        if not _is_number(value) or not 0 <= value < np.inf:
            raise ValueError(f"{name} must be a finite number of at least 0, not {value!r}.")
    if not _is_number(site_age_correlation) or not 0 <= site_age_correlation <= 1:
        raise ValueError(
            f"site_age_correlation must be a number from 0 to 1, not {site_age_correlation!r}."
        )


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool)


def _seed_sequence(random_state):
    if random_state is None or isinstance(random_state, Integral):
        try:
            return np.random.SeedSequence(random_state)
        except ValueError as error:
            raise ValueError(f"random_state must not be negative: {random_state}.") from error
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence(int(random_state.integers(2**32)))
    return np.random.SeedSequence(int(check_random_state(random_state).randint(2**31 - 1)))


def _prepare_folder(folder):
    if folder is None:
        folder = tempfile.mkdtemp(prefix="mresklearn-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DataError(
            f"folder={str(folder)!r} is not empty, and simulated maps must not mix with other "
            "files: give a new folder, or empty this one."
        )
    return folder


def _describe_folder(folder):
    """Say in the folder itself that these maps are simulated, in case they travel without us."""
    content = {
        "Name": "Simulated MR elastography cohort",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [
            {"Name": "mresklearn.datasets.make_mre_cohort", "Description": DESCRIPTION}
        ],
    }
    (folder / "dataset_description.json").write_text(json.dumps(content, indent=2))


def _write_image(path, values, affine):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, affine)
    # code 4: MNI152 space
    image.set_sform(affine, code=4)
    image.set_qform(affine, code=4)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
