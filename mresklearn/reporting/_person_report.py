"""person_report: the page of one person, from plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date as calendar
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ..exceptions import DataError
from ..metrics._checks import check_numbers
from ._brain_slices import BrainSlices, draw_slices
from ._descriptions import describe
from ._gap_placement import GapPlacement, place_gap
from ._page import Page, render
from ._person_charts import draw_age_line, draw_gap_chart
from ._person_words import (
    gap_in_words,
    interval_in_words,
    list_warnings,
    placement_in_words,
)
from ._quality import read_quality

__all__ = ["PersonReport", "person_report"]


@dataclass(frozen=True, eq=False)
class PersonReport(Page):
    """The page of one person; :func:`person_report` makes it.

    Attributes
    ----------
    title : str
        Heading of the page.
    html : str
        The whole page.
    warnings : tuple of str
        What stands on top of it.
    gap : float
        The gap that it shows, in years.
    placement : GapPlacement or None
        Where the gap lies among controls; None without controls.
    """

    warnings: tuple[str, ...] = ()
    gap: float = np.nan
    placement: GapPlacement | None = field(default=None)


@validate_params(
    {
        "participant": [str, Integral],
        "age": [Interval(Real, 0, 130, closed="both")],
        "predicted": [Real],
        "interval": ["array-like", None],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "interval_basis": [str],
        "corrected_gap": [Real, None],
        "control_gaps": ["array-like", None],
        "control_ages": ["array-like", None],
        "placement": [StrOptions({"auto", "window", "regression"})],
        "window": [Interval(Real, 0, None, closed="neither")],
        "out_of_range": ["array-like"],
        "quality": [Mapping, pd.Series, None],
        "quality_reference": [pd.DataFrame, None],
        "flags": ["array-like"],
        "model": [Mapping, None],
        "saliency": "no_validation",
        "saliency_row": [Interval(Integral, 0, None, closed="left")],
        "saliency_unit": [str, None],
        "saliency_threshold": [Interval(Real, 0, None, closed="left"), None],
        "anatomy": "no_validation",
        "details": [Mapping, None],
        "date": [str, None],
    },
    prefer_skip_nested_validation=True,
)
def person_report(
    *,
    participant: str | int,
    age: float,
    predicted: float,
    interval: tuple[float, float] | None = None,
    confidence: float = 0.9,
    interval_basis: str = "",
    corrected_gap: float | None = None,
    control_gaps: ArrayLike | None = None,
    control_ages: ArrayLike | None = None,
    placement: str = "auto",
    window: float = 5.0,
    out_of_range: Sequence[str] = (),
    quality: Mapping[str, Any] | pd.Series | None = None,
    quality_reference: pd.DataFrame | None = None,
    flags: Sequence[str] = (),
    model: Mapping[str, Any] | None = None,
    saliency: Any = None,
    saliency_row: int = 0,
    saliency_unit: str | None = None,
    saliency_threshold: float | None = None,
    anatomy: Any = "mni152",
    details: Mapping[str, Any] | None = None,
    date: str | None = None,
) -> PersonReport:
    """Write the page of one person: predicted age, gap among controls, where it comes from.

    The page begins with what a reader must know before any number (site or age that the model was
    not trained on, odd images), gives the prediction with its interval and the gap in words that
    name no disease, and ends with where the model comes from. A notice that this is research and
    no diagnosis is part of every page.

    Parameters
    ----------
    participant : str or int
        Id of the person.
    age : float
        Chronological age in years.
    predicted : float
        Predicted age in years, as the model gives it, without bias correction.
    interval : (float, float) or None, default=None
        Ends of the interval of the predicted age, such as ``lower`` and ``upper`` of
        :class:`~mresklearn.intervals.SiteConformalRegressor`.
    confidence : float, default=0.9
        Coverage of `interval`.
    interval_basis : str, default=""
        What it was made from, such as its ``basis``; "no guarantee" in it is shown as a warning.
    corrected_gap : float or None, default=None
        Gap in years from :class:`~mresklearn.metrics.BrainAgeBiasCorrector`. None shows predicted
        minus chronological age, and says that it is not corrected.
    control_gaps, control_ages : array-like of shape (n_controls,) or None, default=None
        Gaps of controls, corrected as that of the person, from predictions out of fold, and their
        ages in years.
    placement : {"auto", "window", "regression"}, default="auto"
        How the gap is placed among them; see :func:`place_gap`.
    window : float, default=5.0
        Years to either side that count as the same age.
    out_of_range : sequence of str, default=()
        Reasons why the model may not hold for this person, one sentence each: "The site 'Lyon' was
        not in training."
    quality : mapping, Series or None, default=None
        Row of :meth:`~mresklearn.maps.MapLoader.quality_report`, or other numbers by name.
    quality_reference : DataFrame or None, default=None
        The same of other people, such as ``quality_`` of the loader: from 20 people on, what is
        outside their 1st to 99th percentile is flagged. Without it, shares over 5 % are.
    flags : sequence of str, default=()
        Further flags, one sentence each.
    model : mapping or None, default=None
        Where the model comes from: name, version, training sites, ages, errors. Mappings within
        become groups.
    saliency : path, nibabel image, BrainMap or None, default=None
        Map of what the prediction rests on, such as an
        :class:`~mresklearn.inspection.OcclusionMap`.
    saliency_row : int, default=0
        Row of the person in a BrainMap.
    saliency_unit : str or None, default=None
        What a value says; None takes it from a BrainMap.
    saliency_threshold : float or None, default=None
        Values below it in size are not drawn; None draws the strongest fifth.
    anatomy : {"mni152"}, path, nibabel image or None, default="mni152"
        What lies under the map: the MNI152 template for maps in its space, the person's own image,
        or None for a plain outline.
    details : mapping or None, default=None
        What else is known, shown under the heading: sex, site, session.
    date : str or None, default=None
        Date of the page; None takes today.

    Returns
    -------
    report : PersonReport
        With ``html``, ``to_html(path)``, ``warnings``, ``gap`` and ``placement``.

    Raises
    ------
    ValueError
        If a number is not finite, the interval is not two ordered ends, gaps and ages of controls
        do not fit each other, or one of them comes alone.
    DataError
        If the saliency map is empty, or lies outside the anatomy.

    See Also
    --------
    study_report : The page of a study.
    place_gap : The percentile alone.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.reporting import person_report
    >>> rng = np.random.default_rng(0)
    >>> report = person_report(
    ...     participant="sub-012", age=68.0, predicted=73.5, interval=(62.0, 85.0),
    ...     interval_basis="own site", corrected_gap=6.1,
    ...     control_gaps=rng.normal(0, 6, 200), control_ages=rng.uniform(50, 85, 200),
    ...     out_of_range=["The site 'Lyon' was not in training."],
    ...     model={"name": "brain age from stiffness", "training people": 200},
    ... )
    >>> report.warnings
    ("The site 'Lyon' was not in training.",)
    >>> report.placement.n_controls, round(report.placement.percentile)
    (58, 81)
    >>> "not a medical device" in report.html
    True
    """
    predicted, age = float(predicted), float(age)
    corrected = corrected_gap is not None
    gap = float(corrected_gap) if corrected_gap is not None else predicted - age
    if not np.isfinite([predicted, gap]).all():
        raise ValueError(
            f"predicted and corrected_gap must be finite, got {predicted} and {corrected_gap}."
        )
    ends = _check_interval(interval)
    controls = _check_controls(control_gaps, control_ages)
    placed = None
    if controls is not None:
        placed = place_gap(
            gap, age, control_gaps=controls[0], control_ages=controls[1],
            method=placement, window=window,
        )  # fmt: skip
    lines = read_quality(quality, quality_reference)
    flags = [str(flag) for flag in flags]
    warnings = list_warnings(out_of_range, flags, lines, interval_basis, placed, corrected)
    interval_words = interval_in_words(age, ends, confidence, interval_basis)
    gap_words = gap_in_words(gap, corrected, placed)
    title = f"Brain age of {participant}"
    html = render(
        "person.html",
        title=title,
        age=age,
        predicted=predicted,
        interval=ends,
        interval_finite=ends is not None and bool(np.isfinite(ends).all()),
        confidence=confidence,
        gap=gap,
        corrected=corrected,
        placed=placed,
        gap_words=gap_words,
        interval_words=interval_words,
        placement_words=None if placed is None else placement_in_words(placed),
        warnings=warnings,
        age_line=draw_age_line(age, predicted, ends, f"Predicted {predicted:.1f} years at "
                               f"{age:.1f} years of age. {interval_words}"),
        gap_chart=_gap_chart(gap, age, controls, placed, gap_words),
        n_controls=0 if controls is None else len(controls[0]),
        slices=_slices(saliency, saliency_row, saliency_threshold, anatomy),
        unit=saliency_unit or getattr(saliency, "unit", "") or "effect on the prediction",
        own_threshold=saliency_threshold is None,
        quality=lines,
        odd=any(line.flag for line in lines),
        flags=flags,
        model=describe(model),
        details=describe(details),
        date=date or calendar.today().isoformat(),
    )  # fmt: skip
    return PersonReport(title, html, tuple(warnings), gap, placed)


def _check_interval(interval: Any) -> tuple[float, float] | None:
    if interval is None:
        return None
    ends = np.asarray(interval, dtype=float)
    if ends.shape != (2,) or np.isnan(ends).any() or ends[0] > ends[1]:
        raise ValueError(f"interval must be a lower and an upper end in years, got {interval}.")
    return float(ends[0]), float(ends[1])


def _check_controls(gaps: Any, ages: Any) -> tuple[np.ndarray, np.ndarray] | None:
    if (gaps is None) != (ages is None):
        raise ValueError(
            "control_gaps and control_ages belong together: give both, or none of them."
        )
    if gaps is None:
        return None
    ages = check_numbers(ages, "control_ages")
    return check_numbers(gaps, "control_gaps", len(ages)), ages


def _gap_chart(
    gap: float,
    age: float,
    controls: tuple[np.ndarray, np.ndarray] | None,
    placed: GapPlacement | None,
    words: str,
) -> Any:
    if controls is None or placed is None:
        return None
    alt = f"{words} Gaps of {len(controls[0])} controls by age, with this person among them."
    return draw_gap_chart(gap, age, *controls, placed, alt)


def _slices(saliency: Any, row: int, threshold: float | None, anatomy: Any) -> BrainSlices | None:
    if saliency is None:
        return None
    if hasattr(saliency, "to_image"):
        people = len(saliency.participants)
        if row >= people:
            raise DataError(f"saliency_row is {row}, but the map holds {people} people, from 0.")
        saliency = saliency.to_image(row)
    return draw_slices(saliency, anatomy, threshold=threshold)
