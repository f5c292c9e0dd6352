"""The two kinds of rows on a model card: a site, and a measured score."""

from __future__ import annotations

from dataclasses import dataclass

from . import _card_checks as checks

__all__ = ["Metric", "SiteRecord"]


@dataclass(frozen=True, kw_only=True)
class SiteRecord:
    """Training people of one site.

    Parameters
    ----------
    n_people : int or None, default=None
        Their number; None where it is not known.
    age_range : tuple of two float or None, default=None
        Youngest and oldest, in years, rounded outwards; None where it is not known or would tell
        the age of somebody in a small group.

    Raises
    ------
    ValueError
        If a field is of a wrong type; it is named.

    Examples
    --------
    >>> from mresklearn.persistence import SiteRecord
    >>> SiteRecord(n_people=12, age_range=(20, 35)).n_people
    12
    """

    n_people: int | None = None
    age_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        checks.apply(self, n_people=checks.count, age_range=checks.pair)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A score of a model, with its interval and how it was measured.

    Parameters
    ----------
    name : str
        Such as ``"mae"``.
    value : float
        The score.
    low, high : float or None, default=None
        Bounds of its interval.
    unit : str, default=""
        Such as ``"years"``.
    protocol : str, default=""
        How it was measured: ``"leave_one_site_out"``, or words.
    note : str, default=""
        What the interval speaks of.

    Raises
    ------
    ValueError
        If a field is of a wrong type or `low` lies above `high`; it is named.

    Examples
    --------
    >>> from mresklearn.persistence import Metric
    >>> print(Metric(name="mae", value=4.21, low=3.9, high=4.6, unit="years"))
    mae 4.21 years (3.9 to 4.6)
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    protocol: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        texts = dict.fromkeys(("name", "unit", "protocol", "note"), checks.text)
        checks.apply(
            self, value=checks.number, low=checks.optional_number, high=checks.optional_number,
            **texts,
        )  # fmt: skip
        if (self.low is None) != (self.high is None):
            raise ValueError("'low' and 'high' must be given together.")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"'low' is {self.low:g}, above 'high', which is {self.high:g}.")

    @property
    def numbers(self) -> str:
        """Value, unit and interval as text."""
        unit = f" {self.unit}" * bool(self.unit)
        bounds = "" if self.low is None else f" ({self.low:.3g} to {self.high:.3g})"
        return f"{self.value:.3g}{unit}{bounds}"

    def __str__(self) -> str:
        return f"{self.name} {self.numbers}"
