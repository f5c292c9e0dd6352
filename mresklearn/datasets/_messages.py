"""Wording shared by the error messages of this subpackage."""

import difflib

__all__ = ["close_match", "listing"]


def listing(items, limit=10):
    """Join offenders for a message, so that a long list stays readable.

    Parameters
    ----------
    items : sequence of str
        One text per offender.
    limit : int, default=10
        How many are written out before the rest is only counted.

    Returns
    -------
    text : str
        The offenders, separated by ``"; "``.

    Examples
    --------
    >>> listing(["001", "002", "003"], limit=2)
    '001; 002; ... and 1 more (3 in all)'
    """
    items = list(items)
    text = "; ".join(items[:limit])
    if len(items) > limit:
        text += f"; ... and {len(items) - limit} more ({len(items)} in all)"
    return text


def close_match(name, existing):
    """Name the existing column that a mistyped one probably means.

    Parameters
    ----------
    name : str
        The name that was not found.
    existing : sequence of str
        The names that exist.

    Returns
    -------
    hint : str
        A sentence to append to the message; empty where nothing is close.

    Examples
    --------
    >>> close_match("Age", ["AGE", "SEX"])
    " Did you mean 'AGE'?"
    """
    by_lower_case = {other.lower(): other for other in existing}
    matches = difflib.get_close_matches(name.lower(), list(by_lower_case), n=1, cutoff=0.6)
    return f" Did you mean {by_lower_case[matches[0]]!r}?" if matches else ""
