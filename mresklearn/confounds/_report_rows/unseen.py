"""Question 4 of a report, second half: how much larger errors are at a site that is left out."""

import numpy as np

from .._effect import not_estimable
from .._unseen_error import unseen_error, unseen_error_by_site
from .row import level_of, make_row

__all__ = ["unseen_rows"]


def unseen_rows(study, predictions):
    """Return errors at left-out sites beside those of the same people at known sites.

    Parameters
    ----------
    study : Study
        Variables and settings.
    predictions : Predictions
        With errors of both.

    Returns
    -------
    rows : list of dict
        One over people, one over sites, and one a site.
    """
    common = {"against": "gap", "conditioning": "person"}
    if study.site.n_levels == 1:
        reason = "There is one site only, so none can have been left out."
        return [make_row(study.site, not_estimable("unseen_site_error", reason), n=0, **common)]
    both = np.isfinite(predictions.error) & np.isfinite(predictions.unseen_error)
    rows = np.flatnonzero(both & study.site.present)
    codes = study.site.values[rows].astype(int)
    known, unseen = predictions.error[rows], predictions.unseen_error[rows]
    several = np.bincount(codes)[codes] > 1
    made = []
    for measure in (unseen_error, unseen_error_by_site):
        settings = study.settings("gap", measure.__name__)
        effect = measure(known[several], unseen[several], codes[several], **settings)
        made.append(make_row(study.site, effect, n=several.sum(), **common))
    for code in range(len(study.site.levels)):
        level, inside = level_of(study.site, code), codes == code
        settings = study.settings("gap", "unseen", level.name)
        effect = unseen_error(
            known[inside], unseen[inside], np.zeros(inside.sum(), int), **settings
        )
        made.append(make_row(level, effect, n=inside.sum(), **common))
    return made
