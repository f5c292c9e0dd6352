"""Controls predicted by models that never saw them: what a new person is compared with."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import typer

from ._console import Console
from ._people import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_results", "n_sites_of", "predict_controls", "select_controls", "table_of_controls"]


def select_controls(cohort: Any, label: str | None, console: Console) -> Any:
    """Keep the people whom a model of normal ageing may learn from.

    Parameters
    ----------
    cohort : Cohort
        People.
    label : str or None
        Diagnosis of controls; None takes everybody.
    console : Console
        For a note on who is left out.

    Returns
    -------
    controls : Cohort
        The controls; everybody where no diagnosis is known.

    Raises
    ------
    typer.BadParameter
        If nobody has the diagnosis.
    """
    from ..datasets import Cohort

    diagnosis = cohort.participants.get("diagnosis")
    if diagnosis is None or label is None:
        return cohort
    keep = diagnosis.astype(str).str.strip() == label
    if not keep.any():
        found = ", ".join(sorted(diagnosis.dropna().astype(str).unique())) or "nothing"
        raise typer.BadParameter(
            f"nobody has the diagnosis {label!r}; there is {found}. Name the controls with "
            "--controls, or take everybody with --controls ''."
        )
    if not keep.all():
        console.note(
            f"{(~keep).sum()} of {len(keep)} rows are no controls ({label}) and stay out of it."
        )
    return Cohort(
        maps=cohort.maps[keep],
        participants=cohort.participants[keep],
        description=cohort.get("description", ""),
    )


def n_sites_of(participants: pd.DataFrame) -> int:
    """Count the sites; 0 where none is known."""
    return int(participants["site"].nunique()) if "site" in participants else 0


def predict_controls(
    model: Any, X: Any, participants: pd.DataFrame, *, folds: int, seed: int, n_jobs: int,
    console: Console,
) -> Any:  # fmt: skip
    """Predict everybody out of fold: at their own site, and as people of a new one.

    Parameters
    ----------
    model : regressor
        Unfitted pipeline.
    X : DataFrame
        Input of the model.
    participants : DataFrame
        With age, and site and person where known.
    folds : int
        Folds of persons.
    seed : int
        Seed of the folds.
    n_jobs : int
        Fits at the same time.
    console : Console
        For progress.

    Returns
    -------
    results : Bunch
        ``predictions`` and ``summary`` as `cross_validate_sites` has them; with one site only the
        protocol ``"within_site"``.
    """
    from ..exceptions import SingleSiteWarning
    from ..model_selection import cross_validate_sites

    person, n_sites = participants.get("person"), n_sites_of(participants)
    if n_sites < 2:
        return as_results(_at_one_site(model, X, participants, folds, seed, n_jobs, console))
    with warnings.catch_warnings():
        if n_sites == 2:  # a fold without one of them has a single site, and cannot help it
            warnings.simplefilter("ignore", SingleSiteWarning)
        return cross_validate_sites(
            model, X, participants["age"], site=participants["site"], groups=person,
            n_splits=folds, random_state=seed, n_jobs=n_jobs, verbose=console.progress,
        )  # fmt: skip


def as_results(predictions: pd.DataFrame) -> Any:
    """Add to a table of predictions the scores that `cross_validate_sites` computes from it."""
    from sklearn.utils import Bunch

    from ..model_selection._score_tables import summary_table

    return Bunch(predictions=predictions, summary=summary_table(predictions, {}))


def _at_one_site(
    model: Any, X: Any, participants: pd.DataFrame, folds: int, seed: int, n_jobs: int,
    console: Console,
) -> pd.DataFrame:  # fmt: skip
    """Cross-validate over persons, in the form that cross_validate_sites returns."""
    import numpy as np
    import pandas as pd
    from joblib import Parallel, delayed
    from sklearn.base import clone

    from ..model_selection import StratifiedSiteKFold

    age = participants["age"].to_numpy(float)
    site = participants.get("site", pd.Series(UNKNOWN, participants.index)).to_numpy()
    person = participants.get("person", participants.index.to_series()).to_numpy()
    n_persons = len(np.unique(person))
    if n_persons < folds:
        raise ValueError(f"{folds} folds need as many persons, but there are {n_persons}: --folds.")
    splitter = StratifiedSiteKFold(folds, random_state=seed)
    groups = person if n_persons < len(person) else None
    cuts = list(splitter.split(X, age, groups=groups, site=site))

    def fit(train: Any, test: Any) -> Any:
        return clone(model).fit(X.iloc[train], age[train]).predict(X.iloc[test])

    fits = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(fit)(*cut) for cut in cuts)
    rows = [
        {"protocol": "within_site", "seed": 0, "repeat": 0, "fold": fold, "row": row,
         "person": person[row], "site": site[row], "y": age[row], "prediction": float(value),
         "n_train": len(train), "train_mean": age[train].mean(),
         "train_median": float(np.median(age[train]))}
        for fold, ((train, test), predicted) in enumerate(
            zip(cuts, console.bar(fits, len(cuts), "folds", "fit"), strict=True)
        )
        for row, value in zip(test, predicted, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def table_of_controls(predictions: pd.DataFrame, participants: pd.DataFrame) -> pd.DataFrame:
    """Put both predictions of every control in one row, for correction and reports.

    Parameters
    ----------
    predictions : DataFrame
        Of :func:`predict_controls`.
    participants : DataFrame
        The same people.

    Returns
    -------
    controls : DataFrame
        ``age``, ``sex``, ``site``, ``person``, ``fold``, ``prediction`` (the site known, the person
        not) and ``prediction_new_site`` (neither known), indexed by participant.
    """
    columns = [name for name in ("age", "sex", "site", "person") if name in participants]
    controls = participants[columns].copy()
    for protocol, name in (
        ("within_site", "prediction"),
        ("leave_one_site_out", "prediction_new_site"),
    ):
        rows = predictions[predictions["protocol"] == protocol].set_index("row")
        if len(rows) == 0:
            continue
        rows = rows.sort_index()
        if name == "prediction":
            controls["fold"] = rows["fold"].to_numpy()
        controls[name] = rows["prediction"].to_numpy()
    return controls
