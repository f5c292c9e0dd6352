"""Simulated cohorts: maps with published effects of age, sex, disease and site, and the truth."""

import atexit
import shutil
import tempfile
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.utils import check_random_state
from tqdm import tqdm

from ...exceptions import DataError
from .._load_cohort import load_cohort
from .anatomy import load_anatomy
from .checks import check_parameters
from .design import draw_people, list_scans, split_into_sites
from .files import DESCRIPTION, FILENAMES, write_map, write_shared_files
from .maps import Effects, simulate_mre
from .parameters import REGIONS
from .sites import draw_sites
from .t1 import simulate_t1

__all__ = ["make_mre_cohort"]


def make_mre_cohort(
    n_subjects=200,
    n_sites=5,
    *,
    folder=None,
    maps=("stiffness", "damping_ratio"),
    voxel_size=4.0,
    age_range=(14, 90),
    diagnoses=None,
    repeat_share=0.0,
    n_repeats=1,
    site_effect=1.0,
    age_effect=1.0,
    disease_effect=1.0,
    site_age_correlation=0.0,
    site_sex_correlation=0.0,
    site_diagnosis_correlation=0.0,
    random_state=None,
    n_jobs=None,
    verbose=0,
):
    """Simulate a multi-site cohort of MRE and T1 maps whose truth is known, to test methods on.

    Simulated maps show that a method works, never that MRE beats MRI: the size of every effect was
    put in, from publications where there are any and by assumption elsewhere.

    Parameters
    ----------
    n_subjects : int, default=200
        Number of people, at least one per site.
    n_sites : int or sequence of int, default=5
        Number of sites, of equal size up to one person; or the number of people at each.
    folder : str or path-like, default=None
        Empty or new folder for ``participants.tsv`` and the maps; None takes a temporary folder,
        which is removed when the Python process ends.
    maps : sequence of {"stiffness", "damping_ratio", "t1"}, default=("stiffness", "damping_ratio")
        Which maps to write. A map does not depend on which others are written.
    voxel_size : float, default=4.0
        Edge of a voxel, a whole number of mm from 2 to 10.
    age_range : (float, float), default=(14, 90)
        Youngest and oldest possible age in years.
    diagnoses : dict, default=None
        Share of people with mild cognitive impairment and with Alzheimer's disease, such as
        ``{"MCI": 0.1, "AD": 0.1}``; the others are cognitively normal, ``"CN"``. Patients are 55
        years or older, most often over 70.
    repeat_share : float, default=0.0
        Share of the people who are scanned again, within days.
    n_repeats : int, default=1
        How often they are scanned again. Ids of such scans end in ``_ses-2``, and so on.
    site_effect : float, default=1.0
        Factor on everything that sites change; 0 makes all sites alike.
    age_effect : float, default=1.0
        Factor on the effect of age on the maps; 0 removes it.
    disease_effect : float, default=1.0
        Factor on the effect of MCI and AD; 0 leaves the diagnosis a mere word.
    site_age_correlation : float, default=0.0
        Entanglement of site and age: the correlation ratio eta, the square root of the share of
        the age variance that lies between sites. 0 draws all sites alike; at 1 the people of a
        site are equally old. Ages stay within ``age_range``.
    site_sex_correlation : float, default=0.0
        Entanglement of site and sex: the correlation ratio of being male on site. At 1 half of the
        sites have only men and the others only women.
    site_diagnosis_correlation : float, default=0.0
        Entanglement of site and diagnosis: share of the patients who come from as few sites as
        can hold them all, as in a study of patients; the others come from everywhere.
    random_state : int, RandomState, Generator or None, default=None
        Seed. An integer gives the same files whatever ``n_jobs``, and the same people, noise and
        directions of site effects whatever the sizes of effects.
    n_jobs : int, default=None
        Number of threads; None is 1, -1 all processors.
    verbose : int, default=0
        1 shows the progress over people.

    Returns
    -------
    cohort : Cohort
        A row per scan. ``maps`` are paths of float32 images (kPa, dimensionless, and arbitrary for
        T1; background exactly 0), ``participants`` has age, sex, site, diagnosis and person (for
        ``groups``). Further parts:

        truth : DataFrame
            ``brain_age``; per region the mean of the person (``stiffness_putamen``), what the site
            adds to it (``stiffness_putamen_site``) and the error of the scan (``..._error``), whose
            sum is the regional mean of the map where it is covered; ``texture_fwhm`` and
            ``coverage_bottom``, ``_top`` (mm) and ``_tilt``; for T1 ``t1_brain_volume`` (share of
            the brain mask) and ``t1_ventricle_volume`` (ml).
        site_effects : DataFrame
            Path of the map of what a site adds, a row per site and a column per map kind.
        regions : str
            Path of the label image of the regions: 1 for the first of ``region_names``.
        region_names : tuple of str
            Names of the 16 regions.

    Raises
    ------
    ValueError
        If a parameter is impossible; the message names it.
    DataError
        If ``folder`` is not empty, or too few people are old enough for ``diagnoses``.

    Notes
    -----
    Every number stands with its source, and with how far it is verified, in the table
    ``mresklearn.datasets._simulation.parameters.read_effects()``; level, spread, texture, coverage
    and studies are statistics of the public MRE134 maps [1]_, age follows Lv et al. [2]_.

    *Regions.* A regional mean is ``mean * (1 + age + disease) + sex + person``, plus site and error
    of the scan. Stiffness falls by 0.2 to 0.35 % a year, twice as fast at 80 years; damping ratio
    stays, but rises in the hippocampus. People vary with the correlations of MRE134 (putamen with
    pallidum 0.9). A site is a random mix of the differences between the five studies of MRE134,
    which are much larger in damping ratio than in stiffness.

    *Voxels.* Within a region, mean, age, sex and site have smooth patterns, and each person a
    texture of two scales with a skewed tail. Each site, person and scan has a field of view of its
    own, which cuts the cerebellum and the vertex; T1 covers all of the brain.

    *Brain age* is age + a deviation of the person (SD 3 years) + 5 years in MCI, 10 in AD. T1
    follows it: ventricles grow, tissue shrinks. Stiffness and damping ratio follow age + deviation,
    and disease by effects of their own: AD softens the cortex, except the occipital, and white
    matter; MCI softens the hippocampus and raises its damping, but spares the cortex. T1 has no
    effect of sex, and T1 and MRE share nothing of a person but the brain age.

    *Entanglement.* With ``c = site_age_correlation``, an age is ``sqrt(1 - c**2) * within
    + c * between``, with a uniform within-site and an evenly spaced between-site part of equal
    variance, shrunk to fit ``age_range``.

    References
    ----------
    .. [1] Hiscox et al. (2020). Standard-space atlas of the viscoelastic properties of the human
       brain. Human Brain Mapping. doi:10.1002/hbm.25192
    .. [2] Lv et al. (2020). European Radiology 30:6614.

    Examples
    --------
    >>> from mresklearn.datasets import make_mre_cohort
    >>> cohort = make_mre_cohort(6, 2, voxel_size=8, repeat_share=0.5, random_state=0)
    >>> cohort
    Cohort(9 participants, maps: stiffness, damping_ratio, 2 sites, ages 32.7-85.5)
    >>> cohort.participants.person.nunique()
    6
    >>> added = cohort.truth.filter(like="cortex_frontal_site")
    >>> list(added.columns)
    ['stiffness_cortex_frontal_site', 'damping_ratio_cortex_frontal_site']
    """
    diagnoses = {} if diagnoses is None else diagnoses
    effects = {
        "site_effect": site_effect,
        "age_effect": age_effect,
        "disease_effect": disease_effect,
    }
    entanglement = {
        "site_age_correlation": site_age_correlation,
        "site_sex_correlation": site_sex_correlation,
        "site_diagnosis_correlation": site_diagnosis_correlation,
    }
    numbers, repeats = effects | entanglement, (repeat_share, n_repeats)
    check_parameters(n_subjects, n_sites, maps, voxel_size, age_range, diagnoses, repeats, numbers)
    anatomy = load_anatomy(int(voxel_size))
    for_people, for_sites, for_repeats, *seeds = _seed_sequence(random_state).spawn(n_subjects + 3)
    sizes = split_into_sites(n_subjects, n_sites)
    people = draw_people(
        np.random.default_rng(for_people),
        sizes,
        age_range=age_range,
        diagnoses=diagnoses,
        disease_effect=disease_effect,
        **entanglement,
    )
    scans = list_scans(np.random.default_rng(for_repeats), people, *repeats)
    sites = draw_sites(np.random.default_rng(for_sites), anatomy, len(sizes), site_effect)
    folder = _prepare_folder(folder)
    size = Effects(age_effect, disease_effect)
    truth = _write_people(folder, anatomy, sites, scans, seeds, size, maps, n_jobs, verbose)
    site_names = sorted(people["site"].unique())
    site_effects, regions = write_shared_files(folder, anatomy, sites, site_names, maps)
    cohort = _load(folder, scans, maps)
    cohort["truth"] = pd.DataFrame(truth, index=scans.index)
    cohort["truth"].insert(0, "brain_age", scans["brain_age"])
    cohort["site_effects"], cohort["regions"] = site_effects, regions
    cohort["region_names"] = REGIONS
    return cohort


def _load(folder, scans, maps):
    """Write the table, and load table and maps as a user would."""
    columns = ["age", "sex", "site", "diagnosis", "person"]
    scans[columns].to_csv(folder / "participants.tsv", sep="\t")
    return load_cohort(
        folder / "participants.tsv",
        maps={kind: FILENAMES[kind] for kind in maps},
        description=DESCRIPTION,
    )


def _write_people(folder, anatomy, sites, scans, seeds, effects, maps, n_jobs, verbose):
    """Write the maps of all scans, and return their truth in the order of `scans`."""
    groups = [rows for _, rows in scans.groupby("person", sort=False)]

    def make_person(rows, seed):
        person = rows.iloc[0]
        for_mre, for_t1 = seed.spawn(2)
        results = simulate_mre(anatomy, sites, person, len(rows), for_mre, effects, maps)
        if "t1" in maps:
            scans_of_t1 = simulate_t1(anatomy, sites, person, len(rows), for_t1, effects)
            for (images, truth), (image, more) in zip(results, scans_of_t1, strict=True):
                images["t1"] = image
                truth |= more
        for scan, (images, _) in zip(rows.index, results, strict=True):
            for kind, values in images.items():
                write_map(folder, scan, kind, anatomy, values)
        return [truth for _, truth in results]

    # threads suffice: filtering and compression release the interpreter lock
    results = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(make_person)(rows, seed) for rows, seed in zip(groups, seeds, strict=True)
    )
    progress = tqdm(results, total=len(groups), unit="person", disable=not verbose)
    return [truth for of_person in progress for truth in of_person]


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
