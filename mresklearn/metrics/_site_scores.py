"""Error and bias of predicted ages at each site, with intervals."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from .._metadata import check_labels
from ._brain_age import slope
from ._checks import check_ages, check_people
from ._intervals import interval, levels
from ._repeat import draw_seeds

__all__ = ["site_scores"]

SMALL = 10  # people, below which an interval by resampling and a slope say nothing reliable
PORTION = 2_000_000  # entries of the table of draws that are held in memory


@validate_params(
    {
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "n_resamples": [Interval(Integral, 100, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def site_scores(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    site: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 5000,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Score predicted ages at each site, so that no site hides in the mean.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Chronological ages in years.
    y_pred : array-like of shape (n_rows,)
        Predicted ages in years, out of fold, not corrected with the ages of these rows.
    site : array-like of shape (n_rows,)
        Site of each row.
    groups : array-like of shape (n_rows,), default=None
        Person of each row; all rows of a person are drawn together. None: every row is a person.
    confidence : float, default=0.95
        Coverage of each interval; not adjusted for the number of sites.
    n_resamples : int, default=5000
        Number of bootstrap samples of each site, at least 100.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws. The numbers of a site do not depend on the other sites.

    Returns
    -------
    scores : :class:`~pandas.DataFrame`
        One row a site, sorted by name, with the columns:

        n_people : int
            Number of persons.
        age_min, age_max : float
            Range of chronological ages.
        mae, mae_low, mae_high : float
            Mean absolute error and its interval, in years.
        bias, bias_low, bias_high : float
            Mean gap, predicted minus chronological age, and its interval, in years.
        gap_slope, gap_slope_low, gap_slope_high : float
            Slope of the gap on chronological age and its interval.
        note : str
            Empty, or what stands in the way of reading the row. A site with fewer than 10 people
            has no slope and no intervals (NaN). Where nobody of another site is in the age range of
            a site, its bias cannot be told from the bias at that age.

    Raises
    ------
    ValueError
        If an age or site is missing, or lengths differ.

    See Also
    --------
    brain_age_scores : The same quantities over all rows.
    bootstrap_ci : The interval used here, for any statistic.

    Notes
    -----
    Intervals are expanded percentile intervals over the people of the site (see
    :func:`bootstrap_ci`): they speak of new people at *this* site. With 10 to 100 people the
    coverage of 0.95 intervals was 0.93-0.96 for all three quantities
    (``benchmarks/metrics_coverage.py``).

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.metrics import site_scores
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["Delaware", "Mayo", "Utah"], [30, 30, 4])
    >>> age = rng.uniform(20, 80, 64)
    >>> predicted = age + rng.normal(0, 4, 64) + 6 * (site == "Mayo")
    >>> table = site_scores(age, predicted, site, random_state=0)
    >>> table[["n_people", "bias", "bias_low", "bias_high"]].round(1)
              n_people  bias  bias_low  bias_high
    site
    Delaware        30  ...
    Mayo            30  ...
    Utah             4  ...        NaN        NaN
    >>> table.note["Utah"]
    'fewer than 10 people: no slope, no intervals'
    """
    age, predicted = check_ages(y_true, y_pred)
    codes, names = check_labels(site, len(age), name="site")
    people = check_people(groups, len(age))
    seed = int(draw_seeds(check_random_state(random_state), 1)[0])
    rows = []
    for code in range(len(names)):
        here = codes == code
        row = _score_one(
            age[here], (predicted - age)[here], people[here], confidence, n_resamples, seed
        )
        if len(names) > 1 and not _overlaps(age[here], age[~here]):
            row["note"].append(
                "nobody of another site in its age range: bias of site and of age are one"
            )
        rows.append({**row, "note": "; ".join(row["note"])})
    return pd.DataFrame(rows, index=pd.Index(names, name="site"))


def _score_one(
    age: np.ndarray,
    gap: np.ndarray,
    person: np.ndarray,
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict:
    """Score one site, with notes on what it cannot tell."""
    person = np.unique(person, return_inverse=True)[1]
    n_people = int(person.max() + 1)
    small = n_people < SMALL
    notes = [f"fewer than {SMALL} people: no slope, no intervals"] if small else []
    estimates = {
        "mae": float(np.abs(gap).mean()),
        "bias": float(gap.mean()),
        "gap_slope": np.nan if small else slope(age, gap),
    }
    bounds = dict.fromkeys(estimates, (np.nan, np.nan))
    if not small:
        samples = _bootstrap(age, gap, person, n_resamples, seed)
        at = levels(confidence, n_people)
        bounds = {
            name: interval(values[np.isfinite(values)], at) for name, values in samples.items()
        }
        if np.mean(~np.isfinite(samples["gap_slope"])) > 0.01:
            estimates["gap_slope"], bounds["gap_slope"] = np.nan, (np.nan, np.nan)
            notes.append("too few ages for a slope")
    still = [name for name in estimates if not small and np.isnan(bounds[name][0])]
    if still and not np.isnan(estimates[still[0]]):
        notes.append(f"no interval for {', '.join(still)}: the same in every sample")
    row: dict = {"n_people": n_people, "age_min": age.min(), "age_max": age.max()}
    for name, estimate in estimates.items():
        row |= {name: estimate, f"{name}_low": bounds[name][0], f"{name}_high": bounds[name][1]}
    return row | {"note": notes}


def _bootstrap(
    age: np.ndarray, gap: np.ndarray, person: np.ndarray, n_resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """Compute all three quantities of every sample from sums by person: a product of matrices."""
    random = np.random.default_rng(seed)
    centred = age - age.mean()
    terms = [np.ones_like(gap), np.abs(gap), gap, centred, centred**2, centred * gap]
    sums = np.column_stack([np.bincount(person, weights=term) for term in terms])
    n_people = len(sums)
    portion = max(1, PORTION // n_people)
    totals = np.concatenate(
        [
            _draw_counts(random, min(portion, n_resamples - start), n_people) @ sums
            for start in range(0, n_resamples, portion)
        ]
    )
    n_rows, absolute, gaps, ages, squares, products = totals.T
    covariance = products / n_rows - (ages / n_rows) * (gaps / n_rows)
    variance = squares / n_rows - (ages / n_rows) ** 2
    variance[variance <= 1e-9 * (centred**2).mean()] = np.nan  # rounding of 0
    return {"mae": absolute / n_rows, "bias": gaps / n_rows, "gap_slope": covariance / variance}


def _draw_counts(random: np.random.Generator, n_samples: int, n_people: int) -> np.ndarray:
    """How often each person is drawn, one row a sample."""
    drawn = random.integers(n_people, size=(n_samples, n_people))
    drawn += n_people * np.arange(n_samples)[:, np.newaxis]
    counts = np.bincount(drawn.ravel(), minlength=n_samples * n_people)
    return counts.reshape(n_samples, n_people).astype(float)


def _overlaps(age: np.ndarray, others: np.ndarray) -> bool:
    """Whether somebody of the other sites has an age within the range of these ages."""
    return bool(np.any((others >= age.min()) & (others <= age.max())))
