"""Folds of the protocols, and the people of a left-out site who are given without their age."""

import warnings
from dataclasses import dataclass, field

import numpy as np

from ..exceptions import UnanswerableWarning
from ._leave_one_site_out import LeaveOneSiteOut
from ._stratified_site_kfold import StratifiedSiteKFold

__all__ = [
    "LEFT_OUT",
    "TRANSDUCTIVE",
    "WITHIN",
    "Fold",
    "draw_unlabelled",
    "left_out_folds",
    "within_folds",
    "without_persons",
]

WITHIN, LEFT_OUT, TRANSDUCTIVE = "within_site", "leave_one_site_out", "transductive"


@dataclass(eq=False)
class Fold:
    """One fit: training and test rows, and the test rows of each draw that a model may adapt to."""

    protocol: str
    repeat: int
    number: int
    train: np.ndarray
    test: np.ndarray
    draws: list = field(default_factory=list)


def within_folds(cohort, n_splits, n_repeats, random):
    """List the folds that mix sites, of every repeat."""
    folds = []
    for repeat, seed in enumerate(random.randint(2**31 - 1, size=n_repeats)):
        splitter = StratifiedSiteKFold(n_splits, random_state=int(seed))
        persons = cohort.persons if cohort.repeated else None
        split = splitter.split(cohort.X, cohort.y, persons, site=cohort.codes)
        for number, (train, test) in enumerate(split):
            folds.append(Fold(WITHIN, repeat, number, train, test))
    return folds


def left_out_folds(cohort):
    """List one fold a site, without the people of that site among the training rows.

    Parameters
    ----------
    cohort : Bunch
        With X, the code of each row's site, the names of the codes, and the person of each row.
    """
    sites = np.array(cohort.names, dtype=object)[cohort.codes]
    folds = []
    for number, (train, test) in enumerate(LeaveOneSiteOut().split(cohort.X, groups=sites)):
        elsewhere = without_persons(train, test, cohort.persons)
        if not elsewhere.size:
            raise ValueError(
                f"Everybody was also scanned at {cohort.names[number]!r}, so that leaving this "
                "site out leaves nobody to train on."
            )
        folds.append(Fold(LEFT_OUT, 0, number, elsewhere, test))
    return folds


def without_persons(train, test, persons):
    """Drop the training rows of persons who are tested: they were scanned at two sites."""
    return train[~np.isin(persons[train], persons[test])]


def draw_unlabelled(folds, cohort, n_unlabelled, n_repeats, random):
    """Draw the people of each left-out site that are given without their age, once a repeat."""
    small = []
    for fold in folds:
        if fold.protocol != LEFT_OUT:
            continue
        people = np.unique(cohort.persons[fold.test])
        draws = [random.permutation(people)[:n_unlabelled] for _ in range(n_repeats)]
        if len(people) <= n_unlabelled:
            small.append(f"{cohort.names[fold.number]} ({len(people)})")
        else:
            fold.draws = [np.isin(cohort.persons[fold.test], drawn) for drawn in draws]
    if len(small) == len(cohort.names):
        raise ValueError(
            f"n_unlabelled={n_unlabelled} people leave nobody to score at any site. Give a smaller "
            "number, or transductive=False."
        )
    if small:
        warnings.warn(
            f"The transductive protocol leaves out {', '.join(small)}: with "
            f"n_unlabelled={n_unlabelled} people there is nobody left to score. Its errors are of "
            "the other sites.",
            UnanswerableWarning,
            stacklevel=4,  # past the check of parameters
        )
