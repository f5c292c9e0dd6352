"""What features say of the site: probes beyond age, and whether a new site's shift is known."""

import numpy as np

from .._probe_effects import probe_features
from .._shift_transfer import shift_transfer
from .features import smallest, with_overlap
from .row import level_of, make_row

__all__ = ["PROBES", "probe_rows", "transfer_rows"]

PROBES = ("linear", "rbf")


def probe_rows(study, values, present, against):
    """Return accuracy of each probe, and its excess over what the target says.

    Parameters
    ----------
    study : Study
        Variables and settings.
    values : ndarray of shape (n_present, n_features)
        Images, embedding or prediction.
    present : ndarray of int of shape (n_present,)
        Row numbers of the people that have them.
    against : str
        What the values are.

    Returns
    -------
    rows : list of dict
        Two a probe.
    """
    kept = study.site.present[present] & study.target.present[present]
    rows = present[kept]
    values = values if kept.all() else values[kept]
    age, codes = study.target.values[rows], study.site.values[rows].astype(int)
    groups = np.unique(codes, return_inverse=True)[1]
    matched = study.matched(study.site, rows) if len(rows) else np.array([np.nan])
    made = []
    for probe in PROBES:
        *effects, n = probe_features(
            values,
            groups,
            age,
            probe,
            **study.settings(against, "probe", probe),
            n_jobs=study.n_jobs,
        )
        made += [
            make_row(
                study.site,
                with_overlap(effect, matched, groups, study),
                n=n,
                against=against,
                conditioning=study.target.name,
                overlap_ess=smallest(matched),
            )
            for effect in effects
        ]
    return made


def transfer_rows(study, features):
    """Return the shift-transfer ratio of all sites, and of each."""
    rows = study.complete_rows(study.site, features.table.rows)
    place = np.searchsorted(features.table.rows, rows)
    codes = study.site.values[rows].astype(int)
    pooled, by_site = shift_transfer(
        features.coordinates[place],
        study.fixed_design(study.site, rows),
        codes,
        **study.settings(features.against, "transfer"),
    )
    common = {"against": features.against, "conditioning": study.conditioning(study.site)}
    made = [make_row(study.site, pooled, n=len(rows), **common)]
    for code, effect in sorted(by_site.items()):
        level = level_of(study.site, code)
        made.append(make_row(level, effect, n=np.count_nonzero(codes == code), **common))
    return made
