"""Lines of predicted on chronological age: one for all people, and one a site where that is known.

The line for all, where sites are told apart, has the slope within sites: through people of sites
that differ in age, a line would take the shifts between sites for a slope.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from ._cluster_robust import Estimate, RobustLeastSquares

__all__ = ["common_line", "site_lines"]

FEWEST = 10  # people, below which not even one line is fitted


def common_line(
    predicted: np.ndarray,
    age: np.ndarray,
    person: np.ndarray,
    site: np.ndarray | None,
    confidence: float,
) -> Bunch:
    """Fit the line for everybody, with the slope within sites where `site` holds their codes."""
    n_people = len(np.unique(person))
    if n_people < FEWEST:
        raise ValueError(
            f"{n_people} controls are too few for a line of predicted on chronological age: at "
            f"least {FEWEST} are needed, and 30 or more for a slope worth having."
        )
    slope = _slope(predicted, age, person, site)
    if slope is None:
        raise ValueError(
            "All controls are of one age"
            + (" at each site" if site is not None else "")
            + ", so the bias with age cannot be seen. Fit on controls of different ages."
        )
    if np.isnan(slope.df):
        raise ValueError(
            "All controls but one are of one age"
            + (" at each site" if site is not None else "")
            + ", so the slope rests on one person. Fit on controls of different ages."
        )
    return _line(predicted, age, slope, confidence)


def site_lines(
    rows: Bunch,
    names: list[str],
    codes: np.ndarray,
    common: Bunch,
    *,
    min_people: int,
    needs_slope: bool,
    confidence: float,
) -> pd.DataFrame:
    """Tabulate the line of each site, which is the common one where a site does not give its own.

    A site's line goes through the means of its people. Its slope is drawn towards the common one by
    as much as it is less certain than slopes differ between sites (empirical Bayes, with the
    variance between sites of DerSimonian and Laird).

    Parameters
    ----------
    rows : Bunch
        With `predicted`, `age` and `person`.
    names, codes : list of str, ndarray of int of shape (n_rows,)
        Sites, and the site of each row.
    common : Bunch
        The line for everybody.
    min_people : int
        Smaller sites get the common line.
    needs_slope : bool
        Whether a slope has to be above 0 beyond doubt.
    confidence : float
        Coverage of the intervals of slopes.
    """
    slopes, reasons, sizes = {}, {}, {}
    for code, name in enumerate(names):
        here = codes == code
        sizes[name] = len(np.unique(rows.person[here]))
        if sizes[name] < min_people:
            reasons[name] = f"{sizes[name]} people, fewer than min_people={min_people}"
            continue
        slope = _slope(rows.predicted[here], rows.age[here], rows.person[here], None)
        if slope is None or np.isnan(slope.df):
            reasons[name] = "all people of one age" if slope is None else "all but one of one age"
        else:
            slopes[name] = slope
    spread = _variance_between(list(slopes.values()))
    table = []
    for code, name in enumerate(names):
        line, weight = common, 0.0
        if name in slopes:
            here = codes == code
            slope, weight = _shrunken(slopes[name], common.slope_estimate, spread)
            line = _line(rows.predicted[here], rows.age[here], slope, confidence)
            if needs_slope and line.slope_low <= 0:
                reasons[name] = f"slope {line.slope:.2f} not above 0 beyond doubt"
                line, weight = common, 0.0
        table.append(
            {
                "n_people": sizes[name],
                "intercept": line.intercept,
                "slope": line.slope,
                "slope_low": line.slope_low,
                "slope_high": line.slope_high,
                "weight_of_own_slope": weight,
                "fallback": reasons.get(name, ""),
            }
        )
    return pd.DataFrame(table, index=pd.Index(names, name="site"))


def _slope(
    predicted: np.ndarray, age: np.ndarray, person: np.ndarray, site: np.ndarray | None
) -> Estimate | None:
    """Slope of predicted on chronological age, within sites; None where ages do not vary."""
    codes = np.zeros(len(age), dtype=int) if site is None else site
    levels = np.eye(codes.max() + 1)[codes]
    mean_age = np.bincount(codes, weights=age) / np.bincount(codes)
    centred = age - mean_age[codes]
    scale = np.sqrt((centred**2).mean())
    if scale < 1e-9 * max(1.0, np.abs(age).max()):
        return None
    design = np.column_stack([levels, centred / scale])
    people = np.unique(person, return_inverse=True)[1]
    contrast = np.r_[np.zeros(levels.shape[1]), 1 / scale]
    return RobustLeastSquares(design, predicted, people).estimate(contrast)


def _line(predicted: np.ndarray, age: np.ndarray, slope: Estimate, confidence: float) -> Bunch:
    """Put a line with this slope through the means."""
    low, high = slope.interval(confidence)
    return Bunch(
        intercept=float(predicted.mean() - slope.value * age.mean()),
        slope=slope.value,
        slope_low=low,
        slope_high=high,
        slope_estimate=slope,
    )


def _variance_between(slopes: list[Estimate]) -> float:
    """Variance of true slopes between sites; 0 where fewer than two sites have one."""
    if len(slopes) < 2:
        return 0.0
    values = np.array([slope.value for slope in slopes])
    weight = 1 / np.maximum([slope.standard_error**2 for slope in slopes], 1e-12)
    excess = (weight * (values - np.average(values, weights=weight)) ** 2).sum() - len(values) + 1
    return float(max(0.0, excess / (weight.sum() - (weight**2).sum() / weight.sum())))


def _shrunken(own: Estimate, common: Estimate, spread: float) -> tuple[Estimate, float]:
    """Draw a slope towards the common one, and give the weight that its own keeps."""
    variance = max(own.standard_error**2, 1e-12)
    weight = spread / (spread + variance)
    error = np.hypot(np.sqrt(weight * variance), (1 - weight) * common.standard_error)
    value = weight * own.value + (1 - weight) * common.value
    return Estimate(float(value), float(error), min(own.df, common.df)), float(weight)
