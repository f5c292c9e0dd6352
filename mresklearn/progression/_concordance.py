"""concordance: how often who converted sooner had the higher risk."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import validate_params

from .._metadata import check_labels
from ..metrics._checks import check_numbers

__all__ = ["comparable_pairs", "concordance", "share_concordant"]


@validate_params(
    {
        "duration": ["array-like"],
        "event": ["array-like"],
        "risk": ["array-like"],
        "strata": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def concordance(
    duration: ArrayLike, event: ArrayLike, risk: ArrayLike, *, strata: ArrayLike | None = None
) -> float:
    """Give the share of pairs in which the one who converted sooner had the higher risk.

    Harrell's C, for risks of people who had no part in the fit: 0.5 is chance, 1 is perfect. Pairs
    are of the same stratum, so that a site with more converters does not count as skill.

    Parameters
    ----------
    duration : array-like of shape (n_people,)
        Time to conversion or to the last visit.
    event : array-like of shape (n_people,)
        Whether the time ended by conversion, as booleans or 1 and 0.
    risk : array-like of shape (n_people,)
        Anything that is higher for people who are expected to convert sooner.
    strata : array-like of shape (n_people,), default=None
        Stratum of each person, such as the site. None: all people are compared.

    Returns
    -------
    concordance : float
        In [0, 1].

    Raises
    ------
    ValueError
        If lengths differ, a value is missing, or no pair can be compared.

    See Also
    --------
    conversion_model : A model, its concordance, and an interval for it.

    Notes
    -----
    A pair can be compared if the shorter time ended by the event; of two with the same time, if
    exactly one did. Equal risks count half ([1]_). It depends on how long people were followed.

    References
    ----------
    .. [1] Harrell, F. E., Lee, K. L., Mark, D. B. (1996). Multivariable prognostic models.
       Statistics in Medicine 15, 361-387.

    Examples
    --------
    >>> from mresklearn.progression import concordance
    >>> concordance([1, 2, 3, 4], [True, True, False, True], [0.9, 0.3, 0.5, 0.1])
    0.8
    """
    times = check_numbers(duration, "duration")
    flags = check_numbers(event, "event", len(times))
    if not np.isin(flags, (0, 1)).all():
        raise ValueError("event must hold True and False, or 1 and 0.")
    scores = check_numbers(risk, "risk", len(times))
    codes = np.zeros(len(times), dtype=int)
    if strata is not None:
        codes = check_labels(strata, len(times), name="strata")[0]
    happened = flags.astype(bool)
    pairs = comparable_pairs(times, happened, codes)
    if not pairs.any():
        raise ValueError(
            "No two people can be compared: there must be an event, and in its stratum somebody "
            "who was followed longer."
        )
    return share_concordant(scores, np.flatnonzero(happened), pairs)


def comparable_pairs(duration: np.ndarray, event: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Mark, for each event (row), who is known to have been free of it for longer (column)."""
    times = duration[event][:, np.newaxis]
    longer = (duration > times) | ((duration == times) & ~event)
    return longer & (stratum[event][:, np.newaxis] == stratum)


def share_concordant(risk: np.ndarray, events: np.ndarray, pairs: np.ndarray) -> float:
    """Share of the pairs ordered rightly by risk, equal ones half; NaN without pairs."""
    number = np.count_nonzero(pairs)
    if number == 0:
        return np.nan
    own = risk[events][:, np.newaxis]
    right = np.count_nonzero(pairs & (own > risk)) + np.count_nonzero(pairs & (own == risk)) / 2
    return float(right / number)
