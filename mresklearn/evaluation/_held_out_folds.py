"""Who is trained on and who is tested where a whole study is left out with its controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, indexable

from .._metadata import check_labels, number_of_rows, site_of_rows
from ..metrics._bias_lines import FEWEST
from ..metrics._checks import check_numbers
from ..model_selection import StratifiedSiteKFold
from ..model_selection._site_folds import without_persons

__all__ = ["HeldOut", "check_cohort", "held_out_studies"]

FEWEST_STUDIES = 6  # in training, so that models of one less are much like that of all


@dataclass(frozen=True, eq=False)
class HeldOut:
    """One study left out.

    Attributes
    ----------
    name : str
        The study.
    train, test : ndarray of int
        Rows of controls elsewhere, and all rows of the study.
    inner : list of tuple of ndarray of int
        Training and test rows of the folds among `train`.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    inner: list[tuple[np.ndarray, np.ndarray]]


def check_cohort(
    X: Any, y: Any, study: Any, diagnosis: Any, reference: str, site: Any, sex: Any, groups: Any
) -> Bunch:
    """Check all rows once, before the first fit."""
    X, y = indexable(X, y)
    n_rows = number_of_rows(X)
    study_codes, studies = check_labels(study, n_rows, name="study")
    diagnosis_codes, diagnoses = check_labels(diagnosis, n_rows, name="diagnosis")
    if reference.strip() not in diagnoses:
        raise ValueError(
            f"Nobody has the reference diagnosis {reference!r}; there are {', '.join(diagnoses)}. "
            "Name the controls with reference=."
        )
    if len(studies) < 2:
        raise ValueError(
            f"leave_study_out needs at least 2 studies, but all {n_rows} rows are of "
            f"{studies[0]!r}. Within one study, cross-validate its controls and compare with "
            "compare_gaps."
        )
    person, labels = np.arange(n_rows), _row_labels(X, n_rows)
    if groups is not None:
        person, labels = check_labels(groups, n_rows, name="groups (the persons)")
        _check_one_diagnosis(person, diagnosis_codes, labels)
    site = site_of_rows(X, "site") if site is None else site
    if site is not None:
        check_labels(site, n_rows, name="site")
    if sex is not None:
        check_labels(sex, n_rows, name="sex")
    label_of = np.array(diagnoses, dtype=object)
    return Bunch(
        X=X,
        y=check_numbers(y, "y (the ages)", n_rows),
        study=study_codes,
        studies=studies,
        diagnosis=label_of[diagnosis_codes],
        is_control=label_of[diagnosis_codes] == reference.strip(),
        person=person,
        person_labels=np.asarray(labels, dtype=object),
        site=None if site is None else np.asarray(site, dtype=object),
        sex=None if sex is None else np.asarray(sex, dtype=object),
    )


def _row_labels(X: Any, n_rows: int) -> Any:
    """Name participants where X knows them by different names, else number the rows."""
    known = X.index if isinstance(X, pd.DataFrame) else getattr(X, "participants", None)
    return known if known is not None and known.is_unique else np.arange(n_rows)


def _check_one_diagnosis(person: np.ndarray, diagnosis: np.ndarray, labels: list[str]) -> None:
    """Refuse persons who are controls in one row and patients in another."""
    pairs = np.unique(np.column_stack([person, diagnosis]), axis=0)
    several = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    if several.size:
        raise ValueError(
            f"{several.size} persons have more than one diagnosis, {labels[several[0]]} for one. "
            "Give each person one, such as that at the last visit, or leave out the other rows."
        )


def held_out_studies(
    cohort: Bunch, out_of_fold: str, n_splits: int, random: np.random.RandomState
) -> list[HeldOut]:
    """List the studies with patients, each with its training rows and the folds among them."""
    held_out = []
    for code, name in enumerate(cohort.studies):
        test = np.flatnonzero(cohort.study == code)
        if cohort.is_control[test].all():
            continue
        elsewhere = np.flatnonzero((cohort.study != code) & cohort.is_control)
        train = without_persons(elsewhere, test, cohort.person)
        n_people = len(np.unique(cohort.person[train]))
        if n_people < FEWEST:
            raise ValueError(
                f"Without study {name!r} there are {n_people} controls to train on, and at least "
                f"{FEWEST} are needed. Add studies with controls."
            )
        inner = _inner_folds(cohort, train, out_of_fold, n_splits, random)
        held_out.append(HeldOut(name, train, test, inner))
    if not held_out:
        raise ValueError(
            "No study has patients, so there is nobody to compare. For the error at unseen "
            "studies use cross_validate_sites with the study as site."
        )
    return held_out


def _inner_folds(
    cohort: Bunch,
    train: np.ndarray,
    out_of_fold: str,
    n_splits: int,
    random: np.random.RandomState,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fold the training controls: by study, as the held-out study will be new, or by person."""
    seed = int(random.randint(2**31 - 1))  # drawn in any case, so that studies do not shift seeds
    study = cohort.study[train]
    n_studies = len(np.unique(study))
    if out_of_fold == "study" and n_studies < 2:
        raise ValueError(
            'out_of_fold="study" needs controls of two other studies for every study with '
            'patients, and there is one. Use out_of_fold="person".'
        )
    if out_of_fold == "study" or (out_of_fold == "auto" and n_studies >= FEWEST_STUDIES):
        splits = [
            (np.flatnonzero(study != code), np.flatnonzero(study == code))
            for code in np.unique(study)
        ]
    else:
        splitter = StratifiedSiteKFold(n_splits, random_state=seed)
        splits = list(splitter.split(train, cohort.y[train], cohort.person[train], site=study))
    folds = [(without_persons(train[a], train[b], cohort.person), train[b]) for a, b in splits]
    if any(len(rows) == 0 for rows, _ in folds):
        raise ValueError(
            'Everybody was also scanned in another study, so that out_of_fold="study" leaves '
            'nobody to train on. Use out_of_fold="person".'
        )
    return folds
