"""What the sites of a study can answer: how many there are, and whether their ages overlap."""

import warnings

import numpy as np
import pandas as pd

from ..exceptions import UnanswerableWarning

__all__ = ["describe_design", "warn_of_design"]


def describe_design(age, site, names, persons):
    """Tabulate people and ages of each site against all other sites.

    Parameters
    ----------
    age : ndarray of shape (n_rows,)
        Ages in years.
    site : ndarray of int of shape (n_rows,)
        Site codes.
    names : list of str
        Name of each code.
    persons : ndarray of shape (n_rows,)
        Person of each row.

    Returns
    -------
    design : DataFrame
        One row a site: ``n_rows``, ``n_people``, ``age_min``, ``age_max``; ``in_range_of_others``,
        the share of its rows inside the age range of all other sites; ``others_in_range``, the
        number of rows of other sites inside its age range.
    """
    rows = []
    for code in range(len(names)):
        here, others = age[site == code], age[site != code]
        rows.append(
            {
                "n_rows": len(here),
                "n_people": len(np.unique(persons[site == code])),
                "age_min": here.min(),
                "age_max": here.max(),
                "in_range_of_others": np.mean((here >= others.min()) & (here <= others.max())),
                "others_in_range": np.sum((others >= here.min()) & (others <= here.max())),
            }
        )
    return pd.DataFrame(rows, index=pd.Index(names, name="site"))


def warn_of_design(design):
    """Warn once of sites that share no ages with the others."""
    apart = design[(design.in_range_of_others == 0) | (design.others_in_range == 0)]
    if len(apart):
        ranges = [f"{site} ({row.age_min:g}-{row.age_max:g})" for site, row in apart.iterrows()]
        warnings.warn(
            f"No person of another site has an age in the range of {', '.join(ranges)}. What is "
            "due to site and what to age cannot be told apart there: leaving such a site out asks "
            "a model for ages that it has not seen. Report it apart, or pool sites whose ages "
            "overlap.",
            UnanswerableWarning,
            stacklevel=4,  # past the check of parameters
        )
