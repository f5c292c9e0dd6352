"""The page of a study from what train and predict wrote; the one place that calls the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._controls import as_results
from ._model_folder import TrainedModel
from ._people import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["page_of_controls", "page_of_people"]


def page_of_controls(model: TrainedModel, confounds: Any, confounds_page: str | None) -> Any:
    """Make the page of the people that a model was trained on, each predicted without them.

    Parameters
    ----------
    model : TrainedModel
        The model.
    confounds : ConfoundReport or None
        Fitted report on the same people.
    confounds_page : str or None
        Name of its own page beside this one.

    Returns
    -------
    page : StudyReport
        With ``to_html(path)``.
    """
    from ..reporting import study_report

    return study_report(
        participants=_with_site(model.controls),
        results={model.card.title: as_results(model.cross_validation)},
        confounds=confounds,
        confounds_page=confounds_page,
        title=f"{model.card.title}: the study behind it",
        model=model.in_words(),
    )


def page_of_people(
    model: TrainedModel | None, people: pd.DataFrame, confounds: Any, confounds_page: str | None
) -> Any:
    """Make the page of people who were predicted with a model.

    Parameters
    ----------
    model : TrainedModel or None
        The model; None if it is not where it was.
    people : DataFrame
        Table of the predictions.
    confounds : ConfoundReport or None
        Fitted report on the same people.
    confounds_page : str or None
        Name of its own page beside this one.

    Returns
    -------
    page : StudyReport
        With ``to_html(path)``.
    """
    from ..reporting import study_report

    people = _with_site(people)
    return study_report(
        participants=people,
        results=None if model is None else {"predicted": _as_tested(people, model)},
        confounds=confounds,
        confounds_page=confounds_page,
        title="Predicted brain age",
        model=None if model is None else model.in_words(),
    )


def _with_site(people: pd.DataFrame) -> pd.DataFrame:
    site = people["site"].fillna(UNKNOWN) if "site" in people else UNKNOWN
    return people.assign(site=site)


def _as_tested(people: pd.DataFrame, model: TrainedModel) -> Any:
    """Put predicted people in the form of a cross-validation: of known, or of new sites."""
    import pandas as pd

    ages = model.controls["age"]
    protocol = pd.Series("within_site", people.index)
    if "site" in model.controls:
        new = ~people["site"].isin(model.controls["site"])
        protocol = protocol.mask(new, "leave_one_site_out")
    return as_results(
        pd.DataFrame(
            {
                "protocol": protocol, "seed": 0, "repeat": 0, "fold": 0, "row": range(len(people)),
                "person": people["participant_id"], "site": people["site"], "y": people["age"],
                "prediction": people["predicted_age"], "n_train": len(ages),
                "train_mean": ages.mean(), "train_median": ages.median(),
            }
        )
    )  # fmt: skip
