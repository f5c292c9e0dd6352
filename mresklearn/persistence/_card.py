"""What somebody who is handed a model must know before using it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from numpy.typing import ArrayLike

from . import _card_checks as checks
from ._card_metrics import metrics_of
from ._card_model import describe_model
from ._card_people import describe_people
from ._card_range import reasons
from ._card_records import Metric, SiteRecord
from ._card_text import card_text

__all__ = ["FORMAT", "INTENDED_USE", "ModelCard"]

FORMAT = 1
INTENDED_USE = (
    "Research on groups of people like those below. Not a medical device: not validated for "
    "diagnosis, prognosis or treatment of a person."
)


def _site(value: Any, name: str) -> SiteRecord:
    """Return a record of a site from itself or from JSON."""
    if isinstance(value, SiteRecord):
        return value
    known = [f.name for f in fields(SiteRecord)]
    return _made(SiteRecord, checks.refuse_unknown(value, known, name), name)


def _metrics(value: Any, name: str) -> tuple[Metric, ...]:
    """Return scores from themselves or from JSON."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} must be a list of scores, got {type(value).__name__}.")
    known = [f.name for f in fields(Metric)]
    return tuple(
        item
        if isinstance(item, Metric)
        else _made(Metric, checks.refuse_unknown(item, known, f"{name}[{k}]"), f"{name}[{k}]")
        for k, item in enumerate(value)
    )


def _made(kind: Any, content: dict, name: str) -> Any:
    try:
        return kind(**content)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Who a model was trained on, how well it does, and what it is for.

    A model says nothing of people unlike those it learnt from, and its file does not show who they
    were. :func:`save` writes a card beside every model, as JSON and as a page to read; commands and
    reports ask it who is out of range. It holds counts and ranges, never a person's values.

    Parameters
    ----------
    title : str, default="Brain age model"
        Name of the model.
    model : str, default=""
        Its steps; `save` fills it in.
    intended_use : str
        For what and whom. By default research on groups, and no medical device.
    data : str, default=""
        Where the data come from and how to cite them.
    limitations : sequence of str, default=()
        What is known to go wrong.
    n_people, n_rows : int or None, default=None
        Training persons, and rows where persons were scanned several times.
    sites : dict of str to SiteRecord, default={}
        Training people and their ages by site.
    sex, diagnosis : dict of str to int, default={}
        Training people by sex and by diagnosis.
    age_range : tuple of two float or None, default=None
        Youngest and oldest, in years, rounded outwards to whole ones.
    age_bands : dict of str to int, default={}
        Training people by ten years of age, ``{"20-29": 12, "30-39": 0, "40-49": 7}``.
    maps : dict of str to str, default={}
        Unit by kind of map, ``{"stiffness": "kPa"}``.
    voxel_size : tuple of three float or None, default=None
        In mm.
    metrics : sequence of Metric, default=()
        Scores, with their intervals and protocols.
    seed : str or None, default=None
        Random states.
    versions : dict of str to str, default={}
        Packages that trained it.
    date : str, default=""
        Day of training, as 2026-11-23.

    Raises
    ------
    ValueError
        If a field is of a wrong type; it is named.

    See Also
    --------
    save : Writes the card beside a model.
    load_card : Reads it.

    Notes
    -----
    Sections follow Mitchell et al. (2019). A range of ages is two persons' ages; where an age
    over 89 identifies somebody, state a narrower range:
    ``dataclasses.replace(card, age_range=(20, 89))``. Sites with fewer than 5 people get none.

    References
    ----------
    Mitchell, M., et al. (2019). Model cards for model reporting. Proceedings of the Conference on
    Fairness, Accountability, and Transparency, 220-229.

    Examples
    --------
    >>> import pandas as pd
    >>> from mresklearn.persistence import ModelCard
    >>> people = pd.DataFrame(
    ...     {"age": [24.0, 31, 38, 61, 66, 72], "sex": list("FMFMFM"), "site": ["Mayo"] * 6}
    ... )
    >>> card = ModelCard.from_cohort(people, metrics={"mae": (4.2, 3.6, 4.9)}, title="Demo")
    >>> card.age_range, card.sites["Mayo"].n_people
    ((24.0, 72.0), 6)
    >>> card.out_of_range(age=[30, 50, 85], site=["Mayo", "Mayo", "Utah"])
    [[], ['age 50: nobody of 40 to 59 years was in training'],
     ['age 85 lies outside the ages of training, 24 to 72', "site 'Utah' was not in training"]]
    """

    title: str = "Brain age model"
    model: str = ""
    intended_use: str = INTENDED_USE
    data: str = ""
    limitations: Sequence[str] = ()
    n_people: int | None = None
    n_rows: int | None = None
    sites: Mapping[str, SiteRecord] = field(default_factory=dict)
    sex: Mapping[str, int] = field(default_factory=dict)
    diagnosis: Mapping[str, int] = field(default_factory=dict)
    age_range: tuple[float, float] | None = None
    age_bands: Mapping[str, int] = field(default_factory=dict)
    maps: Mapping[str, str] = field(default_factory=dict)
    voxel_size: tuple[float, float, float] | None = None
    metrics: Sequence[Metric] = ()
    seed: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    date: str = ""

    def __post_init__(self) -> None:
        checks.apply(
            self,
            **dict.fromkeys(("title", "model", "intended_use", "data"), checks.text),
            **dict.fromkeys(("n_people", "n_rows"), checks.count),
            **dict.fromkeys(("sex", "diagnosis"), checks.counts),
            **dict.fromkeys(("maps", "versions"), checks.records(checks.text)),
            limitations=checks.texts,
            sites=checks.records(_site),
            age_range=checks.pair,
            age_bands=checks.bands,
            voxel_size=checks.voxel,
            metrics=_metrics,
            seed=checks.optional_text,
            date=checks.day,
        )

    @classmethod
    def from_cohort(
        cls,
        cohort: Any,
        *,
        metrics: Any = None,
        protocol: str = "",
        groups: ArrayLike | None = None,
        **stated: Any,
    ) -> ModelCard:
        """Describe the people whom a model was trained on.

        Parameters
        ----------
        cohort : Cohort or DataFrame of shape (n_rows, n_columns)
            Training people; columns ``age``, ``sex``, ``site`` and ``diagnosis`` are used where
            they are there. Give the rows of `fit` and no others.
        metrics : Bunch, dict, sequence of Metric or None, default=None
            Result of :func:`~mresklearn.model_selection.cross_validate_sites` (protocols and
            intervals are taken over) or of :func:`~mresklearn.metrics.brain_age_scores`, or scores
            by name: numbers, or ``(value, low, high)``.
        protocol : str, default=""
            How scores by name were measured.
        groups : array-like of shape (n_rows,) or None, default=None
            Person of each row; None: every row is a person.
        **stated
            Further fields, such as `title`, `limitations` or `seed`.

        Returns
        -------
        card : ModelCard
            Maps, voxels and versions are added by :func:`save`.

        Raises
        ------
        ValueError
            If a column or score is of no use; it is named.
        """
        known = {**describe_people(cohort, groups), "metrics": metrics_of(metrics, protocol)}
        return cls(**{**known, **stated})

    @classmethod
    def from_model(cls, model: Any, **stated: Any) -> ModelCard:
        """Say what a fitted model itself tells of its training.

        Parameters
        ----------
        model : estimator
            Fitted estimator or pipeline.
        **stated
            Further fields, such as `title`.

        Returns
        -------
        card : ModelCard
            Steps, seeds, and, where they were kept, ages, sites, maps and voxels.
        """
        return cls(**{**describe_model(model), **stated})

    def out_of_range(
        self, *, age: Any = None, site: Any = None, sex: Any = None, maps: Any = None
    ) -> list[list[str]]:
        """List, for each person, what sets them apart from the training people.

        A site that was not in training is the normal case for a model made for new sites; it is
        listed, as the error there may be larger. What the card does not know is not judged.

        Parameters
        ----------
        age : float or array-like of shape (n,) or None, default=None
            In years; NaN is listed as unknown. None does not ask.
        site, sex : str or array-like of shape (n,) or None, default=None
            Written as in training.
        maps : sequence of str or None, default=None
            Kinds of maps at hand, the same for all.

        Returns
        -------
        reasons : list of list of str
            One list a person, empty for those in range; one person where nothing has rows.

        Raises
        ------
        ValueError
            If lengths differ.
        """
        return reasons(self, age=age, site=site, sex=sex, maps=maps)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON values.

        Returns
        -------
        content : dict
            As :meth:`from_dict` takes it.
        """
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, content: Any) -> ModelCard:
        """Make a card of JSON values.

        Parameters
        ----------
        content : dict
            As :meth:`to_dict` gives it.

        Returns
        -------
        card : ModelCard
            The card.

        Raises
        ------
        ValueError
            If a field is unknown or of a wrong type (named), or the format is a later one.
        """
        known = ["format", *(f.name for f in fields(cls))]
        if isinstance(content, Mapping):
            version = checks.count(content.get("format", FORMAT), "'format'")
            if version is None or version > FORMAT:
                raise ValueError(f"'format' is {version}; this version reads {FORMAT}. Upgrade.")
        content = checks.refuse_unknown(content, known, "The card")
        content.pop("format", None)
        return cls(**content)

    def to_markdown(self) -> str:
        """Return the card as a page in Markdown; whatever was stated is shown as plain text.

        Returns
        -------
        page : str
            With tables as GitHub shows them.
        """
        return card_text(self)
