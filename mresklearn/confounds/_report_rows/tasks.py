"""The steps of a report, in the order of its questions."""

import numpy as np

from .._effect import not_estimable
from .features import FeatureRows
from .gap import gap_rows
from .metadata import metadata_rows
from .positivity import positivity_rows
from .row import make_row
from .site import probe_rows, transfer_rows
from .unseen import unseen_rows

__all__ = ["list_tasks"]


def list_tasks(study, tables, predictions):
    """List the steps, each a name and a function that returns rows.

    Parameters
    ----------
    study : Study
        Variables and settings.
    tables : dict of str to FeatureTable
        ``"X"`` and ``"embedding"``, where given.
    predictions : Predictions or None
        Gaps and errors of a model.

    Returns
    -------
    tasks : list of (str, callable)
    """
    tasks = [
        ("metadata", lambda: metadata_rows(study)),
        ("overlap", lambda: positivity_rows(study)),
    ]
    for name, table in tables.items():
        against = "features" if name == "X" else name
        tasks += _on_features(study, table, against, standardize=name == "X")
    if predictions is not None:
        gap = predictions.gap
        rows = np.flatnonzero(np.isfinite(gap))
        if study.site is not None:
            predicted = (gap + study.target.values)[rows, None]
            tasks.append(
                ("site from prediction", lambda: probe_rows(study, predicted, rows, "prediction"))
            )
        tasks.append(("gap", lambda: gap_rows(study, predictions)))
        if predictions.unseen_error is not None:
            tasks.append(("sites left out", lambda: unseen_rows(study, predictions)))
    return tasks


def _on_features(study, table, against, *, standardize):
    variables = [study.target, *study.examined]
    if table.n_features == 0:
        effect = not_estimable("rda_partial_r2", f"Nothing in it varies ({table.note}).")
        rows = [make_row(v, effect, n=len(table.rows), against=against) for v in variables]
        return [(against, lambda: rows)]
    features = FeatureRows(study, table, against, standardize=standardize)
    tasks = [
        (f"{variable.name} in {against}", lambda variable=variable: features.effects(variable))
        for variable in variables
    ]
    if study.site is not None:
        tasks += [
            (
                f"site from {against}",
                lambda: probe_rows(study, table.values, table.rows, against),
            ),
            (f"shift transfer in {against}", lambda: transfer_rows(study, features)),
        ]
    return tasks
