"""How large an effect is, by its size and never by its p: a large cohort makes all p small."""

import numpy as np

__all__ = ["SEVERITIES", "at_least", "limits_of", "severity_of"]

SEVERITIES = ("negligible", "small", "medium", "large")

# Cohen (1988), Statistical Power Analysis: f squared of .02, .15 and .35 as shares of variance
SHARE = (0.02, 0.13, 0.26)
# Cohen's r and w, and d
CORRELATION = (0.10, 0.30, 0.50)
DIFFERENCE = (0.2, 0.5, 0.8)
# overlap that normal distributions lose at those d: 2 * Phi(d / 2) - 1
LOST_OVERLAP = (0.08, 0.20, 0.31)
# conventions of this package
ACCURACY = (0.05, 0.15, 0.30)
OUT_OF_REACH = (0.25, 0.50, 0.75)
REPEATS = (1e-9, 0.05, 0.20)


def limits_of(measure):
    """Return where small, medium and large begin, for what :func:`severity_of` compares."""
    if measure in ("cramers_v", "spearman"):
        return CORRELATION
    if measure in ("overlap_coefficient", "common_support"):
        return LOST_OVERLAP
    if measure.startswith(("balanced_accuracy", "excess")):
        return ACCURACY
    if measure == "shift_transfer_ratio":
        return OUT_OF_REACH
    if measure in ("mean_gap", "mean_absolute_error"):
        return DIFFERENCE
    return REPEATS if measure == "repeated_rows" else SHARE


def severity_of(row, *, smaller_side=2, gap_spread=np.nan):
    """Return "negligible", "small", "medium" or "large"; None where nothing could be measured.

    Parameters
    ----------
    row : dict
        A row of the table.
    smaller_side : int, default=2
        Levels of the column with fewer, for Cramer's V: Cohen's w is V times the root of one less.
    gap_spread : float
        Standard deviation of the gap at equal age, the unit of bias and error.

    Returns
    -------
    severity : str or None
    """
    size = row["value_adj"]
    if row["status"] == "not_estimable" or not np.isfinite(size):
        return None
    measure = row["measure"]
    if measure.startswith("unseen_site_error"):
        size = _added_share(row["value"], row["null_mean"])
    elif measure == "cramers_v":
        size *= np.sqrt(smaller_side - 1)
    elif measure in ("overlap_coefficient", "common_support", "shift_transfer_ratio"):
        size = 1 - size
    elif measure == "mean_gap":
        size = abs(size) / gap_spread
    elif measure == "mean_absolute_error":
        size /= gap_spread  # smaller errors than elsewhere do no harm
    elif measure in ("spearman", "shared"):
        size = abs(size)
    if not np.isfinite(size):
        return None
    return SEVERITIES[int(np.searchsorted(limits_of(measure), size, side="right"))]


def _added_share(error, known):
    """Return the share of a squared error that people of known sites do not have."""
    return 1 - (known / error) ** 2 if error > known else 0.0


def at_least(severity, least):
    """Whether a severity is `least` or more; what was not measured is not."""
    return severity in SEVERITIES and SEVERITIES.index(severity) >= SEVERITIES.index(least)
