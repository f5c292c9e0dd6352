"""What is to be done, each advice once, with the findings that ask for it."""

from ._severity import at_least
from ._verdicts import convinces

__all__ = ["list_to_do"]

# what is read beside other rows, or does not ask for anything by itself
READ_ONLY = (
    "balanced_accuracy", "unique_", "shared", "shift_transfer_ratio",
    "unseen_site_error_mean_of_sites",
)  # fmt: skip


def list_to_do(report):
    """List advice on effects over all sites that are convincing, or that forbid a conclusion.

    Parameters
    ----------
    report : ConfoundReport
        Fitted.

    Returns
    -------
    to_do : dict of str to list of Series
        Advice, and the rows of the table that ask for it.
    """
    to_do = {}
    for _, row in report.table_.iterrows():
        if _asks(row):
            to_do.setdefault(row["advice"], []).append(row)
    return to_do


def _asks(row):
    if row["role"] not in ("technical", "id") or "[" in row["variable"]:
        return False
    if row["against"] == "prediction" or row["measure"].startswith(READ_ONLY):
        return False
    return at_least(row["severity"], "small") and convinces(row)
