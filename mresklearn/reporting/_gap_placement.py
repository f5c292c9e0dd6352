"""Where a gap lies among those of controls of the same age, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import brentq
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ..metrics._checks import check_numbers

__all__ = ["ControlLine", "GapPlacement", "place_gap"]

FEWEST_IN_WINDOW = 30  # controls of like age, from which ranks alone are fine enough
NODES = 2000  # of an integral over the spread
FEWEST_FOR_LINE = 20  # controls, from which a line and its spread are worth drawing


@dataclass(frozen=True)
class GapPlacement:
    """Where a gap lies among controls; :func:`place_gap` makes it.

    Attributes
    ----------
    percentile : float
        Share of controls of this age with a smaller gap, in percent; NaN if it cannot be said.
    low, high : float
        Interval of it, for the uncertainty of having so few controls.
    n_controls : int
        Number of controls that it rests on.
    method : {"window", "regression", "none"}
        How it was found.
    window : float
        Years to either side that count as the same age, for ``"window"``.
    confidence : float
        Coverage of the interval.
    note : str
        Empty, or why there is no percentile.
    """

    percentile: float
    low: float
    high: float
    n_controls: int
    method: str
    window: float
    confidence: float
    note: str = ""

    @property
    def known(self) -> bool:
        """Whether there is a percentile."""
        return bool(np.isfinite(self.percentile))


@dataclass(frozen=True)
class ControlLine:
    """Least squares line of controls' gaps on age, and the spread about it."""

    centre: float
    level: float
    slope: float
    spread: float
    squares: float
    n: int

    @classmethod
    def fit(cls, ages: np.ndarray, gaps: np.ndarray) -> ControlLine:
        """Fit the line, flat where all are of one age."""
        centre, level, n = ages.mean(), gaps.mean(), len(ages)
        squares = float(((ages - centre) ** 2).sum()) if np.ptp(ages) > 0 else np.inf
        slope = float(((ages - centre) * gaps).sum() / squares)
        residual = gaps - level - slope * (ages - centre)
        spread = float(np.sqrt((residual**2).sum() / (n - 2)))
        return cls(float(centre), float(level), slope, spread, squares, n)

    def expected(self, age: np.ndarray | float) -> np.ndarray | float:
        """Return the mean gap of controls of an age."""
        return self.level + self.slope * (age - self.centre)

    def leverage(self, age: np.ndarray | float) -> np.ndarray | float:
        """Return the variance of `expected`, in units of the squared spread."""
        return 1 / self.n + (age - self.centre) ** 2 / self.squares

    def half_width(self, age: np.ndarray | float, share: float) -> np.ndarray | float:
        """Return half the width of the range that holds a share of new controls."""
        quantile = stats.t.ppf(0.5 + share / 2, self.n - 2)
        return quantile * self.spread * np.sqrt(1 + self.leverage(age))


@validate_params(
    {
        "gap": [Real],
        "age": [Interval(Real, 0, None, closed="left")],
        "control_gaps": ["array-like"],
        "control_ages": ["array-like"],
        "method": [StrOptions({"auto", "window", "regression"})],
        "window": [Interval(Real, 0, None, closed="neither")],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def place_gap(
    gap: float,
    age: float,
    *,
    control_gaps: ArrayLike,
    control_ages: ArrayLike,
    method: str = "auto",
    window: float = 5.0,
    confidence: float = 0.95,
) -> GapPlacement:
    r"""Place the gap of one person among those of controls of the same age.

    A gap in years means little by itself: how unusual it is depends on how far the gaps of healthy
    people of that age spread. This says so as a percentile, with the number of controls behind it.

    Parameters
    ----------
    gap : float
        Brain-age gap of the person, in years.
    age : float
        Chronological age of the person, in years.
    control_gaps : array-like of shape (n_controls,)
        Gaps of controls, of the same kind and by the same model, which was not trained on them.
    control_ages : array-like of shape (n_controls,)
        Their chronological ages, in years.
    method : {"auto", "window", "regression"}, default="auto"
        ``"window"`` ranks the gap among controls of like age, and assumes nothing of their spread;
        ``"regression"`` takes all controls, a line of the gap on age and normal noise of equal
        spread about it. "auto" takes the window where it holds 30 controls, else the regression.
    window : float, default=5.0
        Years to either side of `age` that count as the same age.
    confidence : float, default=0.95
        Coverage of the interval of the percentile.

    Returns
    -------
    placement : GapPlacement
        Percentile, its interval, the number of controls, and the method. The percentile is NaN,
        with the reason in ``note``, where `age` is outside the ages of the controls, or there are
        too few: nobody within the window, or fewer than 20 for a regression.

    Raises
    ------
    ValueError
        If a number is missing or infinite, lengths differ, or gaps of controls do not vary.

    See Also
    --------
    mresklearn.metrics.BrainAgeBiasCorrector : Makes the gaps.
    mresklearn.metrics.compare_gaps : Compares groups of people.

    Notes
    -----
    In the window, ties count half, and the interval is that of Clopper and Pearson. With the
    regression, for the line :math:`\hat g(a)` of n controls, residual standard deviation s and
    leverage :math:`h = 1/n + (a - \bar a)^2 / \sum_i (a_i - \bar a)^2`, the percentile is that of

    .. math:: t = \frac{g - \hat g(a)}{s \sqrt{1 + h}}

    in the t distribution with n - 2 degrees of freedom [1]_. Its interval follows from
    :math:`(g - \hat g(a)) / (s \sqrt h)`, which has a noncentral t distribution whose
    noncentrality times :math:`\sqrt h` is the true standardised gap [2]_.

    References
    ----------
    .. [1] Crawford, J. R., Garthwaite, P. H. (2006). Comparing patients' predicted test scores from
       a regression equation with their obtained scores. Neuropsychology 20, 259-271.
    .. [2] Crawford, J. R., Garthwaite, P. H. (2002). Investigation of the single case in
       neuropsychology: confidence limits on the abnormality of test scores. Neuropsychologia 40,
       1196-1208.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.reporting import place_gap
    >>> rng = np.random.default_rng(0)
    >>> ages, gaps = rng.uniform(20, 80, 300), rng.normal(0, 6, 300)
    >>> place = place_gap(6.0, 50.0, control_gaps=gaps, control_ages=ages)
    >>> place.method, place.n_controls, round(place.percentile)
    ('window', 51, 76)
    >>> place_gap(6.0, 90.0, control_gaps=gaps, control_ages=ages).note
    'no control is as old as 90.0: the oldest is 79.8'
    """
    if not np.isfinite(gap):
        raise ValueError(f"gap must be a finite number of years, got {gap}.")
    ages = check_numbers(control_ages, "control_ages")
    gaps = check_numbers(control_gaps, "control_gaps", len(ages))
    near = gaps[np.abs(ages - age) <= window]
    note = _outside(age, ages)
    if not note and method != "regression" and len(near) >= (FEWEST_IN_WINDOW, 1)[method != "auto"]:
        bounds = _by_rank(gap, near, confidence)
        return GapPlacement(*bounds, len(near), "window", window, confidence)
    if not note and method == "window":
        note = f"no control is within {window:g} years of age"
    if not note and len(ages) < FEWEST_FOR_LINE:
        note = f"{len(ages)} controls are too few: a percentile takes {FEWEST_FOR_LINE}"
    if note:
        nothing = (np.nan,) * 3
        return GapPlacement(*nothing, len(ages), "none", window, confidence, note)
    line = ControlLine.fit(ages, gaps)
    if line.spread <= 1e-9 * np.abs(gaps).max():
        raise ValueError(
            "The gaps of controls do not vary about a line in age, as no gaps of people do: check "
            "control_gaps."
        )
    return GapPlacement(
        *_by_line(gap, age, line, confidence), line.n, "regression", window, confidence
    )


def _outside(age: float, ages: np.ndarray) -> str:
    """Say if nobody is as young or as old."""
    if age > ages.max():
        return f"no control is as old as {age:.1f}: the oldest is {ages.max():.1f}"
    if age < ages.min():
        return f"no control is as young as {age:.1f}: the youngest is {ages.min():.1f}"
    return ""


def _by_rank(gap: float, gaps: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Rank the gap; bounds of Clopper and Pearson, ties on the cautious side."""
    n, below, up_to = len(gaps), int((gaps < gap).sum()), int((gaps <= gap).sum())
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, below, n - below + 1) if below else 0.0
    high = stats.beta.ppf(1 - tail, up_to + 1, n - up_to) if up_to < n else 1.0
    return 50 * (below + up_to) / n, 100 * float(low), 100 * float(high)


def _by_line(
    gap: float, age: float, line: ControlLine, confidence: float
) -> tuple[float, float, float]:
    """Place the gap in the distribution about the line."""
    distance, root = (gap - line.expected(age)) / line.spread, np.sqrt(line.leverage(age))
    share = stats.t.cdf(distance / np.sqrt(1 + root**2), line.n - 2)
    # the noncentral t distribution as a mean over the spread, which stays exact far in its tails
    spreads = np.sqrt(stats.chi2.ppf((np.arange(NODES) + 0.5) / NODES, line.n - 2) / (line.n - 2))
    seen = distance / root * spreads

    def bound(level: float) -> float:
        centre = brentq(
            lambda centre: stats.norm.cdf(seen - centre).mean() - level,
            seen.min() - 9,
            seen.max() + 9,
        )
        return 100 * float(stats.norm.cdf(centre * root))

    tail = (1 - confidence) / 2
    return 100 * float(share), bound(1 - tail), bound(tail)
